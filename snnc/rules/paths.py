"""The ways that signals take between the layers of a network, as the rules see them."""

from __future__ import annotations

from collections.abc import Iterator

from snnc import model
from snnc.lower.schedule import sources_of


def readers(network: model.Network, name: str) -> Iterator[model.Layer | model.OpNode]:
    """Yield the nodes that read a signal of the node of that name."""
    for node in network.nodes:
        if not isinstance(node, model.Input) and any(s.node == name for s in sources_of(node)):
            yield node


def targets(network: model.Network, node: model.Layer | model.OpNode) -> tuple[model.Layer, ...]:
    """Return the layers that a node reaches without passing another layer."""
    if isinstance(node, model.Layer):
        return (node,)
    found: dict[str, model.Layer] = {}
    for reader in readers(network, node.name):
        found |= {layer.name: layer for layer in targets(network, reader)}
    return tuple(found.values())


def leaving(network: model.Network, layer: model.Layer) -> Iterator[model.OpNode]:
    """Yield the operations that read a layer directly."""
    for node in readers(network, layer.name):
        if isinstance(node, model.OpNode):
            yield node


def chain_from(network: model.Network, node: model.OpNode) -> tuple[model.OpNode, ...]:
    """Return the operations from `node` on up to the next layers."""
    found = [node]
    for reader in readers(network, node.name):
        if isinstance(reader, model.OpNode):
            found += chain_from(network, reader)
    return tuple(found)


def is_spiking(layer: model.Layer) -> bool:
    return bool(layer.neuron.spikes)
