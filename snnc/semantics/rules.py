"""The learning rules of the language: how each is written. Whether one fits a model is asked in `snnc.rules`."""

from __future__ import annotations

from dataclasses import dataclass

from snnc import model
from snnc.diagnostics import Code, Findings, did_you_mean
from snnc.semantics.constants import constant
from snnc.semantics.expressions import resolve
from snnc.semantics.modules import name_span
from snnc.semantics.operations.binding import flag, whole
from snnc.semantics.quantities import expect
from snnc.semantics.scope import Scope
from snnc.syntax import nodes
from snnc.units import FREQUENCY, ONE, STEP_UNITS, Dimension

Value = float | str | bool | None


@dataclass(frozen=True, slots=True)
class RuleArgument:
    """One argument of a rule.

    `kind` says what it may be: "steps" (a whole number of steps, or one of `words`), "number" (of `dimension`), "flag", "word"
    (one of `words`).
    """

    name: str
    kind: str
    default: Value = None
    words: tuple[str, ...] = ()
    dimension: Dimension = ONE
    needed: bool = False
    written: str = ""  # an example, where the default is not one


@dataclass(frozen=True, slots=True)
class RuleSpec:
    """How a rule is written. `surrogate`: it needs the derivative of every spike."""

    name: str
    arguments: tuple[RuleArgument, ...] = ()
    surrogate: bool = True


_SPECS = (
    RuleSpec("bptt", (RuleArgument("checkpoint", "steps", words=("auto", "off")),)),
    RuleSpec(
        "eventprop", (RuleArgument("floor", "number", 0.005, dimension=FREQUENCY, written="5 Hz"),), surrogate=False
    ),
    RuleSpec("tbptt", (RuleArgument("steps", "steps", needed=True),)),
    RuleSpec("ttfs", (RuleArgument("bump", "number", 0.0), RuleArgument("quiet", "number", 0.3)), surrogate=False),
    RuleSpec(
        "eprop",
        (
            RuleArgument("feedback", "word", "symmetric", words=("symmetric", "random", "adaptive")),
            RuleArgument("online", "flag", False),
            RuleArgument("update", "word", "batch", words=("batch", "step")),
        ),
    ),
    RuleSpec("ottt", (RuleArgument("update", "word", "batch", words=("batch", "step")),)),
    RuleSpec("ostl", (RuleArgument("update", "word", "batch", words=("batch", "step")),)),
    RuleSpec("d_rtrl", (RuleArgument("update", "word", "batch", words=("batch", "step")),)),
    RuleSpec("decolle", (RuleArgument("update", "word", "batch", words=("batch", "step")),)),
    RuleSpec("none", surrogate=False),
)
RULES = {spec.name: spec for spec in _SPECS}
TO_COME = tuple(
    name
    for name in (
        "eventprop",
        "ttfs",
        "eprop",
        "ottt",
        "ostl",
        "d_rtrl",
        "decolle",
        "none",
        "es",
        "ga",
        "maml",
        "reptile",
    )
    if name not in RULES
)


def read_rule(
    item: nodes.Train, settings: dict[str, nodes.Expr], scope: Scope, network: model.Network, findings: Findings
) -> model.Rule:
    """Return the learning rule of a recipe, `bptt()` where none is written; check that a gradient can flow."""
    value = settings.get("learn")
    call = nodes.Call(value, span=value.span) if isinstance(value, nodes.Name) else value
    if value is None:
        rule = model.Rule("bptt", (("checkpoint", None),), name_span(item))
    elif isinstance(call, nodes.Call) and call.func.text in RULES:
        spec = RULES[call.func.text]
        rule = model.Rule(spec.name, _options(call, spec, scope), call.span)
    else:
        name = call.func.text if isinstance(call, nodes.Call) else "?"
        later = name in TO_COME
        findings.add(
            Code.NOT_YET if later else Code.UNKNOWN_NAME, value.span,
            f"{'not supported yet: the' if later else 'unknown'} learning rule `{name}`",
            help=f"built so far: {', '.join(f'`{known}`' for known in RULES)}"
            if later
            else did_you_mean(name, [*RULES, *TO_COME]),
        )  # fmt: skip
        rule = model.Rule("bptt", (), value.span)
    if RULES[rule.name].surrogate:
        _check_surrogates(rule, network, findings)
    return rule


