"""Products of values [..., n] with the weights [n, m] of a connection, and the gradients of such weights."""

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

    XLA on a CPU computes the second up to ten times as fast where d is narrow, and no
    slower where it is no wider than x, whose columns fill its blocks of 64. It takes
    the second for the first unless the transposed arrays are kept from it.
    """
    x, d = x.reshape(-1, x.shape[-1]), d.reshape(-1, d.shape[-1])
    rows, columns = x.shape[1], d.shape[1]
    faster = 10 * columns <= rows or (rows % 64 == 0 and columns <= rows)
    if faster and jax.default_backend() == "cpu":
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


def over_synapses(traces: Array, d: Array) -> Array:
    """The gradient of weights [n, m] from a trace of each source [B, n], or of each synapse [B, n, m], and d [B, m]."""
    if traces.ndim == 2:
        return product_gradient(traces, d)
    return jnp.einsum("bij,bj->ij", traces, d)


def mean_product(share: Array, pre: Array, post: Array) -> Array:
    """Mean of pre [B, pre] times post [B, post]: [pre, post]."""
    return product_gradient(share[:, None] * pre, post)
