"""Readouts: a sequence [T, B, ...] becomes one value per sample [B, ...]."""

import jax
import jax.numpy as jnp
from jax import Array


def max_over_time(x: Array) -> Array:
    """Return the largest value of each sequence: [T, B, ...] -> [B, ...], unit of x."""
    return jnp.max(x, axis=0)


def mean_over_time(x: Array) -> Array:
    """Return the mean of each sequence: [T, B, ...] -> [B, ...], unit of x."""
    return jnp.mean(x, axis=0)


def sum_over_time(x: Array) -> Array:
    """Return the sum over steps: [T, B, ...] -> [B, ...], unit of x (no dt)."""
    return jnp.sum(x, axis=0)


def last_over_time(x: Array) -> Array:
    """Return the value of the last step: [T, B, ...] -> [B, ...], unit of x."""
    return x[-1]


def spike_count(spikes: Array) -> Array:
    """Return the number of spikes (the sum of graded ones): [T, B, ...] -> [B, ...]."""
    return jnp.sum(spikes, axis=0)


def first_spike_time(spikes: Array, *, dt: float) -> Array:
    """Return the time of the first spike in ms: [T, B, ...] -> [B, ...].

    Step n ends at (n + 1) dt; a silent unit gets (T + 1) dt. For spikes S in {0, 1}

        t = dt + dt sum_n prod_{m <= n} (1 - S_m)

    whose multilinear extension to 0 <= S <= 1 gives the derivative.
    """
    silent = jnp.cumprod(1.0 - spikes, axis=0)
    return dt * (1.0 + jnp.sum(silent, axis=0))


def first_crossing_time(spikes: Array, rest: Array, *, dt: float) -> Array:
    """Return the time of the first spike in ms: [T, B, ...] -> [B, ...].

    Step n ends at (n + 1) dt and its spike came `rest` before; a silent unit gets
    (T + 1) dt.
    """
    silent = jnp.cumprod(1.0 - spikes, axis=0)
    before = jnp.concatenate([jnp.ones_like(spikes[:1]), silent[:-1]])
    late = jnp.sum(before * spikes * rest, axis=0)
    return dt * (1.0 + jnp.sum(silent, axis=0)) - late


def softmax(x: Array) -> Array:
    """Return exp(x) / sum exp(x) over the last axis: same shape, plain numbers."""
    return jax.nn.softmax(x, axis=-1)


def log_softmax(x: Array) -> Array:
    """Return x - log sum exp(x) over the last axis: same shape, plain numbers."""
    return jax.nn.log_softmax(x, axis=-1)
