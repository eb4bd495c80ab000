"""A neuron as the straight-line code of one step: language.md, "One step, normatively", in its order.

After `lower_neuron` nothing is left to decide: every statement is an assignment, a spike test or an explicit integration.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from snnc import model
from snnc.expr import Apply, Expr, Num, Var, apply, size, substitute, variables
from snnc.lower.solve import apply_if, mark, ordered, solve, unmarked
from snnc.plan import CHANCE, Assign, Body, Crossing, Fire, Integrate, Locate, Published, Slot, Statement, targets_of
from snnc.semantics.neuron_builder import BEFORE
from snnc.units import unit_name

COUNTER = mark("refractory")  # steps for which the neuron stays refractory
READY = mark("ready")  # true while the counter has run out
PERIOD = mark("refractory_steps")
PREVIOUS = mark("spike_before")


Rewrite = Callable[[Expr], Expr]


@dataclass(frozen=True, slots=True)
class Extra:
    """What a layer publishes besides spike and states: states as tested (`v.pre`) and the sums at its ports."""

    tested: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()


def lower_neuron(neuron: model.Neuron, name: str, connected: tuple[str, ...], extra: Extra) -> Body:
    """Return the body of `neuron` with edges at the ports `connected`.

    Raises:
        CompileError: if the equations do not fit the solver.
    """
    ports = tuple(port.name for port in neuron.ports if port.name in connected)
    defaults = {p.name: p.default or Num(0.0) for p in neuron.ports if p.name not in connected}
    fixed = frozenset({"dt", *(p.name for p in neuron.params)})
    states = {s.name for s in neuron.states}
    coefficients: list[Assign] = []
    statements: list[Statement] = []

    refractory = neuron.refractory is not None and bool(neuron.spikes)
    busy = Apply("not", (Var(READY),)) if refractory else None
    if refractory:
        assert neuron.refractory is not None
        steps = Apply("round", (apply("/", neuron.refractory, Var("dt")),))
        coefficients.append(Assign(PERIOD, steps, "refractory period in steps"))
        statements.append(Assign(READY, Apply("<=", (Var(COUNTER), Num(0.0))), "refractory"))
        for port in neuron.block:
            if port in ports:
                statements.append(Assign(port, apply_if(Var(READY), Var(port), Num(0.0)), f"block {port}"))

    def bound(expr: Expr) -> Expr:
        return substitute(substitute(expr, defaults), {BEFORE: Var(PREVIOUS)})

    def held(update: Assign) -> Assign:
        if busy is None or update.target not in neuron.hold:
            return update
        return replace(update, value=apply_if(busy, Var(update.target), update.value))

    def jump(updates: tuple[model.Update, ...]) -> list[Statement]:
        assigns = [Assign(u.target, bound(u.value), u.span.text, u.span) for u in updates]
        return list(ordered(tuple(held(a) for a in assigns if a.value != Var(a.target))))

    statements += jump(neuron.start_jumps)
    if neuron.step:
        assigns = tuple(held(Assign(u.target, bound(u.value), u.span.text, u.span)) for u in neuron.step)
        statements += ordered(assigns)
        method = "difference equation, tied to its dt"
    else:
        equations = {u.target: bound(u.value) for u in neuron.equations}
        solution = solve(neuron, equations, fixed, busy)
        notes = {u.target: (u.span.text, u.span) for u in neuron.equations}
        coefficients += solution.coefficients
        updates = tuple(Assign(u.target, u.value, *notes[u.target]) for u in solution.updates)
        statements += ordered(updates)
        statements += [solution.integrate] if solution.integrate is not None else []
        method = solution.method
    statements += jump(neuron.end_jumps)

    random = any(rule.rate is not None for rule in neuron.spikes)
    published = _spikes(neuron, bound, statements, extra.tested, refractory)
    uses_previous = any(PREVIOUS in variables(e) for s in statements for e in expressions(s))
    slots = _slots(neuron, refractory, uses_previous)
    if uses_previous:
        statements.append(Assign(PREVIOUS, Var("spike"), "the published spike, for the next step"))
    for state in neuron.states:
        published.append(Published(state.name, state.name, unit_name(state.dimension)))
    units = {p.name: unit_name(p.dimension) for p in neuron.ports}
    published += [Published(port, port, units[port]) for port in extra.ports]
    hoisted, statements = _hoist(statements, fixed, coefficients, states)
    used = {v for s in statements for e in expressions(s) for v in variables(e)}
    names = [p.name for p in neuron.params] + [c.target for c in hoisted]
    constants = tuple(n for n in names if n in used)
    read = used | {v for c in hoisted for v in variables(c.value)}
    hoisted = [c for c in hoisted if c.target in read]
    body = Body(
        name, neuron, ports, slots, tuple(hoisted), constants, tuple(statements), tuple(published), random, method
    )
    return _spelled(body)


def _spelled(body: Body) -> Body:
    """Give the names that lowering made a spelling that clashes with none of the author's."""
    neuron = body.neuron
    own = [*(p.name for p in neuron.params), *(s.name for s in neuron.states), *(p.name for p in neuron.ports)]
    taken = {"dt", "spike", "chance", *own}
    made = [s.name for s in body.slots] + [c.target for c in body.coefficients] + [p.variable for p in body.published]
    for statement in body.statements:
        made += targets_of(statement)
    names = unmarked(made, taken) | {CHANCE: CHANCE}

    def plain(name: str) -> str:
        return names.get(name, name)

    def renamed(expr: Expr) -> Expr:
        return substitute(expr, {old: Var(new) for old, new in names.items()})

    statements = []
    for statement in body.statements:
        changed = map_expressions(statement, renamed)
        if isinstance(changed, Assign | Fire):
            changed = replace(changed, target=plain(changed.target))
        statements.append(changed)
    return replace(
        body,
        slots=tuple(replace(s, name=plain(s.name)) for s in body.slots),
        coefficients=tuple(replace(c, target=plain(c.target), value=renamed(c.value)) for c in body.coefficients),
        constants=tuple(plain(c) for c in body.constants),
        statements=tuple(statements),
        published=tuple(replace(p, variable=plain(p.variable)) for p in body.published),
    )


