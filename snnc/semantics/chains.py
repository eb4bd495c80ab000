"""Reads the chains of a network: `a -> dense() -> h` becomes operations with names and units, and edges into ports."""

from __future__ import annotations

from snnc import model
from snnc.diagnostics import Code, Label, did_you_mean
from snnc.semantics.elaboration import Elaboration, PendingLayer, PendingOp, find_neuron, report_unknown
from snnc.semantics.operations.binding import bind, read_options
from snnc.semantics.operations.elementwise import scale_dimension
from snnc.semantics.operations.table import OPERATIONS
from snnc.syntax import nodes
from snnc.units import ONE, dimension_name, unit_quantity


def read_chain(e: Elaboration, chain: nodes.Chain) -> None:
    first, *rest = chain.nodes
    pending: list[nodes.Instance] = []
    if isinstance(first, nodes.Instance) and find_neuron(e, first.func) is None:
        sources = _head_sources(e, first)
        rest = [first, *rest]
    elif isinstance(first, nodes.Instance):
        if first.alias is None:
            return  # already reported: a layer inside a chain needs a name
        sources = _only(find_source(e, nodes.Name((first.alias,), span=first.span)))
    else:
        sources = _only(find_source(e, first))
    for node in rest:
        if not sources:
            return
        if isinstance(node, nodes.Name):
            sources = _only(_close(e, chain, sources, pending, node))
            pending = []
        elif find_neuron(e, node.func) is not None and node.alias is None:
            return  # already reported: a layer inside a chain needs a name
        elif find_neuron(e, node.func) is not None:
            sources = _only(_close(e, chain, sources, pending, nodes.Name((node.alias or "",), span=node.span)))
            pending = []
        elif node.func.text not in OPERATIONS:
            report_unknown(e, node.func, "operation")
            return
        else:
            pending.append(node)
            if node.alias is not None:
                e.add(node.alias, node.span)
                names = _segment_names(e, sources[0].node, node.alias, pending[:-1])
                sources = (_add_ops(e, chain, sources, [*names, node.alias], pending, None),)
                pending = []
    if pending:
        last = pending[-1]
        e.findings.add(
            Code.NO_SIGNAL, last.span, "the chain ends in an operation without a name, so that nothing can read it",
            help=f"let it end in a layer, or write `{last.func.text}(…) as NAME`",
        )  # fmt: skip


def _only(signal: model.Signal | None) -> tuple[model.Signal, ...]:
    return () if signal is None else (signal,)


def _head_sources(e: Elaboration, head: nodes.Instance) -> tuple[model.Signal, ...]:
    """Return the sources of an operation that begins a chain: its arguments without a name; none after a finding."""
    spec = OPERATIONS.get(head.func.text)
    if spec is None:
        report_unknown(e, head.func, "operation")
        return ()
    if spec.most == 1:
        e.findings.add(
            Code.NO_SIGNAL, head.span, f"nothing flows into `{spec.name}`, which begins this chain",
            help=f"put its source before it: `x -> {spec.name}(…) -> …`",
        )  # fmt: skip
        return ()
    given = [arg for arg in head.args if arg.name is None]
    sources = []
    for arg in given:
        if not isinstance(arg.value, nodes.Name):
            e.findings.add(
                Code.WRONG_KIND, arg.span, f"a source of `{spec.name}` is the name of a layer, an input or an operation",
                help="name what flows into it, as in `h.spike`, or give the operation before it a name with `as`",
            )  # fmt: skip
            return ()
        sources.append(find_source(e, arg.value))
    if not spec.least <= len(given) <= spec.most:
        count = f"{spec.least}" if spec.least == spec.most else f"{spec.least} or more"
        e.findings.add(
            Code.MISSING_ARGUMENT, head.span, f"`{spec.name}` joins {count} sources, found {len(given)}",
            help=f"name them in its brackets: `{spec.name}(a, b) -> …`",
        )  # fmt: skip
        return ()
    found = tuple(source for source in sources if source is not None)
    return found if len(found) == len(sources) else ()


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
    e: Elaboration,
    chain: nodes.Chain,
    sources: tuple[model.Signal, ...],
    pending: list[nodes.Instance],
    target: nodes.Name,
) -> model.Signal | None:
    """End a segment of operations in the layer (or port) that `target` names."""
    layer = e.layers.get(target.parts[0])
    if layer is None and target.parts[0] in e.broken:
        return None
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
                cause=f"{target.parts[0]} {e.scope.where}",
            )  # fmt: skip
        return None
    port = _port(e, layer, target)
    if port is None:
        return None
    names = _segment_names(e, sources[0].node, layer.name, pending)
    end = _add_ops(e, chain, sources, names, pending, (target, port))
    layer.edges.setdefault(port.name, []).append(end)
    return find_source(e, nodes.Name((layer.name,), span=target.span), quiet=True)


