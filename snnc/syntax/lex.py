"""Text to tokens: words, numbers, marks, comments and newlines, each with its place.

Whether a word is a keyword or a name is not decided here but by the parser, which knows what it can take.
"""

from __future__ import annotations

from typing import NamedTuple
from unicodedata import normalize

from snnc.diagnostics import Code, Findings
from snnc.source import Source, Span
from snnc.syntax.tables import load_tables

MAX_FINDINGS = 20


def names(text: str) -> frozenset[str]:
    """Return the words of `text` as a set, so that tables of terminals and units stay readable."""
    return frozenset(text.split())


# After one of these a statement goes on in the next line.
CONTINUES = names(
    "COMMA EQUAL TILDE ARROW PLUS MINUS STAR SLASH PERCENT CIRCUMFLEX AT_LEAST AT_MOST SAME DIFFERENT MORETHAN "
    "LESSTHAN ADD_SET SUBTRACT_SET MULTIPLY_SET DIVIDE_SET AND OR NOT IF ELSE"
)

# Characters that come along when text is pasted from a paper or a chat.
_LOOKALIKES = {
    "\u2212": "write `-`, the minus of the keyboard",
    "\u2013": "write `-`, the minus of the keyboard",
    "\u2014": "write `-`, the minus of the keyboard",
    "\u00d7": "write `*`",
    "\u00b7": "write `*`",
    "\u2192": "write `->`",
    "\u2265": "write `>=`",
    "\u2264": "write `<=`",
    "\u2260": "write `!=`",
    "\u201c": 'write `"`, the straight quotation mark',
    "\u201d": 'write `"`, the straight quotation mark',
    "\u2019": "write `'`, the straight prime",
    "\u2032": "write `'`, the straight prime",
    "\u00a0": "replace it by a space; it looks like one, but is a no-break space",
    "\u00b5": "write `u`, as in `us` and `uA`",
    "\u03bc": "write `u`, as in `us` and `uA`",
    "'": 'a derivative is written `v\'`, with no space before the prime, and a string `"…"`',
    '"': 'a string ends with `"` on the line where it began',
    "@": "a drawn value is written `name ~ distribution(…)`; `@` has no meaning",
    "&": "write `and`",
    "|": "write `or`",
    "!": "write `not`",
    "$": "names consist of the letters a-z and A-Z, digits and `_`",
    "\\": "a line that ends in an operator, `,`, `=` or an open bracket goes on by itself",
}


class Token(NamedTuple):
    """A piece of the text. `kind` is a terminal of the grammar; a word is a NAME until the parser has seen it."""

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    @property
    def is_newline(self) -> bool:
        return self.kind == "_NL" and self.text != ";"


def scan(source: Source, findings: Findings) -> list[Token]:
    """Return every token of `source`, comments and newlines too; characters that begin none are found and left out."""
    tables = load_tables()
    match, symbols, text = tables.scanner.match, tables.symbols, source.text
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        found = match(text, position)
        if found is None:
            position = _find_bad_character(source, position, findings)
            if len(findings.items) >= MAX_FINDINGS:
                return tokens
            continue
        kind = found.lastgroup
        assert kind is not None
        if kind != "WS":
            value = found.group()
            tokens.append(Token(symbols[value] if kind == "SYMBOL" else kind, value, position))
        position = found.end()
    return tokens


def code_tokens(tokens: list[Token]) -> list[Token]:
    """Return the tokens without comments, several newlines in a row as one."""
    code: list[Token] = []
    for token in tokens:
        if token.kind == "COMMENT" or (token.is_newline and code and code[-1].is_newline):
            continue
        code.append(token)
    return code


def is_doc(comment: str) -> bool:
    """Whether a comment documents what follows.

    >>> [is_doc(text) for text in ("## a neuron", "##", "# note", "#### ruler")]
    [True, True, False, False]
    """
    return comment.startswith("##") and not comment.startswith("###")


def doc_blocks(tokens: list[Token]) -> dict[int, list[str]]:
    """Return the `##` blocks of a file, each under the place of what stands directly below it.

    That is the first token of the next line, or the end of the block if a blank line, or the end of the file, follows.
    """
    blocks: dict[int, list[str]] = {}
    lines: list[str] = []
    end, newlines = 0, 1
    for token in tokens:
        if token.is_newline:
            newlines += 1
            if newlines > 1 and lines:
                blocks[end], lines = lines, []
        elif token.kind == "COMMENT":
            if newlines and is_doc(token.text):
                lines.append(token.text[2:].removeprefix(" ").rstrip())
                end = token.end
            newlines = 0
        elif token.text != ";":
            if lines:
                blocks[token.start], lines = lines, []
            newlines = 0
    if lines:
        blocks[end] = lines
    return blocks


def _find_bad_character(source: Source, position: int, findings: Findings) -> int:
    character = source.text[position]
    if character == '"':
        end = source.text.find("\n", position)
        end = len(source.text) if end < 0 else end
        span = Span(source, position, end)
        findings.add(Code.SYNTAX, span, "this string is never closed", help=_LOOKALIKES[character])
        return end
    end = position + 1
    while end < len(source.text) and source.text[end] == character:
        end += 1
    shown = f"`{character}`" if character.isprintable() else f"the character U+{ord(character):04X}"
    findings.add(
        Code.BAD_CHARACTER, Span(source, position, end), f"{shown} has no meaning here", help=_instead(character)
    )
    return end


def _instead(character: str) -> str:
    """Return what to do about a character that begins no token.

    >>> _instead("\uff1d"), _instead("\u03c4"), _instead("\u200b")
    ('write `=`', 'names consist of the letters a-z and A-Z, digits and `_`', 'delete it; it cannot be seen')
    """
    plain = normalize("NFKC", character)
    if character in _LOOKALIKES:
        return _LOOKALIKES[character]
    if len(plain) == 1 and plain != character and " " <= plain <= "~":
        return "replace it by a space; it only looks like one" if plain == " " else f"write `{plain}`"
    if character.isalpha():
        return "names consist of the letters a-z and A-Z, digits and `_`"
    return "delete it; it can stand only in a comment" if character.isprintable() else "delete it; it cannot be seen"
