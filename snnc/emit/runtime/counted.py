"""Sequences of which some steps do not count: before `burn_in`, and after the end of a sample.

`counts` [T, B] is 1 for a step that counts, else 0; B is 1 where all samples are alike. Of a sample without such steps
every sum, mean and maximum is 0.
"""

import jax.numpy as jnp
from jax import Array


def counted_steps(steps: int, burn_in: int, length: Array | None = None) -> Array:
    """Which steps count: from `burn_in` on, and of a sample the first `length` [B]."""
    n = jnp.arange(steps)[:, None]
    found = n >= burn_in
    if length is not None:
        found = found & (n < length)
    return found.astype(float)


def within(counts: Array, start: int, stop: int | None = None) -> Array:
    """Of the steps that count those from `start` up to, not including, `stop`."""
    n = jnp.arange(counts.shape[0])[:, None]
    inside = (n >= start) & (n < (counts.shape[0] if stop is None else stop))
    return counts * inside.astype(counts.dtype)


def final_steps(counts: Array, last: int) -> Array:
    """Of the steps that count the `last` ones of each sample."""
    left = jnp.cumsum(counts[::-1], axis=0)[::-1]
    return counts * (left <= last).astype(counts.dtype)


def counted(x: Array, counts: Array) -> Array:
    """x [T, B, ...] in the steps that count, else 0."""
    shaped = counts.reshape(*counts.shape, *(1 for _ in x.shape[2:]))
    return jnp.where(shaped > 0, x, jnp.zeros((), x.dtype))


def evened(x: Array, counts: Array) -> Array:
    """As `counted`, and larger, so that the mean over T is that of the steps that count."""
    share = counts.shape[0] / jnp.maximum(jnp.sum(counts, axis=0, keepdims=True), 1.0)
    shaped = share.reshape(*share.shape, *(1 for _ in x.shape[2:]))
    return counted(x, counts) * shaped.astype(x.dtype)


def max_of_counted(x: Array, counts: Array) -> Array:
    """The largest value of the steps that count: [T, B, ...] -> [B, ...]."""
    shaped = counts.reshape(*counts.shape, *(1 for _ in x.shape[2:])) > 0
    largest = jnp.max(jnp.where(shaped, x, -jnp.inf), axis=0)
    return jnp.where(jnp.any(shaped, axis=0), largest, jnp.zeros((), x.dtype))


def first_counted_spike_time(spikes: Array, counts: Array, *, dt: float) -> Array:
    """As `first_spike_time`, from the first step that counts: [T, B, ...] -> [B, ...].

    A silent unit gets one step more than count.
    """
    silent = jnp.cumprod(1.0 - counted(spikes, counts), axis=0)
    return dt * (1.0 + jnp.sum(counted(silent, counts), axis=0))