def _check_surrogates(rule: model.Rule, network: model.Network, findings: Findings) -> None:
    word = rule.name.upper() if rule.name in ("bptt", "tbptt") else f"`{rule.name}`"
    for layer in network.layers:
        if layer.neuron.spikes and layer.neuron.surrogate is None and any(r.rate is None for r in layer.neuron.spikes):
            findings.add(
                Code.NO_SURROGATE, layer.span, f"`{layer.name}` ({layer.neuron.name}) spikes and has no surrogate, so that "
                f"{word} passes no gradient through it",
                help=f"give the neuron one: `surrogate atan(alpha = 2)`, or the layer: `{layer.neuron.name}(surrogate = atan)`",
            )  # fmt: skip


def _options(call: nodes.Call, spec: RuleSpec, scope: Scope) -> tuple[tuple[str, Value], ...]:
    """Resolve the arguments of a rule; those not given have their default."""
    known = {argument.name: argument for argument in spec.arguments}
    values: dict[str, Value] = {argument.name: argument.default for argument in spec.arguments}
    given: set[str] = set()
    for k, arg in enumerate(call.args):
        name = arg.name or (spec.arguments[k].name if k < len(spec.arguments) and spec.arguments[k].needed else None)
        if name not in known:
            scope.findings.add(
                Code.UNKNOWN_ARGUMENT, arg.span,
                f"`{spec.name}` has no argument `{arg.name}`" if arg.name else f"`{spec.name}` has no argument without a name",
                help=did_you_mean(arg.name or "", list(known)) or _written(spec),
            )  # fmt: skip
        elif name in given:
            scope.findings.add(
                Code.DUPLICATE_NAME, arg.span, f"argument `{name}` is given twice", help="keep one of the two"
            )
        else:
            given.add(name)
            values[name] = _value(known[name], arg, f"`{name}` of `{spec.name}`", scope)
    for argument in spec.arguments:
        if argument.needed and argument.name not in given:
            scope.findings.add(
                Code.MISSING_ARGUMENT,
                call.span,
                f"`{spec.name}` needs `{argument.name}`",
                help=f"write {_written(spec)}",
            )
    return tuple(values.items())


def _written(spec: RuleSpec) -> str:
    """Return how the rule is written, as an example."""
    parts = []
    for a in spec.arguments:
        example = (
            a.written or a.words[0]
            if a.written or a.words
            else "true"
            if a.kind == "flag"
            else "50"
            if a.kind == "steps"
            else f"{a.default}"
        )
        parts.append(example if a.needed else f"{a.name} = {example}")
    return f"`{spec.name}()`" if not parts else f"`{spec.name}({', '.join(parts)})`"


def _value(argument: RuleArgument, arg: nodes.Arg, what: str, scope: Scope) -> Value:
    node = arg.value
    if isinstance(node, nodes.Name) and node.text in argument.words:
        return node.text
    match argument.kind:
        case "flag":
            return flag(arg, scope)
        case "steps":
            if isinstance(node, nodes.Number) and node.unit in STEP_UNITS:
                node = nodes.Number(node.text, span=node.span)
            return whole(node, scope, what)
        case "number":
            typed = resolve(node, scope)
            if typed.dimension is None or not expect(typed, argument.dimension, node.span, scope.findings, what):
                return argument.default
            value = constant(typed.expr)
            if value is None or value != value:
                scope.findings.add(
                    Code.BAD_VALUE, node.span, f"{what} is one fixed number", help=f"write {argument.default}"
                )
                return argument.default
            return value
    word = node.text if isinstance(node, nodes.Name) else node.span.text
    scope.findings.add(
        Code.UNKNOWN_NAME, node.span, f"{what} has no choice `{word}`", help=did_you_mean(word, argument.words)
    )
    return argument.default
