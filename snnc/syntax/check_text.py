"""Findings that need no grammar: size, brackets, the edition line, `dv/dt` and units in a wrong place."""

from __future__ import annotations

from snnc import EDITION
from snnc.diagnostics import Code, CompileError, Diagnostic, Findings, Label, fail
from snnc.source import Source, Span
from snnc.syntax.lex import Token, names
from snnc.syntax.read import MAX_BYTES, too_large

MAX_BRACKETS = 100

_CLOSERS = {"(": ")", "[": "]", "{": "}"}

# Words that stand for a unit when they follow a quantity without a space, as in `10 mV/ms`.
_UNITS = names(
    "fs ps ns us ms s min h uV mV V pA nA uA mA A pS nS uS mS S Ohm kOhm MOhm GOhm ohm kohm Mohm Gohm "
    "fF pF nF uF mF F fC pC nC uC C Hz kHz MHz step steps"
)


def check_size(source: Source) -> None:
    """Raise E0107 for more than a megabyte, E0108 for a NUL."""
    if len(source.text) > MAX_BYTES:
        raise too_large(source, len(source.text))
    nul = source.text.find("\0")
    if nul >= 0:
        span = Span(source, nul, nul + 1)
        raise fail(Code.NOT_TEXT, span, "this is not text: it contains a NUL character", help="save it as UTF-8 text")


def check_brackets(source: Source, tokens: list[Token]) -> None:
    """Raise E0103 for the first bracket without its partner, E0107 for nesting too deep."""
    opened: list[Token] = []
    for token in tokens:
        if token.text in _CLOSERS:
            opened.append(token)
            if len(opened) > MAX_BRACKETS:
                message = f"brackets are nested deeper than {MAX_BRACKETS}"
                help = "give parts of the expression a name with `let`"
                raise fail(Code.TOO_LARGE, _span(source, token), message, help=help)
        elif token.kind in ("RPAR", "RSQB", "RBRACE"):
            if not opened:
                message = f"this `{token.text}` closes nothing"
                help = f"remove it, or add `{_OPENERS[token.text]}`"
                raise fail(Code.UNBALANCED, _span(source, token), message, help=help)
            if _CLOSERS[opened[-1].text] != token.text:
                raise _mismatch(source, opened[-1], token)
            opened.pop()
    if opened:
        raise _unclosed(source, opened[-1])


def check_edition(source: Source, code: list[Token], findings: Findings) -> None:
    """Find a missing or an unknown edition."""
    line = f"edition {EDITION}"
    words = [token for token in code[:3] if not token.is_newline]
    if not words or words[0].text != "edition":
        start = words[0].start if words else 0
        end = words[0].end if words else 0
        help = f"add this line at the top:\n{line}"
        findings.add(Code.NO_EDITION, Span(source, start, end), "the file does not say its edition", help=help)
    elif len(words) > 1 and words[1].kind == "NUMBER" and words[1].text != str(EDITION):
        message = f"unknown edition `{words[1].text}`"
        findings.add(Code.UNKNOWN_EDITION, _span(source, words[1]), message, help=f"this compiler knows `{line}`")


def replace_fractions(source: Source, code: list[Token], findings: Findings) -> list[Token]:
    """Find `dv/dt = …` and return the tokens with `v' = …` in its place, so that the parser can go on."""
    out: list[Token] = []
    at_start, index = True, 0
    while index < len(code):
        top, *rest = code[index : index + 4]
        if at_start and top.text[:1] == "d" and len(top.text) > 1 and [t.text for t in rest] == ["/", "dt", "="]:
            span = Span(source, top.start, rest[1].end)
            message = f"`{span.text}` is not how a derivative is written"
            findings.add(Code.DERIVATIVE_FRACTION, span, message, help=f"write `{top.text[1:]}' = …`")
            out.append(Token("DERIV", span.text, top.start))
            index += 3
        else:
            out.append(top)
            index += 1
        at_start = top.kind in ("_NL", "LBRACE")
    return out


def check_units(source: Source, code: list[Token], findings: Findings) -> None:
    """Find a quantity that is divided or multiplied by a bare unit, as in `10 mV/ms`."""
    for index in range(len(code) - 3):
        number, unit, mark, word = code[index : index + 4]
        if number.kind != "NUMBER" or unit.kind != "NAME" or mark.text not in ("/", "*") or word.text not in _UNITS:
            continue
        goes_on = index + 4 < len(code) and code[index + 4].kind in ("LPAR", "LSQB", "DOT")
        if unit.end == mark.start and mark.end == word.start and not goes_on:
            span = Span(source, number.start, word.end)
            better = f"{number.text} {unit.text} {mark.text} 1 {word.text}"
            message = f"`{word.text}` is read as a name: a unit stands only right after a number"
            findings.add(Code.BAD_UNIT_POSITION, span, message, help=f"write `{better}`")


_OPENERS = {closer: opener for opener, closer in _CLOSERS.items()}


def _mismatch(source: Source, opener: Token, closer: Token) -> CompileError:
    """Blame the opener if a `}` ends a block over it, else the closer."""
    if closer.text == "}" or opener.text == "{":
        blamed, other = (opener, closer) if closer.text == "}" else (closer, opener)
        verb = "is never closed" if blamed is opener else "closes nothing"
        note = "the block ends here" if blamed is opener else "the innermost open bracket"
        label = Label(_span(source, other), note)
        found = Diagnostic(Code.UNBALANCED, _span(source, blamed), f"this `{blamed.text}` {verb}", labels=(label,))
    else:
        message = f"`{opener.text}` is closed by `{closer.text}`"
        label = Label(_span(source, opener), "opened here")
        help = f"write `{_CLOSERS[opener.text]}`"
        found = Diagnostic(Code.UNBALANCED, _span(source, closer), message, help, labels=(label,))
    return CompileError([found])


def _unclosed(source: Source, opener: Token) -> CompileError:
    help = f"add `{_CLOSERS[opener.text]}`"
    return fail(Code.UNBALANCED, _span(source, opener), f"this `{opener.text}` is never closed", help=help)


def _span(source: Source, token: Token) -> Span:
    return Span(source, token.start, token.end)
