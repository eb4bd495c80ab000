"""Norms: statistics of a batch, their moving averages, and what is normalised by them."""

import jax.numpy as jnp
from jax import Array, lax


def moments(
    x: Array, weight: Array | None, axes: tuple[int, ...]
) -> tuple[Array, Array]:
    """Mean and biased variance of x [T, B, ...] over `axes`, which stay with size 1.

    Samples of weight 0 do not count.
    """
    if weight is None:
        weight = jnp.ones(x.shape[1], x.dtype)
    share = weight * (x.shape[1] / jnp.sum(weight))  # 1 where all samples count
    share = share.reshape(1, -1, *(1 for _ in x.shape[2:]))
    mean = jnp.mean(x * share, axes, keepdims=True)
    return mean, jnp.mean((x - mean) ** 2 * share, axes, keepdims=True)


def batch_statistics(x: Array, weight: Array | None) -> tuple[Array, Array]:
    """Mean and variance [C] over all steps, samples and space of x [T, B, C, ...]."""
    mean, var = moments(x, weight, (0, 1, *range(3, x.ndim)))
    return mean.reshape(-1), var.reshape(-1)


def step_statistics(x: Array, weight: Array | None) -> tuple[Array, Array]:
    """Mean and variance [T, 1, C] over all samples and space of x [T, B, C, ...]."""
    mean, var = moments(x, weight, (1, *range(3, x.ndim)))
    shape = (x.shape[0], 1, x.shape[2])
    return mean.reshape(shape), var.reshape(shape)


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
    now = jnp.broadcast_to(now.reshape(-1, *before.shape[1:]), before.shape)
    return lax.stop_gradient((1.0 - momentum) * before + momentum * now)


def normalised(x: Array, mean: Array, var: Array, eps: float) -> Array:
    """(x - mean) / sqrt(var + eps)."""
    return (x - mean) * lax.rsqrt(var + eps)


def layer_normalised(x: Array, rank: int, eps: float) -> Array:
    """Mean 0 and variance 1 over the last `rank` axes."""
    axes = tuple(range(-rank, 0))
    mean = jnp.mean(x, axes, keepdims=True)
    return normalised(x, mean, jnp.mean((x - mean) ** 2, axes, keepdims=True), eps)
