"""Peak, half-width and area of a surrogate, measured from its values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snnc import model
from snnc.interp import evaluate

FAR = 1e3  # the area is unbounded where margins beyond this still add to it


@dataclass(frozen=True, slots=True)
class SurrogateFacts:
    """`half_width` is the largest distance with half the peak; it and `area` may be infinite."""

    peak: float
    half_width: float
    area: float


def surrogate_values(
    use: model.SurrogateUse, margins: NDArray[np.float64], parameters: Mapping[str, float]
) -> NDArray[np.float64]:
    """Return the derivative of the step at `margins`; `parameters` are those of the neuron that the arguments read."""
    names = {f: float(evaluate(a, parameters)) for f, a in zip(use.function.formals[1:], use.args, strict=True)}
    values = evaluate(use.function.body, {use.function.formals[0]: margins, **names})
    return np.broadcast_to(np.asarray(values, float), margins.shape)


def measure_surrogate(use: model.SurrogateUse, parameters: Mapping[str, float]) -> SurrogateFacts:
    """Return the facts of a surrogate from its values up to margins of 10^6."""
    margins = np.sinh(np.linspace(-np.arcsinh(1e9), np.arcsinh(1e9), 1_600_001)) / 1e3
    values = surrogate_values(use, margins, parameters)
    steps = (values[1:] + values[:-1]) / 2 * np.diff(margins)
    far = np.abs(margins[1:]) > FAR
    peak = float(values.max())
    wide = float(np.abs(margins[values >= peak / 2]).max())
    unbounded = np.abs(steps[far]).sum() > 0.01 * np.abs(steps[~far]).sum()
    return SurrogateFacts(peak, float("inf") if wide > FAR else wide, float("inf") if unbounded else float(steps.sum()))