def _port(e: Elaboration, layer: PendingLayer, target: nodes.Name) -> model.Port | None:
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
    if not ports:
        message = f"`{layer.neuron.name}` has no port, so that nothing can flow into `{layer.name}`"
    elif needed:
        message = (
            f"`{layer.name}` alone does not say which of the {len(needed)} ports of `{layer.neuron.name}` is meant"
        )
    else:
        message = f"`{layer.name}` alone does not say which of the {len(ports)} ports of `{layer.neuron.name}` is meant"
    e.findings.add(
        Code.AMBIGUOUS_PORT, target.span, message,
        help=f"name the port: {listed}" if ports else "a neuron receives through `event x` or `input I`",
    )  # fmt: skip
    return None


def find_source(e: Elaboration, name: nodes.Name, *, quiet: bool = False) -> model.Signal | None:
    """Return the signal that a name in a chain or an expression stands for."""
    signal = find_signal(e, name.parts)
    if isinstance(signal, model.Signal):
        return signal
    if not quiet and name.parts[0] not in e.broken:
        known = [*e.inputs, *e.layers, *(op for op in e.ops if "." not in op)]
        neuron = e.layers[name.parts[0]].neuron if name.parts[0] in e.layers else None
        signals: tuple[str, ...] = () if neuron is None else neuron.signals
        if neuron is not None and len(name.parts) == 1 and neuron.states:
            signals = tuple(state.name for state in neuron.states)
        listed = " or ".join(f"`{name.parts[0]}.{signal}`" for signal in signals)
        e.findings.add(
            Code.UNKNOWN_NAME if signal is None else Code.NO_SIGNAL,
            name.span,
            f"unknown node `{name.text}`" if signal is None else signal,
            help=(did_you_mean(name.text, known) or "declare it: `input x : real[n]` or `layer h = LIF[n]()`")
            if signal is None
            else f"write {listed}",
            cause=f"{name.parts[0]} {e.scope.where}" if signal is None else "",
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
        states = (
            "no state"
            if not neuron.states
            else f"{len(neuron.states)} states: its name alone does not say which is meant"
        )
        return f"`{layer.name}` ({neuron.name}) does not spike and has {states}"
    if parts[1] not in neuron.signals or len(parts) > 3 or (len(parts) == 3 and parts[2] != "pre"):
        return f"`{layer.name}` ({neuron.name}) has no signal `{joined.split('.', 1)[1]}`"
    return model.Signal(layer.name, parts[1], len(parts) == 3)


def _add_ops(
    e: Elaboration,
    chain: nodes.Chain,
    sources: tuple[model.Signal, ...],
    names: list[str],
    instances: list[nodes.Instance],
    target: tuple[nodes.Name, model.Port] | None,
) -> model.Signal:
    """Add the operations of a segment, with the units of their weights; return the signal at its end."""
    ops: list[PendingOp] = []
    text = " ".join(chain.span.text.split())
    signals = sources
    for name, instance in zip(names, instances, strict=True):
        spec = OPERATIONS[instance.func.text]
        if len(signals) < spec.least:
            e.findings.add(
                Code.MISSING_ARGUMENT, instance.span,
                f"`{spec.name}` joins {spec.least} or more sources, and one flows into it here",
                help=f"let it begin a chain and name them: `{spec.name}(a, b) -> …`",
            )  # fmt: skip
        bound = bind(instance, spec, e.scope, head=len(signals) > 1)
        ops.append(PendingOp(name, spec, instance, bound, read_options(spec, bound, e.scope), signals, text))
        signals = (model.Signal(name),)
    _set_dimensions(e, sources, ops, target)
    for op in ops:
        e.ops[op.name] = op
        e.places.setdefault(op.name, op.instance.span)
        if op.name not in e.order:
            e.order.append(op.name)
    return signals[0]


def _set_dimensions(
    e: Elaboration,
    sources: tuple[model.Signal, ...],
    ops: list[PendingOp],
    target: tuple[nodes.Name, model.Port] | None,
) -> None:
    """Carry units along a segment; its last product takes the unit that the port asks for."""
    dimension = e.dimension_of(sources[0])
    for other in sources[1:]:
        if e.dimension_of(other) != dimension and ops:
            e.findings.add(
                Code.UNIT_MISMATCH, ops[0].instance.span, f"`{ops[0].spec.name}` joins {dimension_name(dimension)} and "
                f"{dimension_name(e.dimension_of(other))}", help="its sources need one unit: put a `scale(…)` before one of them",
            )  # fmt: skip
            return
    last = max((i for i, op in enumerate(ops) if op.spec.carries_unit), default=None)
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
            help=f"multiply on the way: `-> scale({unit_quantity(port.dimension / dimension)}) ->`, "
            "or let a `dense()` carry the unit",
            labels=(Label(port.span, "the port"),),
        )  # fmt: skip