def expressions(statement: Statement) -> tuple[Expr, ...]:
    """Return the expressions that a statement evaluates."""
    match statement:
        case Assign(_, value):
            return (value,)
        case Fire(_, condition, margin, surrogate):
            crossing = () if statement.crossing is None else crossing_expressions(statement.crossing)
            return (condition, margin, *(surrogate.args if surrogate is not None else ()), *crossing)
        case Integrate(_, slopes):
            return slopes
        case Locate(_, slopes, margin, resets):
            return (*slopes, margin, *resets)


def crossing_expressions(crossing: Crossing) -> tuple[Expr, ...]:
    """Return the expressions of a crossing."""
    return (crossing.rise, *(e for _, e in (*crossing.change, *crossing.step)))


def _slots(neuron: model.Neuron, refractory: bool, uses_previous: bool) -> tuple[Slot, ...]:
    slots = [Slot(s.name, unit_name(s.dimension), s.init, carry=s.carry) for s in neuron.states]
    if refractory:
        slots.append(Slot(COUNTER, "steps", Num(0.0), hidden=True))
    for k, rule in enumerate(neuron.spikes, 1):
        if rule.rising:
            slots.append(Slot(mark(f"above_{k}"), "0 or 1", Num(0.0), hidden=True))
    if uses_previous:
        slots.append(Slot(PREVIOUS, "1", Num(0.0), hidden=True))
    return tuple(slots)


def _spikes(
    neuron: model.Neuron, bound: Rewrite, statements: list[Statement], pre: tuple[str, ...], refractory: bool
) -> list[Published]:
    """Append test, emission, resets and the counter; return the signals that they make."""
    if not neuron.spikes:
        return []
    single = len(neuron.spikes) == 1
    published = [Published("spike", "spike", "1")]
    gate = Var(READY) if refractory else None
    for state in pre:
        statements.append(Assign(mark(f"{state}_pre"), Var(state), f"{state} as tested"))
        unit = next(unit_name(s.dimension) for s in neuron.states if s.name == state)
        published.append(Published(f"{state}.pre", mark(f"{state}_pre"), unit))
    fired = []
    for k, rule in enumerate(neuron.spikes, 1):
        target = "spike" if single and rule.emit is None else mark("fired" if single else f"fired_{k}")
        fired.append(target)
        statements += _test(neuron, rule, k, target, bound, gate)
    emitted: list[str] = []
    inside: list[
        Expr
    ] = []  # what `spike` means in each block: the value that is emitted, as one that has fired sees it
    for k, (rule, target) in enumerate(zip(neuron.spikes, fired, strict=True), 1):
        if rule.emit is None:
            emitted.append(target)
            inside.append(Num(1.0))
            continue
        name = "spike" if single else mark(f"spike_{k}")
        value = bound(rule.emit)
        if not isinstance(value, Num) and any("spike" in variables(update.value) for update in rule.resets):
            graded = mark("graded") if single else mark(f"graded_{k}")
            statements.append(Assign(graded, value, "the value to emit", rule.span))
            value = Var(graded)
        emitted.append(name)
        inside.append(value)
        statements.append(Assign(name, Apply("emit", (Var(target), value)), f"emit {rule.span.text}", rule.span))
    for rule, target, value in zip(neuron.spikes, fired, inside, strict=True):
        resets = []
        for update in rule.resets:
            after = substitute(bound(update.value), {"spike": value})
            how = "where" if update.target in neuron.detached else "reset"
            test: Expr = Apply(">", (Var(target), Num(0.0))) if how == "where" else Var(target)
            resets.append(
                Assign(update.target, Apply(how, (test, after, Var(update.target))), update.span.text, update.span)
            )
        statements += ordered(tuple(resets))
    if not single:
        total: Expr = Var(emitted[0])
        for name in emitted[1:]:
            total = apply("+", total, Var(name))
        statements.append(Assign("spike", total, "all that was emitted"))
    if refractory:
        any_fired: Expr = Apply(">", (Var(fired[0]), Num(0.0)))
        for name in fired[1:]:
            any_fired = Apply("or", (any_fired, Apply(">", (Var(name), Num(0.0)))))
        count = Apply("max", (apply("-", Var(COUNTER), Num(1.0)), Num(0.0)))
        statements.append(Assign(COUNTER, Apply("where", (any_fired, Var(PERIOD), count)), "refractory period"))
    return published


