"""What a spike does to a neuron with linear dynamics, as the exact gradient by spike times needs it (EventProp).

Between events x' = A x + b; a spike is where a margin m, affine in x, rises through 0; the reset x+ = R x- + r is affine; an
arrival of size w moves x by e w. Moving the crossing by d t moves what follows it by (A x+ + b - R (A x- + b)) d t, and moving
an arrival by d t moves what follows by -A e w d t (saltation matrices: Aizerman & Gantmakher 1958; Wunderlich & Pehle 2021).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from snnc import model
from snnc.expr import Apply, Expr, Num, Var, apply, substitute, variables
from snnc.lower.affine import NonLinearError, affine
from snnc.lower.body import expressions
from snnc.lower.derivatives import ZERO, added, negative, product
from snnc.plan import Assign, Body, Crossing, Drift, Fire, Statement, StepPlan

Row = dict[str, Expr]  # coefficient of each state


class NoCrossingError(Exception):
    """The theory does not hold; `reason` names the term, which stands at `span` of the model."""

    def __init__(self, reason: str, help_: str, update: model.Update | model.SpikeRule | model.Neuron) -> None:
        super().__init__(reason)
        self.reason = reason
        self.help = help_
        self.span = update.span


@dataclass(frozen=True, slots=True)
class Dynamics:
    """A neuron as x' = A x + b; `slopes` are the right-hand sides as written."""

    matrix: Mapping[str, Row]
    rests: Row
    slopes: Row


def dynamics(neuron: model.Neuron, connected: Iterable[str]) -> Dynamics:
    """Return the equations of a neuron as a linear system.

    Raises:
        NoCrossingError: with the equation that is not linear in the states.
    """
    states = [s.name for s in neuron.states]
    fixed = {"dt", *(p.name for p in neuron.params)}
    edges = set(connected)
    defaults = {p.name: p.default or Num(0.0) for p in neuron.ports if p.name not in edges}
    matrix: dict[str, Row] = {name: {} for name in states}
    rests: Row = dict.fromkeys(states, ZERO)
    slopes: Row = dict.fromkeys(states, ZERO)
    if neuron.step:
        raise NoCrossingError(
            "has a difference equation, so that its spikes have no time inside a step",
            "write differential equations",
            neuron,
        )
    if neuron.solver.kind not in ("auto", "exact"):
        raise NoCrossingError(
            f"is solved by `{neuron.solver.kind}`, not exactly", "take the solver out: linear equations are solved exactly",
            neuron,
        )  # fmt: skip
    for update in neuron.equations:
        slope = substitute(update.value, defaults)
        try:
            row, rest = affine(slope, states)
        except NonLinearError:
            raise NoCrossingError(f"is not linear between spikes: `{update.span.text}`", LINEAR, update) from None
        if any(not set(variables(value)) <= fixed for value in row.values()):
            raise NoCrossingError(f"has a coefficient that changes in time: `{update.span.text}`", LINEAR, update)
        matrix[update.target], rests[update.target], slopes[update.target] = row, rest, slope
    return Dynamics(matrix, rests, slopes)


LINEAR = "use a neuron with linear equations, such as `CubaLIF`, or `learn = bptt()`"


def arrivals(neuron: model.Neuron, updates: tuple[model.Update, ...], ports: Iterable[str]) -> dict[str, Row]:
    """Return e for each port: what an arrival of size 1 adds to each state.

    Raises:
        NoCrossingError: with the jump that depends on a state.
    """
    states = [s.name for s in neuron.states]
    names = [p.name for p in neuron.ports]
    found: dict[str, Row] = {name: {} for name in ports}
    fixed = {"dt", *(p.name for p in neuron.params)}
    for update in updates:
        try:
            row, rest = affine(update.value, [*states, *names])
        except NonLinearError:
            row, rest = {}, Var("?")
        by_state = {s: c for s, c in row.items() if s in states and c != ZERO}
        fits = by_state == {update.target: Num(1.0)} and rest == ZERO
        if not fits or any(not set(variables(c)) <= fixed for c in row.values()):
            raise NoCrossingError(
                f"has a jump of another size in another state: `{update.span.text}`", "let arrivals add up: `on x { i += x }`",
                update,
            )  # fmt: skip
        for port in names:
            if port in row and port in found and row[port] != ZERO:
                found[port][update.target] = row[port]
    return found


