"""Reductions to one number and penalties on activity and weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from snnc.model import TensorType
from snnc.ops.options import Option, not_negative
from snnc.ops.tensor_function import (
    SCALAR,
    Tensor,
    TensorFunction,
    Types,
    needs_numbers,
    needs_samples,
    needs_spikes,
    needs_time,
)
from snnc.units import FREQUENCY


def _check_mean(types: Types) -> TensorType | str:
    (x,) = types
    return needs_numbers("x", x) or replace(SCALAR, dimension=x.dimension)


def _check_sum(types: Types) -> TensorType | str:
    (x,) = types
    return needs_numbers("x", x) or TensorType(False, x.batch, (), x.dimension)


def _check_size(types: Types) -> TensorType | str:
    (x,) = types
    return needs_numbers("x", x) or SCALAR


def check_activity(types: Types) -> TensorType | str:
    """Return a plain number for spikes of samples over time."""
    (spikes,) = types
    wrong = needs_time("spikes", spikes) or needs_samples("spikes", spikes) or needs_spikes("spikes", spikes)
    return wrong or SCALAR


def _mean(x: Tensor, *, weight: Tensor, batch_axis: int | None) -> Tensor:
    if batch_axis is None:
        return np.asarray(np.mean(x))
    real = np.compress(weight > 0, x, axis=batch_axis)
    return np.asarray(np.mean(real))


def _sum(x: Tensor, *, batch_axis: int | None) -> Tensor:
    if batch_axis is None:
        return np.asarray(np.sum(x))
    return np.asarray(np.moveaxis(x, batch_axis, 0).reshape(x.shape[batch_axis], -1).sum(axis=1))


def _l1(x: Tensor, *, weight: Tensor, batch_axis: int | None) -> Tensor:
    if batch_axis is None:
        return np.asarray(np.sum(np.abs(x)))
    features = int(np.prod(x.shape[batch_axis + 1 :]))
    return features * _mean(np.abs(x), weight=weight, batch_axis=batch_axis)


def _l2(x: Tensor, *, weight: Tensor, batch_axis: int | None) -> Tensor:
    return _l1(x * x, weight=weight, batch_axis=batch_axis)


def _activity(spikes: Tensor, *, weight: Tensor) -> Tensor:
    return len(spikes) * _mean(spikes, weight=weight, batch_axis=1)


def _rates(spikes: Tensor, weight: Tensor, dt: float) -> Tensor:
    """Return each neuron's rate in Hz from its mean over time and real samples."""
    return np.asarray(np.mean(spikes[:, weight > 0], axis=(0, 1)) / (1e-3 * dt))


def _rate_upper(spikes: Tensor, *, bound: float, weight: Tensor, dt: float) -> Tensor:
    return np.asarray(np.mean(np.maximum(_rates(spikes, weight, dt) - 1e3 * bound, 0.0) ** 2))


def _rate_lower(spikes: Tensor, *, bound: float, weight: Tensor, dt: float) -> Tensor:
    return np.asarray(np.mean(np.minimum(_rates(spikes, weight, dt) - 1e3 * bound, 0.0) ** 2))


def _rate_target(spikes: Tensor, *, target: float, weight: Tensor, dt: float) -> Tensor:
    return np.asarray(np.mean((_rates(spikes, weight, dt) - 1e3 * target) ** 2))


def _rate_penalty(name: str, option: str, value: Callable[..., Tensor], doc: str) -> TensorFunction:
    return TensorFunction(
        name, ("spikes",), (Option(option, FREQUENCY, None, "a firing rate"),), check_activity, name, ("weight", "dt"),
        value, None, f"{doc}, in Hz^2, of each neuron's rate over samples and time", not_negative(option),
    )  # fmt: skip


PENALTIES = (
    TensorFunction(
        "mean", ("x",), (), _check_mean, "mean_of_all", ("weight", "batch_axis"), _mean, None,
        "the mean over samples, time and features",
    ),
    TensorFunction(
        "sum", ("x",), (), _check_sum, "sum_per_sample", ("batch_axis",), _sum, None,
        "the sum over time and features",
    ),
    TensorFunction(
        "l1", ("x",), (), _check_size, "l1", ("weight", "batch_axis"), _l1, None,
        "sum of |x| over a weight in the coherent unit; of a signal the mean over samples and time of that sum",
    ),
    TensorFunction(
        "l2", ("x",), (), _check_size, "l2", ("weight", "batch_axis"), _l2, None,
        "sum of x^2 over a weight in the coherent unit; of a signal the mean over samples and time of that sum",
    ),
    TensorFunction(
        "activity", ("spikes",), (), check_activity, "activity", ("weight",), _activity, None,
        "the mean number of spikes per neuron and sample",
    ),
    _rate_penalty("rate_upper", "bound", _rate_upper, "mean over neurons of relu(rate - bound)^2"),
    _rate_penalty("rate_lower", "bound", _rate_lower, "mean over neurons of relu(bound - rate)^2"),
    _rate_penalty("rate_target", "target", _rate_target, "mean over neurons of (rate - target)^2"),
)  # fmt: skip
