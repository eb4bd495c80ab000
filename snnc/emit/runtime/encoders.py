"""Encoders: a field [B, ...] or [T, B, ...] becomes a sequence; transforms keep a field.

Every encoder is called with `keys`, one for each sample; only random ones draw.
Step n ends at (n + 1) dt; times are in ms.
"""

import jax
import jax.numpy as jnp
from jax import Array, lax


def encode_hold(x: Array, keys: Array, *, steps: int, dt: float) -> Array:
    """Return x as the constant input of every step: [B, ...] -> [1, B, ...]."""
    return x[None]


def encode_rate(x: Array, keys: Array, *, steps: int, dt: float, peak: float) -> Array:
    """Return spikes of chance clip(x, 0, 1) peak dt: [B, ...] -> [steps, B, ...].

    `peak` is in 1/ms. A draw depends on the key of its sample and on its step only.
    """

    def draw(step: Array, key: Array) -> Array:
        return jax.random.uniform(jax.random.fold_in(key, step), x.shape[1:], x.dtype)

    draws = jax.vmap(jax.vmap(draw, (None, 0)), (0, None))(jnp.arange(steps), keys)
    return (draws < jnp.clip(x, 0.0, 1.0) * (peak * dt)).astype(x.dtype)


def encode_latency(
    x: Array,
    keys: Array,
    *,
    steps: int,
    dt: float,
    early: float,
    late: float,
    threshold: float,
    bias: bool,
    first: str,
) -> Array:
    """Return one spike per value, at a time linear in it: [B, ...] -> [steps, B, ...].

    Values are clipped to [0, 1]. With first = "large" 1 fires at `early` and 0 at
    `late`, with "small" the other way round. Values up to a positive `threshold` stay
    silent; `bias` appends a unit that fires at `early`. Time t belongs to step
    max(0, ceil(t / dt) - 1), where a thousandth of a step past the grid is rounding.
    """
    delay = jnp.clip(1.0 - x if first == "large" else x, 0.0, 1.0)
    times = early + (late - early) * delay
    if threshold > 0:
        times = jnp.where(x > threshold, times, jnp.inf)
    if bias:
        times = jnp.concatenate([times, jnp.full_like(times[..., :1], early)], axis=-1)
    event = jnp.maximum(jnp.ceil(times / dt - 1e-3) - 1.0, 0.0)
    step = jnp.arange(steps, dtype=x.dtype).reshape((steps,) + (1,) * x.ndim)
    return (step == event).astype(x.dtype)


def encode_delta(
    x: Array, keys: Array, *, steps: int, dt: float, threshold: float
) -> Array:
    """Return +1 or -1 where x [T, B, ...] has moved by `threshold`: same shape.

    The level starts at the first value and follows each spike by `threshold`, in the
    unit of x; a channel spikes at most once a step.
    """

    def advance(level: Array, now: Array) -> tuple[Array, Array]:
        change = now - level
        spike = jnp.where(jnp.abs(change) >= threshold, jnp.sign(change), 0.0)
        return level + threshold * spike, spike

    return lax.scan(advance, x[0], x)[1]


def scale_field(x: Array, *, factor: float) -> Array:
    """Return x times `factor`, same shape."""
    return x * factor


def flatten_features(x: Array, *, lead: int) -> Array:
    """Return x with one feature axis after `lead` axes: 1 for [B, ...], 2 with time."""
    return x.reshape((*x.shape[:lead], -1))
