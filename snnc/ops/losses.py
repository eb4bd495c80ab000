"""Losses: one plain number per sample, and per step where the operand has steps."""

from __future__ import annotations

import numpy as np

from snnc.model import TensorType
from snnc.ops.options import Option, Options, not_negative, number, positive
from snnc.ops.tensor_function import (
    Tensor,
    TensorFunction,
    Types,
    needs_alike,
    needs_classes,
    needs_labels,
    needs_no_more_time,
    needs_no_time,
    needs_numbers,
    needs_samples,
    needs_spikes,
    needs_time,
    per_sample,
)
from snnc.units import ONE, TIME


def _check_cross_entropy(types: Types) -> TensorType | str:
    logits, label = types
    return needs_classes("logits", logits) or needs_labels("label", label, "logits", logits) or per_sample(logits)


def _check_nll(types: Types) -> TensorType | str:
    x, label = types
    name = "log_probability"
    return needs_classes(name, x) or needs_labels("label", label, name, x) or per_sample(x)


def _check_ttfs(types: Types) -> TensorType | str:
    first, label = types
    wrong = needs_no_time("first", first) or needs_classes("first", first, TIME)
    return wrong or needs_labels("label", label, "first", first) or per_sample(first)


def _check_mse(types: Types) -> TensorType | str:
    a, b = types
    wrong = needs_samples("a", a) or needs_samples("b", b) or needs_numbers("a", a) or needs_numbers("b", b)
    return wrong or needs_no_more_time("b", b, "a", a) or needs_alike("a", a, "b", b) or per_sample(a)


def _check_count_mse(types: Types) -> TensorType | str:
    spikes, label = types
    wrong = needs_spikes("spikes", spikes) if spikes.time else needs_numbers("spikes", spikes)
    wrong = wrong or needs_classes("spikes", spikes) or needs_no_time("label", label)
    return wrong or needs_labels("label", label, "spikes", spikes) or TensorType(False, True, (), ONE)


def _check_van_rossum(types: Types) -> TensorType | str:
    y, target = types
    wrong = needs_time("y", y) or needs_time("target", target) or needs_spikes("y", y)
    wrong = wrong or needs_samples("y", y) or needs_samples("target", target) or needs_numbers("target", target)
    return wrong or needs_alike("y", y, "target", target) or TensorType(False, True, (), ONE)


def _refuse_kernel(options: Options) -> str | None:
    wrong = positive("decay")(options) or not_negative("rise")(options)
    return wrong or (None if number(options, "rise") < number(options, "decay") else "`rise` must be below `decay`")


def _nll(log_probability: Tensor, label: Tensor) -> Tensor:
    one_hot = np.eye(log_probability.shape[-1])[label]
    return -np.asarray(np.sum(one_hot * log_probability, axis=-1))


def _cross_entropy(logits: Tensor, label: Tensor) -> Tensor:
    return np.asarray(np.logaddexp.reduce(logits, axis=-1) + _nll(logits, label))


def _ttfs_cross_entropy(first: Tensor, label: Tensor, *, tau: float) -> Tensor:
    return _cross_entropy(-first / tau, label)


def _late_label(first: Tensor, label: Tensor, *, tau: float) -> Tensor:
    return np.asarray(-_nll(np.expm1(first / tau), label))


def _mse(a: Tensor, b: Tensor, *, batch_axis: int) -> Tensor:
    return np.asarray(np.mean((a - b) ** 2, axis=tuple(range(batch_axis + 1, a.ndim))))


def _mae(a: Tensor, b: Tensor, *, batch_axis: int) -> Tensor:
    return np.asarray(np.mean(np.abs(a - b), axis=tuple(range(batch_axis + 1, a.ndim))))


def _count_mse(spikes: Tensor, label: Tensor, *, on: float, off: float) -> Tensor:
    counts = spikes.sum(axis=0) if spikes.ndim == 3 else spikes
    target = off + (on - off) * np.eye(counts.shape[-1])[label]
    return np.asarray(np.mean((counts - target) ** 2, axis=-1))


def _van_rossum(y: Tensor, target: Tensor, *, rise: float, decay: float, dt: float) -> Tensor:
    """Convolve with the kernel itself, tabulated over the steps and scaled by its peak."""
    time = dt * np.arange(len(y))
    kernel = np.exp(-time / decay)
    if rise > 0:
        at_peak = rise * decay / (decay - rise) * np.log(decay / rise)
        peak = np.exp(-at_peak / decay) - np.exp(-at_peak / rise)
        kernel = (kernel - np.exp(-time / rise)) / peak
    error = y - target
    filtered = [np.tensordot(kernel[n::-1], error[: n + 1], axes=1) for n in range(len(y))]
    per_unit = dt / decay * np.sum(np.square(filtered), axis=0)
    return np.asarray(np.mean(per_unit, axis=tuple(range(1, per_unit.ndim))))


LOSSES = (
    TensorFunction(
        "cross_entropy", ("logits", "label"), (), _check_cross_entropy, "cross_entropy", (), _cross_entropy, None,
        "-log softmax(logits) of the labelled class",
    ),
    TensorFunction(
        "nll", ("log_probability", "label"), (), _check_nll, "nll", (), _nll, None,
        "-log_probability of the labelled class",
    ),
    TensorFunction(
        "ttfs_cross_entropy", ("first", "label"), (Option("tau", TIME, None, "time that divides the spike times"),),
        _check_ttfs, "ttfs_cross_entropy", (), _ttfs_cross_entropy, None,
        "cross-entropy of softmax(-first / tau): the unit of the label shall spike before the others",
        positive("tau"),
    ),
    TensorFunction(
        "late_label", ("first", "label"), (Option("tau", TIME, None, "time that divides the spike time"),),
        _check_ttfs, "late_label", (), _late_label, None,
        "exp(first / tau) - 1 of the unit of the label: it shall spike early (Göltz et al. 2021, with a factor of 0.005)",
        positive("tau"),
    ),
    TensorFunction(
        "mse", ("a", "b"), (), _check_mse, "mse", ("batch_axis",), _mse, None,
        "mean over features of (a - b)^2, in the square of the coherent unit; `b` may lack the time axis",
    ),
    TensorFunction(
        "mae", ("a", "b"), (), _check_mse, "mae", ("batch_axis",), _mae, None,
        "mean over features of |a - b|, in the coherent unit; `b` may lack the time axis",
    ),
    TensorFunction(
        "count_mse", ("spikes", "label"),
        (
            Option("on", ONE, None, "spikes that the unit of the label shall fire"),
            Option("off", ONE, 0.0, "spikes that each other unit shall fire"),
        ),
        _check_count_mse, "count_mse", (), _count_mse, None,
        "mean over units of (count - target)^2", not_negative("on", "off"),
    ),
    TensorFunction(
        "van_rossum", ("y", "target"),
        (
            Option("rise", TIME, 0.0, "rise time of the kernel; 0: a single exponential"),
            Option("decay", TIME, None, "decay time of the kernel"),
        ),
        _check_van_rossum, "van_rossum", ("dt",), _van_rossum, None,
        "integral of the squared difference of the filtered spike trains over `decay`, mean over units",
        _refuse_kernel,
    ),
)  # fmt: skip
