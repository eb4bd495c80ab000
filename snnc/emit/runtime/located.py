"""Spikes at their crossing inside the step, for equations x' = f(x) that are linear between spikes."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array


def taylor(slope: Callable[..., Any], x: tuple[Array, ...], order: int) -> list[Any]:
    """The Taylor coefficients of the states after a time h: x, f(x), A f(x) / 2, ..."""
    terms: list[Any] = [x, slope(*x)]
    for k in range(2, order + 1):
        pushed = jax.jvp(slope, x, terms[-1])[1]
        terms.append(tuple(d / k for d in pushed))
    return terms


def summed_series(terms: list[Any], h: Any) -> Any:
    """The sum of terms h^k of each state."""
    total = terms[-1]
    for term in terms[-2::-1]:
        total = tuple(a + h * b for a, b in zip(term, total, strict=True))
    return total


def located_step(
    slope: Callable[..., Any],
    margin: Callable[..., Array],
    reset: Callable[..., Any],
    start: tuple[Array, ...],
    dt: float,
    order: int,
    floor: float,
) -> tuple[Array, Array, tuple[Array, ...]]:
    """Advance states by dt, through a spike where the margin g ends at 0 or more.

    Returns spikes, the time r from each to the end of the step (0 without one), states.
    The crossing is found by Newton's method from a secant; it moves by -dg / g', where
    at least `floor` of g' counts. Backwards, with l the derivative by the states,

        l+ = exp(A r)^T l,  l- = R^T l+ + grad g (l+ (f+ - R f-) + dr) / g'

    and exp(A (dt - r))^T l- before the step: the exact derivative of these numbers.
    """

    def advance(x: tuple[Array, ...]) -> Any:
        terms = taylor(slope, x, order)
        end = summed_series(terms, dt)
        first, last = margin(*x), margin(*end)
        fired = last >= 0.0
        margins = [first, *(jax.jvp(margin, x, term)[1] for term in terms[1:])]
        h = dt * jnp.clip(
            first / jnp.where(fired, first - last - 1e-30, -1.0), 0.0, 1.0
        )
        for _ in range(3):
            value, rise = margins[-1], jnp.zeros_like(h)
            for m in margins[-2::-1]:
                value, rise = m + h * value, value + h * rise
            step = value / jnp.where(fired & (rise > 0.0), rise, 1.0)
            h = jnp.clip(h - step, 0.0, dt)
        before = summed_series(terms, h)
        after = summed_series(taylor(slope, filled(reset(*before), h), order), dt - h)
        chosen = tuple(jnp.where(fired, a, b) for a, b in zip(after, end, strict=True))
        rest = jnp.where(fired, dt - h, 0.0)
        return (fired.astype(h.dtype), rest, chosen), (fired, rest, before)

    def back(saved: Any, cotangents: Any) -> Any:
        fired, rest, before = saved
        _, d_rest, d_end = cotangents
        transposed = jax.vjp(slope, *before)[1]

        def flow_back(d: Any, h: Any) -> Any:
            return summed_series(taylor(lambda *y: transposed(y), d, order), h)

        later = flow_back(d_end, rest)
        was = slope(*before)
        now, kept = jax.jvp(lambda *y: filled(reset(*y), rest), before, was)
        jump = sum(
            d * (a - b) for d, a, b in zip(later, slope(*now), kept, strict=True)
        )
        rise = jax.jvp(margin, before, was)[1]
        moved = jnp.where(fired, (jump + d_rest) / jnp.maximum(rise, floor), 0.0)
        kept_back = jax.vjp(lambda *y: filled(reset(*y), rest), *before)[1](later)
        by_margin = jax.vjp(margin, *before)[1](moved)
        d = tuple(
            jnp.where(fired, a, b) + c
            for a, b, c in zip(kept_back, later, by_margin, strict=True)
        )
        return (flow_back(d, dt - rest),)

    @jax.custom_vjp
    def through(x: tuple[Array, ...]) -> Any:
        return advance(x)[0]

    through.defvjp(advance, back)
    result: tuple[Array, Array, tuple[Array, ...]] = through(start)
    return result


def filled(values: tuple[Any, ...], like: Array) -> tuple[Array, ...]:
    """Numbers as arrays of the same shape."""
    return tuple(jnp.broadcast_to(value, like.shape) for value in values)


def power_series(x: Array, coefficients: tuple[float, ...]) -> Array:
    """Return the sum of c_k x^k, constant first."""
    total = jnp.full_like(x, coefficients[-1])
    for c in coefficients[-2::-1]:
        total = total * x + c
    return total


def first_crossing_time(spikes: Array, rest: Array, *, dt: float) -> Array:
    """Return the time of the first spike in ms: [T, B, ...] -> [B, ...].

    Step n ends at (n + 1) dt and its spike came `rest` before; a silent unit gets
    (T + 1) dt.
    """
    silent = jnp.cumprod(1.0 - spikes, axis=0)
    is_first = spikes * (jnp.cumsum(spikes, axis=0) == 1.0)
    return dt * (1.0 + jnp.sum(silent, axis=0)) - jnp.sum(is_first * rest, axis=0)
