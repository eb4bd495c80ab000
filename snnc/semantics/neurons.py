"""Resolves a neuron with the arguments of one instance into a `model.Neuron`.

What holds afterwards: every name is known, every equation has the right unit, jumps change nothing at 0, conditions are one
comparison with a plain margin, no state is assigned twice at once.
"""

from __future__ import annotations

from dataclasses import replace

from snnc import model
from snnc.diagnostics import Code, Findings, Label, did_you_mean, fail
from snnc.expr import Apply, Expr, Num, Var, apply, substitute, variables
from snnc.limits import MAX_CLAUSES
from snnc.semantics.constants import constant
from snnc.semantics.expressions import resolve
from snnc.semantics.modules import Module, name_span
from snnc.semantics.neuron_builder import BEFORE, CLAUSE_ARGUMENTS, Builder, read_block
from snnc.semantics.neuron_solver import read_solver
from snnc.semantics.neuron_spikes import read_detached, read_refractory, read_spike, read_surrogate
from snnc.semantics.parameters import resolve_drawn, resolve_params
from snnc.semantics.quantities import declared_dimension, expect
from snnc.semantics.scope import ANY, POISON, Scope, Typed
from snnc.source import Span
from snnc.syntax import nodes
from snnc.units import ONE, TIME

# Arguments of an instance that replace a clause and no parameter.


def resolve_neuron(
    item: nodes.Neuron,
    home: Module,
    args: tuple[nodes.Arg, ...],
    use: Scope,
    dt: float | None,
    findings: Findings,
    span: Span | None = None,
) -> model.Neuron:
    """Return `item` (written in `home`) with `args`, whose values are resolved in the scope `use`; `span` is its use.

    `dt` is the step in ms; None (a neuron outside any network) lets everything be checked but what depends on it.
    """
    if len(item.body) > MAX_CLAUSES:
        raise fail(
            Code.TOO_BIG, name_span(item), f"`{item.name}` has {len(item.body)} clauses, and at most {MAX_CLAUSES} are taken",
            help="split it into several neurons",
        )  # fmt: skip
    builder = Builder(item, home, findings, f"in neuron `{item.name}`")
    builder.names["dt"] = Typed(Var("dt"), TIME)
    clauses = {kind: _last(item, kind, findings) for kind in _SINGLE}
    overrides = {arg.name: arg for arg in args if arg.name is not None}
    _check_arguments(item, args, findings)
    for clause in item.body:
        if isinstance(clause, nodes.Param | nodes.State | nodes.Port | nodes.Let):
            _check_unique(builder, clause)
        elif isinstance(clause, nodes.Clip | nodes.Normalize | nodes.Output):
            findings.add(
                Code.WRONG_KIND, clause.span, f"this clause does not belong {builder.where}",
                help="`clip` and `normalize` belong into a plasticity rule, `output` into a network",
            )  # fmt: skip
    params, unknown = resolve_params(item, home, overrides, use, dt, findings, span)
    builder.unknown += unknown
    for param in params:
        builder.bind(param.name, param.dimension)
    _read_states_and_ports(builder)
    _read_lets(builder)
    equations, step = _equations(builder)
    start, end = _jumps(builder)
    spikes = tuple(read_spike(builder, c, params) for c in item.body if isinstance(c, nodes.Spike))
    refractory, hold, block = read_refractory(builder, clauses[nodes.Refractory], overrides, use, params)
    neuron = model.Neuron(
        name=item.name,
        doc=item.doc,
        params=params,
        states=tuple(builder.states),
        ports=tuple(builder.ports),
        equations=equations,
        step=step,
        start_jumps=start,
        end_jumps=end,
        spikes=spikes,
        refractory=refractory,
        hold=hold,
        block=block,
        surrogate=read_surrogate(builder, clauses[nodes.SurrogateUse], overrides, use),
        detached=read_detached(builder, clauses[nodes.Detach], overrides),
        solver=read_solver(builder, clauses[nodes.Solve], overrides),
        span=name_span(item),
    )
    if not spikes:
        for kind in (nodes.SurrogateUse, nodes.Refractory, nodes.Detach):
            given = clauses[kind]
            if given is not None:
                findings.add(
                    Code.WRONG_KIND, given.span, f"this clause needs a `spike` block, and `{item.name}` has none",
                    help="add `spike when … { … }` or take this line out",
                )  # fmt: skip
    return neuron


_SINGLE = (nodes.Refractory, nodes.SurrogateUse, nodes.Detach, nodes.Solve)


def _last(item: nodes.Neuron, kind: type, findings: Findings) -> nodes.Dynamics | None:
    found = [clause for clause in item.body if isinstance(clause, kind)]
    if len(found) > 1:
        findings.add(
            Code.DUPLICATE_NAME, found[1].span, "this clause is given twice", help="keep one of the two",
            labels=(Label(found[0].span, "first given here"),),
        )  # fmt: skip
    return found[0] if found else None


