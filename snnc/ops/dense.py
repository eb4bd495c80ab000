"""`dense(size)`: a matrix product over the last axis, y = x W (+ b)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from snnc.ops.operation import Buffer, Init, Operation, Shape, Weight
from snnc.ops.precision import product_text
from snnc.units import ONE, Dimension

NO_BIAS = Init("zeros")


@dataclass(frozen=True, slots=True)
class Dense(Operation):
    """W has shape (fan_in, size); `bias` adds b of shape (size,). `precision` is that of the factors in emitted products.

    With `feedback` the gradient of the source comes through a matrix of its own instead of W: "random" stays as it is drawn,
    "adaptive" gets the gradient of W.
    """

    fan_in: int
    size: int
    init: Init
    bias: bool = False
    bias_init: Init = NO_BIAS
    dimension: Dimension = ONE  # of W: the port's over the source's
    bias_dimension: Dimension = ONE
    kind: str = "dense"
    precision: str = "f32"
    feedback: str = ""  # "" | random | adaptive

    def weights(self) -> tuple[Weight, ...]:
        found = [Weight("w", (self.fan_in, self.size), self.init, self.dimension)]
        if self.bias:
            found.append(Weight("b", (self.size,), self.bias_init, self.bias_dimension))
        if self.feedback == "adaptive":
            found.append(replace(found[0], name="feedback"))
        return tuple(found)

    def buffers(self) -> tuple[Buffer, ...]:
        if self.feedback != "random":
            return ()
        shape = (self.fan_in, self.size)
        return (Buffer("feedback", shape, 0.0, self.dimension, init=self.init),)

    def text(self, x: tuple[str, ...], weights: Mapping[str, str]) -> str:
        return self._text("dense", x[0], weights)

    def text_over_time(self, x: tuple[str, ...], weights: Mapping[str, str]) -> str:
        return self._text("dense_over_time", x[0], weights)

    def _text(self, function: str, x: str, weights: Mapping[str, str]) -> str:
        if self.feedback:
            product = f"dense_with_feedback({x}, {weights['w']}, {weights['feedback']})"
        else:
            product = product_text("dense", self.precision, x, weights["w"], plain=function)
        return f"{product} + {weights['b']}" if self.bias else product

    def value(self, x: tuple[Any, ...], weights: Mapping[str, Any]) -> Any:
        product = x[0] @ weights["w"]
        return product + weights["b"] if self.bias else product

    def transposed(
        self, d: str, x: tuple[str, ...], weights: Mapping[str, str], shapes: tuple[Shape, ...]
    ) -> tuple[str, ...]:
        back = weights["feedback" if self.feedback else "w"]
        return (product_text("cotangent", self.precision, d, f"{back}.T", plain="dense"),)

    def gradients(self, d: str, x: str) -> tuple[tuple[str, str], ...]:
        product = product_text("product_gradient", self.precision, x, d)
        found = [("w", product)]
        if self.bias:
            found.append(("b", f"summed_to({d}, {{b}})"))
        if self.feedback == "adaptive":
            found.append(("feedback", product))
        return tuple(found)


def dense_shape(shape: Shape, size: int | None) -> Shape | None:
    """Return the result's shape; None while the size is not known."""
    return None if size is None else (*shape[:-1], size)
