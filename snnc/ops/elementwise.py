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
    keeps_input: bool = False

    def weights(self) -> tuple[Weight, ...]:
        return (Weight("b", (self.size,), self.init, self.dimension),)

    def text(self, x: str, weights: Mapping[str, str]) -> str:
        return f"{x} + {weights['b']}"

    def value(self, x: Any, weights: Mapping[str, Any]) -> Any:
        return x + weights["b"]

    def transposed(self, d: str, x: str, weights: Mapping[str, str], shape: Shape) -> str:
        return d

    def gradients(self, d: str, x: str) -> tuple[tuple[str, str], ...]:
        return (("b", f"summed_to({d}, {{b}})"),)


@dataclass(frozen=True, slots=True)
class Scale:
    """`scale(k)`: multiplies by a fixed quantity, which may carry a unit."""

    factor: float
    dimension: Dimension = ONE
    kind: str = "scale"
    memory: str = ""
    keeps_input: bool = False

    def weights(self) -> tuple[Weight, ...]:
        return ()

    def text(self, x: str, weights: Mapping[str, str]) -> str:
        return f"{self.factor!r} * {x}"

    def value(self, x: Any, weights: Mapping[str, Any]) -> Any:
        return self.factor * x

    def transposed(self, d: str, x: str, weights: Mapping[str, str], shape: Shape) -> str:
        return f"{self.factor!r} * {d}"

    def gradients(self, d: str, x: str) -> tuple[tuple[str, str], ...]:
        return ()


@dataclass(frozen=True, slots=True)
class Relu:
    """`relu()`: max(x, 0)."""

    kind: str = "relu"
    memory: str = ""
    keeps_input: bool = True

    def weights(self) -> tuple[Weight, ...]:
        return ()

    def text(self, x: str, weights: Mapping[str, str]) -> str:
        return f"jax.nn.relu({x})"

    def value(self, x: Any, weights: Mapping[str, Any]) -> Any:
        return np.maximum(x, 0)

    def transposed(self, d: str, x: str, weights: Mapping[str, str], shape: Shape) -> str:
        return f"jnp.where({x} > 0.0, {d}, 0.0)"

    def gradients(self, d: str, x: str) -> tuple[tuple[str, str], ...]:
        return ()


@dataclass(frozen=True, slots=True)
class Flatten:
    """`flatten()`: all feature axes become one, in row-major order."""

    rank: int
    size: int
    kind: str = "flatten"
    memory: str = ""
    keeps_input: bool = False

    def weights(self) -> tuple[Weight, ...]:
        return ()

    def text(self, x: str, weights: Mapping[str, str]) -> str:
        return f"flatten({x}, {self.rank})"

    def value(self, x: Any, weights: Mapping[str, Any]) -> Any:
        return x.reshape(*x.shape[: x.ndim - self.rank], -1)

    def transposed(self, d: str, x: str, weights: Mapping[str, str], shape: Shape) -> str:
        return f"{d}.reshape(*{d}.shape[:-1], {', '.join(map(str, shape))})"

    def gradients(self, d: str, x: str) -> tuple[tuple[str, str], ...]:
        return ()


def flatten_shape(shape: Shape) -> Shape:
    """Return the one-axis shape with as many elements.

    >>> flatten_shape((2, 3))
    (6,)
    """
    size = 1
    for n in shape:
        size *= n
    return (size,)