def _check_arguments(item: nodes.Neuron, args: tuple[nodes.Arg, ...], findings: Findings) -> None:
    known = [c.name for c in item.body if isinstance(c, nodes.Param)]
    seen: set[str] = set()
    for arg in args:
        if arg.name is None:
            findings.add(
                Code.UNKNOWN_ARGUMENT, arg.span, f"arguments of `{item.name}` are given by name",
                help="write " + (f"`{known[0]} = …`" if known else f"`{item.name}()`"),
            )  # fmt: skip
        elif arg.name not in known and arg.name not in CLAUSE_ARGUMENTS:
            findings.add(
                Code.UNKNOWN_ARGUMENT, arg.span, f"`{item.name}` has no parameter `{arg.name}`",
                help=did_you_mean(arg.name, known) or f"it has none: write `{item.name}()`",
            )  # fmt: skip
        elif arg.name in seen:
            findings.add(Code.DUPLICATE_NAME, arg.span, f"`{arg.name}` is given twice", help="keep one of the two")
        seen.add(arg.name or "")


def _check_unique(builder: Builder, clause: nodes.Param | nodes.State | nodes.Port | nodes.Let) -> None:
    builder.declare(clause.name, Typed(Var(clause.name), None), name_span(clause))
    builder.names.pop(clause.name, None)  # bound again, with its unit, when its turn comes


def _read_states_and_ports(builder: Builder) -> None:
    for clause in builder.item.body:
        if isinstance(clause, nodes.State):
            state = _state(builder, clause)
            builder.states.append(state)
            builder.bind(clause.name, state.dimension)
    for clause in builder.item.body:
        if isinstance(clause, nodes.Port):
            port = _port(builder, clause)
            builder.ports.append(port)
            builder.bind(clause.name, port.dimension)


def _state(builder: Builder, clause: nodes.State) -> model.State:
    carry = any(mod.kind == "carry" for mod in clause.mods)
    for mod in clause.mods:
        if mod.kind != "carry":
            builder.findings.add(
                Code.WRONG_KIND,
                mod.span,
                f"a state cannot be `{mod.kind}`",
                help="only parameters have this; take it out",
            )
    if carry and clause.drawn:
        builder.findings.add(
            Code.NOT_YET, name_span(clause), "not supported yet: a drawn state that is carried over samples",
            help=f"give it a number: `state {clause.name} = 0 carry`",
        )  # fmt: skip
    declared = declared_dimension(clause.type, builder.findings)
    init: Expr | model.Drawn
    if clause.drawn:
        init, dimension = resolve_drawn(clause.value, builder.scope(), f"state `{clause.name}`")
    else:
        typed = resolve(clause.value, builder.scope())
        init, dimension = typed.expr, typed.dimension
        if declared is not None:
            expect(typed, declared, clause.value.span, builder.findings, f"state `{clause.name}`")
    if dimension == ANY:
        dimension = ONE
    if declared is None and dimension is None:
        builder.unknown.append(clause.name)
    # after an error in its initial value a state's unit is unknown, and plain is as good a guess as any
    return model.State(clause.name, declared or dimension or ONE, init, carry, name_span(clause))


def _port(builder: Builder, clause: nodes.Port) -> model.Port:
    dimension = declared_dimension(clause.type, builder.findings)
    default: Expr | None = None
    if clause.default is not None:
        params_only = Scope(
            {k: v for k, v in builder.names.items() if k not in {s.name for s in builder.states}},
            builder.home,
            builder.findings,
            builder.where,
        )
        typed = resolve(clause.default, params_only)
        default = typed.expr
        if dimension is None and typed.dimension is None:
            builder.unknown.append(clause.name)
        if dimension is not None:
            expect(typed, dimension, clause.default.span, builder.findings, f"`{clause.name}`")
        elif typed.dimension not in (None, ANY):
            dimension = typed.dimension
    return model.Port(clause.name, clause.kind, dimension or ONE, default, name_span(clause))


def _read_lets(builder: Builder) -> None:
    """Bind each `let` to its expression: it is an abbreviation, replaced where it stands."""
    for clause in builder.item.body:
        if isinstance(clause, nodes.Let):
            builder.names[clause.name] = resolve(clause.value, builder.scope({"spike": Typed(Var(BEFORE), ONE)}))


def _prime(clause: nodes.Ode) -> Span:
    """Return the span of `v'`."""
    return Span(clause.span.source, clause.span.start, clause.span.start + len(clause.name) + 1)


