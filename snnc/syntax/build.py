"""The parts of a production to its syntax node: one action for each rule of `grammar/snn.lark`, of the same name.

An action gets the values of the right side that carry meaning (tokens, nodes, tuples of nodes, None for an absent
optional part), the span of the whole, and the context; it returns the value of the left side.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from snnc import EDITION
from snnc.diagnostics import Code, Findings
from snnc.source import Span
from snnc.syntax import nodes as n
from snnc.syntax.lex import Token

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}


@dataclass(frozen=True, slots=True)
class Context:
    """What actions need besides their parts: the `##` blocks by place, and where findings go."""

    docs: dict[int, list[str]]
    findings: Findings

    def doc(self, span: Span) -> str:
        return "\n".join(self.docs.get(span.start, ()))


Action = Callable[[list[Any], Span, Context], Any]


def file(kids: list[Any], span: Span, context: Context) -> n.File:
    """Return the file; `##` blocks before the first item that are not the item's own are the file's."""
    edition, *items = kids
    if items:
        own = not isinstance(items[0], n.Import)
        first = items[0].span.start
        blocks = [lines for place, lines in context.docs.items() if place < first or (place == first and not own)]
    else:
        blocks = list(context.docs.values())
    doc = "\n\n".join("\n".join(lines) for lines in blocks)
    return n.File(edition or n.Edition(EDITION, span=span), tuple(items), doc, span=span)


def text(token: Token | None) -> str | None:
    return token.text if token else None


def string(kids: list[Any], span: Span, context: Context) -> n.String:
    """Return the string unescaped; a backslash before any other character stays, as in a Windows path."""
    return n.String(re.sub(r"\\(.)", _unescape, kids[0].text[1:-1]), span=span)


def _unescape(match: re.Match[str]) -> str:
    return _ESCAPES.get(match[1], match[0])


def imported(kids: list[Any], span: Span, context: Context) -> tuple[n.Name, ...]:
    return tuple(n.Name((kid.text,), span=Span(span.source, kid.start, kid.end)) for kid in kids)


def spike_when(kids: list[Any], span: Span, context: Context) -> n.Spike:
    when, scale, rising, emit, body = kids
    return n.Spike(when, None, scale, rising is not None, emit, body, span=span)


def on(kids: list[Any], span: Span, context: Context) -> n.On:
    event, phase, body = kids
    return n.On(event.text, text(phase) or "end", body, phase is not None, span=span)


def compare_chain(kids: list[Any], span: Span, context: Context) -> n.Compare:
    """Find `a < b < c`, which means something else in every language."""
    left, mark, right = kids
    first = f"{left.left.span.text} {left.op} {left.right.span.text}"
    help = f"write `{first} and {left.right.span.text} {mark.text} {right.span.text}`"
    place = Span(span.source, mark.start, mark.end)
    context.findings.add(Code.SYNTAX, place, "comparisons do not chain", help=None if "\n" in help else help)
    return n.Compare(left.op, left.left, left.right, span=span)


def _values(kids: list[Any], span: Span, context: Context) -> tuple[Any, ...]:
    return tuple(kids)


# fmt: off
ACTIONS: dict[str, Action] = {
    "start": file,
    "edition": lambda k, s, c: n.Edition(EDITION, span=s),  # check_edition has refused every other one
    "import": lambda k, s, c: n.Import(k[0], text(k[1]), k[2], span=s),
    "imported": imported,
    "name": lambda k, s, c: n.Name(tuple(part.text for part in k), span=s),
    "string": string,
    "const": lambda k, s, c: n.Const(k[0].text, k[1], c.doc(s), span=s),
    "function": lambda k, s, c: n.Function(k[0].text, k[1] or (), k[2], k[3], c.doc(s), span=s),
    "surrogate": lambda k, s, c: n.Surrogate(k[0].text, k[1], k[2], c.doc(s), span=s),
    "extern": lambda k, s, c: n.Extern(k[0].text, k[1].text, k[2] or (), k[3], k[4], c.doc(s), span=s),
    "formals": _values,
    "formal": lambda k, s, c: n.Formal(k[0].text, k[1], k[2], span=s),
    "type": lambda k, s, c: n.Type(k[0].text, k[1], span=s),
    "shape": _values,
    # dynamics
    "neuron": lambda k, s, c: n.Neuron(k[0].text, k[1], c.doc(s), span=s),
    "plasticity": lambda k, s, c: n.Plasticity(k[0].text, k[1], c.doc(s), span=s),
    "block": _values,
    "param": lambda k, s, c: n.Param(
        k[0].text, k[1], k[2] and k[2][1], bool(k[2] and k[2][0]), k[3], c.doc(s), span=s
    ),
    "state": lambda k, s, c: n.State(k[0].text, k[1], k[2][1], k[2][0], k[3], c.doc(s), span=s),
    "fixed": lambda k, s, c: (False, k[0]),
    "drawn": lambda k, s, c: (True, k[0]),
    "modifiers": _values,
    "mod_in": lambda k, s, c: n.Mod("in", k[0], span=s),
    "mod_per": lambda k, s, c: n.Mod("per", word=k[0].text, span=s),
    "mod_trainable": lambda k, s, c: n.Mod("trainable", tuple(k), span=s),
    "mod_carry": lambda k, s, c: n.Mod("carry", span=s),
    "interval": _values,
    "port": lambda k, s, c: n.Port(k[0].text, k[1].text, k[2], k[3], c.doc(s), span=s),
    "let": lambda k, s, c: n.Let(k[0].text, k[1], k[2], c.doc(s), span=s),
    "ode": lambda k, s, c: n.Ode(k[0].text[:-1], k[1], span=s),
    "step": lambda k, s, c: n.Step(k[0], span=s),
    "on": on,
    "spike_when": spike_when,
    "spike_rate": lambda k, s, c: n.Spike(None, k[0], None, False, k[1], k[2], span=s),
    "refractory": lambda k, s, c: n.Refractory(k[0], k[1] or (), k[2] or (), span=s),
    "surrogate_use": lambda k, s, c: n.SurrogateUse(k[0], span=s),
    "detach": lambda k, s, c: n.Detach(k[0] or (), span=s),
    "solve": lambda k, s, c: n.Solve(k[0], span=s),
    "clip": lambda k, s, c: n.Clip(k[0].text, *k[1], span=s),
    "normalize": lambda k, s, c: n.Normalize(k[0].text, k[1], k[2].text, span=s),
    "output": lambda k, s, c: n.Output(k[0].text, k[1], c.doc(s), span=s),
    "words": lambda k, s, c: tuple(token.text for token in k),
    "assign": lambda k, s, c: n.Assign(k[0].text, k[1].text, k[2], span=s),
    # networks
    "network": lambda k, s, c: n.Network(k[0].text, k[1] or (), k[2], c.doc(s), span=s),
    "setting": lambda k, s, c: n.Setting(k[0], k[1], span=s),
    "layer": lambda k, s, c: n.Layer(k[0].text, k[1], c.doc(s), span=s),
    "instance": lambda k, s, c: n.Instance(k[0], k[1], k[2] or (), span=s),
    "aliased": lambda k, s, c: replace(k[0], alias=k[1].text, span=s),
    "chain": lambda k, s, c: n.Chain(tuple(k), c.doc(s), span=s),
    # data, training, sweeps, conversion
    "data": lambda k, s, c: n.Data(k[0].text, tuple(k[1:]), c.doc(s), span=s),
    "train": lambda k, s, c: n.Train(k[0].text, k[1], k[2], k[3], c.doc(s), span=s),
    "penalty": lambda k, s, c: n.Penalty(k[0], span=s),
    "metric": lambda k, s, c: n.Metric(k[0].text, k[1], span=s),
    "sweep": lambda k, s, c: n.Sweep(k[0].text, k[1], k[2], c.doc(s), span=s),
    "vary": lambda k, s, c: n.Vary(k[0], k[1], span=s),
    "convert": lambda k, s, c: n.Convert(k[0].text, k[1], k[2], k[3], c.doc(s), span=s),
    # expressions
    "cond": lambda k, s, c: n.Cond(k[0], k[1], k[2], span=s),
    "binary": lambda k, s, c: n.Binary(k[1].text, k[0], k[2], span=s),
    "unary": lambda k, s, c: n.Unary(k[0].text, k[1], span=s),
    "compare": lambda k, s, c: n.Compare(k[1].text, k[0], k[2], span=s),
    "compare_chain": compare_chain,
    "number": lambda k, s, c: n.Number(k[0].text, text(k[1]), span=s),
    "true": lambda k, s, c: n.Bool(True, span=s),
    "false": lambda k, s, c: n.Bool(False, span=s),
    "call": lambda k, s, c: n.Call(k[0], k[1] or (), span=s),
    "index": lambda k, s, c: n.Index(k[0], k[1], span=s),
    "args": _values,
    "named_arg": lambda k, s, c: n.Arg(k[0].text, k[1][1], k[1][0], k[2], span=s),
    "positional_arg": lambda k, s, c: n.Arg(None, k[0], span=s),
    "list": lambda k, s, c: n.ListExpr(tuple(k), span=s),
}
# fmt: on
