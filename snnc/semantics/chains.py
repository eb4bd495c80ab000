"""Reads the chains of a network: `a -> dense() -> h` becomes operations with names and units, and edges into ports."""

from __future__ import annotations

from collections.abc import Callable

from snnc import model
from snnc.diagnostics import Code, did_you_mean
from snnc.semantics.elaboration import Elaboration, PendingLayer, find_neuron, is_block, report_unknown
from snnc.semantics.operations.table import OPERATIONS
from snnc.semantics.segments import Flow, Target, add_operations, segment_names
from snnc.semantics.signals import find_signal, find_source
from snnc.syntax import nodes

# Reads a block that is used by a name: what flows in gives what flows out, None after a finding.
Expand = Callable[[Elaboration, nodes.Chain, nodes.Instance, str, Flow, bool], Flow | None]


def read_chain(e: Elaboration, chain: nodes.Chain, expand: Expand) -> None:
    """Read one chain; `expand` reads the networks that it uses as blocks."""
    first, *rest = chain.nodes
    pending: list[nodes.Instance] = []
    flow: Flow | None
    if isinstance(first, nodes.Instance) and find_neuron(e, first.func) is None:
        flow = _head_sources(e, first)
        rest = [first, *rest]
    elif isinstance(first, nodes.Instance):
        if first.alias is None:
            return  # already reported: a layer inside a chain needs a name
        flow = _flow_of(e, nodes.Name((first.alias,), span=first.span))
    else:
        flow = _flow_of(e, first)
    for node in rest:
        if flow is None:
            return
        if isinstance(node, nodes.Name):
            flow = _close(e, chain, flow, pending, node, expand, node is chain.nodes[-1])
            pending = []
        elif find_neuron(e, node.func) is not None and node.alias is None:
            return  # already reported: a layer inside a chain needs a name
        elif find_neuron(e, node.func) is not None:
            name = nodes.Name((node.alias or "",), span=node.span)
            flow = _close(e, chain, flow, pending, name, expand, node is chain.nodes[-1])
            pending = []
        elif node.func.text not in OPERATIONS and not is_block(e, node.func):
            report_unknown(e, node.func, "operation")
            return
        else:
            pending.append(node)
            if node.alias is not None:
                e.add(node.alias, node.span)
                names = segment_names(e, flow.stem, node.alias, pending[:-1])
                flow = _follow(e, chain, flow, [*names, node.alias], pending, None, expand)
                if flow is None:
                    e.broken.append(e.full(node.alias))
                pending = []
    if pending:
        last = pending[-1]
        e.findings.add(
            Code.NO_SIGNAL, last.span, "the chain ends in an operation without a name, so that nothing can read it",
            help=f"let it end in a layer, or write `{last.func.text}(…) as NAME`",
        )  # fmt: skip


def _flow_of(e: Elaboration, name: nodes.Name) -> Flow | None:
    signal = find_source(e, name)
    if signal is None:
        return None
    if name.text in e.aliases:
        return Flow((signal,), name.text)
    return Flow((signal,), e.local(signal.node))


def _head_sources(e: Elaboration, head: nodes.Instance) -> Flow | None:
    """Return what flows into an operation or block that begins a chain: its arguments without a name."""
    spec = OPERATIONS.get(head.func.text)
    if spec is None and not is_block(e, head.func):
        report_unknown(e, head.func, "operation")
        return None
    given = [arg for arg in head.args if arg.name is None]
    if head.func.text == "repeat" or (spec is not None and spec.most == 1) or not given:
        e.findings.add(
            Code.NO_SIGNAL, head.span, f"nothing flows into `{head.func.text}`, which begins this chain",
            help=f"put its source before it: `x -> {head.func.text}(…) -> …`",
        )  # fmt: skip
        return None
    flows = []
    for arg in given:
        if not isinstance(arg.value, nodes.Name):
            e.findings.add(
                Code.WRONG_KIND, arg.span, f"a source of `{head.func.text}` is the name of a layer, an input or an operation",
                help="name what flows into it, as in `h.spike`, or give the operation before it a name with `as`",
            )  # fmt: skip
            return None
        flows.append(_flow_of(e, arg.value))
    if spec is not None and not spec.least <= len(given) <= spec.most:
        count = f"{spec.least}" if spec.least == spec.most else f"{spec.least} or more"
        e.findings.add(
            Code.MISSING_ARGUMENT, head.span, f"`{spec.name}` joins {count} sources, found {len(given)}",
            help=f"name them in its brackets: `{spec.name}(a, b) -> …`",
        )  # fmt: skip
        return None
    found = [flow for flow in flows if flow is not None]
    return Flow(tuple(f.signals[0] for f in found), found[0].stem) if len(found) == len(flows) else None


