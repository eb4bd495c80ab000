"""`add`, `and`, `iand` and `concat`: operations with several sources, at the head of a chain.

`and` and `iand` join a residual branch a with its identity s as a s and (1 - a) s (SEW-ResNet, Fang et al. 2021, table 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from snnc.ops.operation import Operation, Shape


@dataclass(frozen=True, slots=True)
class Add(Operation):
    """`add(a, b, …)`: the sum, in text order."""

    kind: str = "add"

    def text(self, x: tuple[str, ...], weights: Mapping[str, str]) -> str:
        return " + ".join(x)

    def value(self, x: tuple[Any, ...], weights: Mapping[str, Any]) -> Any:
        total = x[0]
        for other in x[1:]:
            total = total + other
        return total

    def transposed(
        self, d: str, x: tuple[str, ...], weights: Mapping[str, str], shapes: tuple[Shape, ...]
    ) -> tuple[str, ...]:
        return (d,) * len(x)


@dataclass(frozen=True, slots=True)
class And(Operation):
    """`and(a, s)`: a s, a spike where both spike."""

    kind: str = "and"
    keeps_input: bool = True

    def text(self, x: tuple[str, ...], weights: Mapping[str, str]) -> str:
        return f"{x[0]} * {x[1]}"

    def value(self, x: tuple[Any, ...], weights: Mapping[str, Any]) -> Any:
        return x[0] * x[1]

    def transposed(
        self, d: str, x: tuple[str, ...], weights: Mapping[str, str], shapes: tuple[Shape, ...]
    ) -> tuple[str, ...]:
        return (f"{d} * {x[1]}", f"{d} * {x[0]}")


@dataclass(frozen=True, slots=True)
class Iand(Operation):
    """`iand(a, s)`: (1 - a) s, the identity's spikes where the branch is silent."""

    kind: str = "iand"
    keeps_input: bool = True

    def text(self, x: tuple[str, ...], weights: Mapping[str, str]) -> str:
        return f"(1.0 - {x[0]}) * {x[1]}"

    def value(self, x: tuple[Any, ...], weights: Mapping[str, Any]) -> Any:
        return (1.0 - x[0]) * x[1]

    def transposed(
        self, d: str, x: tuple[str, ...], weights: Mapping[str, str], shapes: tuple[Shape, ...]
    ) -> tuple[str, ...]:
        return (f"-{d} * {x[1]}", f"{d} * (1.0 - {x[0]})")


@dataclass(frozen=True, slots=True)
class Concat(Operation):
    """`concat(a, b, …)`: joined along the first feature axis (channels of images, units of vectors)."""

    rank: int  # of the feature axes
    kind: str = "concat"

    def text(self, x: tuple[str, ...], weights: Mapping[str, str]) -> str:
        return f"concat(({', '.join(x)}), {-self.rank})"

    def value(self, x: tuple[Any, ...], weights: Mapping[str, Any]) -> Any:
        lead = np.broadcast_shapes(*(a.shape[: a.ndim - self.rank] for a in x))
        whole = [np.broadcast_to(a, (*lead, *a.shape[a.ndim - self.rank :])) for a in x]
        return np.concatenate(whole, axis=-self.rank)

    def transposed(
        self, d: str, x: tuple[str, ...], weights: Mapping[str, str], shapes: tuple[Shape, ...]
    ) -> tuple[str, ...]:
        ends = list(accumulate(shape[0] for shape in shapes))
        rest = ", :" * (self.rank - 1)
        return tuple(f"{d}[..., {e - s[0]}:{e}{rest}]" for e, s in zip(ends, shapes, strict=True))


def same_shape(shapes: tuple[Shape, ...]) -> Shape | str:
    """Return the shape that all sources share, or what differs."""
    other = next((s for s in shapes if s != shapes[0]), None)
    return shapes[0] if other is None else f"its sources differ in shape: {list(shapes[0])} and {list(other)}"


def concat_shape(shapes: tuple[Shape, ...]) -> Shape | str:
    """Return the shape of several arrays joined along their first axis, or what keeps them apart.

    >>> concat_shape(((2, 5), (3, 5)))
    (5, 5)
    """
    other = next((s for s in shapes if s[1:] != shapes[0][1:]), None)
    if other is not None:
        return f"all axes but the first must agree: {list(shapes[0])} and {list(other)}"
    return (sum(s[0] for s in shapes), *shapes[0][1:])
