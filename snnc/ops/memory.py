"""`delay` and `dropout`: operations that keep something in `State`, from step to step or for a whole sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from snnc.ops.operation import Shape, Weight


@dataclass(frozen=True, slots=True)
class Delay:
    """`delay(d)`: step n reads what arrived in step n - steps; before that, spikes are 0 and signals at their start.

    The state is a ring of the last `steps` values, [steps, B, ...].
    """

    steps: int
    kind: str = "delay"
    memory: str = "delay"
    keeps_input: bool = False

    def weights(self) -> tuple[Weight, ...]:
        return ()

    def text(self, x: str, weights: Mapping[str, str]) -> str:
        raise AssertionError("a delay is emitted by the schedule")

    def value(self, x: Any, weights: Mapping[str, Any]) -> Any:
        raise AssertionError("a delay is computed by the interpreter")

    def transposed(self, d: str, x: str, weights: Mapping[str, str], shape: Shape) -> str:
        raise AssertionError("a delay is transposed by the schedule")

    def gradients(self, d: str, x: str) -> tuple[tuple[str, str], ...]:
        return ()


@dataclass(frozen=True, slots=True)
class Dropout:
    """`dropout(p)`: in training each unit is 0 with probability p and scaled by 1/(1-p) otherwise.

    One mask for all steps of a sample (Gal & Ghahramani 2016), drawn in `init_state`.
    """

    rate: float
    kind: str = "dropout"
    memory: str = "dropout"
    keeps_input: bool = False

    def weights(self) -> tuple[Weight, ...]:
        return ()

    def text(self, x: str, weights: Mapping[str, str]) -> str:
        return f"{x} * {weights['mask']}"

    def value(self, x: Any, weights: Mapping[str, Any]) -> Any:
        return x * weights["mask"]

    def transposed(self, d: str, x: str, weights: Mapping[str, str], shape: Shape) -> str:
        return f"{d} * {weights['mask']}"

    def gradients(self, d: str, x: str) -> tuple[tuple[str, str], ...]:
        return ()
