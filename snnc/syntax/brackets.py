"""Brackets first: each without its partner is found, and repaired, so that the rest of the file is still read.

After it every bracket has its partner. Where a file had a fault, the places of the repair say which further syntax errors
may only follow from it.
"""

from __future__ import annotations

from snnc.diagnostics import Code, Findings, Label, fail
from snnc.limits import MAX_BRACKETS
from snnc.source import Source, Span
from snnc.syntax.lex import CONTINUES, Token, names

CLOSERS = {"(": ")", "[": "]", "{": "}"}
_OPENERS = {closer: opener for opener, closer in CLOSERS.items()}
_KINDS = {")": "RPAR", "]": "RSQB", "}": "RBRACE"}
# Words that begin a statement if they are the first of a line and a name follows.
_ITEMS = names("import const fn extern neuron plasticity network data train sweep convert")
_CLAUSES = names("param state input event let layer output penalty metric spike refractory solve vary")

Places = list[tuple[int, int]]  # pieces of the text, from and to an offset


def pair_brackets(source: Source, tokens: list[Token], findings: Findings) -> tuple[list[Token], Places]:
    """Return the tokens with a partner for every bracket, and where something was added or left out.

    Raises:
        CompileError: E0107 for nesting too deep.
    """
    if _are_paired(source, tokens):
        return tokens, []
    repair = _Repair(source, tokens, findings)
    return repair.run(), repair.places


def _are_paired(source: Source, tokens: list[Token]) -> bool:
    opened: list[str] = []
    paired = True
    for token in tokens:
        if token.text in CLOSERS:
            opened.append(token.text)
            if len(opened) > MAX_BRACKETS:
                message = f"brackets are nested deeper than {MAX_BRACKETS}"
                help = "give parts of the expression a name with `let`"
                raise fail(Code.TOO_LARGE, _span(source, token), message, help=help)
        elif token.text in _OPENERS and (not opened or CLOSERS[opened.pop()] != token.text):
            paired = False
    return paired and not opened