def check_tested(neuron: model.Neuron, connected: Iterable[str]) -> None:
    """Refuse a spike condition on a state that itself jumps when a spike arrives: no crossing moves with the weights.

    Raises:
        NoCrossingError: with the condition, or with a jump that is not of a fixed size.
    """
    edges = set(connected)
    events = [p.name for p in neuron.ports if p.kind == "event" and p.name in edges]
    jumped: dict[str, model.Update] = {}
    for updates in (neuron.start_jumps, neuron.end_jumps):
        for row in arrivals(neuron, updates, events).values():
            jumped |= {state: next(u for u in updates if u.target == state) for state in row}
    for rule in neuron.spikes:
        tested = variables(rule.margin) if rule.margin is not None else ()
        for state in (name for name in tested if name in jumped):
            raise NoCrossingError(
                f"compares `{state}`, which jumps when a spike arrives (`{jumped[state].span.text}`), so that its own spike "
                "times do not move with the weights", "let spikes jump a current that charges it, as in `CubaLIF`", rule,
            )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reset:
    """x+ = R x- + r of one `spike` block."""

    matrix: Mapping[str, Row]
    rests: Row


def reset_of(neuron: model.Neuron, rule: model.SpikeRule) -> Reset:
    """Return the reset of a `spike` block as an affine map.

    Raises:
        NoCrossingError: with the update that is not affine.
    """
    states = [s.name for s in neuron.states]
    fixed = {"dt", *(p.name for p in neuron.params)}
    matrix: dict[str, Row] = {name: {name: Num(1.0)} for name in states}
    rests: Row = dict.fromkeys(states, ZERO)
    for update in rule.resets:
        try:
            row, rest = affine(update.value, states)
        except NonLinearError:
            row, rest = {}, Var("?")
        if any(not set(variables(value)) <= fixed for value in (*row.values(), rest)):
            raise NoCrossingError(
                f"has a reset that is not affine in the states: `{update.span.text}`",
                "reset by a constant, a difference or a factor", update,
            )  # fmt: skip
        matrix[update.target] = {s: c for s, c in row.items() if c != ZERO}
        rests[update.target] = rest
    return Reset(matrix, rests)


def crossing_of(neuron: model.Neuron, rule: model.SpikeRule, system: Dynamics, after: int, floor: float) -> Crossing:
    """Return what moves when the crossing of a `spike` block moves; `after` is the last statement of its resets.

    Raises:
        NoCrossingError: the margin is not affine in the states, or the reset is not.
    """
    states = [s.name for s in neuron.states]
    try:
        gradient = {} if rule.margin is None else affine(rule.margin, states)[0]
    except NonLinearError:
        gradient = {}
    fixed = {"dt", *(p.name for p in neuron.params)}
    if not gradient or any(not set(variables(value)) <= fixed for value in gradient.values()):
        raise NoCrossingError("has a spike condition that is not affine in the states", LINEAR, rule)
    reset = reset_of(neuron, rule)
    rise = _sum([times(weight, system.slopes[state]) for state, weight in gradient.items()], [])
    change: list[tuple[str, Expr]] = []
    step: list[tuple[str, Expr]] = []
    for state in states:
        plus: list[Expr] = []
        minus: list[Expr] = []
        for other in states:
            plus += [
                times(product(system.matrix[state].get(k, ZERO), reset.matrix[k].get(other, ZERO)), Var(other))
                for k in states
            ]
            minus += [
                times(product(reset.matrix[state].get(k, ZERO), system.matrix[k].get(other, ZERO)), Var(other))
                for k in states
            ]
        plus += [times(system.matrix[state].get(k, ZERO), reset.rests[k]) for k in states]
        plus.append(system.rests[state])
        minus += [times(reset.matrix[state].get(k, ZERO), system.rests[k]) for k in states]
        change.append((state, _sum(plus, minus)))
        moved = [times(reset.matrix[state].get(k, ZERO), Var(k)) for k in states]
        step.append((state, _sum([*moved, reset.rests[state]], [Var(state)])))
    return Crossing(rise, floor, _present(change), _present(step), after)


def drift_of(port: str, jump: Row, system: Dynamics, after: int) -> Drift:
    """Return A e of a port; `after` is the last statement of its jumps."""
    terms = []
    for state, row in system.matrix.items():
        terms.append((state, _sum([product(row.get(k, ZERO), size) for k, size in jump.items()], [])))
    return Drift(port, _present(terms), after)


def _present(terms: Iterable[tuple[str, Expr]]) -> tuple[tuple[str, Expr], ...]:
    return tuple((name, value) for name, value in terms if value != ZERO)


def times(weight: Expr, value: Expr) -> Expr:
    """Return weight * value in the form that people write: 1/tau of x becomes x/tau.

    >>> times(Apply("/", (Num(-1.0), Var("tau"))), Var("x"))
    Apply(fn='neg', args=(Apply(fn='/', args=(Var(name='x'), Var(name='tau')), attrs=()),), attrs=())
    """
    match weight:
        case Apply("/", (Num(1.0), divisor)) if value != ZERO:
            return apply("/", value, divisor)
        case Apply("/", (Num(-1.0), divisor)) if value != ZERO:
            return negative(apply("/", value, divisor))
        case Apply("neg", (inner,)):
            return negative(times(inner, value))
    return product(weight, value)


