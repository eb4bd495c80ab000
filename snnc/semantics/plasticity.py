"""Resolves a plasticity rule with the arguments of one edge into a `model.Plasticity`.

What holds afterwards: every name is known, every equation and assignment has the right unit, a trace reads nothing that
exists for finer things than it does, no state is assigned twice at once.
"""

from __future__ import annotations

from collections.abc import Mapping

from snnc import model
from snnc.diagnostics import Code, Findings, did_you_mean
from snnc.expr import Expr, Var
from snnc.semantics.expressions import resolve, resolve_as
from snnc.semantics.modules import Module, name_span
from snnc.semantics.neuron_builder import Builder, read_block
from snnc.semantics.neuron_solver import read_solver
from snnc.semantics.parameters import resolve_params
from snnc.semantics.plasticity_kinds import fits, joined, kind_of
from snnc.semantics.quantities import declared_dimension, expect
from snnc.semantics.scope import ANY, Scope, Typed
from snnc.source import Span
from snnc.syntax import nodes
from snnc.units import ONE, TIME, Dimension

WEIGHT = "w"
EVENTS = ("pre", "post")
_FOREIGN = {
    nodes.Step: "`step`", nodes.Spike: "`spike`", nodes.Refractory: "`refractory`", nodes.SurrogateUse: "`surrogate`",
    nodes.Detach: "`detach`", nodes.Output: "`output`",
}  # fmt: skip


def resolve_plasticity(
    item: nodes.Plasticity,
    home: Module,
    args: tuple[nodes.Arg, ...],
    use: Scope,
    dt: float | None,
    findings: Findings,
    span: Span | None = None,
    weight: Dimension | None = None,
    factor_kinds: Mapping[str, str] | None = None,
) -> model.Plasticity:
    """Return `item` (written in `home`) with `args`, whose values are resolved in the scope `use`; `span` is its use.

    `weight` is the unit of the weights that it changes, None where it stands alone. `factor_kinds` says for each third
    factor whether it is one number for each sample (where missing), pre or post.
    """
    builder = Builder(item, home, findings, f"in plasticity rule `{item.name}`")
    builder.names["dt"] = Typed(Var("dt"), TIME)
    overrides = {arg.name: arg for arg in args if arg.name is not None}
    _check_clauses(item, findings)
    for clause in item.body:
        if isinstance(clause, nodes.Param | nodes.State | nodes.Port | nodes.Let):
            if clause.name in (WEIGHT, *EVENTS):
                findings.add(
                    Code.RESERVED_NAME, name_span(clause), f"`{clause.name}` is a name of the language",
                    help="choose another name: `w` is the weight, `pre` what arrives, `post` the spike of the target",
                )  # fmt: skip
            builder.declare(clause.name, Typed(Var(clause.name), None), name_span(clause))
            builder.names.pop(clause.name, None)
    params, unknown = resolve_params(item, home, overrides, use, dt, findings, span)
    builder.unknown += unknown
    for param in params:
        _check_param(param, findings)
        builder.bind(param.name, param.dimension)
    traces = tuple(_trace(builder, c) for c in item.body if isinstance(c, nodes.State))
    factors = tuple(_factor(builder, c) for c in item.body if isinstance(c, nodes.Port) and c.kind == "input")
    if weight is None:
        builder.unknown.append(WEIGHT)
    dimension = weight or ONE
    builder.states.append(model.State(WEIGHT, dimension, Var(WEIGHT), False, item.span))
    builder.bind(WEIGHT, dimension)
    for name in EVENTS:
        builder.bind(name, ONE)
    for clause in item.body:
        if isinstance(clause, nodes.Let):
            builder.names[clause.name] = resolve(clause.value, builder.scope())
    rule = model.Plasticity(
        name=item.name,
        doc=item.doc,
        weight=dimension,
        params=params,
        traces=traces,
        factors=factors,
        equations=_equations(builder),
        blocks=tuple(_block(builder, c, factors) for c in item.body if isinstance(c, nodes.On)),
        clip=_clip(builder),
        total=_total(builder),
        solver=read_solver(builder, next((c for c in item.body if isinstance(c, nodes.Solve)), None), {}),
        span=name_span(item),
    )
    if rule.solver.kind in ("rk2", "rk4") or rule.solver.substeps > 1:
        findings.add(
            Code.NOT_YET, rule.solver.span, "not supported yet: this solver in a plasticity rule",
            help="`solve auto`, `exact`, `exp_euler` and `euler` are",
        )  # fmt: skip
    if not any(update.target == WEIGHT for update in _updates(rule)) and not findings.errors:
        findings.add(
            Code.WRONG_KIND, rule.span, f"`{item.name}` never changes `w`",
            help="add a line such as `on post { w += 0.01 * x }`",
        )  # fmt: skip
    if not findings.errors:
        _check_kinds(rule, kinds_of(rule, factor_kinds or {}), findings)
    return rule


