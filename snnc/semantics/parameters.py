"""Resolves the parameters of a neuron: defaults, overrides of an instance, intervals, draws."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from snnc import model
from snnc.diagnostics import Code, Findings, Label, did_you_mean, fail
from snnc.expr import Expr, Num, Var, variables
from snnc.semantics.arguments import bind_arguments
from snnc.semantics.circles import draw_circle
from snnc.semantics.constants import constant
from snnc.semantics.expressions import resolve, resolve_as
from snnc.semantics.modules import KIND_WORDS, Module, name_span
from snnc.semantics.quantities import declared_dimension, expect
from snnc.semantics.scope import ANY, Scope, Typed
from snnc.source import Span
from snnc.syntax import nodes
from snnc.syntax.walk import parts
from snnc.units import ONE, TIME, Dimension, unit_name

DISTRIBUTIONS = {
    "normal": (nodes.Formal("mean"), nodes.Formal("std")),
    "uniform": (nodes.Formal("low"), nodes.Formal("high")),
    "lognormal": (nodes.Formal("median"), nodes.Formal("sigma")),
}


def resolve_drawn(value: nodes.Expr, scope: Scope, what: str) -> tuple[model.Drawn, Dimension | None]:
    """Resolve the distribution after `~`; all of its arguments have the dimension of the draw, but `sigma`."""
    if not isinstance(value, nodes.Call) or value.func.text not in DISTRIBUTIONS:
        word = value.func.text if isinstance(value, nodes.Call) else value.span.text
        scope.findings.add(
            Code.UNKNOWN_NAME, value.span, f"unknown distribution `{word}` for {what}",
            help=did_you_mean(word, DISTRIBUTIONS) or "write `~ normal(mean, std)`",
        )  # fmt: skip
        return model.Drawn("uniform", (Num(0.0), Num(1.0))), None
    formals = DISTRIBUTIONS[value.func.text]
    bound = bind_arguments(value, formals, scope, f"`{value.func.text}`")
    if bound is None:
        return model.Drawn("uniform", (Num(0.0), Num(1.0))), None
    first = resolve(bound[formals[0].name], scope)
    second = resolve(bound[formals[1].name], scope)
    for typed, formal in ((first, formals[0]), (second, formals[1])):
        fixed = constant(typed.expr)
        if fixed is not None and not math.isfinite(fixed):
            scope.findings.add(
                Code.BAD_VALUE, bound[formal.name].span, f"`{formal.name}` of `{value.func.text}` is not finite",
                help="write a number",
            )  # fmt: skip
            return model.Drawn("uniform", (Num(0.0), Num(1.0))), None
    dimension = first.dimension if first.dimension != ANY else second.dimension
    wanted = ONE if value.func.text == "lognormal" else dimension
    expect(second, wanted, bound[formals[1].name].span, scope.findings, f"the second argument of `{value.func.text}`")
    return model.Drawn(value.func.text, (first.expr, second.expr)), ONE if dimension == ANY else dimension


@dataclass(slots=True)
class _Params:
    """Resolves parameters on demand, so that a default may mention any other, but not itself."""

    clauses: dict[str, nodes.Param]
    home: Module
    overrides: dict[str, nodes.Arg]
    use: Scope
    dt: float | None
    findings: Findings
    where: str
    span: Span | None  # of the instance
    done: dict[str, model.Param] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)  # whose unit is not known after an error
    open: list[str] = field(default_factory=list)

    def resolve(self, name: str) -> model.Param:
        if name in self.done:
            return self.done[name]
        clause = self.clauses[name]
        if name in self.open:
            circle = self.open[self.open.index(name) :]
            drawn = draw_circle([(other, self.clauses[other].span) for other in circle])
            message = f"the default of `{name}` depends on itself"
            self.findings.add(Code.CYCLE, clause.span, message, help=f"give one of them a number\n{drawn}")
            self.unknown.append(name)
            return model.Param(name, ONE, Num(1.0), None, "layer", False, clause.doc, clause.span)
        self.open.append(name)
        self.done[name] = self._one(clause)
        self.open.pop()
        return self.done[name]

    def _one(self, clause: nodes.Param) -> model.Param:
        name, arg = clause.name, self.overrides.get(clause.name)
        own = self._scope(clause)
        value, dimension = self._value(clause, own)
        if clause.value is None and arg is not None and not arg.drawn:
            dimension = resolve(arg.value, self.use).dimension
        declared = declared_dimension(clause.type, self.findings)
        if declared is not None and dimension is not None and clause.value is not None and not clause.drawn:
            expect(Typed(Num(0.0), dimension), declared, clause.value.span, self.findings, f"`{name}`")
        if declared is None and dimension is None:
            self.unknown.append(name)
        dimension = declared or (ONE if dimension in (ANY, None) else dimension) or ONE
        mods = {mod.kind: (mod, own) for mod in clause.mods}
        if arg is not None:
            value = self._override(name, arg, None if name in self.unknown else dimension)
            mods.update({mod.kind: (mod, self.use) for mod in arg.mods})
        for kind, (mod, _) in mods.items():
            if kind == "carry":
                self.findings.add(
                    Code.WRONG_KIND, mod.span, "a parameter cannot be `carry`", help="only states carry over samples"
                )
        per = mods["per"][0].word or "layer" if "per" in mods else "layer"
        if per not in ("layer", "channel", "neuron"):
            self.findings.add(
                Code.WRONG_KIND, mods["per"][0].span, f"a neuron has one `{name}`, not one for each {per}",
                help="write `per neuron`, `per channel` or `per layer`",
            )  # fmt: skip
            per = "neuron"
        trainable = "trainable" in mods
        interval = self._interval(name, dimension, mods, value)
        return model.Param(name, dimension, value, interval, per, trainable, clause.doc, name_span(clause))

    def _scope(self, clause: nodes.Param) -> Scope:
        """The scope of a default: `dt` and the other parameters, resolved as they are met."""
        names: dict[str, Typed] = {"dt": Typed(Var("dt"), TIME)}
        for used in _names_in(clause):
            if used in self.clauses:
                other = self.resolve(used)
                names[used] = Typed(Var(used), None if used in self.unknown else other.dimension)
        return Scope(names, self.home, self.findings, self.where)

    def _value(self, clause: nodes.Param, scope: Scope) -> tuple[Expr | model.Drawn, Dimension | None]:
        if clause.value is None:
            if clause.name not in self.overrides and self.span is not None:
                self.findings.add(
                    Code.MISSING_ARGUMENT, self.span, f"`{clause.name}` has no default and is not given",
                    help=f"write `{clause.name} = …` in the brackets",
                    labels=(Label(name_span(clause), "the parameter"),),
                )  # fmt: skip
            return Num(1.0), None
        if clause.drawn:
            return resolve_drawn(clause.value, scope, f"`{clause.name}`")
        typed = resolve(clause.value, scope)
        return typed.expr, typed.dimension

    def _override(self, name: str, arg: nodes.Arg, dimension: Dimension | None) -> Expr | model.Drawn:
        if not arg.drawn:
            return resolve_as(arg.value, dimension, self.use, f"`{name}`")
        drawn, found = resolve_drawn(arg.value, self.use, f"`{name}`")
        if found is not None and dimension is not None:
            expect(Typed(Num(0.0), found), dimension, arg.value.span, self.findings, f"`{name}`")
        return drawn

    def _interval(
        self,
        name: str,
        dimension: Dimension,
        mods: dict[str, tuple[nodes.Mod, Scope]],
        value: Expr | model.Drawn,
    ) -> model.Interval | None:
        via = "auto"
        if "trainable" in mods and mods["trainable"][0].args:
            word = mods["trainable"][0].args[0]
            via = word.text if isinstance(word, nodes.Name) else "?"
            if via not in ("exp", "clip"):
                self.findings.add(Code.UNKNOWN_NAME, word.span, f"unknown way `{via}`", help="`via exp` or `via clip`")
                via = "auto"
        if "in" not in mods:
            return None if via == "auto" else model.Interval(-math.inf, math.inf, via)
        mod, scope = mods["in"]
        bounds = []
        for bound in mod.args:
            expr = resolve_as(bound, dimension, scope, f"the interval of `{name}`")
            number = constant(expr, {"dt": self.dt if self.dt is not None else 1.0})
            if number is None:
                self.findings.add(
                    Code.BAD_STAGE, bound.span, "the ends of an interval are fixed numbers, and this is none",
                    help="write a number",
                )  # fmt: skip
                return None
            bounds.append(number)
        low, high = bounds
        if not low < high:
            self.findings.add(
                Code.BAD_VALUE, mod.span, "there is no number in this interval", help="write the smaller end first"
            )
            return None
        if isinstance(value, model.Drawn):
            return model.Interval(low, high, via)
        start = constant(value, {"dt": self.dt if self.dt is not None else 1.0})
        if start is not None and not low < start < high and not (via == "clip" and low <= start <= high):
            unit = "" if dimension == ONE else f" {unit_name(dimension)}"
            self.findings.add(
                Code.OUT_OF_INTERVAL, self.overrides[name].span if name in self.overrides else mod.span,
                f"`{name}` = {start:g}{unit} lies outside its interval ({low:g}, {high:g}){unit}",
                help="change the value, or the interval: `… in (lo, hi)`",
                labels=(Label(mod.span, "the interval"),) if name in self.overrides else (),
            )  # fmt: skip
        return model.Interval(low, high, via)


def _names_in(clause: nodes.Param) -> list[str]:
    """Return the plain names that a clause mentions, in its value and its interval."""
    exprs = [] if clause.value is None else [clause.value]
    exprs += [bound for mod in clause.mods if mod.kind == "in" for bound in mod.args]
    return [part.parts[0] for expr in exprs for part in parts(expr) if isinstance(part, nodes.Name)]


def resolve_params(
    item: nodes.Neuron | nodes.Plasticity,
    home: Module,
    overrides: dict[str, nodes.Arg],
    use: Scope,
    dt: float | None,
    findings: Findings,
    span: Span | None = None,
) -> tuple[tuple[model.Param, ...], tuple[str, ...]]:
    """Return the parameters of `item` in an order in which each reads only earlier ones, and those of unknown unit.

    `span` is that of the instance; without one (a neuron on its own) a parameter needs no value.
    """
    clauses = {clause.name: clause for clause in item.body if isinstance(clause, nodes.Param)}
    params = _Params(clauses, home, overrides, use, dt, findings, f"in {KIND_WORDS[type(item)]} `{item.name}`", span)
    try:
        for name in clauses:
            params.resolve(name)
        _check_draws(tuple(params.done.values()), dt or 1.0, findings)
    except RecursionError:
        raise fail(
            Code.TOO_LARGE, name_span(item), f"the parameters of `{item.name}` depend on each other too deeply",
            help="give some of them a number",
        ) from None  # fmt: skip
    return tuple(params.done.values()), tuple(params.unknown)


def _check_draws(params: tuple[model.Param, ...], dt: float, findings: Findings) -> None:
    """A draw and a trainable parameter begin from numbers that are known before anything is drawn."""
    if findings.errors:
        return
    known = parameter_values(params, dt)
    for param in params:
        drawn = isinstance(param.value, model.Drawn)
        if not drawn and not param.trainable:
            continue
        exprs = param.value.args if isinstance(param.value, model.Drawn) else (param.value,)
        unknown = [name for expr in exprs for name in variables(expr) if name not in known]
        if unknown:
            findings.add(
                Code.BAD_STAGE,
                param.span,
                f"`{param.name}` {'is drawn' if drawn else 'is trained'} and its start depends on `{unknown[0]}`, which is drawn",
                help=f"give `{param.name}` a start of its own",
            )


def parameter_values(params: tuple[model.Param, ...], dt: float) -> dict[str, float]:
    """Return the numbers of all parameters that are neither drawn nor dependent on a drawn one."""
    values = {"dt": dt}
    for param in params:
        if not isinstance(param.value, model.Drawn):
            number = constant(param.value, values)
            if number is not None:
                values[param.name] = number
    return values


def centre(drawn: model.Drawn, values: dict[str, float]) -> float:
    """Return the number about which a distribution lies: its mean, median or middle."""
    first, second = (constant(arg, values) or 0.0 for arg in drawn.args)
    return (first + second) / 2 if drawn.name == "uniform" else first


def central_values(params: tuple[model.Param, ...], dt: float) -> dict[str, float]:
    """Return a number for every parameter; of a draw its centre."""
    values = parameter_values(params, dt)
    for param in params:
        if isinstance(param.value, model.Drawn):
            values[param.name] = centre(param.value, values)
        elif param.name not in values:
            values[param.name] = constant(param.value, values) or 0.0
    return values
