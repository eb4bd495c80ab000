"""`avg_pool`, `sum_pool`, `max_pool` and `upsample`: each channel by itself, windows over its places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from snnc.ops.operation import Operation, Shape
from snnc.ops.windows import Window


@dataclass(frozen=True, slots=True)
class SumPool(Operation):
    """`sum_pool(size)`: the sum of each window; `avg_pool(size)`: over the number of its taps, padded ones included."""

    window: Window
    kind: str = "sum_pool"

    @property
    def factor(self) -> float:
        return 1.0 / self.window.taps if self.kind == "avg_pool" else 1.0

    def text(self, x: tuple[str, ...], weights: Mapping[str, str]) -> str:
        return self._shared(f"sum_pool({x[0]}, {window_text(self.window)})")

    def value(self, x: tuple[Any, ...], weights: Mapping[str, Any]) -> Any:
        return self.factor * self.window.view(x[0]).sum(tuple(range(-self.window.rank, 0)))

    def transposed(
        self, d: str, x: tuple[str, ...], weights: Mapping[str, str], shapes: tuple[Shape, ...]
    ) -> tuple[str, ...]:
        return (self._shared(f"sum_pool_transposed({d}, {shapes[0][1:]!r}, {window_text(self.window)})"),)

    def _shared(self, text: str) -> str:
        return text if self.kind == "sum_pool" else f"{text} / {float(self.window.taps)!r}"


@dataclass(frozen=True, slots=True)
class MaxPool(Operation):
    """`max_pool(size)`: the largest number of each window; places outside the source never win.

    Of several that are equal, as spikes are, the first in row-major order has the derivative, as in PyTorch.
    """

    window: Window
    kind: str = "max_pool"
    keeps_input: bool = True

    def text(self, x: tuple[str, ...], weights: Mapping[str, str]) -> str:
        return f"max_pool({x[0]}, {window_text(self.window)})"

    def value(self, x: tuple[Any, ...], weights: Mapping[str, Any]) -> Any:
        return self.window.view(x[0], -np.inf).max(tuple(range(-self.window.rank, 0)))

    def transposed(
        self, d: str, x: tuple[str, ...], weights: Mapping[str, str], shapes: tuple[Shape, ...]
    ) -> tuple[str, ...]:
        return (f"max_pool_transposed({d}, {x[0]}, {window_text(self.window)})",)


@dataclass(frozen=True, slots=True)
class Upsample(Operation):
    """`upsample(factor)`: each place repeated `factor` times along each axis (nearest)."""

    factor: Shape
    kind: str = "upsample"

    def text(self, x: tuple[str, ...], weights: Mapping[str, str]) -> str:
        return f"upsample({x[0]}, {self.factor!r})"

    def value(self, x: tuple[Any, ...], weights: Mapping[str, Any]) -> Any:
        y = x[0]
        for k, times in enumerate(self.factor):
            y = np.repeat(y, times, k - len(self.factor))
        return y

    def transposed(
        self, d: str, x: tuple[str, ...], weights: Mapping[str, str], shapes: tuple[Shape, ...]
    ) -> tuple[str, ...]:
        return (f"sum_pool({d}, {self.factor!r})",)


def window_text(window: Window) -> str:
    """Return a window as the arguments of a runtime function, whose stride is the size unless given."""
    return f"{window.size!r}{window.keywords(window.size)}"
