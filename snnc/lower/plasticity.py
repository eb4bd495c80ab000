"""A plasticity rule as the moves of one step: equations first, then its blocks in text order (language.md, section 3, step 8)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from snnc import model
from snnc.expr import Expr, Num, Var, apply, substitute
from snnc.lower.solve import Solution, solve, unmarked
from snnc.plan import Assign
from snnc.semantics.plasticity import WEIGHT, kinds_of
from snnc.source import Span


@dataclass(frozen=True, slots=True)
class Move:
    """`target` becomes `value`; `note` is the author's line."""

    target: str
    value: Expr
    note: str
    span: Span


@dataclass(frozen=True, slots=True)
class Moves:
    """Simultaneous moves: all read what was before. They happen where `event` is not 0, everywhere if it is ""."""

    event: str
    moves: tuple[Move, ...]


@dataclass(frozen=True, slots=True)
class PlasticBody:
    """One step of a rule. `coefficients` follow from parameters and `dt`; `kinds` says for what each name exists."""

    rule: model.Plasticity
    coefficients: tuple[Assign, ...]
    steps: tuple[Moves, ...]
    kinds: tuple[tuple[str, str], ...]
    method: str


def lower_plasticity(rule: model.Plasticity, factor_kinds: Mapping[str, str]) -> PlasticBody:
    """Return the step of `rule`; a third factor that is not bound has its default.

    Raises:
        CompileError: if the equations do not fit the solver.
    """
    kinds = kinds_of(rule, factor_kinds)
    equations = {update.target: update.value for update in rule.equations}
    solution = _solved(rule, equations)
    names = [c.target for c in solution.coefficients]
    taken = {"dt", *kinds, *(p.name for p in rule.params)}
    plain = unmarked(names, taken)
    spelled = {old: Var(new) for old, new in plain.items()}
    notes = {update.target: update for update in rule.equations}
    moves = tuple(
        Move(u.target, substitute(u.value, spelled), notes[u.target].span.text, notes[u.target].span)
        for u in solution.updates
    )
    coefficients = tuple(
        Assign(plain.get(c.target, c.target), substitute(c.value, spelled), c.note) for c in solution.coefficients
    )
    steps = [Moves("", moves)] if moves else []
    for block in rule.blocks:
        steps.append(Moves(block.event, tuple(Move(u.target, u.value, u.span.text, u.span) for u in block.updates)))
    return PlasticBody(rule, coefficients, tuple(steps), tuple(kinds.items()), solution.method)


def _solved(rule: model.Plasticity, equations: Mapping[str, Expr]) -> Solution:
    fixed = frozenset({"dt", *(p.name for p in rule.params)})
    if rule.solver.kind == "euler":
        updates = tuple(
            Assign(name, apply("+", Var(name), apply("*", Var("dt"), slope))) for name, slope in equations.items()
        )
        return Solution((), updates, None, "forward Euler")
    return solve(_as_neuron(rule), equations, fixed, None)


def _as_neuron(rule: model.Plasticity) -> model.Neuron:
    """Return a neuron with the equations of a rule, which is what the solver takes."""
    states = tuple(model.State(t.name, t.dimension, t.init, False, t.span) for t in rule.traces)
    weight = model.State(WEIGHT, rule.weight, Var(WEIGHT), False, rule.span)
    return model.Neuron(
        name=rule.name, doc="", params=rule.params, states=(*states, weight), ports=(), equations=rule.equations, step=(),
        start_jumps=(), end_jumps=(), spikes=(), refractory=None, hold=(), block=(), surrogate=None, detached=(),
        solver=rule.solver, span=rule.span,
    )  # fmt: skip


def lower_edge(edge: model.PlasticEdge) -> PlasticBody:
    """Return the step of the rule on an edge, with its third factors as they are bound there."""
    given = {factor.name: factor.per for factor in edge.factors}
    defaults = {p.name: p.default for p in edge.rule.factors if p.name not in given and p.default is not None}
    body = lower_plasticity(edge.rule, given)
    steps = tuple(
        Moves(
            "" if s.event in defaults else s.event,
            tuple(Move(m.target, substitute(m.value, defaults), m.note, m.span) for m in s.moves),
        )
        for s in body.steps
        if defaults.get(s.event) != Num(0.0)
    )
    return PlasticBody(body.rule, body.coefficients, steps, body.kinds, body.method)
