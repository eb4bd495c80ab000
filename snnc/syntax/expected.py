"""The words of a syntax error: what was found, and what the parser could have taken, as people name it."""

from __future__ import annotations

from difflib import get_close_matches

from snnc.syntax.lex import CONTINUES, Token, names
from snnc.syntax.tables import load_tables

_OPERATORS = names(
    "PLUS MINUS STAR SLASH PERCENT CIRCUMFLEX AND OR IF AT_LEAST AT_MOST SAME DIFFERENT MORETHAN LESSTHAN"
)

# If the parser takes all of the first set, it is said in these words, which stand for all of the second.
_PHRASES: tuple[tuple[frozenset[str], str, frozenset[str]], ...] = (
    (
        names("NEURON NETWORK IMPORT"),
        "an item (`neuron`, `network`, `train`, …)",
        names("IMPORT CONST FN SURROGATE EXTERN NEURON PLASTICITY NETWORK DATA TRAIN SWEEP CONVERT EDITION"),
    ),
    (
        names("PARAM STATE"),
        "a clause (`param`, `v' = …`, `spike`, …)",
        names(
            "PARAM STATE INPUT EVENT LET DERIV STEP ON SPIKE REFRACTORY SURROGATE DETACH SOLVE CLIP NORMALIZE OUTPUT"
        ),
    ),
    (
        names("LAYER OUTPUT"),
        "a layer, an edge, a port or a setting",
        names("LAYER OUTPUT INPUT EVENT NAME"),
    ),
    (names("PENALTY METRIC"), "a setting, `penalty` or `metric`", names("PENALTY METRIC NAME")),
    (names("VARY"), "a setting or `vary`", names("VARY NAME")),
    (
        names("NUMBER STRING NAME LPAR"),
        "an expression",
        names("NUMBER STRING NAME LPAR LSQB MINUS NOT TRUE FALSE"),
    ),
    (names("PLUS NAME"), "a unit", names("NAME")),
    (names("PLUS"), "an operator", _OPERATORS | {"DOT", "LPAR", "LSQB"}),
    (
        names("ADD_SET"),
        "`=`, `+=` or `-=`",
        names("EQUAL ADD_SET SUBTRACT_SET MULTIPLY_SET DIVIDE_SET"),
    ),
)
_NAMES = {
    "NAME": "a name",
    "NUMBER": "a number",
    "STRING": "a string",
    "DERIV": "`v' = …`",
    "_NL": "the end of the line",
}
_SHOWN = 6

# Words of Python that people try, and what is written here instead.
_FROM_PYTHON = {
    "def": "a neuron is written as equations (`v' = …`), a function beside it as `fn name(x) = …`",
    "class": "a neuron is written `neuron NAME { … }`, a network `network NAME { … }`",
    "return": "a function is one expression, as in `fn square(x) = x * x`, and an equation says its value itself",
    "for": "there are no loops: a layer holds many neurons, as in `LIF[100]()`, and time runs by itself",
    "while": "there are no loops: time runs by itself, in steps of `dt`",
    "self": "names of a neuron stand alone: write `v`, not `self.v`",
    "print": "nothing is printed here; `snnc run` draws and saves every signal",
    "from": "write `import std.neurons (LIF)`",
    "lambda": "write a function of its own: `fn name(x) = …`",
    "const": "`const NAME = …` stands outside of blocks",
    "neuron": "a neuron stands outside of other blocks; is a `}` missing above?",
    "network": "a network stands outside of other blocks; is a `}` missing above?",
}


def found_text(token: Token) -> str:
    """Return the name of what was found.

    >>> found_text(Token("NAME", "parm", 0)), found_text(Token("_NL", "\\n", 0))
    ('`parm`', 'end of the line')
    """
    if token.kind == "$END":
        return "end of the file"
    if token.is_newline:
        return "end of the line"
    return f"`{token.text}`" if len(token.text) <= 40 else f"`{token.text[:40]}…`"


def expected_text(accepted: list[str]) -> str:
    """Return what the terminals `accepted` are called together.

    >>> expected_text(["NAME", "LBRACE"])
    'a name or `{`'
    """
    left = [name for name in accepted if name != "$END"]
    words = []
    for needed, phrase, covered in _PHRASES:
        if needed <= set(left):
            words.append(phrase)
            left = [name for name in left if name not in covered]
    spellings = load_tables().spellings
    left.sort(key=lambda name: (name == "_NL", name not in _NAMES, name))
    words += [_NAMES.get(name) or f"`{spellings[name]}`" for name in left]
    if not words:
        return "the end of the file"
    if len(words) > _SHOWN:
        words = [*words[: _SHOWN - 1], words[-1]]
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def advice(tokens: list[Token], index: int, last: str, accepted: list[str]) -> str | None:
    """Return what to do about the unexpected token at `index`, if there is something to say.

    `tokens` are those of the code, newlines too; `last` is the terminal that was taken before the unexpected one.
    """
    words = load_tables().words
    token = tokens[index]
    before, after = (tokens[index - 1] if index else None), (tokens[index + 1] if token.kind != "$END" else None)
    for newline in (index - 1, index - 2):
        if newline > 0 and tokens[newline].is_newline and tokens[newline - 1].kind in CONTINUES:
            return f"the line before ends in `{tokens[newline - 1].text}`, so its statement goes on here"
    at_line_start = before is not None and before.is_newline
    if at_line_start and (token.kind in _OPERATORS or token.text in ("and", "or", "if", "else")):
        return f"a line goes on if it ends in an operator: move `{token.text}` to the end of the line before"
    if token.text == "*" and before is not None and before.text == "*":
        return "a power is written `^`, as in `v^2`"
    if token.kind == "NAME":
        close = get_close_matches(
            token.text, [word for word, name in words.items() if name in accepted], n=1, cutoff=0.7
        )
        return f"did you mean `{close[0]}`?" if close else _FROM_PYTHON.get(token.text)
    if token.kind == "DOT" and after is not None and after.kind == "NUMBER":
        return f"write `0.{after.text}`"
    if token.kind == "EQUAL" and before is not None and last in words.values() and "NAME" in accepted:
        return f"`{before.text}` is a keyword here; choose another name"
    if token.kind == "EQUAL" and "SAME" in accepted:
        return "a comparison is written `==`"
    return None
