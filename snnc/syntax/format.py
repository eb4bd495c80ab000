"""`snnc fmt`: text to the same text, laid out one way.

It works on tokens, not on nodes, so that nothing is lost: comments, blank lines (several become one), line breaks and
one-line blocks stay. What changes is space: two for each level, one around operators, none inside brackets. A block
spread over lines gets its `{` at the end and its `}` at the start of one. Formatting twice changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from snnc.source import Source
from snnc.syntax.lex import CONTINUES, Token
from snnc.syntax.parse import Parsed, parse_tokens

_ENDS_VALUE = ("NAME", "NUMBER", "STRING", "RPAR", "RSQB", "TRUE", "FALSE")
_CLOSERS = {"RPAR": "LPAR", "RSQB": "LSQB", "RBRACE": "LBRACE"}
_INDENT = 2
_NEGATIVE = "NEGATIVE"  # a minus with nothing on its left
_GOES_ON = CONTINUES | {_NEGATIVE}


@dataclass(slots=True)
class _Line:
    """One line of the result: tokens of code, a comment, or both; neither: a blank line."""

    code: list[Token] = field(default_factory=list)
    comment: str = ""


def format_text(source: Source) -> str:
    """Return the canonical layout of `source`; it parses to the same nodes.

    Raises:
        CompileError: if `source` does not parse.

    >>> print(format_text(Source("m.snn", "edition 2026\\n\\n\\nneuron A{ # leaky\\nstate v=-1\\nv'=-v/9ms }")), end="")
    edition 2026
    <BLANKLINE>
    neuron A {  # leaky
      state v = -1
      v' = -v / 9 ms
    }
    """
    parsed = parse_tokens(source)
    lines = _trim_blanks(_lines(parsed.tokens), parsed.terminals)
    return _Layout(parsed).text(lines)


def _lines(tokens: list[Token]) -> list[_Line]:
    """Return the lines of the result: those of the text, those of a block spread over lines split at its braces."""
    spread = _spread_braces(tokens)
    lines = [_Line()]
    for index, token in enumerate(tokens):
        line = lines[-1]
        if token.is_newline:
            lines.append(_Line())
        elif token.kind == "COMMENT":
            line.comment = token.text.rstrip()
        elif token.text == ";":
            if line.code and line.code[-1].text not in (";", "{") and _separates(tokens, index):
                line.code.append(token)
        elif token.start in spread:
            if token.kind == "RBRACE" and line.code:
                lines.append(line := _Line())
            line.code.append(token)
            if token.kind == "LBRACE" and not _ends_line(tokens, index):
                lines.append(_Line())
        else:
            line.code.append(token)
    return lines


def _spread_braces(tokens: list[Token]) -> set[int]:
    """Return the places of the braces of blocks that are not on one line."""
    spread: set[int] = set()
    opened: list[tuple[int, int]] = []
    line = 0
    for token in tokens:
        line += token.is_newline
        if token.kind == "LBRACE":
            opened.append((token.start, line))
        elif token.kind == "RBRACE":
            start, first = opened.pop()
            if line != first:
                spread |= {start, token.start}
    return spread


def _ends_line(tokens: list[Token], index: int) -> bool:
    """Whether only `;` and a comment follow in the line of `tokens[index]`."""
    rest = next((token for token in tokens[index + 1 :] if token.text != ";"), None)
    return rest is None or rest.is_newline or rest.kind == "COMMENT"


def _separates(tokens: list[Token], index: int) -> bool:
    """Whether another statement of the same line follows the `;` at `index`."""
    rest = next((token for token in tokens[index + 1 :] if token.text != ";"), None)
    return rest is not None and not rest.is_newline and rest.kind not in ("COMMENT", "RBRACE")


def _trim_blanks(lines: list[_Line], terminals: dict[int, str]) -> list[_Line]:
    """Keep one blank line of several, none at the edges of a block or the file, none inside a statement."""
    kept: list[_Line] = []
    brackets = 0
    last = "LBRACE"  # the last terminal of code
    for index, line in enumerate(lines):
        if line.code or line.comment:
            kept.append(line)
        elif kept and (kept[-1].code or kept[-1].comment):
            after = next((other for other in lines[index + 1 :] if other.code or other.comment), None)
            closes = after is None or (after.code and after.code[0].kind in ("RBRACE", "ARROW"))
            opens = last == "LBRACE" and bool(kept[-1].code)
            if not closes and not opens and not brackets and last not in CONTINUES:
                kept.append(line)
        for token in line.code:
            last = terminals.get(token.start, token.kind)
            brackets += (last in ("LPAR", "LSQB")) - (last in ("RPAR", "RSQB"))
    while kept and not (kept[-1].code or kept[-1].comment):
        kept.pop()
    return kept


class _Layout:
    """Prints lines one after the other, with what it must remember of those before."""

    def __init__(self, parsed: Parsed) -> None:
        self.terminals = parsed.terminals
        self.open: list[tuple[str, int]] = []  # each open bracket with the indentation of its content
        self.last = ""  # the last terminal printed, in any line
        self.first = ""  # the first terminal of the current statement

    def text(self, lines: list[_Line]) -> str:
        out: list[str] = []
        waiting: list[str] = []  # comments (and blank lines) that go with the next line of code
        for line in lines:
            if not line.code:
                waiting.append(line.comment)
                continue
            indent = self._indent(line)
            within = self._content_indent(line, indent)
            out += [" " * within + comment if comment else "" for comment in waiting]
            waiting = []
            comment = f"  {line.comment}" if line.comment else ""
            out.append(" " * indent + self._code(line.code, indent) + comment)
        return "\n".join([*out, *waiting]) + "\n"

    def _indent(self, line: _Line) -> int:
        """Return the indentation of a line: that of the bracket it stands in, two more if it goes on a statement."""
        closers = 0
        while closers < len(line.code) and line.code[closers].kind in _CLOSERS:
            closers += 1
        if closers:
            return self.open[-closers][1] - _INDENT
        base = self.open[-1][1] if self.open else 0
        in_block = not self.open or self.open[-1][0] == "LBRACE"
        goes_on = self.last in _GOES_ON or line.code[0].kind == "ARROW"
        return base + (_INDENT if in_block and goes_on else 0)

    def _content_indent(self, line: _Line, indent: int) -> int:
        """Return the indentation of comments above `line`: its own, or that of the block which it closes."""
        return self.open[-1][1] if line.code[0].kind in _CLOSERS else indent

    def _code(self, code: list[Token], indent: int) -> str:
        text = ""
        for position, token in enumerate(code):
            terminal = self.terminals.get(token.start, token.kind)
            if self.last in ("", "LBRACE", "_NL") or (position == 0 and not self._goes_on(terminal)):
                self.first = terminal
            if position:
                text += self._space(terminal)
            text += token.text
            if terminal in _CLOSERS:
                self.open.pop()
            elif terminal in _CLOSERS.values():
                block = self._block_indent() if terminal == "LBRACE" else indent
                self.open.append((terminal, block + _INDENT))
            if terminal == "MINUS" and self.last not in _ENDS_VALUE:
                terminal = _NEGATIVE
            self.last = terminal
        return text

    def _goes_on(self, terminal: str) -> bool:
        inside = bool(self.open) and self.open[-1][0] != "LBRACE"
        return inside or self.last in _GOES_ON or terminal == "ARROW"

    def _block_indent(self) -> int:
        return self.open[-1][1] if self.open else 0

    def _space(self, terminal: str) -> str:
        """Return what stands between the last token and the next in one line."""
        last = self.last
        if last in ("LPAR", "LSQB", "DOT", "CIRCUMFLEX", _NEGATIVE):
            return ""
        if terminal in ("RPAR", "RSQB", "COMMA", "DOT", "CIRCUMFLEX", "_NL") or (last, terminal) == (
            "LBRACE",
            "RBRACE",
        ):
            return ""
        if terminal == "LPAR" and last in ("NAME", "RSQB"):
            return " " if self.first == "IMPORT" else ""
        if terminal == "LSQB" and last == "NAME":
            return ""
        return " "
