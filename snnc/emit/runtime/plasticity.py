"""Means over a batch of changes of weights; `share` [B] is the share of each sample, 0 for samples that fill up a batch."""

import jax.numpy as jnp
from jax import Array


def happened(event: Array) -> Array:
    """1 where something arrived or was emitted, else 0."""
    return (event != 0.0).astype(event.dtype)


def shares(weight: Array | None, batch: int) -> Array:
    """The share of each sample in a mean over the batch, from its weight [B], 0 or 1."""
    if weight is None:
        return jnp.full((batch,), 1.0 / batch)
    return weight / jnp.maximum(jnp.sum(weight), 1.0)


def mean_per_pre(share: Array, pre: Array) -> Array:
    """Mean of [B, pre], the same for every post: [pre, 1]."""
    return (share @ pre)[:, None]


def mean_per_post(share: Array, post: Array) -> Array:
    """Mean of [B, post], the same for every pre: [1, post]."""
    return (share @ post)[None, :]


def mean_per_synapse(share: Array, change: Array) -> Array:
    """Mean of [B, pre, post], or of what fits it: [pre, post]."""
    return jnp.sum(share[:, None, None] * change, axis=0)


def scaled_to(w: Array, total: float | Array, axis: int) -> Array:
    """Weights whose sums along `axis` are `total`; those that sum to 0 stay."""
    sums = jnp.sum(w, axis=axis, keepdims=True)
    factor = total / jnp.where(sums == 0.0, 1.0, sums)
    return jnp.where(sums == 0.0, w, w * factor)


def at_step(sequence: Array, n: Array) -> Array:
    """Step n of a sequence [T, ...]; one of length 1 is held."""
    return sequence[jnp.minimum(n, sequence.shape[0] - 1)]
