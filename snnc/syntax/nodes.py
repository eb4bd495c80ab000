"""The syntax tree: one class for each grammar rule, nothing resolved, nothing inferred.

Every node has a `span`, which takes no part in equality.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from snnc.source import NOWHERE, Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """Base of all syntax nodes; `span` serves diagnostics only."""

    span: Span = field(default=NOWHERE, compare=False, repr=False)


# ---- expressions ------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Number(Node):
    """A literal with an optional unit, as in `20 ms`. `text` keeps the author's spelling of the number."""

    text: str
    unit: str | None = None

    @property
    def value(self) -> float:
        return float(self.text)


@dataclass(frozen=True, slots=True)
class String(Node):
    """A double-quoted string; `value` is unescaped."""

    value: str


@dataclass(frozen=True, slots=True)
class Bool(Node):
    value: bool


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A dotted name: `h.v` is `("h", "v")`."""

    parts: tuple[str, ...]

    @property
    def text(self) -> str:
        return ".".join(self.parts)


@dataclass(frozen=True, slots=True)
class Mod(Node):
    """One of `in (lo, hi)` (kind "in", args (lo, hi)), `per neuron` ("per", word), `trainable [via X]`, `carry`."""

    kind: str  # "in" | "per" | "trainable" | "carry"
    args: tuple[Expr, ...] = ()
    word: str | None = None  # the scope of `per`


@dataclass(frozen=True, slots=True)
class Arg(Node):
    """An argument of a call: positional (`name` None), `name = value`, or `name ~ value` (drawn), with modifiers."""

    name: str | None
    value: Expr
    drawn: bool = False
    mods: tuple[Mod, ...] = ()


@dataclass(frozen=True, slots=True)
class Call(Node):
    func: Name
    args: tuple[Arg, ...] = ()


@dataclass(frozen=True, slots=True)
class Index(Node):
    """`x[1, 2]`."""

    base: Name
    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class ListExpr(Node):
    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Unary(Node):
    """`-x` or `not x`."""

    op: str
    operand: Expr


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """`left op right` for + - * / % ^ and or; precedence is in the shape of the tree."""

    op: str
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Compare(Node):
    """One comparison `left op right` with op in >= <= == != > <."""

    op: str
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Cond(Node):
    """`then if test else other`."""

    then: Expr
    test: Expr
    other: Expr


Expr = Number | String | Bool | Name | Call | Index | ListExpr | Unary | Binary | Compare | Cond


# ---- modules ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Type(Node):
    """`real[40]`, `spikes`, `current`; `shape` None without brackets."""

    name: str
    shape: tuple[Expr, ...] | None = None


@dataclass(frozen=True, slots=True)
class Formal(Node):
    name: str
    type: Type | None = None
    default: Expr | None = None


@dataclass(frozen=True, slots=True)
class Edition(Node):
    year: int


@dataclass(frozen=True, slots=True)
class Import(Node):
    """`import std.neurons (LIF, LI)`; `module` is a dotted Name or a String path."""

    module: Name | String
    alias: str | None = None
    names: tuple[Name, ...] | None = None


@dataclass(frozen=True, slots=True)
class Const(Node):
    name: str
    value: Expr
    doc: str = ""


@dataclass(frozen=True, slots=True)
class Function(Node):
    """`fn f(x : real) : real = …`."""

    name: str
    formals: tuple[Formal, ...]
    returns: Type | None
    body: Expr
    doc: str = ""


@dataclass(frozen=True, slots=True)
class Surrogate(Node):
    """`surrogate s(x, beta = 10) = …`: the derivative of the step at margin `x` (the first formal)."""

    name: str
    formals: tuple[Formal, ...]
    body: Expr
    doc: str = ""


@dataclass(frozen=True, slots=True)
class Extern(Node):
    kind: str  # fn | layer | loader | loss | metric | surrogate
    name: str
    formals: tuple[Formal, ...]
    returns: Type | None
    target: String
    doc: str = ""


# ---- dynamics (bodies of `neuron` and `plasticity`) ---------------------------


@dataclass(frozen=True, slots=True)
class Param(Node):
    """`param tau ~ lognormal(20 ms, 0.3) in (5 ms, 100 ms) per neuron trainable`; value None if none was given."""

    name: str
    type: Type | None
    value: Expr | None
    drawn: bool = False
    mods: tuple[Mod, ...] = ()
    doc: str = ""


@dataclass(frozen=True, slots=True)
class State(Node):
    name: str
    type: Type | None
    value: Expr
    drawn: bool = False
    mods: tuple[Mod, ...] = ()
    doc: str = ""


@dataclass(frozen=True, slots=True)
class Port(Node):
    """`input I : current = 0` or `event x`; also the inputs of a network (`input pixels : real[64]`)."""

    kind: str  # input | event
    name: str
    type: Type | None = None
    default: Expr | None = None
    doc: str = ""


@dataclass(frozen=True, slots=True)
class Let(Node):
    name: str
    type: Type | None
    value: Expr
    doc: str = ""


@dataclass(frozen=True, slots=True)
class Ode(Node):
    """`v' = value`; `name` is without the prime."""

    name: str
    value: Expr


@dataclass(frozen=True, slots=True)
class Assign(Node):
    """`name op value` with op in = += -= *= /=."""

    name: str
    op: str
    value: Expr


@dataclass(frozen=True, slots=True)
class Step(Node):
    body: tuple[Assign, ...]


@dataclass(frozen=True, slots=True)
class On(Node):
    """`on x at end { … }`; `phase` is "start" or "end" (the default), `explicit` if it was written."""

    event: str
    phase: str
    body: tuple[Assign, ...]
    explicit: bool = False


@dataclass(frozen=True, slots=True)
class Spike(Node):
    """`spike when C [scale S] [rising] [emit E] { … }` or `spike with rate R [emit E] { … }`."""

    when: Expr | None
    rate: Expr | None
    scale: Expr | None
    rising: bool
    emit: Expr | None
    body: tuple[Assign, ...]


@dataclass(frozen=True, slots=True)
class Refractory(Node):
    period: Expr
    hold: tuple[str, ...] = ()
    block: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SurrogateUse(Node):
    """`surrogate atan(alpha = 2)`: a Name or a Call."""

    value: Name | Call


@dataclass(frozen=True, slots=True)
class Detach(Node):
    """`detach reset [v, u]`; no names: all states."""

    states: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Solve(Node):
    value: Name | Call


@dataclass(frozen=True, slots=True)
class Clip(Node):
    name: str
    low: Expr
    high: Expr


@dataclass(frozen=True, slots=True)
class Normalize(Node):
    name: str
    total: Expr
    scope: str


@dataclass(frozen=True, slots=True)
class Output(Node):
    """`output logits = expr`; without `= expr` the value is None."""

    name: str
    value: Expr | None
    doc: str = ""


Dynamics = (
    Param | Port | State | Let | Ode | Step | On | Spike | Refractory
    | SurrogateUse | Detach | Solve | Clip | Normalize | Output
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Neuron(Node):
    name: str
    body: tuple[Dynamics, ...]
    doc: str = ""


@dataclass(frozen=True, slots=True)
class Plasticity(Node):
    name: str
    body: tuple[Dynamics, ...]
    doc: str = ""


# ---- networks ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Setting(Node):
    """`dt = 1 ms`, `optimizer = adam(…)`; `path` may be dotted."""

    path: Name
    value: Expr


@dataclass(frozen=True, slots=True)
class Instance(Node):
    """`LIF[hidden](tau = 10 ms)`, `dense()`, `conv(32, kernel = 3)`; `alias` is the name after `as`."""

    func: Name
    shape: tuple[Expr, ...] | None
    args: tuple[Arg, ...]
    alias: str | None = None


@dataclass(frozen=True, slots=True)
class Layer(Node):
    name: str
    instance: Instance
    doc: str = ""


@dataclass(frozen=True, slots=True)
class Chain(Node):
    """`a -> dense() -> h`: bare names are nodes, instances are operations or inline layers."""

    nodes: tuple[Name | Instance, ...]
    doc: str = ""


@dataclass(frozen=True, slots=True)
class Network(Node):
    name: str
    formals: tuple[Formal, ...]
    body: tuple[Setting | Port | Layer | Chain | Output, ...]
    doc: str = ""


# ---- data, training, sweeps, conversion ------------------------------------------


@dataclass(frozen=True, slots=True)
class Data(Node):
    """`data d = digits(…) -> hold(…)`."""

    name: str
    nodes: tuple[Name | Instance, ...]
    doc: str = ""


@dataclass(frozen=True, slots=True)
class Penalty(Node):
    value: Expr


@dataclass(frozen=True, slots=True)
class Metric(Node):
    name: str
    value: Expr


@dataclass(frozen=True, slots=True)
class Train(Node):
    name: str
    network: Name
    data: Name
    body: tuple[Setting | Penalty | Metric, ...]
    doc: str = ""


@dataclass(frozen=True, slots=True)
class Vary(Node):
    path: Name
    values: Expr


@dataclass(frozen=True, slots=True)
class Sweep(Node):
    name: str
    train: Name
    body: tuple[Setting | Vary, ...]
    doc: str = ""


@dataclass(frozen=True, slots=True)
class Convert(Node):
    name: str
    source: Name
    data: Name
    body: tuple[Setting, ...]
    doc: str = ""


Item = (
    Import | Const | Function | Surrogate | Extern | Neuron | Plasticity
    | Network | Data | Train | Sweep | Convert
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class File(Node):
    """A whole file: its edition line and its items in text order. `doc` is the `##` text before the first item if a blank
    line separates it from that item."""

    edition: Edition
    items: tuple[Item, ...]
    doc: str = ""
