"""The tape: what a training step keeps from its way forward for its way back, under three schedules."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from snnc import model
from snnc.cost.jax_gradient import bytes_kept_by_jax
from snnc.cost.wiring import Case, is_weighted, kept_bytes, kernel_bytes, part_state_bytes, parts_of, signals_in
from snnc.cost.working import keeps_source, kept_beside
from snnc.expr import Apply, Expr, Var
from snnc.lower.gradients import learned_constants
from snnc.lower.schedule import sources_of
from snnc.ops.memory import Dropout

Schedule = Literal[
    "one scan, JAX's gradient", "hoisted, JAX's gradient", "hoisted, derived gradient", "traces, forward in time"
]
FORWARD_IN_TIME: Schedule = "traces, forward in time"  # of rules that learn while the network runs
SCHEDULES: tuple[Schedule, ...] = ("one scan, JAX's gradient", "hoisted, JAX's gradient", "hoisted, derived gradient")
# Readouts and penalties that make one value a sample, or one in all, of a whole sequence: what stands above them is small.
FOLDS_LINEARLY = frozenset(
    {
        "mean_over_time",
        "sum_over_time",
        "last_over_time",
        "count",
        "mean",
        "sum",
        "activity",
        "rate_upper",
        "rate_lower",
        "rate_target",
    }
)
FOLDS = FOLDS_LINEARLY | {"max_over_time", "first_spike_time"}
STRAIGHT = frozenset({"+", "-", "neg"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One array of the tape: who keeps it, what it is, its bytes in one training step."""

    owner: str
    what: str
    bytes: int


def tape(case: Case, schedule: Schedule) -> tuple[Entry, ...]:
    """Return what is kept, owner by owner; in parts, that of one part and the states between all parts."""
    parts = parts_of(case)
    if schedule == SCHEDULES[2] and parts is not None:
        return _in_parts(case, *parts)
    found: dict[tuple[str, str], int] = {}
    for node in case.plan.order:
        if isinstance(node, model.Layer):
            for what, size in _of_layer(node, case, schedule):
                found[node.name, what] = case.over_time(node.name, size)
        elif is_weighted(node) or keeps_source(node) or kernel_bytes(node):
            for source in node.sources:
                if is_weighted(node) or any(case.learns(s.node) for s in node.sources):
                    found[_label(source)] = _source_bytes(source, case, schedule)
                    if schedule == SCHEDULES[1] and _stays_inside(node, case):
                        found[source.node, f"{_label(source)[1]}, in its loop"] = case.over_time(source.node)
        if isinstance(node, model.OpNode):
            found |= {(node.name, what): size for what, size in kept_beside(node, case) if size}
        if isinstance(node, model.OpNode) and isinstance(node.op, Dropout):
            found[node.name, "mask"] = case.one_step(node.name)
    for signal in curved(case.objective()):
        found[_label(signal)] = case.over_time(signal.node)
    return tuple(Entry(owner, what, size) for (owner, what), size in found.items())


def _in_parts(case: Case, length: int, count: int) -> tuple[Entry, ...]:
    """Return what one part keeps, and what spans them all: inputs, states at their starts, what the loss's gradient reads."""
    assert case.recipe is not None
    once = replace(case, steps=length, recipe=replace(case.recipe, checkpoint=None))
    spanning = {_label(s): case.over_time(s.node) for s in curved(case.objective())}
    spanning |= {_label(model.Signal(i.name)): case.bytes_of(model.Signal(i.name)) for i in case.plan.network.inputs}
    kept = tape(once, SCHEDULES[2])
    whole = (replace(e, bytes=spanning.get((e.owner, e.what), e.bytes)) for e in kept)
    return (Entry("the parts", "states at their starts", count * part_state_bytes(case)), *whole)


def _of_layer(layer: model.Layer, case: Case, schedule: Schedule) -> list[tuple[str, int]]:
    """Return what a neuron keeps in a step, with its bytes."""
    if not case.learns(layer.name):
        return []
    adjoint = case.adjoint(layer)
    if schedule == "hoisted, derived gradient" and not isinstance(adjoint, str):
        return [(kept.name, kept_bytes(kept)) for kept in adjoint.kept]
    body = case.plan.body(layer.name)
    size = bytes_kept_by_jax(body, learned_constants(body, case.plan))
    return [("what JAX keeps", size)] if size else []


def _stays_inside(node: model.OpNode, case: Case) -> bool:
    """Whether a product and its source share a loop that the source leaves as well: JAX then keeps it twice."""
    source = node.sources[0]
    for group in case.plan.groups:
        names = {n.name for n in group.nodes}
        if group.loop and node.name in names:
            return any(source in sources_of(n) for n in case.plan.order if n.name not in names)
    return False


def _source_bytes(signal: model.Signal, case: Case, schedule: Schedule) -> int:
    """One scan reads a held value anew in each step."""
    if schedule == "one scan, JAX's gradient":
        return case.over_time(signal.node)
    return case.bytes_of(signal)


def _label(signal: model.Signal) -> tuple[str, str]:
    return signal.node, signal.name or "result"


def curved(exprs: tuple[Expr, ...]) -> tuple[model.Signal, ...]:
    """Return the signals that the gradient of an objective reads: all but those that only add up to what is computed."""
    found: dict[str, None] = {}

    def visit(expr: Expr, straight: bool) -> None:
        match expr:
            case Var(name) if not straight:
                found[name] = None
            case Apply(fn, args):
                below = fn in FOLDS_LINEARLY if fn in FOLDS else straight and fn in STRAIGHT
                for arg in args:
                    visit(arg, below)

    for expr in exprs:
        visit(expr, True)
    return signals_in(tuple(Var(name) for name in found))


def bytes_of(entries: tuple[Entry, ...]) -> int:
    return sum(entry.bytes for entry in entries)
