"""The step plan: what is computed, in which order, in one time step and over a whole sequence.

A `Body` is the straight-line code of one neuron type, shared by its layers. The interpreter says what a body means; the
emitter prints it; later passes (adjoints, traces) transform it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from snnc import model
from snnc.expr import Expr
from snnc.source import NOWHERE, Span


@dataclass(frozen=True, slots=True)
class Assign:
    """`target = value`. `note` is the equation or clause that it computes, in the author's words."""

    target: str
    value: Expr
    note: str = ""
    span: Span = NOWHERE


@dataclass(frozen=True, slots=True)
class Crossing:
    """What moves when a spike moves in time (`snnc.lower.crossings`), as expressions over the state before the reset.

    `rise` is the slope of the margin, of which at least `floor` counts; `change` the slope of each state after the reset
    without that which the reset passes on; `step` what the reset adds, of states that something reads over time. `after` is
    the index of the last statement of its resets.
    """

    rise: Expr
    floor: float  # per ms
    change: tuple[tuple[str, Expr], ...]
    step: tuple[tuple[str, Expr], ...]
    after: int


@dataclass(frozen=True, slots=True)
class Drift:
    """The slopes `terms` of the states that an arrival of size 1 at `port` brings; `after` is the index of its last jump."""

    port: str
    terms: tuple[tuple[str, Expr], ...]
    after: int


@dataclass(frozen=True, slots=True)
class Fire:
    """`target` = 1 where `condition` holds (and `gate`, if given, is true), else 0; its derivative is the surrogate at `margin`.

    Without surrogate the derivative is 0. With `crossing` the cotangent of the spike is the derivative by its time.
    """

    target: str
    condition: Expr
    margin: Expr
    surrogate: model.SurrogateUse | None
    note: str = ""
    span: Span = NOWHERE
    crossing: Crossing | None = None


@dataclass(frozen=True, slots=True)
class Integrate:
    """Advance `targets` over dt by an explicit method ("euler", "rk2", "rk4") with equal substeps.

    `slopes` are the derivatives of the targets.
    """

    targets: tuple[str, ...]
    slopes: tuple[Expr, ...]
    method: str
    substeps: int
    notes: tuple[str, ...] = ()
    span: Span = NOWHERE


@dataclass(frozen=True, slots=True)
class Locate:
    """Advance `targets` over dt, through a spike where the `margin` is 0 or more at the end without one.

    Before and after its crossing the targets follow `slopes`, linear equations, by a power series of `order`; at the crossing
    they become `resets`. Leaves `spike` (1 or 0) and `rest`, the time from the crossing to the end of the step. In a derivative
    at least `floor` of the slope of the margin counts.
    """

    targets: tuple[str, ...]
    slopes: tuple[Expr, ...]
    margin: Expr
    resets: tuple[Expr, ...]
    order: int
    floor: float  # per ms
    notes: tuple[str, ...] = ()
    span: Span = NOWHERE


Statement = Assign | Fire | Integrate | Locate


def targets_of(statement: Statement) -> tuple[str, ...]:
    """Return the names that a statement sets."""
    match statement:
        case Integrate(targets):
            return targets
        case Locate(targets):
            return (*targets, "spike", "rest")
    return (statement.target,)


CHANCE = "chance."  # uniform numbers in [0, 1) that a body with escape noise reads; no author can write this name


@dataclass(frozen=True, slots=True)
class Pullback:
    """The cotangents `results` of what an `Integrate` reads, from the `cotangents` of its targets.

    `reads` gives each name in its slopes, targets first, and the value it had.
    """

    results: tuple[str, ...]
    integrate: Integrate
    reads: tuple[tuple[str, Expr], ...]
    cotangents: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """One value of a step that the reverse time loop reads; `variable` holds it at the end of the step."""

    name: str
    variable: str
    truth: bool
    half: bool  # in 16 bits


@dataclass(frozen=True, slots=True)
class Adjoint:
    """One step of a body transposed: from cotangents after the step to those before it.

    Expressions read KEPT values, constants, and the cotangents of the next state (NEXT) and of the signals (OUT).
    `statements` is the step again, with the lines that hold on to what is kept. A slot or port without a cotangent is
    absent; `learned` are the constants through which a trainable parameter acts. `spike` makes the published spike of a
    kept margin, so that the loop need not give out both; None where it takes more than the margin.
    """

    statements: tuple[Statement, ...]
    kept: tuple[Kept, ...]
    again: tuple[Assign, ...]  # values of the step computed once more
    transposed: tuple[Assign | Pullback, ...]
    slots: tuple[tuple[str, Expr], ...]
    ports: tuple[tuple[str, Expr], ...]
    learned: tuple[tuple[str, Expr], ...]
    spike: Fire | None = None
    shifts: tuple[tuple[str, Expr], ...] = ()  # by the time of what arrives at a port, per size


Kernel = Literal["scan", "pallas", "auto"]  # how the time loops of layers run on a GPU

KEPT, NEXT, OUT = "kept.", "next.", "out."  # prefixes of names in an adjoint; no author can write them


@dataclass(frozen=True, slots=True)
class Slot:
    """One array of a layer's state. `init` is an expression over parameters and earlier slots, or a draw."""

    name: str
    unit: str
    init: Expr | model.Drawn
    hidden: bool = False  # a counter or memory of the step itself, none of the author's
    carry: bool = False


@dataclass(frozen=True, slots=True)
class Published:
    """A signal of a body: `variable` is the name that holds it at the end of the step."""

    name: str
    variable: str
    unit: str


@dataclass(frozen=True, slots=True)
class Body:
    """One step of one neuron type.

    `statements` run in order on the names of `slots`, `ports`, `constants` (and CHANCE where `random`); afterwards the
    slots hold the next state. `coefficients` are computed once from parameters and `dt`; `constants` are those parameters
    and coefficients that the statements read.
    """

    name: str
    neuron: model.Neuron
    ports: tuple[str, ...]
    slots: tuple[Slot, ...]
    coefficients: tuple[Assign, ...]
    constants: tuple[str, ...]
    statements: tuple[Statement, ...]
    published: tuple[Published, ...]
    random: bool
    method: str  # what the solver does, in words
    drifts: tuple[Drift, ...] = ()  # of its event ports, for gradients by spike times


@dataclass(frozen=True, slots=True)
class Group:
    """Nodes computed together: one node over the whole sequence, or the nodes of a cycle in one time loop."""

    nodes: tuple[model.Layer | model.OpNode, ...]
    loop: bool  # whether the nodes form a cycle


@dataclass(frozen=True, slots=True)
class StepPlan:
    """A network ready to be printed or run. `bodies` maps each layer to its body; `order` is the order within a step."""

    network: model.Network
    bodies: tuple[tuple[str, Body], ...]
    order: tuple[model.Layer | model.OpNode, ...]
    groups: tuple[Group, ...]

    def body(self, layer: str) -> Body:
        return dict(self.bodies)[layer]

    @property
    def timed(self) -> bool:
        """Whether a spike stands for its time: its cotangent is the derivative by its time."""
        return any(body.drifts for _, body in self.bodies)

    @property
    def types(self) -> tuple[Body, ...]:
        """The distinct bodies, in the order of first use."""
        return tuple({body.name: body for _, body in self.bodies}.values())
