"""The primitives of a time step: reset, emission, noise, safe branches, integration."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

Value = Array | float


@jax.custom_jvp
def reset(spike: Array, after: Array, before: Array) -> Array:
    """`after` where a spike was, else `before`.

    Derivative: (1 - S) d_before + S d_after + (after - before) dS.
    """
    return jnp.where(spike > 0, after, before)


@reset.defjvp
def _reset_jvp(primals: Any, tangents: Any) -> Any:
    spike, after, before = primals
    d_spike, d_after, d_before = tangents
    kept = jnp.where(spike > 0, d_after, d_before)
    return reset(*primals), kept + (after - before) * d_spike


@jax.custom_jvp
def emit(spike: Array, value: Array) -> Array:
    """`value` where a spike was, else 0. Derivative: dS + S d_value."""
    return jnp.where(spike > 0, value, jnp.zeros_like(spike))


@emit.defjvp
def _emit_jvp(primals: Any, tangents: Any) -> Any:
    spike, _ = primals
    return emit(*primals), tangents[0] + spike * tangents[1]


@jax.custom_jvp
def sample(probability: Array, chance: Array) -> Array:
    """1 where `chance`, uniform in [0, 1), falls below `probability`.

    Its derivative is that of the probability.
    """
    return (chance < probability).astype(probability.dtype)


@sample.defjvp
def _sample_jvp(primals: Any, tangents: Any) -> Any:
    drawn = sample(*primals)
    return drawn, jnp.broadcast_to(tangents[0], drawn.shape)


def silent_gradient(margin: Array, fired: Array) -> Array:
    """1 where `fired`, else 0; no gradient, for the neuron names no surrogate."""
    return fired.astype(margin.dtype)


def choose(
    test: Array,
    then: Callable[..., Any],
    other: Callable[..., Any],
    *values: Value,
) -> Array:
    """`then(*values)` where `test`, else `other(*values)`, both element-wise.

    The branch that is not taken contributes exactly 0 to every derivative, also
    where its own derivative is not finite.
    """

    @jax.custom_jvp
    def chosen(test: Array, *values: Array) -> Array:
        return jnp.where(test, then(*values), other(*values))

    @chosen.defjvp
    def _chosen_jvp(primals: Any, tangents: Any) -> Any:
        test, *values = primals
        total = jnp.zeros_like(chosen(*primals))
        for k, tangent in enumerate(tangents[1:]):
            unit = [jnp.full_like(v, float(i == k)) for i, v in enumerate(values)]
            first = jax.jvp(then, tuple(values), tuple(unit))[1]
            second = jax.jvp(other, tuple(values), tuple(unit))[1]
            total = total + jnp.where(test, first, second) * tangent
        return chosen(*primals), total

    return chosen(test, *(jnp.asarray(v) for v in values))


def exprel(z: Value) -> Array:
    """(exp(z) - 1) / z, and 1 at 0: exact where time constants coincide."""
    z = jnp.asarray(z)
    near = jnp.abs(z) < 0.3
    safe = jnp.where(near, jnp.ones_like(z), z)
    small = jnp.where(near, z, jnp.zeros_like(z))
    series = jnp.ones_like(z)
    for order in range(13, 1, -1):
        series = 1.0 + small / order * series
    return jnp.where(near, series, jnp.expm1(safe) / safe)


def exprel_slope(z: Value) -> Array:
    """The derivative of `exprel`; 1/2 at 0."""
    z = jnp.asarray(z)
    near = jnp.abs(z) < 0.3
    safe = jnp.where(near, jnp.ones_like(z), z)
    small = jnp.where(near, z, jnp.zeros_like(z))
    series = jnp.ones_like(z)
    for j in range(12, -1, -1):
        series = 1.0 + small * ((j + 2) / ((j + 1) * (j + 3))) * series
    far = (jnp.exp(safe) - jnp.expm1(safe) / safe) / safe
    return jnp.where(near, 0.5 * series, far)


def flow_matrix(n: int, *entries: Value) -> Array:
    """exp(M) and its integral for n coupled linear states; `entries` are M = A dt.

    Returns [..., 2n, 2n]: the upper left block is exp(A dt), the upper right one
    the integral of exp(A s) over the step, divided by dt (Van Loan 1978).
    """
    cells = jnp.broadcast_arrays(*(jnp.asarray(e) for e in entries))
    matrix = jnp.stack(cells, -1).reshape(*cells[0].shape, n, n)
    unit = jnp.broadcast_to(jnp.eye(n, dtype=matrix.dtype), matrix.shape)
    upper = jnp.concatenate([matrix, unit], -1)
    block = jnp.concatenate([upper, jnp.zeros_like(upper)], -2)
    flat = block.reshape(-1, 2 * n, 2 * n)
    result: Array = jax.vmap(jax.scipy.linalg.expm)(flat).reshape(block.shape)
    return result


def euler(
    slope: Callable[..., tuple[Any, ...]],
    state: tuple[Any, ...],
    dt: float,
    substeps: int,
) -> tuple[Any, ...]:
    """Advance `state` by dt with forward Euler in equal substeps."""
    h = dt / substeps

    def one(_: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(x + h * k for x, k in zip(state, slope(*state), strict=True))

    result: tuple[Any, ...] = lax.fori_loop(0, substeps, one, state)
    return result


def rk2(
    slope: Callable[..., tuple[Any, ...]],
    state: tuple[Any, ...],
    dt: float,
    substeps: int,
) -> tuple[Any, ...]:
    """Advance `state` by dt with the midpoint rule in equal substeps."""
    h = dt / substeps

    def one(_: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
        first = slope(*state)
        middle = tuple(x + h / 2 * k for x, k in zip(state, first, strict=True))
        second = slope(*middle)
        return tuple(x + h * k for x, k in zip(state, second, strict=True))

    result: tuple[Any, ...] = lax.fori_loop(0, substeps, one, state)
    return result


def rk4(
    slope: Callable[..., tuple[Any, ...]],
    state: tuple[Any, ...],
    dt: float,
    substeps: int,
) -> tuple[Any, ...]:
    """Advance `state` by dt with the classical Runge-Kutta method in substeps."""
    h = dt / substeps

    def one(_: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
        a = slope(*state)
        b = slope(*(x + h / 2 * k for x, k in zip(state, a, strict=True)))
        c = slope(*(x + h / 2 * k for x, k in zip(state, b, strict=True)))
        d = slope(*(x + h * k for x, k in zip(state, c, strict=True)))
        return tuple(
            x + h / 6 * (ka + 2 * kb + 2 * kc + kd)
            for x, ka, kb, kc, kd in zip(state, a, b, c, d, strict=True)
        )

    result: tuple[Any, ...] = lax.fori_loop(0, substeps, one, state)
    return result