def _equations(builder: Builder) -> tuple[tuple[model.Update, ...], tuple[model.Update, ...]]:
    equations: list[model.Update] = []
    step: list[model.Update] = []
    for clause in builder.item.body:
        if (
            isinstance(clause, nodes.Ode)
            and builder.state(clause.name, _prime(clause), "this is the derivative of") is None
        ):
            builder.names.setdefault(clause.name, POISON)  # its uses are no further errors
    scope = builder.scope({"spike": Typed(Var(BEFORE), ONE)})
    for clause in builder.item.body:
        if isinstance(clause, nodes.Ode):
            state = next((s for s in builder.states if s.name == clause.name), None)
            typed = resolve(clause.value, scope)
            if state is None:
                continue
            rate = None if state.name in builder.unknown else state.dimension / TIME
            what = f"`{state.name}'`, the change of `{state.name}` in time,"
            expect(typed, rate, clause.value.span, builder.findings, what, _prime(clause))
            if any(e.target == clause.name for e in equations):
                builder.findings.add(
                    Code.DOUBLE_ASSIGNMENT, clause.span, f"`{clause.name}'` is given twice",
                    help="add the two right sides up in one equation",
                )  # fmt: skip
            equations.append(model.Update(clause.name, typed.expr, clause.span))
        elif isinstance(clause, nodes.Step):
            if step:
                builder.findings.add(
                    Code.DUPLICATE_NAME, clause.span, "a neuron has one `step`", help="put all into one block"
                )
            step += read_block(builder, clause.body, scope, "`step`")
    if equations and step:
        clause = next(c for c in builder.item.body if isinstance(c, nodes.Step))
        builder.findings.add(
            Code.STEP_AND_EQUATION, clause.span, "a neuron has either equations or a `step`, and here are both",
            help="write all as equations (`v' = …`) or all inside `step`",
            labels=(Label(equations[0].span, "an equation"),),
        )  # fmt: skip
    return tuple(equations), tuple(step)


def _jumps(builder: Builder) -> tuple[tuple[model.Update, ...], tuple[model.Update, ...]]:
    phases: dict[str, list[model.Update]] = {"start": [], "end": []}
    ports = {port.name: port for port in builder.ports}
    for clause in builder.item.body:
        if not isinstance(clause, nodes.On):
            continue
        port = ports.get(clause.event)
        if port is None or port.kind != "event":
            if port is None and clause.event in builder.spans:
                what = "which is no port"
            else:
                what = (
                    "and there is no such port" if port is None else "which is an `input`, and a jump needs an `event`"
                )
            events = [p.name for p in builder.ports if p.kind == "event"]
            known = None if port is not None or clause.event in builder.spans else did_you_mean(clause.event, events)
            builder.findings.add(
                Code.UNKNOWN_NAME if port is None else Code.WRONG_KIND,
                Span(clause.span.source, clause.span.start, clause.span.start + len(f"on {clause.event}")),
                f"`on` names `{clause.event}`, {what}",
                help=known or f"declare `event {clause.event}`",
            )
            continue
        scope = builder.scope()
        for update, assign in zip(
            read_block(builder, clause.body, scope, f"`on {clause.event}`"), clause.body, strict=False
        ):
            _check_rests_at_zero(builder, update, clause.event)
            _merge(builder, phases[clause.phase], update, assign)
    return tuple(phases["start"]), tuple(phases["end"])


def _merge(builder: Builder, updates: list[model.Update], new: model.Update, assign: nodes.Assign) -> None:
    """Add `new` to the jumps of its phase: `+=` and `-=` on one state add up."""
    for i, old in enumerate(updates):
        if old.target != new.target:
            continue
        old_sum = old.value == Var(old.target) or (isinstance(old.value, Apply) and old.value.fn in ("+", "-"))
        if assign.op not in ("+=", "-=") or not old_sum:
            builder.findings.add(
                Code.DOUBLE_ASSIGNMENT, new.span, f"two jumps of one phase assign `{new.target}`",
                help="jumps by `+=` and `-=` add up; anything else must be in one block",
                labels=(Label(old.span, "the other one"),),
            )  # fmt: skip
            return
        if isinstance(new.value, Apply):  # else what is added is 0
            # Its own sign: `v += -x` has become v - x.
            updates[i] = replace(old, value=apply(new.value.fn, old.value, new.value.args[1], span=new.span))
        return
    updates.append(new)


def _check_rests_at_zero(builder: Builder, update: model.Update, event: str) -> None:
    """A block runs in every step, so it must change nothing where nothing arrived."""
    at_rest = substitute(update.value, {event: Num(0.0)})
    change = apply("-", at_rest, Var(update.target))
    names = variables(change)
    for seed in (1, 2, 3):
        values = {name: 0.3 + 0.37 * ((seed * 7 + 3 * i) % 11) for i, name in enumerate(names)}
        moved = constant(change, values)
        if moved is not None and abs(moved) > 1e-9:
            builder.findings.add(
                Code.ACTS_AT_ZERO, update.span,
                f"this changes `{update.target}` also in steps in which nothing arrives at `{event}`",
                help=f"let the change be 0 where `{event}` is 0, or move it into an equation or `step`",
            )  # fmt: skip
            return
