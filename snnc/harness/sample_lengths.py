"""Checks, when the data are there, that lengths of samples, labels and targets of their steps fit the sequences."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from snnc.diagnostics import Code, fail
from snnc.expr import variables
from snnc.model import Network, Recipe
from snnc.semantics.fields import expects_time

LENGTH = "length"  # a field of this name is never left unused without a word


def check_lengths(recipe: Recipe, network: Network, fields: Mapping[str, np.ndarray]) -> None:
    """Raise E0605 for lengths that are no numbers of steps, or that the recipe does not use, and for steps without a label.

    `fields` [N, ...] have the names of the inputs that they feed.
    """
    timed = recipe.steps is None and expects_time(network, recipe.data)
    steps = max((fields[node.name].shape[1] for node in network.inputs if timed), default=recipe.steps or 1)
    if recipe.burn_in >= steps:
        raise fail(
            Code.BAD_DATA, recipe.data.span,
            f"`burn_in` of `{recipe.name}` takes {recipe.burn_in} steps, and a sample has {steps}: none is left to learn from",
            help="make it shorter, or store longer samples",
        )  # fmt: skip
    if recipe.length is not None:
        _check_length(recipe, recipe.length, steps, fields)
    elif LENGTH in fields and not _is_named(recipe, network):
        raise fail(
            Code.BAD_DATA, recipe.data.span,
            f"`{recipe.data.name}` has a field `length`, and recipe `{recipe.name}` does not say what it is for",
            help="write `length = length` in the recipe if it holds the steps of each sample, else rename the field",
        )  # fmt: skip
    for name, type_ in recipe.fields:
        array = fields.get(name)
        if array is not None:
            _check_steps(recipe, name, type_.time, array, steps)


def _is_named(recipe: Recipe, network: Network) -> bool:
    terms = (recipe.loss, *recipe.penalties, *recipe.metrics)
    named = any(f"field:{LENGTH}" in variables(term.value) for term in terms)
    return named or any(node.name == LENGTH for node in network.inputs)


def _check_length(recipe: Recipe, name: str, steps: int, fields: Mapping[str, np.ndarray]) -> None:
    if name not in fields:
        known = ", ".join(f"`{field}`" for field in fields)
        raise fail(
            Code.UNKNOWN_FIELD, recipe.data.span,
            f"`{recipe.data.name}` has no field `{name}`, from which `{recipe.name}` takes the length of each sample",
            help=f"it has {known}; store a whole number of steps for each sample",
        )  # fmt: skip
    length = fields[name]
    low = recipe.burn_in + 1
    problem = ""
    if length.ndim != 1 or length.dtype.kind not in "iu":
        problem = f"is {length.dtype} of shape {length.shape}"
    elif (length < low).any() or (length > steps).any():
        sample = int(np.argmax((length < low) | (length > steps)))
        problem = f"is {length[sample]} for sample {sample}"
    if problem:
        after = f", so that one is left after the {recipe.burn_in} of `burn_in`" if recipe.burn_in else ""
        raise fail(
            Code.BAD_DATA, recipe.data.span, f"the length `{name}` of `{recipe.data.name}` {problem}",
            help=f"it holds for each sample its steps before the padding, a whole number from {low} to {steps}{after}",
        )  # fmt: skip


def _check_steps(recipe: Recipe, name: str, timed: bool, array: np.ndarray, steps: int) -> None:
    """Check that a label or target has a value for each step, if it is compared with one for each step."""
    if name == "label" and timed != (array.ndim == 2):
        has = "one for each step" if array.ndim == 2 else "one for each sample"
        raise fail(
            Code.BAD_DATA, recipe.data.span, f"`label` has shape {array.shape}, {has}, which does not fit the loss and metrics",
            help="compare labels of steps with a signal over time, as in `cross_entropy(out.v, label)`; one-hot rows become "
            "numbers by `argmax(axis=-1)`",
        )  # fmt: skip
    if timed and array.ndim > 1 and array.shape[1] != steps:
        raise fail(
            Code.BAD_DATA, recipe.data.span, f"`{name}` has {array.shape[1]} steps, and the samples have {steps}",
            help="store a value for each step of the input, padded like it; one-hot rows become numbers by `argmax(axis=-1)`",
        )  # fmt: skip
