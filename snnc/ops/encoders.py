"""Encoders (a field becomes a sequence) and transforms (a field stays a field), with their NumPy meaning."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from snnc.ops.options import Choice, Option, Options, Refuse, accept, not_negative, number, positive
from snnc.ops.tensor_function import Tensor
from snnc.units import FREQUENCY, ONE, TIME

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Encoder:
    """Turns [B, ...], or a signal [T, B, ...], into [T, B, ...], called `runtime(x, keys, steps=…, dt=…, **arguments)`.

    `keys` holds one JAX key per sample. `arguments` are the options that the runtime takes; the others went into
    `steps`. `value` is the NumPy meaning with the same call, None where draws decide.
    """

    name: str
    options: tuple[Option | Choice, ...]
    arguments: tuple[str, ...]
    random: bool
    kind: str  # of the result: spikes | real
    shape: Callable[[Shape, Options], Shape | str]  # of one step, or what is wrong with the field's
    steps: Callable[[Options, float], int] | None  # of options and dt; None: the field has a time axis, [T, B, ...]
    held: bool  # the result has one step, which stands for all
    runtime: str
    value: Callable[..., Tensor] | None
    doc: str
    refuse: Refuse = accept


@dataclass(frozen=True, slots=True)
class Transform:
    """Turns a field into a field, called `runtime(x, **options, **extras)`; `value` alike.

    `extras` may ask for "lead": the number of axes before the features, 1 for [B, ...] and 2 for [T, B, ...].
    """

    name: str
    options: tuple[Option, ...]
    extras: tuple[str, ...]
    shape: Callable[[Shape, Options], Shape]
    runtime: str
    value: Callable[..., Tensor]
    doc: str


def _same_shape(shape: Shape, options: Options) -> Shape:
    return shape


def _latency_shape(shape: Shape, options: Options) -> Shape | str:
    if not options["bias"]:
        return shape
    return (*shape[:-1], shape[-1] + 1) if shape else "`bias = true` needs a field with a feature axis"


def _duration_steps(options: Options, dt: float) -> int:
    return math.floor(number(options, "duration") / dt + 0.5)


def _latency_steps(options: Options, dt: float) -> int:
    """Return the steps of `duration`, or as many as hold an event at `late`."""
    if number(options, "duration") > 0:
        return _duration_steps(options, dt)
    return math.ceil(number(options, "late") / dt - 1e-3)


def _refuse_latency(options: Options) -> str | None:
    wrong = positive("late")(options) or not_negative("early", "duration", "threshold")(options)
    late = number(options, "early") > number(options, "late")
    return wrong or ("`early` must not be after `late`" if late else None)


def _hold(x: Tensor, keys: None, *, steps: int, dt: float) -> Tensor:
    return x[None]


def _latency(
    x: Tensor, keys: None, *, steps: int, dt: float, early: float, late: float, threshold: float, bias: bool, first: str
) -> Tensor:
    """Place the spikes one by one."""
    spikes = np.zeros((steps, *x.shape), x.dtype)

    def step_of(time: float) -> int:
        return max(0, math.ceil(time / dt - 1e-3) - 1)

    for index, value in np.ndenumerate(x):
        share = min(max(1.0 - value if first == "large" else value, 0.0), 1.0)
        step = step_of(early + (late - early) * share)
        if step < steps and (threshold <= 0 or value > threshold):
            spikes[(step, *index)] = 1.0
    if not bias:
        return spikes
    extra = np.zeros_like(spikes[..., :1])
    extra[step_of(early) : step_of(early) + 1] = 1.0
    return np.concatenate([spikes, extra], axis=-1)


def _delta(x: Tensor, keys: None, *, steps: int, dt: float, threshold: float) -> Tensor:
    spikes = np.zeros_like(x)
    level = x[0].copy()
    for n in range(len(x)):
        spikes[n] += x[n] - level >= threshold
        spikes[n] -= level - x[n] >= threshold
        level += threshold * spikes[n]
    return spikes


def _flatten(x: Tensor, *, lead: int) -> Tensor:
    return x.reshape((*x.shape[:lead], -1))


_DURATION = Option("duration", TIME, None, "length of the sequence")

_ENCODERS = (
    Encoder(
        "hold", (_DURATION,), (), False, "real", _same_shape, _duration_steps, True, "encode_hold", _hold,
        "the field as a constant input", positive("duration"),
    ),
    Encoder(
        "rate", (_DURATION, Option("peak", FREQUENCY, None, "rate of the value 1")), ("peak",), True, "spikes",
        _same_shape, _duration_steps, False, "encode_rate", None,
        "in each step a spike of chance clip(x, 0, 1) peak dt", positive("duration", "peak"),
    ),
    Encoder(
        "latency",
        (
            Option("early", TIME, 0.0, "time of the value that fires first"),
            Option("late", TIME, None, "time of the value that fires last"),
            Option("duration", TIME, 0.0, "length of the sequence; 0: up to `late`"),
            Choice("bias", (), False, "append a unit that fires at `early`"),
            Option("threshold", ONE, 0.0, "if positive, values up to it stay silent"),
            Choice("first", ("large", "small"), "large", "whether 1 or 0 fires first"),
        ),
        ("early", "late", "bias", "threshold", "first"), False, "spikes", _latency_shape, _latency_steps, False,
        "encode_latency", _latency, "one spike per value, at a time linear in it", _refuse_latency,
    ),
    Encoder(
        "delta", (Option("threshold", ONE, None, "change that makes a spike"),), ("threshold",), False, "spikes",
        _same_shape, None, False, "encode_delta", _delta,
        "+1 or -1 where a signal has risen or fallen by `threshold`", positive("threshold"),
    ),
)  # fmt: skip

_TRANSFORMS = (
    Transform(
        "scale", (Option("factor", ONE, None),), (), _same_shape, "scale_field", lambda x, *, factor: x * factor,
        "the field times `factor`",
    ),
    Transform(
        "flatten", (), ("lead",), lambda shape, options: (math.prod(shape),), "flatten_features", _flatten,
        "the features as one axis",
    ),
)  # fmt: skip

ENCODERS = MappingProxyType({encoder.name: encoder for encoder in _ENCODERS})
TRANSFORMS = MappingProxyType({transform.name: transform for transform in _TRANSFORMS})
