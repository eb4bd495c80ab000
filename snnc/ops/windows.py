"""Windows that move over the places of an array [channels, *places]: sizes, strides, pads, dilations."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from snnc.ops.operation import Shape

Pads = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Window:
    """One number an axis of places; `pad` is what is added before and after it, `dilation` the distance of two taps."""

    size: Shape
    stride: Shape
    pad: Pads
    dilation: Shape

    @property
    def rank(self) -> int:
        return len(self.size)

    @property
    def taps(self) -> int:
        return prod(self.size)

    @property
    def spans(self) -> Shape:
        """The places from the first tap to the last."""
        return tuple(d * (n - 1) + 1 for n, d in zip(self.size, self.dilation, strict=True))

    def places(self, places: Shape) -> Shape:
        """Return how many windows fit along each axis, 0 or less for none.

        >>> Window((5, 5), (2, 1), ((2, 2), (0, 0)), (1, 1)).places((28, 28))
        (14, 24)
        """
        padded = (n + sum(p) for n, p in zip(places, self.pad, strict=True))
        return tuple((n - m) // s + 1 for n, m, s in zip(padded, self.spans, self.stride, strict=True))

    def keywords(self, stride: Shape) -> str:
        """Return what differs from the runtime functions' own values, as arguments; `stride` is theirs.

        >>> Window((2,), (2,), ((0, 1),), (1,)).keywords((2,))
        ', pad=((0, 1),)'
        """
        given = {"stride": self.stride} if self.stride != stride else {}
        texts = [f", {name}={value!r}" for name, value in given.items()]
        texts += [f", pad={self.pad!r}"] if any(map(any, self.pad)) else []
        texts += [f", dilation={self.dilation!r}"] if any(d > 1 for d in self.dilation) else []
        return "".join(texts)

    def view(self, x: Any, outside: float = 0.0) -> Any:
        """Return the windows of a NumPy array [..., *places] as [..., *windows, *size]."""
        lead = ((0, 0),) * (x.ndim - self.rank)
        padded = np.pad(x, (*lead, *self.pad), constant_values=outside)
        axes = tuple(range(-self.rank, 0))
        found: Any = np.lib.stride_tricks.sliding_window_view(padded, self.spans, axes)
        steps = tuple(slice(None, None, step) for step in (*self.stride, *self.dilation))
        return found[(Ellipsis, *steps)]
