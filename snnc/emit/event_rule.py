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

    Measured on 2 cores that others used too: time with event lists over time with uint8 arrays, of gathering a batch, the
    product and the gradient of the weights. 700 inputs, 100 steps of batch 128 (32 for 4096 outputs), spikes drawn
    independently; `share` is that of the longest list.

        density  share  16    64    128   256   1024  4096 outputs
          2 %     5 %   0.26  0.25  0.23  0.21  0.20  0.19
          5 %     9 %   0.76  0.46  0.72  0.48  0.44  0.52
         10 %    15 %   2.11  1.39  1.24  0.85  0.55  0.79
         20 %    26 %   2.23  2.66  1.35  1.36  1.26  1.66
    """
    return 0.08 if outputs < 128 else 0.12