def _follow(
    e: Elaboration,
    chain: nodes.Chain,
    flow: Flow,
    names: list[str],
    instances: list[nodes.Instance],
    target: Target | None,
    expand: Expand,
) -> Flow | None:
    """Add the operations and blocks of a segment, in order."""
    named: list[tuple[str, nodes.Instance]] = []
    for name, instance in zip(names, instances, strict=True):
        if not is_block(e, instance.func):
            named.append((name, instance))
            continue
        flow = add_operations(e, chain, flow, named, None)
        named = []
        after = expand(e, chain, instance, name, flow, instance is chain.nodes[0])
        if after is None:
            return None
        flow = after
    return add_operations(e, chain, flow, named, target)


def _close(
    e: Elaboration,
    chain: nodes.Chain,
    flow: Flow,
    pending: list[nodes.Instance],
    target: nodes.Name,
    expand: Expand,
    last: bool,
) -> Flow | None:
    """End a segment of operations in the layer (or port) that `target` names."""
    layer, rest = e.layer(target.parts)
    if layer is None and e.is_broken(target.parts[0]):
        return None
    if layer is None:
        if find_signal(e, target.parts) is not None:
            e.findings.add(
                Code.WRONG_KIND, target.span, f"nothing can flow into `{target.text}`",
                help="a chain ends in a layer or in a port of a layer",
            )  # fmt: skip
        else:
            known = [e.local(name) for name in e.layers if name.startswith(e.prefix)]
            e.findings.add(
                Code.UNKNOWN_NAME, target.span, f"unknown layer `{target.text}`",
                help=did_you_mean(target.text, known) or "declare it: `layer h = LIF[n]()`",
                cause=f"{target.parts[0]} {e.scope.where}",
            )  # fmt: skip
        return None
    name = e.local(layer.name)
    port = _port(e, layer, name, rest, target)
    if port is None:
        return None
    names = segment_names(e, flow.stem, name, pending)
    asked = Target(target.span, f"`{port.name}` of `{name}`", port.dimension, port.span)
    end = _follow(e, chain, flow, names, pending, asked, expand)
    if end is None:
        return None
    layer.edges.setdefault(port.name, []).append(end.signals[0])
    return None if last else _flow_of(e, nodes.Name(tuple(name.split(".")), span=target.span))


def _port(
    e: Elaboration, layer: PendingLayer, name: str, rest: tuple[str, ...], target: nodes.Name
) -> model.Port | None:
    ports = layer.neuron.ports
    if rest:
        for port in ports:
            if rest == (port.name,):
                return port
        e.findings.add(
            Code.UNKNOWN_NAME, target.span, f"`{name}` ({layer.neuron.name}) has no port `{'.'.join(rest)}`",
            help=did_you_mean(rest[0], [p.name for p in ports]) or "it takes no input",
        )  # fmt: skip
        return None
    needed = [port for port in ports if port.default is None]
    if len(needed) == 1:
        return needed[0]
    if not needed and len(ports) == 1:
        return ports[0]
    listed = ", ".join(f"`{name}.{port.name}`" for port in ports)
    if not ports:
        message = f"`{layer.neuron.name}` has no port, so that nothing can flow into `{name}`"
    elif needed:
        message = f"`{name}` alone does not say which of the {len(needed)} ports of `{layer.neuron.name}` is meant"
    else:
        message = f"`{name}` alone does not say which of the {len(ports)} ports of `{layer.neuron.name}` is meant"
    e.findings.add(
        Code.AMBIGUOUS_PORT, target.span, message,
        help=f"name the port: {listed}" if ports else "a neuron receives through `event x` or `input I`",
    )  # fmt: skip
    return None
