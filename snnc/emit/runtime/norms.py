"""Norms: statistics of a batch, their moving averages, and what is normalised by them."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax


def standardised(
    x: Array, share: Array, axes: tuple[int, ...], eps: float
) -> tuple[Array, Array, Array]:
    """x with mean 0 and variance 1 over `axes`; the mean and the biased variance.

    `share` says how much each number counts, 1 on average. The gradient keeps the
    result y and no other array of its size; mean and variance give none:

        dx = (dy - share mean(dy) - share y mean(dy y)) / sqrt(var + eps)
    """

    def ahead(x: Array, share: Array) -> Any:
        mean = jnp.mean(x * share, axes, keepdims=True)
        var = jnp.mean((x - mean) ** 2 * share, axes, keepdims=True)
        scale = lax.rsqrt(var + eps)
        y = (x - mean) * scale
        return (y, mean, var), (y, scale, share)

    def back(kept: Any, cotangents: Any) -> Any:
        y, scale, share = kept
        dy = cotangents[0]
        along = jnp.mean(dy * y, axes, keepdims=True)
        moved = jnp.mean(dy, axes, keepdims=True) + y * along
        return scale * (dy - share * moved), None

    @jax.custom_vjp
    def normal(x: Array, share: Array) -> Any:
        return ahead(x, share)[0]

    normal.defvjp(ahead, back)
    y, mean, var = normal(x, share)
    return y, lax.stop_gradient(mean), lax.stop_gradient(var)


def sample_share(x: Array, weight: Array | None) -> Array:
    """How much each sample of x [T, B, ...] counts, 1 on average: [1, B, 1, ...]."""
    if weight is None:
        weight = jnp.ones(x.shape[1], x.dtype)
    share = weight * (x.shape[1] / jnp.sum(weight))
    return share.reshape(1, -1, *(1 for _ in x.shape[2:]))


def batch_normalised(
    x: Array, weight: Array | None, eps: float
) -> tuple[Array, tuple[Array, Array]]:
    """x [T, B, C, ...] with mean 0 and variance 1 over steps, samples and space.

    With the mean and the variance [C]; samples of weight 0 do not count.
    """
    axes = (0, 1, *range(3, x.ndim))
    y, mean, var = standardised(x, sample_share(x, weight), axes, eps)
    return y, (mean.reshape(-1), var.reshape(-1))


def step_normalised(
    x: Array, weight: Array | None, eps: float
) -> tuple[Array, tuple[Array, Array]]:
    """x [T, B, C, ...] with mean 0 and variance 1 over samples and space.

    With the mean and the variance [T, C]; samples of weight 0 do not count.
    """
    axes = (1, *range(3, x.ndim))
    y, mean, var = standardised(x, sample_share(x, weight), axes, eps)
    shape = (-1, x.shape[2])
    return y, (mean.reshape(shape), var.reshape(shape))


def over_steps(values: Array, steps: int) -> Array:
    """What a norm holds for each step [N, ...] as [T, 1, ...]."""
    if steps > values.shape[0]:
        raise ValueError(
            f"a norm of this model holds values for {values.shape[0]} steps, "
            f"and this sequence has {steps}"
        )
    return values[:steps, None]


def real_samples(x: Array, weight: Array | None) -> Array:
    """How many samples of x [T, B, ...] have weight 1."""
    return jnp.asarray(x.shape[1], x.dtype) if weight is None else jnp.sum(weight)


def unbiased(var: Array, count: Array) -> Array:
    """The variance as n - 1 of n = `count` values tell it."""
    return var * (count / jnp.maximum(count - 1.0, 1.0))


def moving_average(before: Array, now: Array, momentum: float) -> Array:
    """The average over batches, after one whose value is `now`; no gradient."""
    return lax.stop_gradient((1.0 - momentum) * before + momentum * now)


def normalised(x: Array, mean: Array, var: Array, eps: float) -> Array:
    """(x - mean) / sqrt(var + eps)."""
    return (x - mean) * lax.rsqrt(var + eps)


def layer_normalised(x: Array, rank: int, eps: float) -> Array:
    """Mean 0 and variance 1 over the last `rank` axes."""
    return standardised(x, jnp.ones((), x.dtype), tuple(range(-rank, 0)), eps)[0]
