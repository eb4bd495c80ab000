"""`delay` and `dropout`: operations that keep something in `State`, from step to step or for a whole sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from snnc.ops.operation import Operation, Shape


@dataclass(frozen=True, slots=True)
class Delay(Operation):
    """`delay(d)`: step n reads what arrived in step n - steps; before that, spikes are 0 and signals at their start.

    The state is a ring of the last `steps` values, [steps, B, ...]. The schedule emits and transposes it.
    """

    steps: int
    kind: str = "delay"
    memory: str = "delay"

    def held(self) -> int:
        return self.steps

    def least_delay(self) -> int:
        return self.steps


@dataclass(frozen=True, slots=True)
class Dropout(Operation):
    """`dropout(p)`: in training each unit is 0 with probability p and scaled by 1/(1-p) otherwise.

    One mask for all steps of a sample (Gal & Ghahramani 2016), drawn in `init_state`.
    """

    rate: float
    kind: str = "dropout"
    memory: str = "dropout"

    def text(self, x: tuple[str, ...], weights: Mapping[str, str]) -> str:
        return f"{x[0]} * {weights['mask']}"

    def value(self, x: tuple[Any, ...], weights: Mapping[str, Any]) -> Any:
        return x[0] * weights["mask"]

    def transposed(
        self, d: str, x: tuple[str, ...], weights: Mapping[str, str], shapes: tuple[Shape, ...]
    ) -> tuple[str, ...]:
        return (f"{d} * {weights['mask']}",)
