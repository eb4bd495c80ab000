"""Text to syntax nodes: `parse` checks the text, runs the LALR tables, and reports every syntax error in words.

The machine is the usual one: a stack of states, a stack of values, shift and reduce. It adds three things: a word is a
keyword where the state can take that keyword (so names are almost free), newlines end statements or not (the rules
are in `grammar/snn.lark`), and after an error it goes on at the next statement. Nodes are made at each reduction,
bottom up, so that no depth of nesting needs recursion here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, get_args

from snnc.diagnostics import Code, CompileError, Diagnostic, Findings, fail
from snnc.limits import MAX_DEPTH
from snnc.source import Source, Span
from snnc.syntax import nodes
from snnc.syntax.brackets import line_of, pair_brackets
from snnc.syntax.build import ACTIONS, Context
from snnc.syntax.check_text import (
    check_edition,
    check_size,
    check_units,
    check_words,
    replace_fractions,
)
from snnc.syntax.expected import advice, expected_text, found_text
from snnc.syntax.lex import CONTINUES, MAX_FINDINGS, Token, code_tokens, doc_blocks, scan
from snnc.syntax.tables import load_tables

MAX_STACK = 4000  # more than an expression of MAX_DEPTH in MAX_BRACKETS can need

_DEEPENING: tuple[type, ...] = (*get_args(nodes.Expr), nodes.Arg, nodes.Mod)
_FOLLOWING = (Code.SYNTAX, Code.NO_EDITION)  # what a wrong character or bracket may make the parser say too
_OPEN, _CLOSE = ("LPAR", "LSQB"), ("RPAR", "RSQB")


class Parsed(NamedTuple):
    """A file, every token of its text (comments too), and what each word and mark turned out to be, by place."""

    file: nodes.File
    tokens: list[Token]
    terminals: dict[int, str]


def parse(source: Source) -> nodes.File:
    """Return the syntax tree of `source`.

    Raises:
        CompileError: with every error found, E0101 to E0109 and E0208; nothing else, whatever the text.
    """
    return parse_tokens(source).file


def parse_tokens(source: Source) -> Parsed:
    """Return the syntax tree together with the tokens, for the formatter. Raises as `parse` does."""
    check_size(source)
    causes, findings = Findings(), Findings()  # those of the first kind may make others follow
    tokens = scan(source, causes)
    if len(causes.items) >= MAX_FINDINGS:
        causes.stop_on_errors()
    code = code_tokens(tokens)
    check_words(source, code, causes)
    broken = [place for found in causes.items for place in _around(source, found)]
    code, repaired = pair_brackets(source, code, causes)
    broken += repaired
    check_edition(source, code, findings)
    check_units(source, code, findings)
    code = replace_fractions(source, code, findings)
    machine = _Machine(source, Context(doc_blocks(tokens), findings))
    file = machine.run([*code, Token("_NL", "\n", len(source.text)), Token("$END", "", len(source.text))])
    if causes.errors or findings.errors:
        own = (
            f for f in findings.items if f.code not in _FOLLOWING or not any(a <= f.span.start <= b for a, b in broken)
        )
        found = sorted((*causes.items, *own), key=lambda found: found.span.start)
        raise CompileError(found[:MAX_FINDINGS])
    assert file is not None
    return Parsed(file, tokens, machine.terminals)


def _around(source: Source, found: Diagnostic) -> Iterator[tuple[int, int]]:
    """Yield the lines of a finding, each with the line after it: a statement that lost a character may swallow that."""
    for span in (found.span, *found.also):
        start, end = line_of(source, span.start)
        yield start, line_of(source, min(end + 1, len(source.text)))[1]


class _Value(NamedTuple):
    """A finished part: a token, a node, or a list or tuple of them; its place; the depth of the expression in it."""

    part: Any
    start: int
    end: int
    depth: int


class _Machine:
    """Runs the tables over the tokens of one file."""

    def __init__(self, source: Source, context: Context) -> None:
        self.source = source
        self.context = context
        self.tables = load_tables()
        self.states = [0]
        self.values: list[_Value] = []
        self.terminals: dict[int, str] = {}
        self.last = "_NL"  # the terminal before the current token
        self.parens = 0  # how many ( and [ are open
        self.marks = [([0], self.values[:])]  # for each open block: the stacks at the start of its current statement
        self.file: nodes.File | None = None

    def run(self, tokens: list[Token]) -> nodes.File | None:
        """Return the file, or None after an error; the findings say which."""
        index = 0
        while index < len(tokens):
            if self._is_idle(tokens, index) or self._take(tokens[index]):
                index += 1
                continue
            self._report(tokens, index)
            if index == len(tokens) - 1 or len(self.context.findings.items) >= MAX_FINDINGS:
                return None
            index = self._recover(tokens, index)
        return self.file

    def _is_idle(self, tokens: list[Token], index: int) -> bool:
        """Whether the token is a newline or `;` that ends no statement."""
        token = tokens[index]
        if token.kind != "_NL":
            return False
        if self.last in ("_NL", "LBRACE"):
            return True
        if not token.is_newline:
            return False
        return self.parens > 0 or self.last in CONTINUES or tokens[index + 1].kind == "ARROW"

    def _take(self, token: Token) -> bool:
        """Shift `token` after the reductions it asks for; False, with the states as they were, if it fits nowhere."""
        terminal, rows, before = self._terminal(token), self.tables.states, self.states[:]
        if len(before) > MAX_STACK:
            raise self._too_deep(Span(self.source, token.start, token.end))
        while (entry := rows[self.states[-1]].get(terminal)) is None or entry < 0:
            if entry is None:
                self.states = before
                return False
            if self._reduce(-entry - 1):
                return True
        self.states.append(entry)
        self.values.append(_Value(token, token.start, token.end, 0))
        self.terminals[token.start] = self.last = terminal
        if terminal in _OPEN:
            self.parens += 1
        elif terminal in _CLOSE:
            self.parens -= 1
        elif terminal == "LBRACE":
            self.marks.append((self.states[:], self.values[:]))
        elif terminal == "RBRACE":
            self.marks.pop()
        elif terminal == "_NL":
            self.marks[-1] = (self.states[:], self.values[:])
        return True

    def _terminal(self, token: Token) -> str:
        """Return the terminal of `token`: a word is a keyword where one can stand."""
        if token.kind == "NAME":
            word = self.tables.words.get(token.text)
            if word in self.tables.states[self.states[-1]]:
                return word
        return token.kind

    def _accepts(self, terminal: str) -> bool:
        """Whether `terminal` could be shifted, after the reductions it asks for; nothing changes."""
        rows, states = self.tables.states, self.states[:]
        entry = rows[states[-1]].get(terminal)
        while entry is not None and entry < 0:
            rule = self.tables.rules[-entry - 1]
            if rule.size:
                del states[-rule.size :]
            if rule.origin == "start":
                return True
            states.append(rows[states[-1]][rule.origin])
            entry = rows[states[-1]].get(terminal)
        return entry is not None

    def _reduce(self, number: int) -> bool:
        """Replace the parts of a production by their node; True if that is the whole file."""
        rule = self.tables.rules[number]
        parts = self.values[len(self.values) - rule.size :]
        if parts:
            del self.values[-rule.size :], self.states[-rule.size :]
            start, end, depth = parts[0].start, parts[-1].end, max(part.depth for part in parts)
        else:
            start = end = self.values[-1].end if self.values else 0
            depth = 0
        kids: list[Any] = []
        for step in rule.plan:
            if step is None:
                kids.append(None)
            elif step >= 0:
                kids.append(parts[step].part)
            elif kids or not isinstance(parts[-step - 1].part, list):
                kids.extend(parts[-step - 1].part)
            else:
                kids = parts[-step - 1].part  # grows in place: a list of n costs n steps, not n²
        if not rule.action:
            value: Any = kids
        elif rule.is_unit and len(kids) == 1:
            value = kids[0]
        else:
            span = Span(self.source, start, end)
            value = ACTIONS[rule.action](kids, span, self.context)
            if isinstance(value, _DEEPENING):
                depth += 1
                if depth > MAX_DEPTH:
                    raise self._too_deep(span)
        if rule.origin == "start":
            self.file = value
            return True
        self.values.append(_Value(value, start, end, depth))
        self.states.append(self.tables.states[self.states[-1]][rule.origin])
        return False

    def _too_deep(self, span: Span) -> CompileError:
        message = f"this expression is nested deeper than {MAX_DEPTH}"
        return fail(Code.TOO_LARGE, span, message, help="give parts of it a name with `let`")

    def _report(self, tokens: list[Token], index: int) -> None:
        token = tokens[index]
        row = self.tables.states[self.states[-1]]
        accepted = [name for name in row if (name.isupper() or name == "$END") and self._accepts(name)]
        if self.last in ("_NL", "LBRACE"):
            accepted = [name for name in accepted if name != "_NL"]
        self.context.findings.add(
            Code.SYNTAX,
            Span(self.source, token.start, token.end),
            f"unexpected {found_text(token)}",
            note=f"expected {expected_text(accepted)}",
            help=advice(tokens, index, self.last, accepted),
        )

    def _recover(self, tokens: list[Token], index: int) -> int:
        """Reset the stacks and return where the next statement begins, or the `}` that ends the open block."""
        braces, parens = 0, self.parens
        while index < len(tokens) - 1:
            token = tokens[index]
            if token.kind == "RBRACE" and braces == 0 and len(self.marks) > 1:
                break
            braces += (token.kind == "LBRACE") - (token.kind == "RBRACE")
            parens += (token.kind in _OPEN) - (token.kind in _CLOSE)
            index += 1
            if token.kind == "_NL" and braces == 0 and parens <= 0 and tokens[index].kind not in ("ARROW", "LBRACE"):
                break
        states, values = self.marks[-1]
        self.states, self.values = states[:], values[:]
        self.last, self.parens = "_NL", 0
        return index
