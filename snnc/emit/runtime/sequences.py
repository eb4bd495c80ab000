"""Products, delays and time loops over whole sequences [T, B, ...].

T is 1 for a value held over all steps.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax


def dense(x: Array, w: Array) -> Array:
    """One product over all leading axes: [..., n] times [n, m]."""
    return (x.reshape(-1, x.shape[-1]) @ w).reshape(*x.shape[:-1], w.shape[-1])


def dense_over_time(x: Array, w: Array) -> Array:
    """As `dense`, with `product_gradient` as the gradient of w."""

    @jax.custom_vjp
    def product(x: Array, w: Array) -> Array:
        return dense(x, w)

    def forward(x: Array, w: Array) -> tuple[Array, tuple[Array, Array]]:
        return dense(x, w), (x, w)

    def backward(saved: tuple[Array, Array], d: Array) -> tuple[Array, Array]:
        x, w = saved
        return dense(d, w.T), product_gradient(x, d)

    product.defvjp(forward, backward)
    result: Array = product(x, w)
    return result


def product_gradient(x: Array, d: Array) -> Array:
    """The gradient of w in x @ w: one product over all leading axes, xᵀ d = (dᵀ x)ᵀ.

    Where d is narrow, XLA computes the second up to ten times as fast on a CPU, but
    takes it for the first unless the transposed arrays are kept from it.
    """
    x, d = x.reshape(-1, x.shape[-1]), d.reshape(-1, d.shape[-1])
    rows, columns = x.shape[1], d.shape[1]
    narrow = 10 * columns <= rows or (rows % 64 == 0 and columns <= rows)
    if narrow and jax.default_backend() == "cpu":
        as_is: Any = lax.optimization_barrier
        turned: Array = as_is(as_is(d.T) @ x)
        return turned.T
    return x.T @ d


def delayed_product_gradient(x: Array, ring: Array, d: Array) -> Array:
    """As `product_gradient` for x later by the steps of `ring`, which comes first."""
    k = min(ring.shape[0], d.shape[0])
    return product_gradient(jnp.concatenate([ring[:k], x[: x.shape[0] - k]]), d)


def dense_with_feedback(x: Array, w: Array, feedback: Array) -> Array:
    """As `dense`; the gradient of x comes through `feedback` [n, m], which has the gradient of w."""

    @jax.custom_vjp
    def product(x: Array, w: Array, feedback: Array) -> Array:
        return dense(x, w)

    def forward(
        x: Array, w: Array, feedback: Array
    ) -> tuple[Array, tuple[Array, Array]]:
        return dense(x, w), (x, feedback)

    def backward(saved: tuple[Array, Array], d: Array) -> tuple[Array, Array, Array]:
        x, feedback = saved
        gradient = product_gradient(x, d)
        return dense(d, feedback.T), gradient, gradient

    product.defvjp(forward, backward)
    result: Array = product(x, w, feedback)
    return result


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
