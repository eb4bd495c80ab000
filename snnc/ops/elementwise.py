"""`bias`, `scale`, `relu` and `flatten`: operations without memory that keep every number where it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from snnc.ops.operation import Init, Shape, Weight
from snnc.units import ONE, Dimension


@dataclass(frozen=True, slots=True)
class Bias:
    """`bias()`: adds one trainable number a unit of the last axis."""

    size: int
    init: Init
    dimension: Dimension = ONE
    kind: str = "bias"
    memory: str = ""

    def weights(self) -> tuple[Weight, ...]:
        return (Weight("b", (self.size,), self.init, self.dimension),)

    def text(self, x: str, weights: Mapping[str, str]) -> str:
        return f"{x} + {weights['b']}"

    def value(self, x: Any, weights: Mapping[str, Any]) -> Any:
        return x + weights["b"]


@dataclass(frozen=True, slots=True)
class Scale:
    """`scale(k)`: multiplies by a fixed quantity, which may carry a unit."""

    factor: float
    dimension: Dimension = ONE
    kind: str = "scale"
    memory: str = ""

    def weights(self) -> tuple[Weight, ...]:
        return ()

    def text(self, x: str, weights: Mapping[str, str]) -> str:
        return f"{self.factor!r} * {x}"

    def value(self, x: Any, weights: Mapping[str, Any]) -> Any:
        return self.factor * x


@dataclass(frozen=True, slots=True)
class Relu:
    """`relu()`: max(x, 0)."""

    kind: str = "relu"
    memory: str = ""

    def weights(self) -> tuple[Weight, ...]:
        return ()

    def text(self, x: str, weights: Mapping[str, str]) -> str:
        return f"jax.nn.relu({x})"

    def value(self, x: Any, weights: Mapping[str, Any]) -> Any:
        return np.maximum(x, 0)


@dataclass(frozen=True, slots=True)
class Flatten:
    """`flatten()`: all feature axes become one, in row-major order."""

    rank: int
    size: int
    kind: str = "flatten"
    memory: str = ""

    def weights(self) -> tuple[Weight, ...]:
        return ()

    def text(self, x: str, weights: Mapping[str, str]) -> str:
        return f"flatten({x}, {self.rank})"

    def value(self, x: Any, weights: Mapping[str, Any]) -> Any:
        return x.reshape(*x.shape[: x.ndim - self.rank], -1)


def flatten_shape(shape: Shape) -> Shape:
    """Return the one-axis shape with as many elements.

    >>> flatten_shape((2, 3))
    (6,)
    """
    size = 1
    for n in shape:
        size *= n
    return (size,)
