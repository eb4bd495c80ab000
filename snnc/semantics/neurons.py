"""Resolves a neuron with the arguments of one instance into a `model.Neuron`.

What holds afterwards: every name is known, every equation has the right unit, jumps change nothing at 0, conditions are one
comparison with a plain margin, no state is assigned twice at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from snnc import model
from snnc.diagnostics import Code, Findings, Label, did_you_mean, fail
from snnc.expr import Apply, Expr, Num, Var, apply, substitute, variables
from snnc.semantics.expressions import ANY, POISON, Scope, Typed, constant, expect, resolve, resolve_as
from snnc.semantics.modules import Module, name_span
from snnc.semantics.parameters import declared_dimension, parameter_values, resolve_drawn, resolve_params
from snnc.semantics.surrogates import resolve_surrogate
from snnc.source import Span
from snnc.syntax import nodes
from snnc.units import ONE, TIME, Dimension, dimension_name, unit_name

# Arguments of an instance that replace a clause and no parameter.
CLAUSE_ARGUMENTS = ("surrogate", "solve", "refractory", "detach")
BEFORE = "spike.before"  # the published spike of the previous step, read inside `step` and `let`
MAX_PERIOD = 1e9  # ms
MAX_CLAUSES = 500
SOLVERS = ("auto", "exact", "exp_euler", "euler", "rk2", "rk4")


@dataclass(slots=True)
class _Builder:
    """The parts of a neuron while its clauses are read, one after the other."""

    item: nodes.Neuron
    home: Module
    findings: Findings
    where: str
    names: dict[str, Typed] = field(default_factory=dict)
    spans: dict[str, Span] = field(default_factory=dict)
    states: list[model.State] = field(default_factory=list)
    ports: list[model.Port] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)  # names whose unit is not known after an error

    def bind(self, name: str, dimension: Dimension | None) -> None:
        """Let `name` be read; after an error about it, whatever is done with it is not another error."""
        self.names[name] = Typed(Var(name), None if name in self.unknown else dimension)

    def scope(self, extra: dict[str, Typed] | None = None) -> Scope:
        return Scope({**self.names, **(extra or {})}, self.home, self.findings, self.where)

    def declare(self, name: str, typed: Typed, span: Span) -> None:
        if name in ("dt", "time", "spike") or name in self.spans:
            first = self.spans.get(name)
            self.findings.add(
                Code.RESERVED_NAME if first is None else Code.DUPLICATE_NAME,
                span,
                f"`{name}` is a name of the language" if first is None else f"`{name}` is declared twice",
                help="choose another name",
                labels=() if first is None else (Label(first, "first declared here"),),
            )
            self.unknown.append(name)
            return
        self.names[name] = typed
        self.spans[name] = span

    def state(self, name: str, span: Span, what: str) -> model.State | None:
        for state in self.states:
            if state.name == name:
                return state
        self.findings.add(
            Code.UNKNOWN_NAME, span, f"{what} `{name}`, which is no state",
            help=did_you_mean(name, [s.name for s in self.states]) or f"declare it: `state {name} = 0`",
        )  # fmt: skip
        return None


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
    builder = _Builder(item, home, findings, f"in neuron `{item.name}`")
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
    spikes = tuple(_spike(builder, c, params) for c in item.body if isinstance(c, nodes.Spike))
    refractory, hold, block = _refractory(builder, clauses[nodes.Refractory], overrides, use, params)
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
        surrogate=_surrogate(builder, clauses[nodes.SurrogateUse], overrides, use),
        detached=_detached(builder, clauses[nodes.Detach], overrides),
        solver=_solver(builder, clauses[nodes.Solve], overrides),
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
                help=did_you_mean(arg.name, known),
            )  # fmt: skip
        elif arg.name in seen:
            findings.add(Code.DUPLICATE_NAME, arg.span, f"`{arg.name}` is given twice", help="keep one of the two")
        seen.add(arg.name or "")


def _check_unique(builder: _Builder, clause: nodes.Param | nodes.State | nodes.Port | nodes.Let) -> None:
    builder.declare(clause.name, Typed(Var(clause.name), None), name_span(clause))
    builder.names.pop(clause.name, None)  # bound again, with its unit, when its turn comes


def _read_states_and_ports(builder: _Builder) -> None:
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


def _state(builder: _Builder, clause: nodes.State) -> model.State:
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


def _port(builder: _Builder, clause: nodes.Port) -> model.Port:
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


def _read_lets(builder: _Builder) -> None:
    """Bind each `let` to its expression: it is an abbreviation, replaced where it stands."""
    for clause in builder.item.body:
        if isinstance(clause, nodes.Let):
            builder.names[clause.name] = resolve(clause.value, builder.scope({"spike": Typed(Var(BEFORE), ONE)}))


def _equations(builder: _Builder) -> tuple[tuple[model.Update, ...], tuple[model.Update, ...]]:
    equations: list[model.Update] = []
    step: list[model.Update] = []
    for clause in builder.item.body:
        if isinstance(clause, nodes.Ode):
            prime = Span(clause.span.source, clause.span.start, clause.span.start + len(clause.name) + 1)
            if builder.state(clause.name, prime, "this is the derivative of") is None:
                builder.names.setdefault(clause.name, POISON)  # its uses are no further errors
    scope = builder.scope({"spike": Typed(Var(BEFORE), ONE)})
    for clause in builder.item.body:
        if isinstance(clause, nodes.Ode):
            state = next((s for s in builder.states if s.name == clause.name), None)
            typed = resolve(clause.value, scope)
            if state is None:
                continue
            rate = None if state.name in builder.unknown else state.dimension / TIME
            expect(typed, rate, clause.value.span, builder.findings, f"the derivative of `{state.name}`")
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
            step += _block(builder, clause.body, scope, "`step`")
    if equations and step:
        clause = next(c for c in builder.item.body if isinstance(c, nodes.Step))
        builder.findings.add(
            Code.STEP_AND_EQUATION, clause.span, "a neuron has either equations or a `step`, and here are both",
            help="write all as equations (`v' = …`) or all inside `step`",
            labels=(Label(equations[0].span, "an equation"),),
        )  # fmt: skip
    return tuple(equations), tuple(step)


def _block(
    builder: _Builder, body: tuple[nodes.Assign, ...], scope: Scope, what: str, once: bool = True
) -> list[model.Update]:
    """Resolve the assignments of one block; `v += e` becomes `v = v + e`."""
    updates: list[model.Update] = []
    for assign in body:
        state = builder.state(assign.name, assign.span, f"{what} assigns")
        typed = resolve(assign.value, scope)
        if state is None:
            continue
        wanted = None if state.name in builder.unknown else state.dimension
        if assign.op in ("*=", "/="):
            wanted = ONE
        expect(typed, wanted, assign.value.span, builder.findings, f"what {what} gives `{state.name}`")
        value = typed.expr
        if assign.op != "=":
            value = apply(assign.op[0], Var(assign.name), value, span=assign.span)
        if once and any(u.target == assign.name for u in updates):
            builder.findings.add(
                Code.DOUBLE_ASSIGNMENT, assign.span, f"{what} assigns `{assign.name}` twice",
                help="assignments of one block happen at once; join the two",
            )  # fmt: skip
        updates.append(model.Update(assign.name, value, assign.span))
    return updates


def _jumps(builder: _Builder) -> tuple[tuple[model.Update, ...], tuple[model.Update, ...]]:
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
                what = "which is not declared" if port is None else "which is an `input`, and a jump needs an `event`"
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
            _block(builder, clause.body, scope, f"`on {clause.event}`"), clause.body, strict=False
        ):
            _check_rests_at_zero(builder, update, clause.event)
            _merge(builder, phases[clause.phase], update, assign)
    return tuple(phases["start"]), tuple(phases["end"])


def _merge(builder: _Builder, updates: list[model.Update], new: model.Update, assign: nodes.Assign) -> None:
    """Add `new` to the jumps of its phase: `+=` and `-=` on one state add up."""
    for i, old in enumerate(updates):
        if old.target != new.target:
            continue
        old_sum = isinstance(old.value, Apply) and old.value.fn in "+-" and old.value.args[0] is not None
        if assign.op not in ("+=", "-=") or not old_sum:
            builder.findings.add(
                Code.DOUBLE_ASSIGNMENT, new.span, f"two jumps of one phase assign `{new.target}`",
                help="jumps by `+=` and `-=` add up; anything else must be in one block",
                labels=(Label(old.span, "the other one"),),
            )  # fmt: skip
            return
        assert isinstance(new.value, Apply)
        updates[i] = replace(old, value=apply(assign.op[0], old.value, new.value.args[1], span=new.span))
        return
    updates.append(new)


def _check_rests_at_zero(builder: _Builder, update: model.Update, event: str) -> None:
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


_TURNED = {">": False, ">=": False, "<": True, "<=": True}


def _spike(builder: _Builder, clause: nodes.Spike, params: tuple[model.Param, ...]) -> model.SpikeRule:
    scope = builder.scope({"spike": Typed(Var(BEFORE), ONE)})
    condition = margin = rate = None
    if clause.rate is not None:
        typed = resolve(clause.rate, scope)
        expect(typed, ONE / TIME, clause.rate.span, builder.findings, "the rate of `spike with rate`")
        rate = typed.expr
    elif clause.when is not None:
        condition, margin = _condition(builder, clause, clause.when, scope, params)
    emit = None
    if clause.emit is not None:
        emit = resolve_as(clause.emit, ONE, scope, "the value of `emit`")
    inner = builder.scope({"spike": Typed(Var("spike"), ONE)})
    resets = _block(builder, clause.body, inner, "this block")
    return model.SpikeRule(condition, margin, rate, clause.rising, emit, tuple(resets), clause.span)


def _condition(
    builder: _Builder, clause: nodes.Spike, when: nodes.Expr, scope: Scope, params: tuple[model.Param, ...]
) -> tuple[Expr | None, Expr | None]:
    typed = resolve(when, scope)
    expr = typed.expr
    if typed.dimension is None:
        return None, None
    if not (isinstance(expr, Apply) and expr.fn in _TURNED):
        builder.findings.add(
            Code.BAD_CONDITION, when.span, "a spike condition is one comparison by >=, >, <= or <",
            help="write `spike when v >= theta { … }`; a second condition stands in a `spike` block of its own",
        )  # fmt: skip
        return None, None
    left, right = expr.args
    if _TURNED[expr.fn]:
        left, right = right, left
    margin = apply("-", left, right, span=when.span)
    assert isinstance(when, nodes.Compare | nodes.Name), when
    side = resolve(when.left, scope).dimension if isinstance(when, nodes.Compare) else ONE
    if isinstance(when, nodes.Compare) and side == ANY:
        side = resolve(when.right, scope).dimension
    if clause.scale is None:
        if side not in (ONE, ANY, None):
            assert side is not None
            builder.findings.add(
                Code.NOT_DIMENSIONLESS, when.span,
                f"the two sides are {dimension_name(side)}, and a surrogate needs a plain margin",
                help=f"say what counts as a distance of 1: `… scale 1 {unit_name(side)} {{`",
            )  # fmt: skip
        return expr, margin
    scale = resolve_as(clause.scale, side, scope, "`scale`")
    fixed = constant(scale)
    if fixed is not None and fixed <= 0:
        builder.findings.add(
            Code.BAD_VALUE, clause.scale.span, "`scale` must be positive", help="turn its sign",
        )  # fmt: skip
    trainable = {p.name for p in params if p.trainable}
    if any(name in trainable or name in {s.name for s in builder.states} for name in variables(scale)):
        scale = Apply("detach", (scale,))
    return expr, apply("/", margin, scale, span=when.span)


def _refractory(
    builder: _Builder,
    clause: nodes.Dynamics | None,
    overrides: dict[str, nodes.Arg],
    use: Scope,
    params: tuple[model.Param, ...],
) -> tuple[Expr | None, tuple[str, ...], tuple[str, ...]]:
    hold: tuple[str, ...] = ()
    block: tuple[str, ...] = ()
    period: Expr | None = None
    if isinstance(clause, nodes.Refractory):
        hold, block = clause.hold, clause.block
        period = resolve_as(clause.period, TIME, builder.scope(), "a refractory period")
        for name in hold:
            builder.state(name, clause.span, "`hold` names")
        for name in block:
            if name not in {port.name for port in builder.ports}:
                builder.findings.add(
                    Code.UNKNOWN_NAME, clause.span, f"`block` names `{name}`, which is no port",
                    help=did_you_mean(name, [port.name for port in builder.ports]),
                )  # fmt: skip
    if "refractory" in overrides:
        period = resolve_as(overrides["refractory"].value, TIME, use, "a refractory period")
    if period is None:
        return None, (), ()
    fixed = constant(period, {"dt": 1.0, **parameter_values(params, 1.0)})
    if fixed is not None and not 0 <= fixed < MAX_PERIOD:
        places = [o.value.span for name, o in overrides.items() if name == "refractory"]
        places += [clause.period.span] if isinstance(clause, nodes.Refractory) else []
        builder.findings.add(
            Code.BAD_VALUE, places[0], f"a refractory period of {fixed:g} ms makes no sense",
            help="it is a fixed time of at least 0, as in `refractory 2 ms`",
        )  # fmt: skip
        return None, (), ()
    for name in variables(period):
        if any(p.name == name and p.trainable for p in params):
            builder.findings.add(
                Code.NOT_TRAINABLE, builder.spans[name], f"`{name}` sets the refractory period, which is a whole number "
                "of steps and has no gradient", help="take `trainable` away",
            )  # fmt: skip
        if name in {s.name for s in builder.states} | {p.name for p in builder.ports}:
            builder.findings.add(
                Code.BAD_STAGE, builder.spans[name], "a refractory period is fixed, and this changes in time",
                help="use a parameter",
            )  # fmt: skip
    return period, hold, block


def _surrogate(
    builder: _Builder, clause: nodes.Dynamics | None, overrides: dict[str, nodes.Arg], use: Scope
) -> model.SurrogateUse | None:
    if "surrogate" in overrides:
        value = overrides["surrogate"].value
        if not isinstance(value, nodes.Name | nodes.Call):
            builder.findings.add(
                Code.WRONG_KIND, value.span, "this is no surrogate", help="write `surrogate = atan(alpha = 2)`"
            )
            return None
        return resolve_surrogate(value, use, use)
    if isinstance(clause, nodes.SurrogateUse):
        names = {p: t for p, t in builder.names.items() if p not in {s.name for s in builder.states}}
        return resolve_surrogate(clause.value, Scope(names, builder.home, builder.findings, builder.where), use)
    return None


def _detached(builder: _Builder, clause: nodes.Dynamics | None, overrides: dict[str, nodes.Arg]) -> tuple[str, ...]:
    every = tuple(state.name for state in builder.states)
    if "detach" in overrides:
        value = overrides["detach"].value
        items = value.items if isinstance(value, nodes.ListExpr) else (value,)
        words = [item.text if isinstance(item, nodes.Name) else "?" for item in items]
        if words == ["all"] or words == ["reset"]:
            return every
        if words == ["none"]:
            return ()
        known = [w for w in words if builder.state(w, value.span, "`detach` names") is not None]
        return tuple(known)
    if isinstance(clause, nodes.Detach):
        for name in clause.states:
            builder.state(name, clause.span, "`detach reset` names")
        return clause.states or every
    return ()


def _solver(builder: _Builder, clause: nodes.Dynamics | None, overrides: dict[str, nodes.Arg]) -> model.Solver:
    value: nodes.Expr
    if "solve" in overrides:
        value = overrides["solve"].value
    elif isinstance(clause, nodes.Solve):
        value = clause.value
    else:
        return model.Solver("auto", 1, builder.item.span)
    name = value.func if isinstance(value, nodes.Call) else value
    word = name.text if isinstance(name, nodes.Name) else "?"
    if word not in SOLVERS:
        builder.findings.add(
            Code.UNKNOWN_NAME, value.span, f"unknown solver `{word}`", help=did_you_mean(word, SOLVERS)
        )
        return model.Solver("euler", 1, value.span)
    substeps = 1
    if isinstance(value, nodes.Call):
        substeps = _substeps(builder, value, word)
    return model.Solver(word, substeps, value.span)


def _substeps(builder: _Builder, call: nodes.Call, word: str) -> int:
    for arg in call.args:
        number = constant(resolve(arg.value, builder.scope()).expr)
        if arg.name not in (None, "substeps") or word in ("auto", "exact", "exp_euler"):
            builder.findings.add(
                Code.UNKNOWN_ARGUMENT, arg.span, f"`{word}` has no such argument",
                help="`euler`, `rk2` and `rk4` take `substeps = n`",
            )  # fmt: skip
        elif number is None or not 1 <= number <= 1000 or number != int(number):
            builder.findings.add(
                Code.BAD_VALUE, arg.value.span, "`substeps` is a whole number from 1 to 1000", help="write one"
            )
        else:
            return int(number)
    return 1
