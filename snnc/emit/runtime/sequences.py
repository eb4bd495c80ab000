"""Delays, shapes and means over whole sequences [T, B, ...].

T is 1 for a value held over all steps.
"""

import jax.numpy as jnp
from jax import Array, lax


def flatten(x: Array, rank: int) -> Array:
    """Join the last `rank` axes."""
    return x.reshape(*x.shape[: x.ndim - rank], -1)


def delayed(x: Array, ring: Array) -> Array:
    """[T, B, ...] later by as many steps as `ring` holds; the ring comes first."""
    return jnp.concatenate([ring, x])[: x.shape[0]]


def last_values(x: Array, ring: Array) -> Array:
    """What a delay holds after x: the last values, as many as `ring` has."""
    return jnp.concatenate([ring, x])[x.shape[0] :]


def delayed_truncated(x: Array, ring: Array, length: int) -> Array:
    """As `delayed`; gradients across multiples of `length` steps are cut."""
    late = delayed(x, ring)
    n = jnp.arange(x.shape[0])
    crosses = n // length != (n - ring.shape[0]) // length
    crosses = crosses.reshape(-1, *(1 for _ in x.shape[1:]))
    return jnp.where(crosses, lax.stop_gradient(late), late)


def carried(state: Array, weight: Array | None) -> Array:
    """The mean of a carried state over the real samples of a batch, no gradient."""
    if weight is None:
        weight = jnp.ones(state.shape[0], state.dtype)
    shaped = weight.reshape(-1, *(1 for _ in state.shape[1:]))
    return lax.stop_gradient(jnp.sum(state * shaped, axis=0) / jnp.sum(weight))


def sample_mean(values: Array, weight: Array) -> Array:
    """The mean of one number a sample [B] over the samples with weight 1."""
    return jnp.sum(values * weight) / jnp.sum(weight)


def silent_fraction(spikes: Array, weight: Array) -> Array:
    """The share of neurons that fire in no sample of the batch; spikes [T, B, ...]."""
    shaped = weight.reshape(-1, *(1 for _ in spikes.shape[2:]))
    total = jnp.sum(jnp.abs(spikes) * shaped, axis=(0, 1))
    return jnp.mean((total == 0).astype(spikes.dtype))


def concat(parts: tuple[Array, ...], axis: int) -> Array:
    """Joined along a feature axis; what is held over time is repeated."""
    lead = jnp.broadcast_shapes(*(part.shape[:axis] for part in parts))
    whole = [jnp.broadcast_to(p, (*lead, *p.shape[axis:])) for p in parts]
    return jnp.concatenate(whole, axis)