def _test(
    neuron: model.Neuron, rule: model.SpikeRule, k: int, target: str, bound: Rewrite, gate: Expr | None
) -> list[Statement]:
    """The spike test of one block: 1 or 0, with the derivative that the neuron declares."""
    note = rule.span.text.split("{")[0].strip()
    if rule.rate is not None:
        rate = apply("neg", apply("*", bound(rule.rate), Var("dt")))
        chance = apply("-", Num(1.0), Apply("exp", (rate,)))
        value: Expr = Apply("sample", (chance, Var(CHANCE)))
        if gate is not None:
            value = apply_if(gate, value, Num(0.0))
        return [Assign(target, value, note, rule.span)]
    assert rule.condition is not None
    assert rule.margin is not None
    condition = bound(rule.condition)
    out: list[Statement] = []
    if rule.rising:
        above = mark(f"above_{k}")
        now = mark(f"above_{k}_now")
        out.append(Assign(now, condition, note))
        condition = Apply("and", (Var(now), Apply("<=", (Var(above), Num(0.0)))))
    if gate is None:
        out.append(Fire(target, condition, bound(rule.margin), neuron.surrogate, note, rule.span))
    else:
        out.append(Fire(target, condition, bound(rule.margin), neuron.surrogate, note, rule.span))
        out.append(Assign(target, apply_if(gate, Var(target), Num(0.0)), "not while refractory"))
    if rule.rising:
        above = mark(f"above_{k}")
        now = mark(f"above_{k}_now")
        out.append(Assign(above, Apply("where", (Var(now), Num(1.0), Num(0.0))), "for `rising`"))
    return out


# ---- stages: what does not change in time leaves the loop ------------------------


def _hoist(
    statements: list[Statement], fixed: frozenset[str], coefficients: list[Assign], states: set[str]
) -> tuple[list[Assign], list[Statement]]:
    """Name every maximal subexpression that reads parameters only and costs more than a constant."""
    found = list(coefficients)
    known = fixed | {a.target for a in found}

    def name_for(value: Expr) -> Expr:
        for assign in found:
            if assign.value == value:
                return Var(assign.target)
        name = mark(f"k{sum(a.target.startswith('k') and a.target[1:-1].isdigit() for a in found) + 1}")
        found.append(Assign(name, value))
        return Var(name)

    def visit(expr: Expr) -> Expr:
        if not isinstance(expr, Apply):
            return expr
        names = variables(expr)
        if names and set(names) <= known and size(expr) > 1:
            return name_for(expr)
        args = tuple(visit(arg) for arg in expr.args)
        return expr if args == expr.args else Apply(expr.fn, args, expr.attrs, expr.span)

    return found, [map_expressions(statement, visit) for statement in statements]


def map_expressions(statement: Statement, rule: Rewrite) -> Statement:
    """Apply `rule` to each expression of a statement."""
    match statement:
        case Assign(_, value):
            return replace(statement, value=rule(value))
        case Fire():
            use = statement.surrogate
            if use is not None:
                use = replace(use, args=tuple(rule(a) for a in use.args))
            crossing = statement.crossing
            if crossing is not None:
                change, step = (tuple((s, rule(e)) for s, e in terms) for terms in (crossing.change, crossing.step))
                crossing = replace(crossing, rise=rule(crossing.rise), change=change, step=step)
            return replace(
                statement,
                condition=rule(statement.condition),
                margin=rule(statement.margin),
                surrogate=use,
                crossing=crossing,
            )
        case Integrate(_, slopes):
            return replace(statement, slopes=tuple(rule(s) for s in slopes))
        case Locate(_, slopes, margin, resets):
            found, after = (tuple(rule(e) for e in some) for some in (slopes, resets))
            return replace(statement, slopes=found, margin=rule(margin), resets=after)
