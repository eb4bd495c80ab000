"""Delays that differ between units or synapses.

A ring [last, B, ...] holds the last steps, the oldest first; a kernel [K, ...] weighs
the steps last, last - 1, ... before the present one.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax


def rounded_delay(time: Array, dt: float, first: int, last: int) -> Array:
    """Times in ms as whole steps, floor(x + 1/2)."""
    return jnp.clip(jnp.floor(time / dt + 0.5), first, last).astype(jnp.int32)


def tap_steps(first: int, last: int, like: Array) -> Array:
    """The steps last, ..., first as [K, 1, ...], to stand beside delays `like`."""
    steps = jnp.arange(last, first - 1, -1, dtype=like.dtype)
    return steps.reshape(-1, *(1 for _ in like.shape))


def one_tap(steps: Array, first: int, last: int, dtype: Any) -> Array:
    """A kernel that is 1 at the step of each delay; delays are whole."""
    return (tap_steps(first, last, steps) == steps).astype(dtype)


def gaussian_taps(
    delay: Array, first: int, last: int, sigma: Array | float, train: bool
) -> Array:
    """A bell of width sigma about each delay (in steps), whose taps add up to 1.

    In evaluation delays are rounded. Hammouamri et al. (2024), DCLS.
    """
    if not train:
        steps = rounded_delay(delay, 1.0, first, last)
        return one_tap(steps, first, last, delay.dtype)
    distance = (tap_steps(first, last, delay) - delay) / sigma
    return jax.nn.softmax(-0.5 * distance * distance, axis=0)


def linear_taps(delay: Array, first: int, last: int, train: bool) -> Array:
    """The two steps about each delay (in steps), by nearness; rounded in evaluation."""
    if not train:
        steps = rounded_delay(delay, 1.0, first, last)
        return one_tap(steps, first, last, delay.dtype)
    lower = lax.stop_gradient(jnp.floor(delay))
    share, steps = delay - lower, tap_steps(first, last, delay)
    upper = jnp.where(steps == lower + 1.0, share, 0.0)
    return jnp.where(steps == lower, 1.0 - share, upper)


def exponential_between(start: float, end: float, share: Array) -> Array:
    """From `start` at share 0 exponentially to `end` at 1, where it stays."""
    return start * (end / start) ** jnp.minimum(share, 1.0)


def late_units(window: Array, delay: Array, last: int) -> Array:
    """Each unit as it was its own delay ago; window[last] is the present step."""
    rows = jnp.broadcast_to(last - delay, (1, *window.shape[1:]))
    return jnp.take_along_axis(window, rows, axis=0, mode="clip")[0]


def tapped(window: Array, kernel: Array) -> Array:
    """The past steps of each unit, weighed and added up."""
    inner = (1 for _ in range(window.ndim - kernel.ndim))
    kernel = kernel.reshape(kernel.shape[0], *inner, *kernel.shape[1:])
    return jnp.sum(window[: kernel.shape[0]] * kernel, axis=0)


def delayed_product(
    window: Array,
    kernel: Array,
    product: Callable[[Array, Array], Array] = jnp.matmul,
) -> Array:
    """One product of the past steps [K, B, ..., n] with a kernel [K, n, m]."""
    count, n, m = kernel.shape
    side_by_side = jnp.moveaxis(window[:count], 0, -2)
    flat = side_by_side.reshape(*side_by_side.shape[:-2], count * n)
    return product(flat, kernel.reshape(count * n, m))


def delayed_units(x: Array, ring: Array, delay: Array, length: int = 0) -> Array:
    """[T, B, ...] with each unit later by its own delay; the ring comes first.

    With `length` gradients across multiples of so many steps are cut.
    """
    steps = x.shape[0]
    late = jnp.concatenate([ring, x])

    def column(count: int) -> Array:
        return jnp.arange(count).reshape(-1, *(1 for _ in x.shape[1:]))

    def rows(a: Array, at: Array) -> Array:
        whole = jnp.broadcast_to(at, (at.shape[0], *a.shape[1:]))
        return jnp.take_along_axis(a, whole, axis=0, mode="clip")

    @jax.custom_vjp
    def pick(late: Array, row: Array) -> Array:
        return rows(late, column(steps) + row)

    def forward(late: Array, row: Array) -> Any:
        return pick(late, row), row

    def backward(row: Array, d: Array) -> Any:
        at = column(steps + ring.shape[0]) - row
        inside = (at >= 0) & (at < steps)
        return jnp.where(inside, rows(d, at), jnp.zeros((), d.dtype)), None

    pick.defvjp(forward, backward)
    result: Array = pick(late, ring.shape[0] - delay)
    if not length:
        return result
    n = column(steps)
    crosses = n // length != (n - delay) // length
    return jnp.where(crosses, lax.stop_gradient(result), result)


def over_taps(
    x: Array,
    ring: Array,
    kernel: Array,
    product: Callable[[Array, Array], Array],
    length: int,
) -> Array:
    """The sum over the steps of a kernel of product(x so long ago, its weights)."""
    late, steps = jnp.concatenate([ring, x]), x.shape[0]
    n = jnp.arange(steps).reshape(-1, *(1 for _ in x.shape[1:]))

    def one(late: Array, row: Array, weights: Array) -> Array:
        past = lax.dynamic_slice_in_dim(late, row, steps)
        if length:
            crosses = n // length != (n + row - ring.shape[0]) // length
            past = jnp.where(crosses, lax.stop_gradient(past), past)
        return product(past, weights)

    again = jax.checkpoint(one, prevent_cse=False)  # else all past steps are kept

    def body(total: Array, now: Any) -> Any:
        return total + again(late, *now), None

    kind = jax.eval_shape(one, late, jnp.zeros((), jnp.int32), kernel[0])
    zero = jnp.zeros(kind.shape, kind.dtype)
    rows = jnp.arange(kernel.shape[0], dtype=jnp.int32)
    return lax.scan(body, zero, (rows, kernel))[0]


def delayed_taps(x: Array, ring: Array, kernel: Array, length: int = 0) -> Array:
    """[T, B, ...] with the past of each unit weighed by its kernel [K, ...]."""
    return over_taps(x, ring, kernel, lambda past, weights: past * weights, length)


def delayed_products(
    x: Array,
    ring: Array,
    kernel: Array,
    length: int = 0,
    product: Callable[[Array, Array], Array] = jnp.matmul,
) -> Array:
    """As `delayed_dense`, one product for each step of the kernel.

    With `length` gradients across multiples of so many steps are cut.
    """
    return over_taps(x, ring, kernel, product, length)


def delayed_dense(x: Array, ring: Array, kernel: Array) -> Array:
    """[T, B, ..., n] times a kernel [K, n, m]: a convolution in time."""
    late = jnp.concatenate([ring, x])[: x.shape[0] + kernel.shape[0] - 1]
    y = lax.conv_general_dilated(
        late.reshape(late.shape[0], -1, x.shape[-1]),
        kernel,
        window_strides=(1,),
        padding="VALID",
        dimension_numbers=("WNC", "WIO", "WNC"),
    )
    return y.reshape(*x.shape[:-1], kernel.shape[-1])
