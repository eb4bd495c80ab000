"""Products of factors rounded to 16 bits, forward and for the gradient; states and sums keep their type."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax


def dense_in(x: Array, w: Array, dtype: Any) -> Array:
    """As `dense`, of factors rounded to `dtype`, also in the products of the gradient."""

    @jax.custom_vjp
    def product(x: Array, w: Array) -> Array:
        return product_in(x, w, dtype)

    def forward(x: Array, w: Array) -> tuple[Array, tuple[Array, Array]]:
        return product(x, w), (x, w)

    def backward(saved: tuple[Array, Array], d: Array) -> tuple[Array, Array]:
        x, w = saved
        return cotangent_in(d, w.T, dtype), product_gradient_in(x, d, dtype)

    product.defvjp(forward, backward)
    return product(x, w)


def product_in(x: Array, w: Array, dtype: Any) -> Array:
    """One product over all leading axes, [..., n] times [n, m], of rounded factors."""
    flat = rounded_product(x.reshape(-1, x.shape[-1]), w, dtype)
    return flat.reshape(*x.shape[:-1], w.shape[-1])


def cotangent_in(d: Array, w: Array, dtype: Any) -> Array:
    """As `product_in` for a cotangent, whose numbers may be too small for `dtype`."""
    scale = scale_of(d, dtype)
    return product_in(d * scale, w, dtype) / scale


def product_gradient_in(x: Array, d: Array, dtype: Any) -> Array:
    """As `product_gradient`, of rounded factors."""
    scale = scale_of(d, dtype)
    x, d = x.reshape(-1, x.shape[-1]), d.reshape(-1, d.shape[-1])
    return rounded_product(x.T, d * scale, dtype) / scale


def delayed_product_gradient_in(x: Array, ring: Array, d: Array, dtype: Any) -> Array:
    """As `product_gradient_in` for x later by the steps of `ring`, which comes first."""
    k = min(ring.shape[0], d.shape[0])
    late = jnp.concatenate([ring[:k], x[: x.shape[0] - k]])
    return product_gradient_in(late, d, dtype)


def rounded_product(a: Array, b: Array, dtype: Any) -> Array:
    """a @ b of rounded factors, summed in the type of `a`.

    A CPU multiplies the rounded numbers in the type of `a`: it has no faster way.
    """

    def native(a: Array, b: Array) -> Array:
        a, b = a.astype(dtype), b.astype(dtype)
        return jnp.matmul(a, b, preferred_element_type=sums)

    sums = a.dtype
    factors = rounded(a, dtype), rounded(b, dtype)
    result: Array = lax.platform_dependent(*factors, cpu=jnp.matmul, default=native)
    return result


def rounded(a: Array, dtype: Any) -> Array:
    """The nearest numbers of bfloat16 or float16, in the type of `a`; tiny ones are 0."""
    exponent, mantissa = (5, 10) if dtype == jnp.float16 else (8, 7)
    return lax.reduce_precision(a, exponent, mantissa)


def scale_of(d: Array, dtype: Any) -> Array | float:
    """A power of two that makes all of `d` fit `dtype`: 1 for bfloat16, as wide as float32.

    In float16 the largest comes near the end, and 2^-29 of it is still held.
    """
    if dtype != jnp.float16:
        return 1.0
    exponent = jnp.frexp(jnp.max(jnp.abs(d)))[1]
    return jnp.ldexp(jnp.ones((), d.dtype), jnp.clip(15 - exponent, -100, 100))