def kinds_of(rule: model.Plasticity, factor_kinds: Mapping[str, str]) -> dict[str, str]:
    """Return the kind of every name that the expressions of a rule read and that is not fixed."""
    kinds = {"pre": "pre", "post": "post", WEIGHT: "weight"}
    kinds |= {factor.name: factor_kinds.get(factor.name, "sample") for factor in rule.factors}
    return kinds | {trace.name: trace.per for trace in rule.traces}


def _updates(rule: model.Plasticity) -> list[model.Update]:
    return [*rule.equations, *(update for block in rule.blocks for update in block.updates)]


def _check_clauses(item: nodes.Plasticity, findings: Findings) -> None:
    for clause in item.body:
        word = _FOREIGN.get(type(clause))
        if isinstance(clause, nodes.Port) and clause.kind == "event":
            word = "`event`"
        if word is not None:
            findings.add(
                Code.WRONG_KIND, clause.span, f"{word} does not belong into a plasticity rule",
                help="it has `param`, `state … per pre`, `input` (a third factor), equations, `on pre`, `on post`, `clip` "
                "and `normalize`",
            )  # fmt: skip
    for kind in (nodes.Clip, nodes.Normalize, nodes.Solve):
        found = [clause for clause in item.body if isinstance(clause, kind)]
        if len(found) > 1:
            findings.add(
                Code.DUPLICATE_NAME, found[1].span, "this clause is given twice", help="keep one of the two"
            )  # fmt: skip


def _check_param(param: model.Param, findings: Findings) -> None:
    if param.trainable or param.per != "layer" or isinstance(param.value, model.Drawn):
        findings.add(
            Code.NOT_YET, param.span, f"not supported yet: `{param.name}` of a plasticity rule that is drawn or trained",
            help="give it one number",
        )  # fmt: skip


def _trace(builder: Builder, clause: nodes.State) -> model.Trace:
    mods = {mod.kind: mod for mod in clause.mods}
    per = (mods["per"].word if "per" in mods else None) or "?"
    wrong = [mod for mod in clause.mods if mod.kind != "per"]
    if per not in ("pre", "post", "synapse") or wrong or clause.drawn:
        span = wrong[0].span if wrong else mods["per"].span if "per" in mods else name_span(clause)
        builder.findings.add(
            Code.WRONG_KIND, span, f"the trace `{clause.name}` needs to say for what it is kept, and nothing else",
            help=f"write `state {clause.name} = 0 per pre`, `per post` or `per synapse`",
        )  # fmt: skip
        per = "synapse"
    declared = declared_dimension(clause.type, builder.findings)
    typed = resolve(clause.value, builder.scope())
    if declared is not None:
        expect(typed, declared, clause.value.span, builder.findings, f"state `{clause.name}`")
    dimension = declared or (ONE if typed.dimension in (ANY, None) else typed.dimension) or ONE
    if declared is None and typed.dimension is None:
        builder.unknown.append(clause.name)
    builder.states.append(model.State(clause.name, dimension, typed.expr, False, name_span(clause)))
    builder.bind(clause.name, dimension)
    return model.Trace(clause.name, dimension, typed.expr, per, name_span(clause))


def _factor(builder: Builder, clause: nodes.Port) -> model.Port:
    dimension = declared_dimension(clause.type, builder.findings)
    default: Expr | None = None
    if clause.default is not None:
        typed = resolve(clause.default, builder.scope())
        default = typed.expr
        if dimension is not None:
            expect(typed, dimension, clause.default.span, builder.findings, f"`{clause.name}`")
        elif typed.dimension not in (None, ANY):
            dimension = typed.dimension
    builder.bind(clause.name, dimension or ONE)
    return model.Port(clause.name, clause.kind, dimension or ONE, default, name_span(clause))


