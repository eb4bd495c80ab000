"""Builds the operations of a chain from their arguments; says which are known and which are still to come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from snnc.diagnostics import Code, did_you_mean
from snnc.limits import MAX_COUNT, MAX_DELAY
from snnc.ops.dense import Dense, dense_shape
from snnc.ops.elementwise import Bias, Flatten, Relu, Scale, flatten_shape
from snnc.ops.initialisers import INITIALISERS
from snnc.ops.memory import Delay, Dropout
from snnc.ops.operation import Init, Operation, Shape
from snnc.semantics.arguments import bind_arguments
from snnc.semantics.constants import constant
from snnc.semantics.expressions import resolve, resolve_as
from snnc.semantics.quantities import expect
from snnc.semantics.scope import Scope
from snnc.source import Span
from snnc.syntax import nodes
from snnc.units import FREQUENCY, ONE, TIME, Dimension

# Operations of the language that are not built yet; each is refused by name.
NOT_YET = (
    "conv", "depthwise", "avg_pool", "sum_pool", "max_pool", "upsample", "norm", "embedding", "sparse", "one_to_one",
    "inhibit", "qcfs", "concat", "iand", "and", "attention", "repeat",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class OpSpec:
    """How an operation is written: its arguments, whether the result has the shape of its input, and its builders.

    `shape(in_shape, size)` gives the result's shape, None while unknown; `size` is the first argument of a `sized` one.
    """

    name: str
    arguments: tuple[str, ...]
    keeps_shape: bool
    shape: Callable[[Shape, int | None], Shape | None]


OPERATIONS: dict[str, OpSpec] = {
    "dense": OpSpec("dense", ("size", "bias", "init", "w", "b", "delay", "sigma", "learn"), False, dense_shape),
    "bias": OpSpec("bias", ("init",), True, lambda shape, _: shape),
    "scale": OpSpec("scale", ("factor",), True, lambda shape, _: shape),
    "relu": OpSpec("relu", (), True, lambda shape, _: shape),
    "flatten": OpSpec("flatten", (), False, lambda shape, _: flatten_shape(shape)),
    "delay": OpSpec("delay", ("time", "max"), True, lambda shape, _: shape),
    "dropout": OpSpec("dropout", ("rate",), True, lambda shape, _: shape),
}


def bind(instance: nodes.Instance, spec: OpSpec, scope: Scope) -> dict[str, nodes.Arg]:
    """Match the arguments of an operation with its formals; findings for what does not fit."""
    bound: dict[str, nodes.Arg] = {}
    positional = [arg for arg in instance.args if arg.name is None]
    if len(positional) > 1 or (positional and not spec.arguments):
        scope.findings.add(
            Code.UNKNOWN_ARGUMENT, positional[-1].span,
            f"`{spec.name}` takes {'one argument' if spec.arguments else 'no arguments'} without a name",
            help=_extra_help(spec, positional),
        )  # fmt: skip
    elif positional:
        bound[spec.arguments[0]] = positional[0]
    for arg in instance.args:
        if arg.name is None:
            continue
        if arg.name not in spec.arguments:
            scope.findings.add(
                Code.UNKNOWN_ARGUMENT, arg.span, f"`{spec.name}` has no argument `{arg.name}`",
                help=did_you_mean(arg.name, spec.arguments) or f"it takes none: write `{spec.name}()`",
            )  # fmt: skip
        elif arg.name in bound:
            scope.findings.add(
                Code.DUPLICATE_NAME, arg.span, f"argument `{arg.name}` is given twice", help="keep one of the two"
            )
        else:
            bound[arg.name] = arg
    if instance.shape is not None:
        scope.findings.add(
            Code.WRONG_KIND, instance.span, f"`{spec.name}` takes no square brackets",
            help=f"a size is an argument: `{spec.name}(n)`",
        )  # fmt: skip
    for name in ("delay", "sigma", "learn"):
        if name in bound and spec.name == "dense":
            what = "local learning rules" if name == "learn" else "a delay per synapse"
            scope.findings.add(
                Code.NOT_YET, bound[name].span, f"not supported yet: {what} (`{name}` of `dense`)",
                help="a fixed delay for all units is `-> delay(2 ms) -> dense()`" if name != "learn" else "use `learn = bptt()`",
            )  # fmt: skip
    return bound


def _extra_help(spec: OpSpec, positional: list[nodes.Arg]) -> str:
    if not spec.arguments:
        return "take it out"
    if spec.name == "dense" and len(positional) == 2:  # PyTorch's Linear(in, out)
        return f"the number of inputs is inferred: write `dense({positional[1].span.text})`"
    others = ", ".join(f"`{a} = …`" for a in spec.arguments[1:])
    return f"name the others: {others}" if others else "take it out"


def whole(node: nodes.Expr, scope: Scope, what: str, low: int = 1, high: int = MAX_COUNT) -> int | None:
    """Evaluate a whole number between `low` and `high`."""
    typed = resolve(node, scope)
    if typed.dimension is None:
        return None
    value = constant(typed.expr) if expect(typed, ONE, node.span, scope.findings, what) else None
    if value is None or value != value or value != int(min(max(value, -1e18), 1e18)) or not low <= value:
        scope.findings.add(
            Code.BAD_VALUE,
            node.span,
            f"{what} is a whole number of at least {low}",
            help=f"write one, as in `{max(low, 10)}`",
        )
        return None
    if value > high:
        scope.findings.add(
            Code.TOO_BIG, node.span, f"{what} is {value:.3g}, and more than {high:.3g} cannot be held",
            help="is this the number that was meant?",
        )  # fmt: skip
        return None
    return int(value)


def build_operation(
    instance: nodes.Instance,
    bound: dict[str, nodes.Arg],
    in_shape: Shape,
    out_shape: Shape,
    weight: Dimension,
    result: Dimension,
    dt: float,
    scope: Scope,
) -> Operation | None:
    """Return the operation with all its arguments resolved; None after a finding.

    `weight` is the dimension of a weight, `result` that of the result.
    """
    match instance.func.text:
        case "dense":
            bias = _flag(bound.get("bias"), scope) or "b" in bound
            init = _init(bound, "w", ("init", "w"), weight, Init("kaiming_uniform", (("gain", 1.0),)), scope)
            bias_init = _init(bound, "b", ("b",), result, Init("zeros"), scope)
            return Dense(in_shape[-1], out_shape[-1], init, bias, bias_init, weight, result)
        case "bias":
            return Bias(in_shape[-1], _init(bound, "b", ("init",), result, Init("zeros"), scope), result)
        case "scale":
            typed = resolve(_required(instance, bound, "factor", scope), scope)
            factor = constant(typed.expr, {"dt": dt})
            if factor is None or typed.dimension is None:
                return None
            return Scale(factor, typed.dimension)
        case "relu":
            return Relu()
        case "flatten":
            return Flatten(len(in_shape), out_shape[-1])
        case "delay":
            return _delay(instance, bound, dt, scope)
        case "dropout":
            node = _required(instance, bound, "rate", scope)
            rate = constant(resolve_as(node, ONE, scope, "the rate of `dropout`"))
            if rate is None or not 0 <= rate < 1:
                scope.findings.add(
                    Code.BAD_VALUE, node.span, "the rate of `dropout` is a number from 0 up to, not including, 1",
                    help="it is the fraction of units that are silenced, as in `dropout(0.2)`",
                )  # fmt: skip
                return None
            return Dropout(rate)
    raise AssertionError(instance.func.text)


def scale_dimension(bound: dict[str, nodes.Arg], scope: Scope) -> Dimension:
    """Return the dimension of a `scale`'s factor."""
    if "factor" not in bound:
        return ONE
    typed = resolve(bound["factor"].value, scope)
    return typed.dimension or ONE


