"""Checks the graph of a network: every port that needs an edge has one, every cycle a delay, what counts channels has some."""

from __future__ import annotations

from snnc import model
from snnc.diagnostics import Code, Label
from snnc.semantics.circles import draw_circle
from snnc.semantics.elaboration import Elaboration, PendingLayer
from snnc.units import unit_name


def check_ports(layer: PendingLayer) -> None:
    """Every `input` port without default needs an edge; of the `event` ports at least one port of the layer is fed."""
    for port in layer.neuron.ports:
        if port.default is None and port.name not in layer.edges and (port.kind == "input" or not layer.edges):
            layer.scope.findings.add(
                Code.UNCONNECTED_PORT, layer.span, f"nothing arrives at port `{port.name}` of layer `{layer.name}`",
                help=f"add an edge: `… -> {layer.name}.{port.name}`",
                labels=(Label(port.span, "the port"),),
            )  # fmt: skip


def check_channels(layer: PendingLayer) -> None:
    """A parameter `per channel` needs a layer whose first axis is one of several."""
    assert layer.shape is not None
    for param in layer.neuron.params:
        if param.per == "channel" and len(layer.shape) == 1:
            layer.scope.findings.add(
                Code.SHAPE_MISMATCH, layer.span,
                f"`{param.name}` of `{layer.name}` is `per channel`, and a layer of one axis has no channels",
                help="write `per neuron`",
                labels=(Label(param.span, "the parameter"),),
            )  # fmt: skip


def check_cycles(e: Elaboration, network: model.Network) -> None:
    """Only a delay of at least one step breaks a cycle; report one that has none, drawn."""
    before: dict[str, list[str]] = {}
    for node in network.nodes:
        if isinstance(node, model.Layer):
            before[node.name] = [s.node for _, signals in node.ports for s in signals]
        elif isinstance(node, model.OpNode):
            before[node.name] = [] if node.op.least_delay() >= 1 else [s.node for s in node.sources]
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
                cycle = path[path.index(following) :][::-1]
                first = min(range(len(cycle)), key=lambda k: e.places[cycle[k]].start)
                cycle = cycle[first:] + cycle[:first]
                drawn = draw_circle([(node.rsplit(".", 1)[-1], e.places[node]) for node in cycle])
                e.findings.add(
                    Code.CYCLE, e.places[name if name in e.ops else following],
                    "these nodes wait for each other within one step, so that none can be the first",
                    help="put `-> delay(1 step) ->` into one of the edges of the circle"
                    f"{_at_least(cycle, network)}\n{drawn}",
                )  # fmt: skip
                return
            else:
                stack.append((following, iter(before.get(following, []))))


def _at_least(cycle: list[str], network: model.Network) -> str:
    """Say how a delay of the circle that can become 0 breaks it."""
    late = any(isinstance(op, model.OpNode) and op.op.held() for op in map(network.node, cycle))
    return ", or keep the delay in it above one: `in (1 step, 10 ms)` behind its draw" if late else ""


def check_sharing(e: Elaboration, found: list[model.Node]) -> None:
    """Operations that share weights are of one kind, and their weights alike in shape and unit."""
    ops = {node.name: node for node in found if isinstance(node, model.OpNode)}
    for node in ops.values():
        if not node.shares or node.shares not in ops:
            continue
        other = ops[node.shares]
        alike = [(w.name, w.shape, w.dimension) for w in node.op.weights()] == [
            (w.name, w.shape, w.dimension) for w in other.op.weights()
        ]
        if other.shares or node.op.kind != other.op.kind or not alike:
            mine, theirs = (
                ", ".join(f"`{w.name}` {list(w.shape)} {unit_name(w.dimension)}" for w in n.op.weights())
                for n in (node, other)
            )
            e.ops[node.name].scope.findings.add(
                Code.SHAPE_MISMATCH, node.span, f"this `{node.op.kind}` cannot take the weights of `{e.local(other.name)}`",
                help=f"it has {mine}, the other ({other.op.kind}) {theirs}" if not other.shares
                else f"`{e.local(other.name)}` shares the weights of `{e.local(other.shares)}`: name that one",
                labels=(Label(other.span, "the weights"),),
            )  # fmt: skip
