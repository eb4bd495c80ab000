"""Draws keyed by names, and the bijectors between raw and constrained parameters."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

Value = Array | float


def stream(key: Array, name: int) -> Array:
    """The key of a named draw; `name` is the CRC-32 of the name."""
    return jax.random.fold_in(key, name)


def per_sample(key: Array, samples: Array) -> Array:
    """One key a sample [B], by the sample's number and not by its place."""
    return jax.vmap(lambda n: jax.random.fold_in(key, n))(samples)


def sample_keys(key: Array | None, batch: int) -> Array:
    """One key a sample: `key` as it is if it has an axis, else split by number."""
    if key is None:
        key = jax.random.key(0)
    return key if key.ndim == 1 else per_sample(key, jnp.arange(batch))


def uniform_draws(keys: Array, name: int, n: Array, shape: tuple[int, ...]) -> Array:
    """Uniform numbers [B, ...] in [0, 1) of step n, one key a sample."""

    def one(key: Array) -> Array:
        return jax.random.uniform(jax.random.fold_in(stream(key, name), n), shape)

    return jax.vmap(one)(keys)


def dropout_mask(
    keys: Array, name: int, rate: float, shape: tuple[int, ...], train: bool
) -> Array:
    """1/(1-rate) or 0 for each unit of a sample [B, ...]; 1 in evaluation."""
    if not train:
        return jnp.ones((keys.shape[0], *shape))
    draws = jax.vmap(lambda key: jax.random.uniform(stream(key, name), shape))(keys)
    return jnp.where(draws < rate, 0.0, 1.0 / (1.0 - rate)).astype(draws.dtype)


def standard_normal(key: Array, shape: tuple[int, ...]) -> Array:
    """Draws of N(0, 1), from which numbers follow alike inside and outside of jit."""
    barrier: Any = jax.lax.optimization_barrier
    draws: Array = barrier(jax.random.normal(key, shape))
    return draws


def draw_normal(key: Array, shape: tuple[int, ...], mean: Value, std: Value) -> Array:
    """Normal draws."""
    return mean + std * standard_normal(key, shape)


def draw_uniform(key: Array, shape: tuple[int, ...], low: Value, high: Value) -> Array:
    """Uniform draws in [low, high)."""
    return low + (high - low) * jax.random.uniform(key, shape)


def draw_lognormal(
    key: Array, shape: tuple[int, ...], median: Value, sigma: Value
) -> Array:
    """Lognormal draws by their median and the deviation of the logarithm."""
    return median * jnp.exp(sigma * standard_normal(key, shape))


def clamp_inside(x: Array, low: float, high: float) -> Array:
    """Move draws outside an open interval just inside it."""
    span = high - low if high - low < jnp.inf else 1.0
    return jnp.clip(x, low + 1e-4 * span, high - 1e-4 * span)


def above(raw: Array, low: float, scale: float) -> Array:
    """(low, inf): low + scale softplus(raw); `scale` is the initial distance."""
    return low + scale * jax.nn.softplus(raw)


def above_raw(value: Value, low: float, scale: float) -> Array:
    """The raw number of `value` under `above`."""
    return jnp.log(jnp.expm1((jnp.asarray(value) - low) / scale))


def above_exp(raw: Array, low: float, scale: float) -> Array:
    """(low, inf): low + scale exp(raw)."""
    return low + scale * jnp.exp(raw)


def above_exp_raw(value: Value, low: float, scale: float) -> Array:
    """The raw number of `value` under `above_exp`."""
    return jnp.log((jnp.asarray(value) - low) / scale)


def below(raw: Array, high: float, scale: float) -> Array:
    """(-inf, high): high - scale softplus(raw)."""
    return high - scale * jax.nn.softplus(raw)


def below_raw(value: Value, high: float, scale: float) -> Array:
    """The raw number of `value` under `below`."""
    return jnp.log(jnp.expm1((high - jnp.asarray(value)) / scale))


def between(raw: Array, low: float, high: float) -> Array:
    """(low, high): low + (high - low) sigmoid(raw)."""
    return low + (high - low) * jax.nn.sigmoid(raw)


def between_raw(value: Value, low: float, high: float) -> Array:
    """The raw number of `value` under `between`."""
    share = (jnp.asarray(value) - low) / (high - low)
    return jnp.log(share) - jnp.log1p(-share)