def _required(instance: nodes.Instance, bound: dict[str, nodes.Arg], name: str, scope: Scope) -> nodes.Expr:
    if name in bound:
        return bound[name].value
    scope.findings.add(
        Code.MISSING_ARGUMENT, instance.span, f"`{instance.func.text}` needs the argument `{name}`",
        help=f"write `{instance.func.text}({name} = …)`",
    )  # fmt: skip
    return nodes.Number("0", span=instance.span)


def _flag(arg: nodes.Arg | None, scope: Scope) -> bool:
    if arg is None:
        return False
    if isinstance(arg.value, nodes.Bool):
        return arg.value.value
    scope.findings.add(Code.WRONG_KIND, arg.value.span, f"`{arg.name}` is `true` or `false`", help="write one of them")
    return False


def _init(
    bound: dict[str, nodes.Arg], weight: str, keys: tuple[str, ...], dimension: Dimension, default: Init, scope: Scope
) -> Init:
    arg = next((bound[key] for key in keys if key in bound), None)
    if arg is None:
        return default
    value = arg.value
    for mod in arg.mods:
        scope.findings.add(Code.NOT_YET, mod.span, f"not supported yet: `{mod.kind}` on a weight", help="take it out")
    name = value.func if isinstance(value, nodes.Call) else value
    if not isinstance(name, nodes.Name) or name.text not in INITIALISERS:
        word = name.text if isinstance(name, nodes.Name) else value.span.text
        scope.findings.add(
            Code.UNKNOWN_NAME, value.span, f"unknown initialiser `{word}`", help=did_you_mean(word, INITIALISERS)
        )
        return default
    spec = INITIALISERS[name.text]
    formals = tuple(
        nodes.Formal(o.name, None, None if o.default is None else nodes.Number(repr(o.default))) for o in spec.options
    )
    call = value if isinstance(value, nodes.Call) else nodes.Call(name, span=value.span)
    given = bind_arguments(call, formals, scope, f"`{name.text}`")
    if given is None:
        return default
    options: list[tuple[str, float]] = []
    for option, formal in zip(spec.options, formals, strict=True):
        node = given[formal.name]
        if node is formal.default:
            assert option.default is not None
            options.append((option.name, option.default))
            continue
        wanted = {"weight": dimension, "gain": ONE, "frequency": FREQUENCY}[option.unit]
        number = constant(resolve_as(node, wanted, scope, f"`{option.name}` of `{name.text}`"))
        if number is None:
            scope.findings.add(Code.BAD_STAGE, node.span, "an initialiser takes fixed numbers", help="write a number")
            number = 0.0
        options.append((option.name, number))
    wrong = spec.refuse(dict(options))
    if wrong is not None:
        scope.findings.add(Code.BAD_VALUE, value.span, f"`{name.text}`: {wrong}", help=f"`{name.text}` is {spec.doc}")
    return Init(name.text, tuple(options))


