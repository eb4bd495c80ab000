"""`attention` and `embedding`: what works on sequences of tokens [tokens, features] within one step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from snnc.ops.operation import Init, Operation, Shape, Weight
from snnc.units import ONE, Dimension


@dataclass(frozen=True, slots=True)
class Attention(Operation):
    """`attention(q, k, v, heads, scale)`: scale (q kᵀ) v in each of `heads` slices of the features, without softmax.

    Spiking self-attention (Zhou et al. 2023, "Spikformer", eq. 6): q, k, v are spikes, so that no product is negative.
    """

    transposable: ClassVar[bool] = False
    heads: int
    factor: float
    kind: str = "attention"

    def text(self, x: tuple[str, ...], weights: Mapping[str, str]) -> str:
        return f"attention({', '.join(x)}, {self.heads}, {self.factor!r})"

    def value(self, x: tuple[Any, ...], weights: Mapping[str, Any]) -> Any:
        q, k, v = (a.reshape(*a.shape[:-1], self.heads, -1) for a in x)
        scores = np.einsum("...nhc,...mhc->...hnm", q, k)
        joined = np.einsum("...hnm,...mhc->...nhc", scores, v)
        return self.factor * joined.reshape(x[0].shape)


@dataclass(frozen=True, slots=True)
class Embedding(Operation):
    """`embedding(size, count)`: row number x of a table [count, size] for each unit x, a whole number below `count`."""

    transposable: ClassVar[bool] = False
    count: int
    size: int
    rank: int  # axes of the result
    init: Init
    dimension: Dimension = ONE
    kind: str = "embedding"

    def weights(self) -> tuple[Weight, ...]:
        return (Weight("w", (self.count, self.size), self.init, self.dimension),)

    def text(self, x: tuple[str, ...], weights: Mapping[str, str]) -> str:
        return f"embedded({x[0]}, {weights['w']}, {self.rank})"

    def value(self, x: tuple[Any, ...], weights: Mapping[str, Any]) -> Any:
        rows = weights["w"][np.clip(np.asarray(x[0]).astype(int), 0, self.count - 1)]
        return rows[..., 0, :] if self.rank == 1 else rows


def attention_shape(shapes: tuple[Shape, ...], heads: int) -> Shape | str:
    """Return the shape of the result, that of v, or what does not fit."""
    if any(s != shapes[0] for s in shapes) or len(shapes[0]) != 2:
        listed = ", ".join(str(list(s)) for s in shapes)
        return f"q, k and v are each [tokens, features]: found {listed}"
    if shapes[0][1] % heads:
        return f"{heads} heads do not share {shapes[0][1]} features evenly"
    return shapes[0]


def embedding_shape(shape: Shape, size: int) -> Shape:
    """Return the shape of the rows of a table that `shape` numbers name.

    >>> embedding_shape((1,), 8), embedding_shape((5,), 8)
    ((8,), (5, 8))
    """
    return (size,) if shape == (1,) else (*shape, size)
