"""When event lists are faster than the product that they stand for: a rule from measurement."""

from __future__ import annotations

from snnc import model


def event_share(node: model.Input, network: model.Network, recipe: model.Recipe | None) -> float:
    """Return how long the lists of an input may be, as a share of what they stand for."""
    if recipe is not None and recipe.sparse_input == "on":
        return 1.0
    return longest_share(sum(op.shape[-1] for op in network.operations if op.sources[0].node == node.name))


def longest_share(outputs: int) -> float:
    """Return the longest share at which lists paid for a `dense` of so many outputs.

    TABLE
    """
    return 0.08 if outputs < 128 else 0.12
