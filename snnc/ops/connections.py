"""`sparse`, `one_to_one` and `inhibit`: connections that are not from all to all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from snnc.ops.dense import Dense
from snnc.ops.operation import Buffer, Init, Operation, Shape, Weight
from snnc.ops.precision import product_text
from snnc.units import ONE, Dimension


@dataclass(frozen=True, slots=True)
class Sparse(Dense):
    """`sparse(size)`: a product of which only some weights exist; the others are 0 and have no gradient.

    Which exist is fixed by `seed` alone: each with probability `density`, or exactly `sources` for each unit, or those
    `listed` as (source, target). The buffer `mask` is 1 where a weight exists.
    """

    density: float | None = None
    sources: int | None = None
    listed: tuple[tuple[int, int], ...] = ()
    seed: int = 0
    kind: str = "sparse"

    def buffers(self) -> tuple[Buffer, ...]:
        shape = (self.fan_in, self.size)
        if self.listed:
            text = f"listed_mask({shape!r}, {self.listed!r})"
        elif self.sources is not None:
            text = f"drawn_sources({self.seed}, {{stream}}, {shape!r}, {self.sources})"
        else:
            text = f"drawn_mask({self.seed}, {{stream}}, {shape!r}, {self.density!r})"
        return (Buffer("mask", shape, 1.0, ONE, text=text),)

    def _text(self, function: str, x: str, weights: Mapping[str, str]) -> str:
        product = product_text("dense", self.precision, x, f"{weights['w']} * {weights['mask']}", plain=function)
        return f"{product} + {weights['b']}" if self.bias else product

    def value(self, x: tuple[Any, ...], weights: Mapping[str, Any]) -> Any:
        product = x[0] @ (weights["w"] * weights["mask"])
        return product + weights["b"] if self.bias else product

    def transposed(
        self, d: str, x: tuple[str, ...], weights: Mapping[str, str], shapes: tuple[Shape, ...]
    ) -> tuple[str, ...]:
        turned = f"({weights['w']} * {weights['mask']}).T"
        return (product_text("cotangent", self.precision, d, turned, plain="dense"),)

    def gradients(self, d: str, x: str) -> tuple[tuple[str, str], ...]:
        product = ("w", product_text("product_gradient", self.precision, x, d) + " * {mask}")
        return (product, ("b", f"summed_to({d}, {{b}})")) if self.bias else (product,)


@dataclass(frozen=True, slots=True)
class OneToOne(Operation):
    """`one_to_one()`: unit k feeds unit k by a weight of its own, y = w x."""

    shape: Shape
    init: Init
    dimension: Dimension = ONE
    kind: str = "one_to_one"

    def weights(self) -> tuple[Weight, ...]:
        return (Weight("w", self.shape, self.init, self.dimension),)

    def text(self, x: tuple[str, ...], weights: Mapping[str, str]) -> str:
        return f"{x[0]} * {weights['w']}"

    def value(self, x: tuple[Any, ...], weights: Mapping[str, Any]) -> Any:
        return x[0] * weights["w"]

    def transposed(
        self, d: str, x: tuple[str, ...], weights: Mapping[str, str], shapes: tuple[Shape, ...]
    ) -> tuple[str, ...]:
        return (f"{d} * {weights['w']}",)

    def gradients(self, d: str, x: str) -> tuple[tuple[str, str], ...]:
        return (("w", f"summed_to({d} * {x}, {{w}})"),)


@dataclass(frozen=True, slots=True)
class Inhibit(Operation):
    """`inhibit(others = k)`: each unit receives k times the sum of all the other units; k is fixed.

    Lateral inhibition (Diehl & Cook 2015).
    """

    factor: float
    dimension: Dimension = ONE
    kind: str = "inhibit"

    def text(self, x: tuple[str, ...], weights: Mapping[str, str]) -> str:
        return f"{self.factor!r} * from_others({x[0]})"

    def value(self, x: tuple[Any, ...], weights: Mapping[str, Any]) -> Any:
        return self.factor * (x[0].sum(-1, keepdims=True) - x[0])

    def transposed(
        self, d: str, x: tuple[str, ...], weights: Mapping[str, str], shapes: tuple[Shape, ...]
    ) -> tuple[str, ...]:
        return (f"{self.factor!r} * from_others({d})",)