def _sum(plus: Iterable[Expr], minus: Iterable[Expr]) -> Expr:
    """Return the sum of `plus` without that of `minus`; what stands on both sides goes."""
    left = [term for term in plus if term != ZERO]
    right = []
    for term in minus:
        if term in left:
            left.remove(term)
        elif term != ZERO:
            right.append(negative(term))
    total: Expr = ZERO
    for term in (*left, *right):
        total = added(total, term)
    return total


# ---- the body and the plan ----------------------------------------------------


def with_crossings(plan: StepPlan, floor: float, averaged: Callable[[str, str], bool]) -> StepPlan:
    """Return the plan with what a gradient by spike times needs; its numbers stay.

    `floor` is the least rise of a margin that counts; `averaged(layer, state)` whether something reads that state over time.

    Raises:
        NoCrossingError: `snnc.rules.eventprop` says so first.
    """
    bodies: dict[str, Body] = {}
    for body in plan.types:
        layers = [name for name, other in plan.bodies if other is body]
        read = {s.name for s in body.neuron.states if any(averaged(layer, s.name) for layer in layers)}
        bodies[body.name] = _with_crossings(body, floor, read)
    return replace(plan, bodies=tuple((layer, bodies[body.name]) for layer, body in plan.bodies))


def _with_crossings(body: Body, floor: float, read: set[str]) -> Body:
    neuron = body.neuron
    system = dynamics(neuron, body.ports)
    events = [p.name for p in neuron.ports if p.kind == "event" and p.name in body.ports]
    starts, ends = (arrivals(neuron, updates, events) for updates in (neuron.start_jumps, neuron.end_jumps))
    statements = _jumps_last([_passing(s) for s in body.statements], neuron, ends)
    fires = [k for k, s in enumerate(statements) if isinstance(s, Fire)]
    crossings = []
    for rule, place in zip(neuron.spikes, fires, strict=True):
        resets = [k for k, s in enumerate(statements) if _is_reset(s)]
        found = crossing_of(neuron, rule, system, max([place, *resets]), floor)
        crossings.append((place, replace(found, step=tuple((s, e) for s, e in found.step if s in read))))
    for place, crossing in crossings:
        fire = statements[place]
        assert isinstance(fire, Fire)
        statements[place] = replace(fire, crossing=crossing)
    drifts = []
    for port in events:
        for updates, jumps in ((neuron.start_jumps, starts), (neuron.end_jumps, ends)):
            places = [k for k, s in enumerate(statements) if _is_jump(s, updates)]
            if jumps[port]:
                drifts.append(drift_of(port, jumps[port], system, max(places)))
    used = {v for _, c in crossings for e in (c.rise, *(x for _, x in (*c.change, *c.step))) for v in variables(e)}
    used |= {v for d in drifts for _, e in d.terms for v in variables(e)}
    more = tuple(p.name for p in neuron.params if p.name in used and p.name not in body.constants)
    return replace(body, statements=tuple(statements), constants=body.constants + more, drifts=tuple(drifts))


def _passing(statement: Statement) -> Statement:
    """A reset passes the gradient of what it keeps; that of the spike goes through its time."""
    match statement:
        case Assign(_, Apply("reset", (spike, then, other))):
            return replace(statement, value=Apply("where", (Apply(">", (spike, ZERO)), then, other)))
    return statement


def _is_reset(statement: Statement) -> bool:
    match statement:
        case Assign(_, Apply("where", (Apply(">", (Var(), Num(0.0))), _, _))):
            return True
    return False


def _is_jump(statement: Statement, updates: tuple[model.Update, ...]) -> bool:
    return isinstance(statement, Assign) and any(
        (u.target, u.span) == (statement.target, statement.span) for u in updates
    )


def _jumps_last(statements: list[Statement], neuron: model.Neuron, ends: Mapping[str, Row]) -> list[Statement]:
    """Let what arrives at the end of a step come after a crossing inside it, where no reset touches it: the same numbers."""
    jumped = {state for row in ends.values() for state in row}
    resets = [reset_of(neuron, rule) for rule in neuron.spikes]
    kept = all(
        reset.matrix[s].get(j, ZERO) == (Num(1.0) if s == j else ZERO)
        for reset in resets
        for s in reset.matrix
        for j in jumped
    )
    fires = [k for k, s in enumerate(statements) if isinstance(s, Fire)]
    if not kept or not fires:
        return statements
    jumps = [s for s in statements[: fires[0]] if _is_jump(s, neuron.end_jumps)]
    rest = [s for s in statements if s not in jumps]
    first = statements.index(jumps[0]) if jumps else 0
    later = {v for s in rest[first:] for e in expressions(s) for v in variables(e)}
    return statements if later & jumped else [*rest, *jumps]