class _Repair:
    """Goes through the tokens once; `opened` has the open brackets with their places in the result."""

    def __init__(self, source: Source, tokens: list[Token], findings: Findings) -> None:
        self.source, self.tokens, self.findings = source, tokens, findings
        self.out: list[Token] = []
        self.opened: list[tuple[Token, int]] = []
        self.early: list[tuple[Token, Token]] = []  # a `{` and the `}` that closes it, but stands too far left
        self.late: list[Token] = []  # a `}` that closes a block, but stands further right than the block begins
        self.places: Places = []

    def run(self) -> list[Token]:
        for index, token in enumerate(self.tokens):
            if self._begins(index, _ITEMS):
                while self.opened:
                    self._close_before(token)
            elif self._begins(index, _CLAUSES):
                while self.opened and self.opened[-1][0].text != "{":
                    self._close_before(token)
            if token.text in CLOSERS:
                self.opened.append((token, len(self.out)))
                self.out.append(token)
            elif token.text in _OPENERS:
                self._take_closer(index)
            else:
                self.out.append(token)
        while self.opened:
            self._close_before(None)
        return self.out

    def _begins(self, index: int, words: frozenset[str]) -> bool:
        """Whether one of `words` begins a statement here: an item at the left margin, a clause on any line of its own."""
        if not self.opened or self.tokens[index].text not in words or index + 1 == len(self.tokens):
            return False
        first = index == 0 or self.tokens[index - 1].is_newline
        at_margin = self._indent(self.tokens[index]) == 0
        return first and self.tokens[index + 1].kind in ("NAME", "STRING") and (at_margin or words is not _ITEMS)

    def _take_closer(self, index: int) -> None:
        token = self.tokens[index]
        if token.text == "}":
            while self.opened and self.opened[-1][0].text != "{":
                self._close_before(token)
        if not self.opened and token.text == "}" and self.late:
            stray = self.late.pop()
            self._add(stray, "this `}` closes nothing", "remove it; without it, the block goes on to its own `}`")
            self.places.append((stray.start, token.end))
            return
        if not self.opened:
            help = f"remove it, or add `{_OPENERS[token.text]}`"
            self._add(token, f"this `{token.text}` closes nothing", help)
            return
        opener = self.opened[-1][0]
        if opener.text == "{" and token.text != "}":
            label = Label(_span(self.source, opener), "the innermost open bracket")
            self._add(token, f"this `{token.text}` closes nothing", "remove it", label)
            return
        self.opened.pop()
        if CLOSERS[opener.text] != token.text:
            label = Label(_span(self.source, opener), "opened here")
            self._add(token, f"`{opener.text}` is closed by `{token.text}`", f"write `{CLOSERS[opener.text]}`", label)
            self._append(CLOSERS[opener.text], token.start)
            outer = self.opened[-1][0].text if self.opened else ""
            if CLOSERS.get(outer) != token.text or self._closes_later(index):
                return
            self.opened.pop()  # the closer was meant for the bracket around
        first = index == 0 or self.tokens[index - 1].is_newline
        if token.text == "}" and first and self._indent(token) < self._indent_of_line(opener):
            self.early.append((opener, token))
        if token.text == "}" and first and self._indent(token) > self._indent_of_line(opener):
            self.late.append(token)
        self.out.append(token)

    def _closes_later(self, index: int) -> bool:
        """Whether a later closer of the line is the partner of a bracket that is open at `index`."""
        depth = 0
        for token in self.tokens[index + 1 :]:
            if token.is_newline or depth < 0:
                break
            depth += (token.text in CLOSERS) - (token.text in _OPENERS)
        return depth < 0

    def _close_before(self, token: Token | None) -> None:
        """Report the innermost open bracket; it is taken to end with its line, or before `token`."""
        opener, place = self.opened.pop()
        if opener.text != "{":
            label = Label(_span(self.source, token), "the block ends here") if token and token.text == "}" else None
            self._add(opener, f"this `{opener.text}` is never closed", f"add `{CLOSERS[opener.text]}`", label)
            self._insert(CLOSERS[opener.text], self._end_of_line(place))
        elif self.early:
            opener, closer = self.early.pop()
            label = Label(_span(self.source, closer), "this one closes it, but stands where an outer block ends")
            self._add(opener, "this `{` is never closed", "add `}`", label)
            self.places.append((opener.start, closer.end))
            self._insert("}", self._last_newline())
        else:
            self._add(opener, "this `{` is never closed", "add `}`")
            self._insert("}", self._last_newline())

    def _end_of_line(self, place: int) -> int:
        """Return where the statement of the bracket at `place` ends: with its line, unless that clearly goes on."""
        for index in range(place + 1, len(self.out)):
            last = self.out[index - 1]
            if self.out[index].is_newline and last.kind not in CONTINUES and last.text not in CLOSERS:
                return index
        return self._last_newline()

    def _last_newline(self) -> int:
        return len(self.out) - (bool(self.out) and self.out[-1].is_newline)

    def _append(self, text: str, start: int) -> None:
        self.out.append(Token(_KINDS[text], text, start))

    def _insert(self, text: str, index: int) -> None:
        start = self.out[index].start if index < len(self.out) else self.out[-1].end
        self.out.insert(index, Token(_KINDS[text], text, start))

    def _add(self, token: Token, message: str, help: str, label: Label | None = None) -> None:
        self.findings.add(
            Code.UNBALANCED, _span(self.source, token), message, help=help, labels=() if label is None else (label,)
        )
        self.places.append(line_of(self.source, token.start))

    def _indent(self, token: Token) -> int:
        return token.start - self.source.text.rfind("\n", 0, token.start) - 1

    def _indent_of_line(self, token: Token) -> int:
        start = self.source.text.rfind("\n", 0, token.start) + 1
        line = self.source.text[start : token.start]
        return len(line) - len(line.lstrip())


def line_of(source: Source, offset: int) -> tuple[int, int]:
    """Return where the line of `offset` begins and ends.

    >>> line_of(Source("m.snn", "ab\\ncd\\nef"), 4)
    (3, 5)
    """
    end = source.text.find("\n", offset)
    return source.text.rfind("\n", 0, offset) + 1, len(source.text) if end < 0 else end


def _span(source: Source, token: Token) -> Span:
    return Span(source, token.start, token.end)
