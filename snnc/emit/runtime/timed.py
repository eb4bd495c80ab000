"""Spikes that stand for their times.

The cotangent of such a spike is the derivative by its time. What it causes at a port has
two: by the size of each jump, from which weights learn, and by its time.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array


class Moved(NamedTuple):
    """What spikes cause at a port, [T, B, ...]: `shift` is 0, its cotangent is by time, per size of a jump."""

    jump: Array
    shift: Array


def moved(product: Callable[..., Array], x: Any, *weights: Array) -> Moved:
    """The jumps product(x, *weights), linear in spikes x or in what came of them, with their shift."""

    def jumps(x: Any) -> Array:
        return x.jump if isinstance(x, Moved) else x

    @jax.custom_vjp
    def send(x: Any, weights: tuple[Array, ...]) -> Moved:
        jump = product(jumps(x), *weights)
        return Moved(jump, jnp.zeros_like(jump))

    def forward(x: Any, weights: tuple[Array, ...]) -> Any:
        return send(x, weights), (x, weights)

    def backward(saved: Any, d: Any) -> Any:
        x, weights = saved
        back = jax.vjp(lambda x: product(x, *weights), jumps(x))[1]
        learn = jax.vjp(lambda *weights: product(jumps(x), *weights), *weights)[1]
        (d_x,) = back(d.shift)
        if isinstance(x, Moved):
            d_x = Moved(back(d.jump)[0], d_x)
        return d_x, learn(d.jump)

    send.defvjp(forward, backward)
    result: Moved = send(x, weights)
    return result


def shift_of(spikes: Array) -> Array:
    """The shift of spikes that arrive by themselves, each with size 1."""
    return moved(lambda x: x, spikes).shift


def first_spike_moment(spikes: Array, *, dt: float) -> Array:
    """Return the time of the first spike in ms: [T, B, ...] -> [B, ...].

    Step n ends at (n + 1) dt; a silent unit gets (T + 1) dt. The derivative by the time
    of the first spike is 1, and a silent unit has none.
    """

    @jax.custom_vjp
    def first(spikes: Array) -> Array:
        silent = jnp.cumprod(1.0 - spikes, axis=0)
        return dt * (1.0 + jnp.sum(silent, axis=0))

    def backward(spikes: Array, d: Array) -> tuple[Array]:
        is_first = spikes * (jnp.cumsum(spikes, axis=0) == 1.0)
        return (is_first * d,)

    first.defvjp(lambda spikes: (first(spikes), spikes), backward)
    result: Array = first(spikes)
    return result
