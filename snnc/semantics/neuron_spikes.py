"""Resolves what concerns the spike: condition and margin, emission, resets, refractory period, surrogate, detachment."""

from __future__ import annotations

from snnc import model
from snnc.diagnostics import Code, did_you_mean
from snnc.expr import Apply, Expr, Var, apply, variables
from snnc.semantics.constants import constant
from snnc.semantics.expressions import resolve, resolve_as
from snnc.semantics.neuron_builder import BEFORE, Builder, read_block
from snnc.semantics.parameters import parameter_values
from snnc.semantics.quantities import expect
from snnc.semantics.scope import ANY, Scope, Typed
from snnc.semantics.surrogates import resolve_surrogate
from snnc.syntax import nodes
from snnc.units import ONE, TIME, dimension_name, unit_name

# Arguments of an instance that replace a clause and no parameter.
MAX_PERIOD = 1e9  # ms
_TURNED = {">": False, ">=": False, "<": True, "<=": True}


def read_spike(builder: Builder, clause: nodes.Spike, params: tuple[model.Param, ...]) -> model.SpikeRule:
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
    resets = read_block(builder, clause.body, inner, "this block")
    return model.SpikeRule(condition, margin, rate, clause.rising, emit, tuple(resets), clause.span)


def _condition(
    builder: Builder, clause: nodes.Spike, when: nodes.Expr, scope: Scope, params: tuple[model.Param, ...]
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


def read_refractory(
    builder: Builder,
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
                    help=did_you_mean(name, [port.name for port in builder.ports]) or f"declare it: `event {name}`",
                    cause=f"{name} {builder.where}",
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


def read_surrogate(
    builder: Builder, clause: nodes.Dynamics | None, overrides: dict[str, nodes.Arg], use: Scope
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


def read_detached(builder: Builder, clause: nodes.Dynamics | None, overrides: dict[str, nodes.Arg]) -> tuple[str, ...]:
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
