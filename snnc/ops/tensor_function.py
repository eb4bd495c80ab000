"""What a readout, loss, penalty or metric has to say, and the findings that their type rules share.

A finding is a text in the words of a message; a rule is `finding or finding or result`, so that the first finding wins.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from snnc.model import TensorType
from snnc.ops.options import Option, Refuse, accept
from snnc.units import ONE, Dimension, dimension_name

Tensor = NDArray[Any]
Types = tuple[TensorType, ...]


@dataclass(frozen=True, slots=True)
class Fold:
    """A readout as a loop over the steps of its window, in JAX texts.

    `init` may hold {like}, an array of the shape of one step; `update` {x}, this step's value, and each slot by its
    name; `value` the slots, {count} (steps of the window up to and with this one) and {dt} (ms). There is one `init`
    and one `update` for each slot; updates are simultaneous.
    """

    slots: tuple[str, ...]
    init: tuple[str, ...]
    update: tuple[str, ...]
    value: str


@dataclass(frozen=True, slots=True)
class TensorFunction:
    """A function of tensors, called `runtime(*operands, **options, **extras)`; `value` is its NumPy meaning, same call.

    `extras`: "dt" (ms), "weight" ([B], 1 for samples and 0 for padding), "batch_axis" (the axis of the samples in the
    first operand: 1 after a time axis, 0 without, None for a tensor without samples), "responses" ([classes, 1 + units]: for
    each class its samples in training and the sum of what each unit answered to them). Options of `WINDOW` are not
    passed on: the caller cuts the sequence.
    """

    name: str
    operands: tuple[str, ...]
    options: tuple[Option, ...]
    check: Callable[[Types], TensorType | str]  # the type of the result, or what is wrong
    runtime: str  # a function of snnc/emit/runtime
    extras: tuple[str, ...]
    value: Callable[..., Tensor]
    fold: Fold | None  # readouts over time only
    doc: str
    refuse: Refuse = accept


def needs_time(name: str, x: TensorType) -> str | None:
    return None if x.time else f"`{name}` has no time axis"


def needs_no_time(name: str, x: TensorType) -> str | None:
    return f"`{name}` has a time axis where one value per sample is needed" if x.time else None


def needs_samples(name: str, x: TensorType) -> str | None:
    return None if x.batch else f"`{name}` is the same for all samples"


def needs_numbers(name: str, x: TensorType) -> str | None:
    return f"`{name}` are class numbers" if x.kind == "class" else None


def needs_spikes(name: str, x: TensorType) -> str | None:
    found = "class numbers" if x.kind == "class" else "real values"
    return None if x.kind == "spikes" else f"`{name}` must be spikes, found {found}"


def needs_dimension(name: str, x: TensorType, dimension: Dimension) -> str | None:
    if x.dimension == dimension:
        return None
    return f"`{name}` must be {dimension_name(dimension)}, found {dimension_name(x.dimension)}"


def needs_features(name: str, x: TensorType) -> str | None:
    return None if x.shape else f"`{name}` has no feature axis"


def needs_classes(name: str, x: TensorType, dimension: Dimension = ONE) -> str | None:
    """Find what keeps `x` from being one value per class and sample."""
    if len(x.shape) != 1:
        axes = ", ".join(map(str, x.shape))
        return f"`{name}` must have one axis, the classes; found shape [{axes}]"
    return needs_samples(name, x) or needs_numbers(name, x) or needs_dimension(name, x, dimension)


def needs_labels(name: str, label: TensorType, of: str, x: TensorType) -> str | None:
    """Find what keeps `label` from naming one class for each sample (or step) of `x`, called `of`."""
    if label.kind != "class":
        return f"`{name}` must be class numbers"
    if label.shape:
        return f"`{name}` must be one class number per sample"
    return needs_samples(name, label) or needs_no_more_time(name, label, of, x)


def needs_no_more_time(name: str, x: TensorType, of: str, other: TensorType) -> str | None:
    return f"`{name}` has a time axis but `{of}` has none" if x.time and not other.time else None


def needs_alike(name: str, x: TensorType, of: str, other: TensorType) -> str | None:
    """Find a difference in shape or dimension."""
    if x.shape != other.shape:
        shapes = [", ".join(map(str, t.shape)) for t in (x, other)]
        return f"`{name}` has shape [{shapes[0]}] but `{of}` has shape [{shapes[1]}]"
    if x.dimension != other.dimension:
        return f"`{name}` is {dimension_name(x.dimension)} but `{of}` is {dimension_name(other.dimension)}"
    return None


def per_sample(x: TensorType) -> TensorType:
    """Return the type of a loss of `x`: a plain number per sample, and per step where `x` has steps."""
    return TensorType(x.time, True, (), ONE)


SCALAR = TensorType(False, False, (), ONE)
