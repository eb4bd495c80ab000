"""Elaborates a network: names its nodes, infers shapes both ways, gives weights their units, checks ports and cycles."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from snnc import model
from snnc.diagnostics import Code, Findings, Label, did_you_mean
from snnc.expr import Num, Var
from snnc.ops.operation import Shape
from snnc.semantics.expressions import Scope, Typed, constant, resolve, resolve_as
from snnc.semantics.modules import Module, name_span
from snnc.semantics.neurons import resolve_neuron
from snnc.semantics.operations import (
    NOT_YET,
    OPERATIONS,
    OpSpec,
    bind,
    build_operation,
    scale_dimension,
    whole,
)
from snnc.source import Span
from snnc.syntax import nodes
from snnc.units import DIMENSIONS, ONE, TIME, Dimension, dimension_name

MAX_UNITS = 200_000_000  # neurons of a layer, numbers of a weight


@dataclass(slots=True)
class _Op:
    """An operation while shapes are being inferred."""

    name: str
    spec: OpSpec
    instance: nodes.Instance
    bound: dict[str, nodes.Arg]
    source: model.Signal
    text: str
    size: int | None
    shape: Shape | None = None
    weight: Dimension = ONE
    dimension: Dimension = ONE  # of the result


@dataclass(slots=True)
class _Layer:
    """A layer while its edges are being collected."""

    name: str
    neuron: model.Neuron
    shape: Shape | None
    doc: str
    span: Span
    edges: dict[str, list[model.Signal]] = field(default_factory=dict)


@dataclass(slots=True)
class Elaboration:
    """All nodes of a network by name, in text order."""

    item: nodes.Network
    home: Module
    findings: Findings
    scope: Scope
    dt: float | None = None
    inputs: dict[str, model.Input] = field(default_factory=dict)
    layers: dict[str, _Layer] = field(default_factory=dict)
    ops: dict[str, _Op] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    places: dict[str, Span] = field(default_factory=dict)
    cells: dict[str, tuple[nodes.Neuron, Module]] = field(default_factory=dict)  # formals that stand for a neuron

    def add(self, name: str, span: Span) -> None:
        if name in self.places or name in ("time", "dt"):
            labels = (Label(self.places[name], "first used here"),) if name in self.places else ()
            self.findings.add(
                Code.DUPLICATE_NAME, span, f"the name `{name}` is taken", help="choose another name", labels=labels
            )
        self.places[name] = span
        if name not in self.order:
            self.order.append(name)

    def shape_of(self, node: str) -> Shape | None:
        if node in self.inputs:
            return self.inputs[node].shape
        return self.layers[node].shape if node in self.layers else self.ops[node].shape

    def dimension_of(self, signal: model.Signal) -> Dimension:
        if signal.node in self.inputs:
            return self.inputs[signal.node].dimension
        if signal.node in self.ops:
            return self.ops[signal.node].dimension
        neuron = self.layers[signal.node].neuron
        if signal.name == "spike":
            return ONE
        places = [*neuron.states, *neuron.ports]
        return next(p.dimension for p in places if p.name == signal.name)


def elaborate(item: nodes.Network, home: Module, findings: Findings) -> model.Network:
    """Return the resolved network, without its outputs (see `snnc.semantics.tensors`).

    Raises:
        CompileError: with every finding of this phase.
    """
    e = Elaboration(item, home, findings, Scope({}, home, findings, f"in network `{item.name}`"))
    _read_formals(e)
    _read_settings(e)
    for part in item.body:
        if isinstance(part, nodes.Port):
            _read_input(e, part)
    for part in item.body:
        if isinstance(part, nodes.Layer):
            _read_layer(e, part.name, part.instance, part.doc, name_span(part))
        elif isinstance(part, nodes.Chain):
            for node in part.nodes:
                if isinstance(node, nodes.Instance) and _neuron(e, node.func) is not None:
                    if node.alias is None:
                        findings.add(
                            Code.MISSING_ARGUMENT, node.span, "a layer inside a chain needs a name",
                            help=f"write `{node.func.text}(…) as NAME`",
                        )  # fmt: skip
                    else:
                        _read_layer(e, node.alias, node, part.doc, node.span)
    findings.stop_on_errors()
    for part in item.body:
        if isinstance(part, nodes.Chain):
            _read_chain(e, part)
    findings.stop_on_errors()
    if e.layers and e.dt is None:
        findings.add(
            Code.NO_DT,
            name_span_of_network(e),
            f"network `{item.name}` has neurons and no time step",
            help="add a line such as `dt = 1 ms`",
        )
    _infer_shapes(e)
    findings.stop_on_errors()
    network = _finish(e)
    findings.stop_on_errors()
    return network


# ---- declarations -----------------------------------------------------------


def _read_formals(e: Elaboration) -> None:
    names: dict[str, Typed] = {}
    for formal in e.item.formals:
        if formal.default is None:
            e.findings.add(
                Code.NOT_YET, formal.span, f"not supported yet: `{formal.name}` has no default, so that `{e.item.name}` can "
                "only be used as a block of another network", help=f"give it a default: `{formal.name} = …`",
            )  # fmt: skip
            names[formal.name] = Typed(Num(1.0), None)
            continue
        if isinstance(formal.default, nodes.Name):
            found = e.home.find(formal.default)
            if found is not None and isinstance(found[0], nodes.Neuron):
                e.cells[formal.name] = (found[0], found[1])
                continue
        names[formal.name] = resolve(formal.default, e.scope.with_names(names))
    e.scope = e.scope.with_names(names)


def _read_settings(e: Elaboration) -> None:
    for part in e.item.body:
        if not isinstance(part, nodes.Setting):
            continue
        match part.path.text:
            case "dt":
                value = constant(resolve_as(part.value, TIME, e.scope, "`dt`"))
                if value is None or not 0 < value < math.inf:
                    e.findings.add(
                        Code.BAD_VALUE, part.value.span, "`dt` is a fixed time above 0", help="write `dt = 1 ms`"
                    )
                else:
                    e.dt = value
            case "events":
                word = part.value.text if isinstance(part.value, nodes.Name) else "?"
                if word == "located":
                    e.findings.add(
                        Code.NOT_YET, part.span, "not supported yet: `events = located`",
                        help="spikes act on the grid of `dt` (`events = grid`, the default)",
                    )  # fmt: skip
                elif word != "grid":
                    e.findings.add(
                        Code.UNKNOWN_NAME, part.value.span, f"unknown word `{word}`", help="`grid` or `located`"
                    )
            case name:
                e.findings.add(
                    Code.UNKNOWN_NAME, part.path.span, f"a network has no setting `{name}`",
                    help=did_you_mean(name, ["dt", "events"]),
                )  # fmt: skip
    e.scope = e.scope.with_names({"dt": Typed(Var("dt"), TIME)})


def _sizes(shape: tuple[nodes.Expr, ...], e: Elaboration, what: str) -> Shape | None:
    sizes = [whole(size, e.scope, what) for size in shape]
    if any(size is None for size in sizes) or not sizes:
        return None
    known = tuple(size for size in sizes if size is not None)
    if math.prod(known) > MAX_UNITS:
        e.findings.add(
            Code.TOO_BIG, shape[0].span.to(shape[-1].span),
            f"{what} has {math.prod(known):.3g} units, and more than {MAX_UNITS:.3g} cannot be held",
            help="is this the number that was meant?",
        )  # fmt: skip
        return None
    return known


def _read_input(e: Elaboration, part: nodes.Port) -> None:
    e.add(part.name, name_span(part))
    type_ = part.type
    if part.kind == "event" or type_ is None or part.default is not None:
        e.findings.add(
            Code.WRONG_KIND, part.span, "an input of a network has a type and a shape",
            help=f"write `input {part.name} : spikes[n]` or `: real[n]`",
        )  # fmt: skip
        return
    if type_.name not in ("spikes", *DIMENSIONS):
        e.findings.add(
            Code.UNKNOWN_NAME, type_.span, f"unknown type `{type_.name}`",
            help=did_you_mean(type_.name, ["spikes", *DIMENSIONS]),
        )  # fmt: skip
        return
    if type_.shape is None:
        e.findings.add(
            Code.NOT_YET, part.span, f"not supported yet: `{part.name}` has no shape, so that this network is a block",
            help=f"write `input {part.name} : {type_.name}[n]`",
        )  # fmt: skip
        return
    shape = _sizes(type_.shape, e, f"input `{part.name}`")
    dimension = DIMENSIONS.get(type_.name, ONE)
    e.inputs[part.name] = model.Input(part.name, type_.name, dimension, shape or (1,), name_span(part))


def _neuron(e: Elaboration, name: nodes.Name) -> tuple[nodes.Neuron, Module] | None:
    if name.text in e.cells:
        return e.cells[name.text]
    found = e.home.find(name)
    if found is not None and isinstance(found[0], nodes.Neuron):
        return found[0], found[1]
    return None


def _read_layer(e: Elaboration, name: str, instance: nodes.Instance, doc: str, span: Span) -> None:
    e.add(name, span)
    found = _neuron(e, instance.func)
    if found is None:
        _unknown(e, instance.func, "neuron")
        return
    item, home = found
    neuron = resolve_neuron(item, home, instance.args, e.scope, e.dt, e.findings)
    shape = None
    if instance.shape is not None:
        shape = _sizes(instance.shape, e, f"layer `{name}`") or (1,)
    e.layers[name] = _Layer(name, neuron, shape, doc, span)


def name_span_of_network(e: Elaboration) -> Span:
    return name_span(e.item)


def _unknown(e: Elaboration, name: nodes.Name, what: str) -> None:
    if name.text in NOT_YET:
        e.findings.add(
            Code.NOT_YET, name.span, f"not supported yet: the operation `{name.text}`",
            help="built so far: " + ", ".join(f"`{op}`" for op in OPERATIONS),
        )  # fmt: skip
        return
    found = e.home.find(name)
    if found is not None and isinstance(found[0], nodes.Network):
        e.findings.add(
            Code.NOT_YET, name.span, f"not supported yet: the network `{name.text}` used as a block",
            help="write its layers out in this network",
        )  # fmt: skip
        return
    neurons = [n for n, (item, _) in e.home.names.items() if isinstance(item, nodes.Neuron)]
    known = neurons if what == "neuron" else [*neurons, *OPERATIONS]
    standard = {"LI", "CubaLI", "IF", "LIF", "PLIF", "ALIF", "CubaLIF"}
    help_text = did_you_mean(name.text, known)
    if name.text in standard:
        help_text = f"add the line `import std.neurons ({name.text})`"
    e.findings.add(Code.UNKNOWN_NAME, name.span, f"unknown {what} `{name.text}`", help=help_text)


# ---- chains --------------------------------------------------------------------


def _read_chain(e: Elaboration, chain: nodes.Chain) -> None:
    first, *rest = chain.nodes
    if isinstance(first, nodes.Instance):
        if _neuron(e, first.func) is None:
            _unknown(e, first.func, "operation")
            return
        source = _source(e, nodes.Name((first.alias or "?",), span=first.span))
    else:
        source = _source(e, first)
    pending: list[nodes.Instance] = []
    for node in rest:
        if source is None:
            return
        if isinstance(node, nodes.Name):
            source = _close(e, chain, source, pending, node)
            pending = []
        elif _neuron(e, node.func) is not None:
            source = _close(e, chain, source, pending, nodes.Name((node.alias or "?",), span=node.span))
            pending = []
        elif node.func.text not in OPERATIONS:
            _unknown(e, node.func, "operation")
            return
        else:
            pending.append(node)
            if node.alias is not None:
                e.add(node.alias, node.span)
                names = _segment_names(e, source.node, node.alias, pending[:-1])
                source = _add_ops(e, chain, source, [*names, node.alias], pending, None)
                pending = []
    if pending:
        last = pending[-1]
        e.findings.add(
            Code.NO_SIGNAL, last.span, "the chain ends in an operation without a name, so that nothing can read it",
            help=f"let it end in a layer, or write `{last.func.text}(…) as NAME`",
        )  # fmt: skip


def _segment_names(e: Elaboration, source: str, target: str, instances: list[nodes.Instance]) -> list[str]:
    """Name the operations between two named nodes `SOURCE_TARGET.OP`, a second of a kind `OP2`."""
    names: list[str] = []
    for instance in instances:
        stem = f"{source.replace('.', '_')}_{target}.{instance.func.text}"
        name, k = stem, 2
        while name in e.ops or name in names:
            name, k = f"{stem}{k}", k + 1
        names.append(name)
    return names


def _close(
    e: Elaboration, chain: nodes.Chain, source: model.Signal, pending: list[nodes.Instance], target: nodes.Name
) -> model.Signal | None:
    """End a segment of operations in the layer (or port) that `target` names."""
    layer = e.layers.get(target.parts[0])
    if layer is None:
        if target.parts[0] in e.inputs or target.parts[0] in e.ops:
            e.findings.add(
                Code.WRONG_KIND, target.span, f"nothing can flow into `{target.text}`",
                help="a chain ends in a layer or in a port of a layer",
            )  # fmt: skip
        else:
            e.findings.add(
                Code.UNKNOWN_NAME, target.span, f"unknown layer `{target.text}`",
                help=did_you_mean(target.text, e.layers) or "declare it: `layer h = LIF[n]()`",
            )  # fmt: skip
        return None
    port = _port(e, layer, target)
    if port is None:
        return None
    names = _segment_names(e, source.node, layer.name, pending)
    end = _add_ops(e, chain, source, names, pending, (target, port))
    layer.edges.setdefault(port.name, []).append(end)
    return _source(e, nodes.Name((layer.name,), span=target.span), quiet=True)


def _port(e: Elaboration, layer: _Layer, target: nodes.Name) -> model.Port | None:
    ports = layer.neuron.ports
    if len(target.parts) > 1:
        for port in ports:
            if target.parts[1:] == (port.name,):
                return port
        e.findings.add(
            Code.UNKNOWN_NAME, target.span, f"`{layer.name}` ({layer.neuron.name}) has no port `{target.text.split('.', 1)[1]}`",
            help=did_you_mean(target.parts[1], [p.name for p in ports]) or "it takes no input",
        )  # fmt: skip
        return None
    needed = [port for port in ports if port.default is None]
    if len(needed) == 1:
        return needed[0]
    if not needed and len(ports) == 1:
        return ports[0]
    listed = ", ".join(f"`{layer.name}.{port.name}`" for port in ports)
    e.findings.add(
        Code.AMBIGUOUS_PORT, target.span,
        f"`{layer.neuron.name}` has {len(ports) or 'no'} ports, and none is the only one without a default",
        help=f"name the port: {listed}" if ports else "a neuron receives through `event x` or `input I`",
    )  # fmt: skip
    return None


def _source(e: Elaboration, name: nodes.Name, *, quiet: bool = False) -> model.Signal | None:
    """Return the signal that a name in a chain or an expression stands for."""
    signal = find_signal(e, name.parts)
    if isinstance(signal, model.Signal):
        return signal
    if not quiet:
        known = [*e.inputs, *e.layers, *e.ops]
        e.findings.add(
            Code.UNKNOWN_NAME if signal is None else Code.NO_SIGNAL,
            name.span,
            f"unknown node `{name.text}`" if signal is None else signal,
            help=did_you_mean(name.text, known) if signal is None else "name one of its signals with a dot",
        )
    return None


def find_signal(e: Elaboration, parts: tuple[str, ...]) -> model.Signal | str | None:
    """Return the signal of a dotted name; None if there is no such node, a message if the node has no such signal."""
    joined = ".".join(parts)
    if joined in e.ops or joined in e.inputs:
        return model.Signal(joined)
    layer = e.layers.get(parts[0])
    if layer is None:
        return None
    neuron = layer.neuron
    if len(parts) == 1:
        if neuron.spikes:
            return model.Signal(layer.name, "spike")
        if len(neuron.states) == 1:
            return model.Signal(layer.name, neuron.states[0].name)
        listed = ", ".join(f"`{layer.name}.{s.name}`" for s in neuron.states)
        return f"`{layer.name}` does not spike and has {len(neuron.states)} states ({listed})"
    if parts[1] not in neuron.signals or len(parts) > 3 or (len(parts) == 3 and parts[2] != "pre"):
        listed = ", ".join(f"`{layer.name}.{s}`" for s in neuron.signals)
        return f"`{layer.name}` has no signal `{joined.split('.', 1)[1]}`; it has {listed}"
    return model.Signal(layer.name, parts[1], len(parts) == 3)


def _add_ops(
    e: Elaboration,
    chain: nodes.Chain,
    source: model.Signal,
    names: list[str],
    instances: list[nodes.Instance],
    target: tuple[nodes.Name, model.Port] | None,
) -> model.Signal:
    """Add the operations of a segment, with the units of their weights; return the signal at its end."""
    ops: list[_Op] = []
    signal = source
    for name, instance in zip(names, instances, strict=True):
        spec = OPERATIONS[instance.func.text]
        bound = bind(instance, spec, e.scope)
        size = whole(bound["size"].value, e.scope, "the size of `dense`") if "size" in bound else None
        ops.append(_Op(name, spec, instance, bound, signal, " ".join(chain.span.text.split()), size))
        signal = model.Signal(name)
    _set_dimensions(e, source, ops, target)
    for op in ops:
        e.ops[op.name] = op
        e.places.setdefault(op.name, op.instance.span)
        if op.name not in e.order:
            e.order.append(op.name)
    return signal


def _set_dimensions(
    e: Elaboration, source: model.Signal, ops: list[_Op], target: tuple[nodes.Name, model.Port] | None
) -> None:
    """Carry units along a segment; its last product takes the unit that the port asks for."""
    dimension = e.dimension_of(source)
    last = max((i for i, op in enumerate(ops) if op.spec.name == "dense"), default=None)
    factors = [scale_dimension(op.bound, e.scope) if op.spec.name == "scale" else ONE for op in ops]
    for i, op in enumerate(ops):
        if i == last and target is not None:
            after = ONE
            for factor in factors[i:]:
                after = after * factor
            op.weight = target[1].dimension / after / dimension
        dimension = dimension * factors[i] * op.weight
        op.dimension = dimension
    if target is not None and dimension != target[1].dimension:
        name, port = target
        e.findings.add(
            Code.UNIT_MISMATCH, name.span,
            f"`{port.name}` of `{name.parts[0]}` is {dimension_name(port.dimension)}, but {dimension_name(dimension)} arrives",
            note=dimension_name(port.dimension),
            help="multiply on the way: `-> scale(1 …) ->`, or let a `dense()` carry the unit",
            labels=(Label(port.span, "the port"),),
        )  # fmt: skip


# ---- shapes ------------------------------------------------------------------


def _infer_shapes(e: Elaboration) -> None:
    """Carry shapes forward and backward until nothing changes, then check that all meet."""
    readers = _readers(e)
    changed = True
    while changed:
        changed = False
        for op in e.ops.values():
            before = e.shape_of(op.source.node)
            if op.shape is None and before is not None:
                op.shape = op.spec.shape(before, op.size)
                changed |= op.shape is not None
            if op.shape is None:
                op.shape = _asked_shape(e, readers.get(op.name, []))
                changed |= op.shape is not None
        for layer in e.layers.values():
            if layer.shape is None:
                sources = [s for signals in layer.edges.values() for s in signals]
                layer.shape = next((s for s in (e.shape_of(x.node) for x in sources) if s is not None), None)
                if layer.shape is None:
                    layer.shape = _asked_shape(e, readers.get(layer.name, []))
                changed |= layer.shape is not None
    for name in (*e.layers, *e.ops):
        if e.shape_of(name) is None:
            op = e.ops.get(name)
            what = f"layer `{name}`" if op is None else f"`{op.spec.name}`"
            e.findings.add(
                Code.UNKNOWN_SHAPE, e.places[name], f"the size of {what} does not follow from anything",
                help="write it: " + ("`LIF[100]()`" if op is None else f"`{op.spec.name}(100)`"),
            )  # fmt: skip
            return
    for layer in e.layers.values():
        for port, signals in layer.edges.items():
            for signal in signals:
                _check_edge(e, layer, port, signal)
    for op in e.ops.values():
        before = e.shape_of(op.source.node)
        assert before is not None
        expected = op.spec.shape(before, op.size)
        if expected is not None and expected != op.shape:
            _mismatch(e, op.instance.span, op.shape, e.places[op.source.node], before)
        if op.spec.name == "dense" and op.shape is not None and before[-1] * op.shape[-1] > MAX_UNITS:
            e.findings.add(
                Code.TOO_BIG, op.instance.span, f"this product has {before[-1] * op.shape[-1]:.3g} weights",
                help="is this the size that was meant?",
            )  # fmt: skip


def _readers(e: Elaboration) -> dict[str, list[str]]:
    """Return, for each node, the operations that keep its shape and the layers that read it as it is."""
    readers: dict[str, list[str]] = {}
    for op in e.ops.values():
        if op.spec.keeps_shape:
            readers.setdefault(op.source.node, []).append(op.name)
    for layer in e.layers.values():
        for signals in layer.edges.values():
            for signal in signals:
                readers.setdefault(signal.node, []).append(layer.name)
    return readers


def _asked_shape(e: Elaboration, readers: list[str]) -> Shape | None:
    return next((shape for shape in (e.shape_of(name) for name in readers) if shape is not None), None)


def _check_edge(e: Elaboration, layer: _Layer, port: str, signal: model.Signal) -> None:
    shape = e.shape_of(signal.node)
    if shape != layer.shape:
        _mismatch(e, e.places[signal.node], shape, layer.span, layer.shape, f"`{layer.name}.{port}`")


def _mismatch(
    e: Elaboration, place: Span, shape: Shape | None, other: Span, wanted: Shape | None, what: str = "this"
) -> None:
    e.findings.add(
        Code.SHAPE_MISMATCH, place, f"{list(shape or ())} arrives where {what} has {list(wanted or ())}",
        note=f"{list(shape or ())}",
        labels=(Label(other, f"{list(wanted or ())}"),),
        help="make both sizes equal, or put a `dense()` between them; `flatten()` joins axes",
    )  # fmt: skip


# ---- the end ----------------------------------------------------------------


def _finish(e: Elaboration) -> model.Network:
    found: list[model.Node] = []
    for name in e.order:
        if name in e.inputs:
            found.append(e.inputs[name])
        elif name in e.layers:
            layer = e.layers[name]
            _check_ports(e, layer)
            assert layer.shape is not None
            ports = tuple((port, tuple(signals)) for port, signals in layer.edges.items())
            found.append(model.Layer(name, layer.neuron, layer.shape, ports, layer.doc, layer.span))
        elif name in e.ops:
            node = _finish_op(e, e.ops[name])
            if node is not None:
                found.append(node)
    e.findings.stop_on_errors()
    network = model.Network(e.item.name, e.item.doc, e.dt or 1.0, tuple(found), (), name_span(e.item))
    _check_cycles(e, network)
    return network


def _finish_op(e: Elaboration, op: _Op) -> model.OpNode | None:
    before = e.shape_of(op.source.node)
    assert before is not None and op.shape is not None
    built = build_operation(op.instance, op.bound, before, op.shape, op.weight, op.dimension, e.dt or 1.0, e.scope)
    if built is None:
        return None
    span = op.instance.span
    return model.OpNode(op.name, built, (op.source,), (before,), op.shape, op.dimension, op.text, span)


def _check_ports(e: Elaboration, layer: _Layer) -> None:
    """Every `input` port without default needs an edge; of the `event` ports at least one port of the layer is fed."""
    for port in layer.neuron.ports:
        if port.default is None and port.name not in layer.edges and (port.kind == "input" or not layer.edges):
            e.findings.add(
                Code.UNCONNECTED_PORT, layer.span, f"nothing arrives at port `{port.name}` of layer `{layer.name}`",
                help=f"add an edge: `… -> {layer.name}.{port.name}`",
                labels=(Label(port.span, "the port"),),
            )  # fmt: skip


def _check_cycles(e: Elaboration, network: model.Network) -> None:
    """Only a delay of at least one step breaks a cycle; report one that has none, drawn."""
    before: dict[str, list[str]] = {}
    for node in network.nodes:
        if isinstance(node, model.Layer):
            before[node.name] = [s.node for _, signals in node.ports for s in signals]
        elif isinstance(node, model.OpNode):
            delayed = node.op.memory == "delay" and getattr(node.op, "steps", 0) >= 1
            before[node.name] = [] if delayed else [s.node for s in node.sources]
    done: set[str] = set()
    for start in before:
        path: list[str] = []
        stack = [(start, iter(before[start]))]
        while stack:
            name, sources = stack[-1]
            if name not in path:
                path.append(name)
            following = next((s for s in sources if s not in done), None)
            if following is None:
                done.add(name)
                stack.pop()
                path.remove(name)
            elif following in path:
                cycle = [*path[path.index(following) :], following]
                drawn = " -> ".join(n for n in reversed(cycle) if n in e.layers or "." not in n or len(cycle) < 4)
                e.findings.add(
                    Code.CYCLE, e.places[name if name in e.ops else following],
                    f"these nodes wait for each other within one step: {drawn}",
                    help="put `-> delay(1 step) ->` into one of the edges",
                )  # fmt: skip
                return
            else:
                stack.append((following, iter(before.get(following, []))))
