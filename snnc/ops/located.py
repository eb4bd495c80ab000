"""What a spike inside a step has done to one state of its target by the end of the step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from snnc.ops.operation import Operation


@dataclass(frozen=True, slots=True)
class Arrival(Operation):
    """s k(r) of spikes s at times r before the end of their step (ms); `series` are the coefficients of k, constant first."""

    series: tuple[float, ...]
    kind: str = "arrival"
    transposable: ClassVar[bool] = False

    def text(self, x: tuple[str, ...], weights: Mapping[str, str]) -> str:
        return f"{x[0]} * power_series({x[1]}, {self.series!r})"

    def value(self, x: tuple[Any, ...], weights: Mapping[str, Any]) -> Any:
        total = 0.0
        for k, coefficient in enumerate(self.series):
            total = total + coefficient * x[1] ** k
        return x[0] * total
