"""Metrics: what is reported and selected on, but not trained."""

from __future__ import annotations

import numpy as np

from snnc.model import TensorType
from snnc.ops.options import Option, Options, number
from snnc.ops.penalties import check_activity
from snnc.ops.tensor_function import (
    Tensor,
    TensorFunction,
    Types,
    needs_classes,
    needs_labels,
    needs_no_time,
    per_sample,
)
from snnc.units import ONE


def _check_accuracy(types: Types) -> TensorType | str:
    scores, label = types
    wrong = needs_classes("scores", scores, scores.dimension) or needs_labels("label", label, "scores", scores)
    return wrong or per_sample(scores)


def _check_confusion(types: Types) -> TensorType | str:
    scores, label = types
    wrong = needs_no_time("scores", scores) or needs_classes("scores", scores, scores.dimension)
    return wrong or needs_labels("label", label, "scores", scores) or TensorType(False, False, scores.shape * 2, ONE)


def _check_assigned(types: Types) -> TensorType | str:
    counts, label = types
    wrong = needs_no_time("counts", counts) or needs_classes("counts", counts, counts.dimension)
    return wrong or needs_labels("label", label, "counts", counts) or per_sample(counts)


def _refuse_assigned(options: Options) -> str | None:
    classes, updates = number(options, "classes"), number(options, "updates")
    if not 2 <= classes <= 10_000 or classes != int(classes):
        return "`classes` must be a whole number from 2"
    return None if updates >= 1 else "`updates` must be at least 1"


def _assigned_accuracy(counts: Tensor, label: Tensor, *, responses: Tensor, classes: float, updates: float) -> Tensor:
    means = responses[:, 1:] / np.maximum(responses[:, :1], 1e-9)
    member = (np.argmax(means, axis=0) == np.arange(int(classes))[:, None]) & (means.max(axis=0) > 0)
    scores = counts @ member.T / np.maximum(member.sum(axis=1), 1)
    return np.asarray(np.argmax(scores, axis=-1) == label, counts.dtype)


def _accuracy(scores: Tensor, label: Tensor) -> Tensor:
    return np.asarray(np.argmax(scores, axis=-1) == label, scores.dtype)


def _confusion(scores: Tensor, label: Tensor, *, weight: Tensor) -> Tensor:
    identity = np.eye(scores.shape[-1])
    return np.asarray(identity[label].T @ (weight[:, None] * identity[np.argmax(scores, axis=-1)]))


def _firing_rate(spikes: Tensor, *, weight: Tensor, dt: float) -> Tensor:
    return np.asarray(np.mean(spikes[:, weight > 0]) / (1e-3 * dt))


METRICS = (
    TensorFunction(
        "accuracy", ("scores", "label"), (), _check_accuracy, "accuracy", (), _accuracy, None,
        "1 where the labelled class scores highest, else 0",
    ),
    TensorFunction(
        "assigned_accuracy", ("counts", "label"), (Option("classes", ONE, None), Option("updates", ONE, 100.0)),
        _check_assigned, "assigned_accuracy", ("responses",), _assigned_accuracy, None,
        "1 where the units that answer most are those of the labelled class, else 0; each unit stands for the class to which it "
        "answered most in training, over about the last `updates` updates",
        _refuse_assigned,
    ),
    TensorFunction(
        "confusion", ("scores", "label"), (), _check_confusion, "confusion", ("weight",), _confusion, None,
        "the number of samples of each true class (row) that were taken for each class (column)",
    ),
    TensorFunction(
        "rate", ("spikes",), (), check_activity, "firing_rate", ("weight", "dt"), _firing_rate, None,
        "the mean firing rate over neurons, samples and time, in Hz",
    ),
)  # fmt: skip
