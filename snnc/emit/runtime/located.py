"""Spikes at their crossing inside the step, for equations x' = f(x) that are linear between spikes."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax


def flow_series(slope: Callable[..., Any], n: int, order: int) -> tuple[Any, Any]:
    """The Taylor coefficients of exp(A h) [k][row][column] and of what the constant part of n slopes adds [k][row]."""
    units: list[Any] = [[float(j == k) for k in range(n)] for j in range(n)]
    drive = slope(*(0.0 for _ in range(n)))
    columns = [
        [a - b for a, b in zip(slope(*unit), drive, strict=True)] for unit in units
    ]
    matrix = [[column[row] for column in columns] for row in range(n)]

    def pushed(vector: Any, k: int) -> list[Any]:
        return [
            sum(a * x for a, x in zip(row, vector, strict=True)) / k for row in matrix
        ]

    terms: list[Any] = [units]
    drives: list[Any] = [[0.0] * n, list(drive)]
    for k in range(1, order + 1):
        terms.append([pushed(column, k) for column in terms[-1]])
        if k > 1:
            drives.append(pushed(drives[-1], k))
    by_row = [[[column[row] for column in term] for row in range(n)] for term in terms]
    return by_row, drives


def horner(coefficients: list[Any], h: Any) -> Any:
    """The sum of c_k h^k, constant first; the number 0 if all are."""
    if all(isinstance(c, float) and c == 0.0 for c in coefficients):
        return 0.0
    total = coefficients[-1]
    for c in coefficients[-2::-1]:
        total = total * h + c
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
    rows = range(len(start))
    terms, drives = flow_series(slope, len(start), order)

    def propagator(h: Any) -> list[list[Any]]:
        return [[horner([term[r][c] for term in terms], h) for c in rows] for r in rows]

    def flow(x: tuple[Array, ...], h: Any) -> tuple[Array, ...]:
        p = propagator(h)
        drive = [horner([d[r] for d in drives], h) for r in rows]
        return tuple(drive[r] + sum(p[r][c] * x[c] for c in rows) for r in rows)

    def flow_back(d: Any, h: Any) -> Any:
        p = propagator(h)
        return tuple(sum(p[r][c] * d[r] for r in rows) for c in rows)

    def rising(x: tuple[Array, ...], h: Any) -> tuple[Array, Array]:
        y = flow(x, h)
        return jax.jvp(margin, y, filled(slope(*y), y[0]))

    def advance(x: tuple[Array, ...]) -> Any:
        end = flow(x, dt)
        first, last = margin(*x), margin(*end)
        fired = last >= 0.0
        guess = first / jnp.where(fired, first - last - 1e-30, -1.0)

        def newton(_: Any, h: Array) -> Array:
            value, rise = rising(x, h)
            return jnp.clip(
                h - value / jnp.where(fired & (rise > 0.0), rise, 1.0), 0.0, dt
            )

        h = lax.fori_loop(0, 3, newton, dt * jnp.clip(guess, 0.0, 1.0))
        before = flow(x, h)
        after = flow(filled(reset(*before), h), dt - h)
        chosen = tuple(jnp.where(fired, a, b) for a, b in zip(after, end, strict=True))
        rest = jnp.where(fired, dt - h, 0.0)
        return (fired.astype(h.dtype), rest, chosen), (fired, rest, before)

    def back(saved: Any, cotangents: Any) -> Any:
        fired, rest, before = saved
        _, d_rest, d_end = cotangents
        later = flow_back(d_end, rest)
        was = filled(slope(*before), rest)
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
