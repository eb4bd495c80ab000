"""Initial weights: `fn(key, shape, ...)`; the last axis of `shape` is the output."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array


def fan_in(shape: tuple[int, ...]) -> int:
    """Return how many inputs an output sums: the product of all axes but the last."""
    return int(np.prod(shape[:-1]))


def fan_out(shape: tuple[int, ...]) -> int:
    """Return how many outputs an input feeds: kernel positions times the last axis."""
    return int(np.prod(shape[:-2])) * shape[-1]


def uniform_weights(
    key: Array, shape: tuple[int, ...], *, low: float, high: float
) -> Array:
    """Return draws of U(low, high)."""
    return jax.random.uniform(key, shape, minval=low, maxval=high)


def normal_weights(
    key: Array, shape: tuple[int, ...], *, mean: float, std: float
) -> Array:
    """Return draws of N(mean, std^2), the same inside and outside of jit."""
    barrier: Any = jax.lax.optimization_barrier  # keeps jit from rounding otherwise
    draws: Array = barrier(jax.random.normal(key, shape))
    return mean + std * draws


def constant_weights(key: Array, shape: tuple[int, ...], *, value: float) -> Array:
    """Return `value` everywhere; nothing is drawn."""
    return jnp.full(shape, value)


def zero_weights(key: Array, shape: tuple[int, ...]) -> Array:
    """Return zeros; nothing is drawn."""
    return jnp.zeros(shape)


def kaiming_uniform(key: Array, shape: tuple[int, ...], *, gain: float) -> Array:
    """Return draws of U(-b, b), b = gain / sqrt(fan_in).

    With gain 1 that is how PyTorch fills `Linear` (He et al. 2015 with a = sqrt 5).
    """
    bound = gain / float(np.sqrt(fan_in(shape)))
    return uniform_weights(key, shape, low=-bound, high=bound)


def kaiming_normal(key: Array, shape: tuple[int, ...], *, gain: float) -> Array:
    """Return draws of N(0, gain^2 / fan_in); gain = sqrt 2 in He et al. (2015)."""
    return normal_weights(
        key, shape, mean=0.0, std=gain / float(np.sqrt(fan_in(shape)))
    )


def lecun_uniform(key: Array, shape: tuple[int, ...]) -> Array:
    """Return draws of U(-b, b), b = sqrt(3 / fan_in); LeCun et al. (1998)."""
    bound = float(np.sqrt(3.0 / fan_in(shape)))
    return uniform_weights(key, shape, low=-bound, high=bound)


def lecun_normal(key: Array, shape: tuple[int, ...]) -> Array:
    """Return draws of N(0, 1 / fan_in), not truncated; LeCun et al. (1998)."""
    return normal_weights(key, shape, mean=0.0, std=1.0 / float(np.sqrt(fan_in(shape))))


def xavier_uniform(key: Array, shape: tuple[int, ...], *, gain: float) -> Array:
    """Return draws of U(-b, b), b = gain sqrt(6 / (fan_in + fan_out)).

    Glorot & Bengio (2010), eq. 16.
    """
    bound = gain * float(np.sqrt(6.0 / (fan_in(shape) + fan_out(shape))))
    return uniform_weights(key, shape, low=-bound, high=bound)


def xavier_normal(key: Array, shape: tuple[int, ...], *, gain: float) -> Array:
    """Return draws of N(0, 2 gain^2 / (fan_in + fan_out)).

    Glorot & Bengio (2010), eq. 12.
    """
    std = gain * float(np.sqrt(2.0 / (fan_in(shape) + fan_out(shape))))
    return normal_weights(key, shape, mean=0.0, std=std)


def orthogonal(key: Array, shape: tuple[int, ...], *, gain: float) -> Array:
    """Return gain Q, Q [fan_in, outputs] with orthonormal columns (rows if it is wide).

    Saxe et al. (2014); the signs of R's diagonal make Q uniform (Mezzadri 2007).
    """
    rows, columns = fan_in(shape), shape[-1]
    tall = (max(rows, columns), min(rows, columns))
    q, r = jnp.linalg.qr(jax.random.normal(key, tall))
    q = q * jnp.where(jnp.diagonal(r) < 0, -1.0, 1.0)
    return gain * (q if rows >= columns else q.T).reshape(shape)
