"""Resolves expressions over whole signals: outputs, losses, penalties, metrics.

They are expressions like any other, whose names are signals, inputs, outputs, fields and weights, and which may call the
functions of `snnc.ops.tensor_functions`. Besides its unit every value has a shape, and a time and a sample axis or not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from snnc import model
from snnc.diagnostics import Code, Findings, Label, did_you_mean
from snnc.expr import Apply, Expr, Num, Var
from snnc.model import TensorType
from snnc.ops.tensor_function import SCALAR, TensorFunction
from snnc.ops.tensor_functions import TENSOR_FUNCTIONS
from snnc.semantics.constants import constant
from snnc.semantics.expressions import resolve, resolve_as
from snnc.semantics.modules import Module
from snnc.semantics.operations.delays import steps_of
from snnc.semantics.scope import ANY, POISON, Scope, Typed
from snnc.source import Span
from snnc.syntax import nodes
from snnc.units import ONE, TIME

FUNCTION_NAMES = (*TENSOR_FUNCTIONS, "exp", "log", "sqrt", "abs", "min", "max", "clip", "tanh", "detach")
WINDOW = ("from", "to", "last")


@dataclass(frozen=True, slots=True)
class Tensors:
    """What tensor expressions may mention. `names` maps what authors write to a variable with its type."""

    names: Mapping[str, tuple[str, TensorType]]
    module: Module
    findings: Findings
    dt: float
    steps: int | None  # of a presentation, where a recipe says so
    where: str
    types: dict[str, TensorType] = field(default_factory=dict)

    def scope(self) -> Scope:
        names = {name: Typed(Var(var), type_.dimension) for name, (var, type_) in self.names.items()}
        names["dt"] = Typed(Num(self.dt), TIME)
        self.types.update(self.names.values())

        def call(node: nodes.Call, scope: Scope) -> Typed | None:
            return _call(node, scope, self)

        return Scope(names, self.module, self.findings, self.where, call=call, functions=FUNCTION_NAMES)


def signal_names(network: model.Network) -> dict[str, tuple[str, TensorType]]:
    """Return what of a network can be named in a tensor expression."""
    names: dict[str, tuple[str, TensorType]] = {"time": ("time", TensorType(True, False, (), TIME))}
    for node in network.nodes:
        if isinstance(node, model.Input):
            kind = "spikes" if node.kind == "spikes" else "real"
            type_ = TensorType(True, True, node.shape, node.dimension, kind)
            names[node.name] = (f"input:{node.name}", type_)
        elif isinstance(node, model.Layer):
            names.update(_layer_names(node))
            if network.located and node.neuron.spikes:
                names[f"{node.name}.rest"] = (f"signal:{node.name}.rest", TensorType(True, True, node.shape, TIME))
        else:
            names[node.name] = (f"op:{node.name}", TensorType(True, True, node.shape, node.dimension))
            for weight in node.own_weights:
                path = f"{node.name}.{weight.name}"
                names[path] = (f"weight:{path}", TensorType(False, False, weight.shape, weight.dimension))
    return names


def _layer_names(layer: model.Layer) -> dict[str, tuple[str, TensorType]]:
    neuron = layer.neuron
    names: dict[str, tuple[str, TensorType]] = {}
    if neuron.spikes:
        spike = (f"signal:{layer.name}.spike", TensorType(True, True, layer.shape, ONE, "spikes"))
        names[layer.name] = names[f"{layer.name}.spike"] = spike
    for state in neuron.states:
        type_ = TensorType(True, True, layer.shape, state.dimension)
        names[f"{layer.name}.{state.name}"] = (f"signal:{layer.name}.{state.name}", type_)
        names[f"{layer.name}.{state.name}.pre"] = (f"signal:{layer.name}.{state.name}.pre", type_)
    for port in neuron.ports:
        type_ = TensorType(True, True, layer.shape, port.dimension)
        names[f"{layer.name}.{port.name}"] = (f"signal:{layer.name}.{port.name}", type_)
    if not neuron.spikes and len(neuron.states) == 1:
        names[layer.name] = names[f"{layer.name}.{neuron.states[0].name}"]
    for param in neuron.params:
        if param.trainable:
            var = f"weight:{layer.name}.{param.name}"
            type_ = TensorType(False, False, param.shape_in(layer.shape), param.dimension)
            names[f"{layer.name}.{param.name}"] = (var, type_)
    return names


def resolve_tensor(expr: nodes.Expr, tensors: Tensors) -> tuple[Expr, TensorType]:
    """Return the resolved expression and its type; after a finding the type is that of a plain number."""
    typed = resolve(expr, tensors.scope())
    if typed.dimension is None:
        return typed.expr, SCALAR
    found = tensor_type(typed.expr, tensors, expr.span)
    dimension = ONE if typed.dimension == ANY else typed.dimension
    return typed.expr, SCALAR if found is None else replace(found, dimension=dimension)


def tensor_type(expr: Expr, tensors: Tensors, span: Span) -> TensorType | None:
    """Return the axes of a resolved expression; None after a finding about shapes that do not fit."""
    match expr:
        case Num():
            return SCALAR
        case Var(name):
            return tensors.types[name]
        case Apply(fn, args) if fn in TENSOR_FUNCTIONS:
            kinds = [tensor_type(arg, tensors, expr.span) for arg in args]
            operands = tuple(kind for kind in kinds if kind is not None)
            if len(operands) < len(kinds):
                return None
            result = TENSOR_FUNCTIONS[fn].check(operands)
            return None if isinstance(result, str) else result
        case Apply(fn, args):
            kinds = [tensor_type(arg, tensors, expr.span) for arg in args]
            operands = tuple(kind for kind in kinds if kind is not None)
            if len(operands) < len(kinds):
                return None
            shapes = [kind.shape for kind in operands if kind.shape != ()]
            if any(shape != shapes[0] for shape in shapes):
                marked = [
                    Label(arg.span, str(list(kind.shape)))
                    for arg, kind in zip(args, operands, strict=True)
                    if kind.shape != () and isinstance(arg, Apply) and arg.span.source is expr.span.source
                ]
                last = marked.pop() if len(marked) > 1 else Label(expr.span, "")  # a mere name has no place of its own
                tensors.findings.add(
                    Code.SHAPE_MISMATCH, last.span, f"`{fn}` joins {list(shapes[0])} and {list(shapes[-1])}",
                    help="both sides need one shape", note=last.text, labels=tuple(marked) if last.text else (),
                )  # fmt: skip
                return None
            shape = shapes[0] if shapes else ()
            return TensorType(any(k.time for k in operands), any(k.batch for k in operands), shape, ONE)


def _call(call: nodes.Call, scope: Scope, tensors: Tensors) -> Typed | None:
    """Resolve a call of a tensor function; None if the name is none of them."""
    function = TENSOR_FUNCTIONS.get(call.func.text)
    if function is None:
        return None
    operands: dict[str, nodes.Arg] = {}
    options: dict[str, nodes.Arg] = {}
    positional = [arg for arg in call.args if arg.name is None]
    slots = [*function.operands, *(option.name for option in function.options if option.name not in WINDOW)]
    for arg, slot in zip(positional, slots, strict=False):
        (operands if slot in function.operands else options)[slot] = arg
    for arg in call.args:
        if arg.name is None:
            continue
        if arg.name in function.operands:
            operands[arg.name] = arg
        else:
            options[arg.name] = arg
    window = WINDOW if function.fold is not None else ()
    known = [*slots, *window]
    for arg in call.args[len(slots) :] if len(positional) > len(slots) else ():
        scope.findings.add(
            Code.UNKNOWN_ARGUMENT, arg.span, f"`{function.name}` takes {len(slots)} arguments", help="take it out"
        )
    for name, arg in options.items():
        if name not in known:
            scope.findings.add(
                Code.UNKNOWN_ARGUMENT, arg.span, f"`{function.name}` has no argument `{name}`",
                help=did_you_mean(name, known),
            )  # fmt: skip
    missing = [name for name in function.operands if name not in operands]
    if missing:
        scope.findings.add(
            Code.MISSING_ARGUMENT, call.span, f"`{function.name}` needs the argument `{missing[0]}`",
            help=f"write `{function.name}({', '.join(slots)})`",
        )  # fmt: skip
        return POISON
    return _checked(call, function, operands, options, scope, tensors)


def _checked(
    call: nodes.Call,
    function: TensorFunction,
    operands: dict[str, nodes.Arg],
    options: dict[str, nodes.Arg],
    scope: Scope,
    tensors: Tensors,
) -> Typed:
    args: list[Expr] = []
    types: list[TensorType] = []
    for name in function.operands:
        node = operands[name].value
        typed = resolve(node, scope)
        if typed.dimension is None:
            return POISON
        type_ = tensor_type(typed.expr, tensors, node.span)
        if type_ is None:
            return POISON
        args.append(typed.expr)
        types.append(replace(type_, dimension=ONE if typed.dimension == ANY else typed.dimension))
    result = function.check(tuple(types))
    if isinstance(result, str):
        for name in function.operands:  # the author's words for what the rule calls by the name of its operand
            text = operands[name].value.span.text
            if len(text) < 40 and "\n" not in text:
                result = result.replace(f"`{name}`", f"`{text}`")
        scope.findings.add(
            Code.SHAPE_MISMATCH, call.span, f"`{function.name}`: {result}", help=f"`{function.name}` is {function.doc}"
        )
        return POISON
    attrs: list[tuple[str, float | str]] = []
    for option in function.options:
        if option.name in WINDOW:
            continue
        if option.name in options:
            node = options[option.name].value
            number = constant(resolve_as(node, option.dimension, scope, f"`{option.name}`"))
            if number is None:
                scope.findings.add(Code.BAD_STAGE, node.span, f"`{option.name}` is a fixed number", help="write one")
                number = 1.0
            attrs.append((option.name, number))
        elif option.default is None:
            scope.findings.add(
                Code.MISSING_ARGUMENT, call.span, f"`{function.name}` needs the argument `{option.name}`",
                help=f"write `{option.name} = …`",
            )  # fmt: skip
        else:
            attrs.append((option.name, option.default))
    if any(
        option.default is None and option.name not in options
        for option in function.options
        if option.name not in WINDOW
    ):
        return POISON
    wrong = function.refuse(dict(attrs))
    if wrong is not None:
        scope.findings.add(
            Code.BAD_VALUE, call.span, f"`{function.name}`: {wrong}", help=f"`{function.name}` is {function.doc}"
        )
    attrs += _window(call, options, scope, tensors)
    return Typed(Apply(function.name, tuple(args), tuple(attrs), call.span), result.dimension)


def _window(
    call: nodes.Call, options: dict[str, nodes.Arg], scope: Scope, tensors: Tensors
) -> list[tuple[str, float | str]]:
    """Return the window of a readout in steps: `start`, `stop` or `last`."""
    window: list[tuple[str, float | str]] = []
    for word, key in (("from", "start"), ("to", "stop"), ("last", "last")):
        if word not in options:
            continue
        node = options[word].value
        time = constant(resolve_as(node, TIME, scope, f"`{word}`"))
        if time is None or not 0 <= time < 1e9 * tensors.dt:
            scope.findings.add(Code.BAD_VALUE, node.span, f"`{word}` is a fixed time", help="as in `last = 50 ms`")
            continue
        steps = steps_of(time, tensors.dt, node.span, scope, f"`{word}`")
        if steps == 0 and word != "from":
            scope.findings.add(
                Code.BAD_VALUE, node.span, f"this window is shorter than one step of {tensors.dt:g} ms",
                help="make it at least `1 step` long",
            )  # fmt: skip
        window.append((key, float(steps)))
    bounds = dict(window)
    if "start" in bounds and 0 < float(bounds.get("stop", math.inf)) <= float(bounds["start"]):
        scope.findings.add(
            Code.BAD_VALUE, options["to"].value.span, "this window ends before it begins",
            help="`to` must be later than `from`; both are counted from the start of a sample",
            labels=(Label(options["from"].value.span, "the start"),), note="the end",
        )  # fmt: skip
    if "last" in options and len(window) > 1:
        scope.findings.add(
            Code.BAD_VALUE, call.span, "`last` cannot stand beside `from` or `to`", help="keep one of them"
        )
    return window


def resolve_outputs(
    network: model.Network, item: nodes.Network, home: Module, findings: Findings
) -> tuple[model.Output, ...]:
    """Resolve the `output` lines of a network, each of which may read earlier ones."""
    names = signal_names(network)
    outputs: list[model.Output] = []
    for part in item.body:
        if not isinstance(part, nodes.Output):
            continue
        value: nodes.Expr = part.value if part.value is not None else nodes.Name((part.name,), span=part.span)
        tensors = Tensors(names, home, findings, network.dt, None, f"in network `{network.name}`")
        expr, type_ = resolve_tensor(value, tensors)
        if type_.time and not network.layers:
            type_ = replace(type_, time=False)  # an ordinary network has no time axis to read out
            expr = Apply("last_over_time", (expr,), (), part.span)
        first = next((o.span for o in outputs if o.name == part.name), None)
        if first is not None or (part.name in names and part.value is not None):
            findings.add(
                Code.DUPLICATE_NAME, name_span_of(part), f"the name `{part.name}` is taken",
                help="choose another name for the output",
                labels=() if first is None else (Label(first, "first used here"),),
            )  # fmt: skip
        names = {**names, part.name: (f"output:{part.name}", type_)}
        outputs.append(model.Output(part.name, expr, type_, name_span_of(part)))
    return tuple(outputs)


def name_span_of(part: nodes.Output) -> Span:
    """Return the span of the line of an output."""
    return Span(part.span.source, part.span.start, part.span.start + len(part.span.text.split("\n", 1)[0]))
