"""`bias`, `scale`, `relu`, `flatten`, `reshape`, `transpose`: operations without memory that treat each number by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from snnc.ops.operation import Init, Operation, Shape, Weight
from snnc.units import ONE, Dimension


@dataclass(frozen=True, slots=True)
class Bias(Operation):
    """`bias()`: adds one trainable number a unit of the last axis."""

    size: int
    init: Init
    dimension: Dimension = ONE
    kind: str = "bias"

    def weights(self) -> tuple[Weight, ...]:
        return (Weight("b", (self.size,), self.init, self.dimension),)

    def text(self, x: tuple[str, ...], weights: Mapping[str, str]) -> str:
        return f"{x[0]} + {weights['b']}"

    def value(self, x: tuple[Any, ...], weights: Mapping[str, Any]) -> Any:
        return x[0] + weights["b"]

    def transposed(
        self, d: str, x: tuple[str, ...], weights: Mapping[str, str], shapes: tuple[Shape, ...]
    ) -> tuple[str, ...]:
        return (d,)

    def gradients(self, d: str, x: str) -> tuple[tuple[str, str], ...]:
        return (("b", f"summed_to({d}, {{b}})"),)


@dataclass(frozen=True, slots=True)
class Scale(Operation):
    """`scale(k)`: multiplies by a fixed quantity, which may carry a unit."""

    factor: float
    dimension: Dimension = ONE
    kind: str = "scale"

    def text(self, x: tuple[str, ...], weights: Mapping[str, str]) -> str:
        return f"{self.factor!r} * {x[0]}"

    def value(self, x: tuple[Any, ...], weights: Mapping[str, Any]) -> Any:
        return self.factor * x[0]

    def transposed(
        self, d: str, x: tuple[str, ...], weights: Mapping[str, str], shapes: tuple[Shape, ...]
    ) -> tuple[str, ...]:
        return (f"{self.factor!r} * {d}",)


@dataclass(frozen=True, slots=True)
class Relu(Operation):
    """`relu()`: max(x, 0)."""

    kind: str = "relu"
    keeps_input: bool = True

    def text(self, x: tuple[str, ...], weights: Mapping[str, str]) -> str:
        return f"jax.nn.relu({x[0]})"

    def value(self, x: tuple[Any, ...], weights: Mapping[str, Any]) -> Any:
        return np.maximum(x[0], 0)

    def transposed(
        self, d: str, x: tuple[str, ...], weights: Mapping[str, str], shapes: tuple[Shape, ...]
    ) -> tuple[str, ...]:
        return (f"jnp.where({x[0]} > 0.0, {d}, 0.0)",)


@dataclass(frozen=True, slots=True)
class Flatten(Operation):
    """`flatten()`: all feature axes become one, in row-major order."""

    rank: int
    size: int
    kind: str = "flatten"

    def text(self, x: tuple[str, ...], weights: Mapping[str, str]) -> str:
        return f"flatten({x[0]}, {self.rank})"

    def value(self, x: tuple[Any, ...], weights: Mapping[str, Any]) -> Any:
        return x[0].reshape(*x[0].shape[: x[0].ndim - self.rank], -1)

    def transposed(
        self, d: str, x: tuple[str, ...], weights: Mapping[str, str], shapes: tuple[Shape, ...]
    ) -> tuple[str, ...]:
        return (f"{d}.reshape(*{d}.shape[:-1], {', '.join(map(str, shapes[0]))})",)


@dataclass(frozen=True, slots=True)
class Reshape(Operation):
    """`reshape([1, 28, 28])`: the same numbers in row-major order on other feature axes."""

    rank: int  # of the source
    shape: Shape
    kind: str = "reshape"

    def text(self, x: tuple[str, ...], weights: Mapping[str, str]) -> str:
        return f"{x[0]}.reshape(*{x[0]}.shape[:-{self.rank}], {', '.join(map(str, self.shape))})"

    def value(self, x: tuple[Any, ...], weights: Mapping[str, Any]) -> Any:
        return x[0].reshape(*x[0].shape[: x[0].ndim - self.rank], *self.shape)

    def transposed(
        self, d: str, x: tuple[str, ...], weights: Mapping[str, str], shapes: tuple[Shape, ...]
    ) -> tuple[str, ...]:
        return (f"{d}.reshape(*{d}.shape[:-{len(self.shape)}], {', '.join(map(str, shapes[0]))})",)


@dataclass(frozen=True, slots=True)
class Transpose(Operation):
    """`transpose()`: the last two axes change places, as from [features, tokens] to [tokens, features]."""

    kind: str = "transpose"

    def text(self, x: tuple[str, ...], weights: Mapping[str, str]) -> str:
        return f"jnp.swapaxes({x[0]}, -1, -2)"

    def value(self, x: tuple[Any, ...], weights: Mapping[str, Any]) -> Any:
        return np.swapaxes(x[0], -1, -2)

    def transposed(
        self, d: str, x: tuple[str, ...], weights: Mapping[str, str], shapes: tuple[Shape, ...]
    ) -> tuple[str, ...]:
        return (f"jnp.swapaxes({d}, -1, -2)",)


def flatten_shape(shape: Shape) -> Shape:
    """Return the one-axis shape with as many elements.

    >>> flatten_shape((2, 3))
    (6,)
    """
    return (prod(shape),)