def _delay(instance: nodes.Instance, bound: dict[str, nodes.Arg], dt: float, scope: Scope) -> Delay | None:
    arg = bound.get("time")
    if arg is not None and (arg.drawn or arg.mods):
        scope.findings.add(
            Code.NOT_YET, arg.span, "not supported yet: delays that are drawn or trainable",
            help="give one fixed time, as in `delay(3 ms)`",
        )  # fmt: skip
        return None
    node = _required(instance, bound, "time", scope)
    time = constant(resolve_as(node, TIME, scope, "a delay"), {"dt": dt})
    if time is None or not time >= 0:
        scope.findings.add(
            Code.BAD_VALUE, node.span, "a delay is a fixed time of at least 0", help="as in `delay(3 ms)`"
        )
        return None
    if time > MAX_DELAY * dt:
        scope.findings.add(
            Code.BAD_VALUE, node.span, f"this delay is {time / dt:.3g} steps long, and at most {MAX_DELAY:.0e} are held",
            help="every step of a delay is kept in memory; is the unit the one that was meant?",
        )  # fmt: skip
        return None
    return Delay(steps_of(time, dt, node.span, scope, "this delay"))


def steps_of(time: float, dt: float, span: Span, scope: Scope, what: str) -> int:
    """Round a time to whole steps by floor(x + 1/2), with a warning that shows both values where they differ."""
    steps = int(time / dt + 0.5)
    if abs(time / dt - steps) > 1e-6:
        scope.findings.add(
            Code.ROUNDED_TO_STEP, span, f"{what} of {time:g} ms is no multiple of dt = {dt:g} ms: {steps * dt:g} ms is used",
            help="choose a multiple of `dt`",
        )  # fmt: skip
    return steps
