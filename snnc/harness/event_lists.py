"""The training split with its sparse spikes as event lists, and words about it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from snnc.diagnostics import Code, fail
from snnc.harness.emitted import Fields, TrainableModule
from snnc.pipeline import Compiled
from snnc.semantics.event_inputs import event_inputs


def with_event_lists(
    compiled: Compiled, module: TrainableModule, parts: Mapping[str, Fields], batch: int
) -> tuple[dict[str, Fields], list[str]]:
    """Return the parts, the spikes of `train` as event lists where the emitted file wants them, and a sentence about each.

    Raises:
        CompileError: E0605 if the recipe wants event lists of spikes that are not 0 or 1.
    """
    inputs = event_inputs(compiled.network, compiled.recipe)
    if not inputs:
        return dict(parts), []
    recipe, train = compiled.recipe, parts["train"]
    assert recipe is not None
    found: Fields = module.with_events(train, batch)
    told = []
    for node in inputs:
        name = node.name
        if not isinstance(found[name], np.ndarray):
            told.append(f"input `{name}` as event lists: density {100 * found[name].density:.1f} %")
        elif recipe.sparse_input == "on":
            raise fail(
                Code.BAD_DATA,
                recipe.data.span,
                f"`{name}` has values other than 0 and 1, and event lists hold spikes only",
                help=f"take `sparse_input = on` out of `{recipe.name}`, or store spikes",
            )
    return {**parts, "train": found}, told
