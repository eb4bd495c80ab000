"""`dense(size)`: a matrix product over the last axis, y = x W (+ b)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from snnc.ops.operation import Init, Operation, Shape, Weight
from snnc.ops.precision import product_text
from snnc.units import ONE, Dimension

NO_BIAS = Init("zeros")


@dataclass(frozen=True, slots=True)
class Dense(Operation):
    """W has shape (fan_in, size); `bias` adds b of shape (size,). `precision` is that of the factors in emitted products."""

    fan_in: int
    size: int
    init: Init
    bias: bool = False
    bias_init: Init = NO_BIAS
    dimension: Dimension = ONE  # of W: the port's over the source's
    bias_dimension: Dimension = ONE
    kind: str = "dense"
    precision: str = "f32"

    def weights(self) -> tuple[Weight, ...]:
        w = Weight("w", (self.fan_in, self.size), self.init, self.dimension)
        if not self.bias:
            return (w,)
        return (w, Weight("b", (self.size,), self.bias_init, self.bias_dimension))

    def text(self, x: tuple[str, ...], weights: Mapping[str, str]) -> str:
        product = product_text("dense", self.precision, x[0], weights["w"])
        return f"{product} + {weights['b']}" if self.bias else product

    def value(self, x: tuple[Any, ...], weights: Mapping[str, Any]) -> Any:
        product = x[0] @ weights["w"]
        return product + weights["b"] if self.bias else product

    def transposed(
        self, d: str, x: tuple[str, ...], weights: Mapping[str, str], shapes: tuple[Shape, ...]
    ) -> tuple[str, ...]:
        return (product_text("cotangent", self.precision, d, f"{weights['w']}.T"),)

    def gradients(self, d: str, x: str) -> tuple[tuple[str, str], ...]:
        product = ("w", product_text("product_gradient", self.precision, x, d))
        return (product, ("b", f"summed_to({d}, {{b}})")) if self.bias else (product,)


def dense_shape(shape: Shape, size: int | None) -> Shape | None:
    """Return the result's shape; None while the size is not known."""
    return None if size is None else (*shape[:-1], size)
