"""`conv(size, kernel)` and `depthwise(kernel)`: one product of each window with the kernel, y = x * W (+ b).

As in PyTorch it is a cross-correlation: the kernel is not turned round.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from snnc.ops.operation import Init, Operation, Shape, Weight
from snnc.ops.windows import Window
from snnc.units import ONE, Dimension

NO_BIAS = Init("zeros")


@dataclass(frozen=True, slots=True)
class Conv(Operation):
    """W has shape (*kernel, channels / groups, size); `bias` adds b of shape (size,) to each channel."""

    channels: int  # of the source
    size: int
    window: Window
    init: Init
    groups: int = 1
    bias: bool = False
    bias_init: Init = NO_BIAS
    dimension: Dimension = ONE  # of W: the port's over the source's
    bias_dimension: Dimension = ONE
    kind: str = "conv"

    @property
    def shape(self) -> Shape:
        return (*self.window.size, self.channels // self.groups, self.size)

    @property
    def fan_in(self) -> int:
        """How many inputs one unit of the result sums."""
        return prod(self.shape[:-1])

    @property
    def fan_out(self) -> int:
        """How many units of the result one input feeds, by PyTorch's count."""
        return self.window.taps * self.size

    def weights(self) -> tuple[Weight, ...]:
        w = Weight("w", self.shape, self.init, self.dimension)
        if not self.bias:
            return (w,)
        return (w, Weight("b", (self.size,), self.bias_init, self.bias_dimension))

    def text(self, x: tuple[str, ...], weights: Mapping[str, str]) -> str:
        product = f"conv({x[0]}, {weights['w']}{self._keywords()})"
        return f"{product} + {weights['b']}[:{', None' * self.window.rank}]" if self.bias else product

    def value(self, x: tuple[Any, ...], weights: Mapping[str, Any]) -> Any:
        rank = self.window.rank
        windows = self.window.view(x[0])  # [..., channels, *places, *kernel]
        axes = (-2 * rank - 1, *range(-rank, 0))
        parts = []
        for part, w in zip(
            np.split(windows, self.groups, axes[0]), np.split(weights["w"], self.groups, -1), strict=True
        ):
            summed = np.tensordot(part, w, (axes, (rank, *range(rank))))  # [..., *places, channels]
            parts.append(np.moveaxis(summed, -1, -rank - 1))
        product = np.concatenate(parts, -rank - 1)
        return product + weights["b"].reshape(-1, *(1,) * rank) if self.bias else product

    def transposed(
        self, d: str, x: tuple[str, ...], weights: Mapping[str, str], shapes: tuple[Shape, ...]
    ) -> tuple[str, ...]:
        return (f"conv_transposed({d}, {weights['w']}, {shapes[0][1:]!r}{self._keywords()})",)

    def gradients(self, d: str, x: str) -> tuple[tuple[str, str], ...]:
        product = ("w", f"conv_gradient({x}, {d}, {{w}}{self._keywords()})")
        return (product, ("b", f"channel_sums({d}, {self.window.rank})")) if self.bias else (product,)

    def _keywords(self) -> str:
        groups = f", groups={self.groups}" if self.groups > 1 else ""
        return self.window.keywords((1,) * self.window.rank) + groups