def _equations(builder: Builder) -> tuple[model.Update, ...]:
    equations: list[model.Update] = []
    for clause in builder.item.body:
        if not isinstance(clause, nodes.Ode):
            continue
        prime = Span(clause.span.source, clause.span.start, clause.span.start + len(clause.name) + 1)
        state = builder.state(clause.name, prime, "this is the derivative of")
        typed = resolve(clause.value, builder.scope())
        if state is None:
            continue
        rate = None if state.name in builder.unknown else state.dimension / TIME
        what = f"`{state.name}'`, the change of `{state.name}` in time,"
        expect(typed, rate, clause.value.span, builder.findings, what, prime)
        if any(e.target == clause.name for e in equations):
            builder.findings.add(
                Code.DOUBLE_ASSIGNMENT, clause.span, f"`{clause.name}'` is given twice",
                help="add the two right sides up in one equation",
            )  # fmt: skip
        equations.append(model.Update(clause.name, typed.expr, clause.span))
    return tuple(equations)


def _block(builder: Builder, clause: nodes.On, factors: tuple[model.Port, ...]) -> model.Block:
    known = [*EVENTS, *(factor.name for factor in factors)]
    if clause.event not in known:
        builder.findings.add(
            Code.UNKNOWN_NAME, Span(clause.span.source, clause.span.start, clause.span.start + len(f"on {clause.event}")),
            f"`on` names `{clause.event}`, and there is no such event",
            help=did_you_mean(clause.event, known) or "`on pre`, `on post`, or `on` and the name of an `input`",
        )  # fmt: skip
    if clause.explicit:
        builder.findings.add(
            Code.WRONG_KIND, clause.span, f"a block of a plasticity rule has no phase `at {clause.phase}`",
            help="all blocks run after the equations, in the order of the text",
        )  # fmt: skip
    updates = read_block(builder, clause.body, builder.scope(), f"`on {clause.event}`")
    return model.Block(clause.event, tuple(updates), clause.span)


def _clip(builder: Builder) -> tuple[Expr, Expr] | None:
    clause = next((c for c in builder.item.body if isinstance(c, nodes.Clip)), None)
    if clause is None:
        return None
    _only_weight(builder, clause.name, clause.span, "clip")
    low, high = (_fixed(builder, end, "the interval of `w`") for end in (clause.low, clause.high))
    return low, high


def _total(builder: Builder) -> tuple[Expr, str] | None:
    clause = next((c for c in builder.item.body if isinstance(c, nodes.Normalize)), None)
    if clause is None:
        return None
    _only_weight(builder, clause.name, clause.span, "normalize")
    if clause.scope not in EVENTS:
        builder.findings.add(
            Code.WRONG_KIND, clause.span, f"weights have no sum per {clause.scope}", help="write `per post` or `per pre`"
        )  # fmt: skip
    return _fixed(builder, clause.total, "the sum of `w`"), clause.scope


def _only_weight(builder: Builder, name: str, span: Span, word: str) -> None:
    if name != WEIGHT:
        builder.findings.add(
            Code.WRONG_KIND, span, f"`{word}` acts on the weight, and this names `{name}`", help=f"write `{word} w …`"
        )


def _fixed(builder: Builder, node: nodes.Expr, what: str) -> Expr:
    wanted = None if WEIGHT in builder.unknown else next(s.dimension for s in builder.states if s.name == WEIGHT)
    moving = {*EVENTS, *(s.name for s in builder.states)}
    names = {name: typed for name, typed in builder.names.items() if name not in moving}
    return resolve_as(node, wanted, Scope(names, builder.home, builder.findings, builder.where), what)


def _check_kinds(rule: model.Plasticity, kinds: Mapping[str, str], findings: Findings) -> None:
    """Check that no trace reads what exists for finer things than it is kept for."""
    for update in rule.equations:
        _check_kind(update, "", kinds, findings)
    for block in rule.blocks:
        for update in block.updates:
            _check_kind(update, block.event, kinds, findings)


def _check_kind(update: model.Update, event: str, kinds: Mapping[str, str], findings: Findings) -> None:
    per = kinds[update.target]
    if update.target == WEIGHT:
        return
    found = joined({kind_of(update.value, kinds), kinds.get(event, "fixed")})
    if not fits(found, per):
        why = (
            f"changes on `{event}`"
            if not fits(kinds.get(event, "fixed"), per)
            else f"reads one number for each {found}"
        )
        findings.add(
            Code.WRONG_KIND, update.span, f"`{update.target}` is kept per {per}, and here it {why}",
            help=f"declare it `per synapse`, or read and change it by what exists per {per} alone",
        )  # fmt: skip
