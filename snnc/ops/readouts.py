"""Readouts: folds of a sequence over its steps, and softmax over features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from snnc.model import TensorType
from snnc.ops.options import Option
from snnc.ops.tensor_function import (
    Fold,
    Tensor,
    TensorFunction,
    Types,
    needs_dimension,
    needs_features,
    needs_numbers,
    needs_spikes,
    needs_time,
)
from snnc.units import ONE, TIME

# The part of the sequence that a readout sees; the caller cuts it out.
WINDOW = (
    Option("from", TIME, None, "start of the window", optional=True),
    Option("to", TIME, None, "end of the window", optional=True),
    Option("last", TIME, None, "length of a window at the end", optional=True),
)


def _over_time(types: Types) -> TensorType | str:
    (x,) = types
    return needs_time("x", x) or needs_numbers("x", x) or replace(x, time=False, kind="real")


def _spikes_over_time(types: Types) -> TensorType | str:
    (x,) = types
    return needs_time("spikes", x) or needs_spikes("spikes", x) or replace(x, time=False, kind="real")


def _first_time(types: Types) -> TensorType | str:
    found = _spikes_over_time(types)
    return found if isinstance(found, str) else replace(found, dimension=TIME)


def _first_crossing(types: Types) -> TensorType | str:
    spikes, rest = types
    found = _first_time((spikes,))
    return found if isinstance(found, str) else needs_time("rest", rest) or needs_dimension("rest", rest, TIME) or found


def _over_features(types: Types) -> TensorType | str:
    (x,) = types
    wrong = needs_features("x", x) or needs_numbers("x", x) or needs_dimension("x", x, ONE)
    return wrong or replace(x, kind="real")


def _log_softmax(x: Tensor) -> Tensor:
    return np.asarray(x - np.logaddexp.reduce(x, axis=-1, keepdims=True))


def _first_spike_time(spikes: Tensor, *, dt: float) -> Tensor:
    alive = np.ones(spikes.shape[1:])
    time = np.full(spikes.shape[1:], dt)
    for now in spikes:
        alive = alive * (1.0 - now)
        time = time + dt * alive
    return time


def _first_crossing_time(spikes: Tensor, rest: Tensor, *, dt: float) -> Tensor:
    is_first = spikes * (np.cumsum(spikes, axis=0) == 1)
    return np.asarray(_first_spike_time(spikes, dt=dt) - np.sum(is_first * rest, axis=0))


def _fold(
    name: str,
    runtime: str,
    check: Callable[[Types], TensorType | str],
    value: Callable[..., Tensor],
    fold: Fold,
    doc: str,
) -> TensorFunction:
    """Return a readout over time; its operand is called `spikes` where only spikes make sense."""
    operand = "x" if check is _over_time else "spikes"
    extras = ("dt",) if "{dt}" in fold.value else ()
    return TensorFunction(name, (operand,), WINDOW, check, runtime, extras, value, fold, doc)


_SUM = Fold(("acc",), ("jnp.zeros_like({like})",), ("{acc} + {x}",), "{acc}")

READOUTS = (
    _fold(
        "max_over_time", "max_over_time", _over_time, lambda x: np.max(x, axis=0),
        Fold(("acc",), ("jnp.full_like({like}, -jnp.inf)",), ("jnp.maximum({acc}, {x})",), "{acc}"),
        "the largest value of the window",
    ),
    _fold(
        "mean_over_time", "mean_over_time", _over_time, lambda x: np.mean(x, axis=0),
        replace(_SUM, value="{acc} / jnp.maximum({count}, 1).astype({acc}.dtype)"),
        "the mean over the steps of the window",
    ),
    _fold(
        "sum_over_time", "sum_over_time", _over_time, lambda x: np.sum(x, axis=0), _SUM,
        "the sum over the steps of the window",
    ),
    _fold(
        "last_over_time", "last_over_time", _over_time, lambda x: x[-1], replace(_SUM, update=("{x}",)),
        "the value at the end of the window",
    ),
    _fold(
        "count", "spike_count", _spikes_over_time, lambda spikes: np.sum(spikes, axis=0), _SUM,
        "the number of spikes in the window",
    ),
    _fold(
        "first_spike_time", "first_spike_time", _first_time, _first_spike_time,
        Fold(
            ("elapsed", "alive"), ("jnp.zeros_like({like})", "jnp.ones_like({like})"),
            ("{elapsed} + {alive} * (1.0 - {x})", "{alive} * (1.0 - {x})"), "{dt} * (1.0 + {elapsed})",
        ),
        "the time of the first spike from the window's start; a silent unit gets one step more than the window has",
    ),
    TensorFunction(
        "first_crossing_time", ("spikes", "rest"), WINDOW, _first_crossing, "first_crossing_time", ("dt",), _first_crossing_time,
        Fold(
            ("elapsed", "alive", "late"),
            ("jnp.zeros_like({like})", "jnp.ones_like({like})", "jnp.zeros_like({like})"),
            ("{elapsed} + {alive} * (1.0 - {x})", "{alive} * (1.0 - {x})", "{late} + {alive} * {x} * {y}"),
            "{dt} * (1.0 + {elapsed}) - {late}",
        ),
        "the same for spikes inside their steps, each `rest` before the end: what `first_spike_time` is with `events = located`",
    ),
    TensorFunction(
        "softmax", ("x",), (), _over_features, "softmax", (), lambda x: np.exp(_log_softmax(x)), None,
        "exp(x) over its sum along the last axis",
    ),
    TensorFunction(
        "log_softmax", ("x",), (), _over_features, "log_softmax", (), _log_softmax, None,
        "the logarithm of softmax",
    ),
)  # fmt: skip
