"""The first spikes of current-based neurons in closed form (Göltz et al. 2021, Mostafa 2018), without a time loop.

Times are in ms. A time after `end`, that of the presentation, stands for no spike: it acts on nothing and has no gradient.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax


class Membrane(NamedTuple):
    """What the closed form needs of a neuron: tau_m v' = i - v, tau_s i' = -i; a spike of weight w jumps i by w."""

    tau_m: float
    tau_s: float
    theta: float
    charge: Callable[..., Array]  # what a unit of i has made of v after h
    crossing: Callable[
        ..., Array
    ]  # from v and i on, the time until v reaches theta; inf: never


def arrivals(spikes: Array, dt: float) -> Array:
    """The time of the spike of each unit: [T, B, n] -> [B, n]; without one, dt after the end."""
    spiked = spikes > 0.0
    step = jnp.where(jnp.any(spiked, axis=0), jnp.argmax(spiked, axis=0), len(spikes))
    return dt * (1.0 + step.astype(spikes.dtype))


def first_spikes(
    times: Array, w: Array, cell: Membrane, end: float, dt: float
) -> Array:
    """When each neuron reaches its threshold: times [B, n] and w [n, m] -> [B, m]; if not by `end`, dt after it.

    With charge(s) the response of v to a unit jump of i, v(t) = sum_i w_i charge(t - t_i), and v(t) = theta gives

        dt/dw_i = -charge(t - t_i) / v'(t),  dt/dt_i = w_i charge'(t - t_i) / v'(t)

    for the arrivals before t; v' is taken as at least 1e-6 theta / tau_m, so that a grazing spike stays finite.
    """

    @jax.custom_vjp
    def first(times: Array, w: Array) -> Array:
        return search(times, w, cell, end, dt)

    def forward(times: Array, w: Array) -> tuple[Array, tuple[Array, Array, Array]]:
        found = search(times, w, cell, end, dt)
        return found, (times, w, found)

    def backward(kept: tuple[Array, Array, Array], d: Array) -> tuple[Array, Array]:
        times, w, found = kept
        since = found[:, None, :] - times[:, :, None]
        caused = (since > 0.0) & (found <= end)[:, None, :]
        since = jnp.where(caused, since, 0.0)
        charge = cell.charge(since, cell)
        rise = (jnp.exp(-since / cell.tau_s) - charge) / cell.tau_m
        rise = jnp.where(caused, rise, 0.0)
        slope = jnp.einsum("bij,ij->bj", rise, w)
        share = d / jnp.maximum(slope, 1e-6 * cell.theta / cell.tau_m)
        return jnp.einsum("bij,ij,bj->bi", rise, w, share), -jnp.einsum(
            "bij,bj->ij", charge, share
        )

    first.defvjp(forward, backward)
    return first(times, w)


def search(times: Array, w: Array, cell: Membrane, end: float, dt: float) -> Array:
    """Go from arrival to arrival, in their order, and see whether the next one comes before the threshold is reached."""
    order = jnp.argsort(times, axis=1)
    ordered = jnp.minimum(jnp.take_along_axis(times, order, axis=1), end)
    gaps = jnp.diff(ordered, axis=1, append=jnp.full_like(times[:, :1], end))

    def arrive(
        state: tuple[Array, Array, Array], now: tuple[Array, Array, Array]
    ) -> Any:
        v, i, found = state
        t, gap, unit = now
        i = i + w[unit]
        until = cell.crossing(v, i, cell)
        found = jnp.where((found > end) & (until <= gap), t + until, found)
        v = v * jnp.exp(-gap / cell.tau_m) + i * cell.charge(gap, cell)
        i = i * jnp.exp(-gap / cell.tau_s)
        return (v, i, found), None

    rest = jnp.zeros((len(times), w.shape[1]), w.dtype)
    start = rest, rest, rest + (end + dt)
    (_, _, found), _ = lax.scan(
        arrive, start, (ordered.T[..., None], gaps.T[..., None], order.T)
    )
    return jnp.where(found < end, found, end + dt)


def charge_double(h: Array, cell: Membrane) -> Array:
    """tau_m = 2 tau_s: exp(-h / tau_m) - exp(-h / tau_s)."""
    y = jnp.exp(-h / cell.tau_m)
    return y - y * y


def crossing_double(v: Array, i: Array, cell: Membrane) -> Array:
    """tau_m = 2 tau_s: i y^2 - (v + i) y + theta = 0 with y = exp(-h / tau_m), whose larger root comes first."""
    rises = i > cell.theta
    i = jnp.where(rises, i, 2.0 * cell.theta)
    total = jnp.where(rises, v + i, 0.0)
    square = total * total - 4.0 * i * cell.theta
    reached = rises & (square >= 0.0) & (total > 0.0)
    y = (total + jnp.sqrt(jnp.maximum(square, 0.0))) / (2.0 * i)
    return jnp.where(
        reached, -cell.tau_m * jnp.log(jnp.where(reached, y, 1.0)), jnp.inf
    )


def charge_equal(h: Array, cell: Membrane) -> Array:
    """tau_m = tau_s: h / tau_m exp(-h / tau_m)."""
    return h / cell.tau_m * jnp.exp(-h / cell.tau_m)


def crossing_equal(v: Array, i: Array, cell: Membrane) -> Array:
    """tau_m = tau_s: (v + i x) exp(-x) = theta with x = h / tau_m, so that x = -W(-theta / i exp(-v / i)) - v / i."""
    rises = i > cell.theta
    i = jnp.where(rises, i, 2.0 * cell.theta)
    rest = jnp.where(rises, v / i, 0.0)
    excess = jnp.log(i / cell.theta) + rest - 1.0  # log of the peak of v over theta
    x = -lambert_w(jnp.maximum(excess, 0.0)) - rest
    return jnp.where(rises & (excess >= 0.0), cell.tau_m * x, jnp.inf)


def lambert_w(excess: Array) -> Array:
    """W in [-1, 0) with W exp(W) = -exp(-1 - excess), for excess >= 0.

    A series at either end, then two steps of Fritsch, Shafer & Crowley (1973), each of fourth order.
    """
    p = jnp.sqrt(-2.0 * jnp.expm1(-excess))
    z = jnp.exp(-1.0 - excess)
    near = -1.0 + p * (1.0 - p * (1.0 / 3.0 - p * (11.0 / 72.0 - p * 43.0 / 540.0)))
    w = jnp.where(excess < 0.5, near, -z * (1.0 + z * (1.0 + 1.5 * z)))
    for _ in range(2):
        above = jnp.maximum(1.0 + w, 1e-3)
        error = -1.0 - excess - jnp.log(-w) - w
        q = 2.0 * above * (above + error * (2.0 / 3.0))
        step = error / above * (q - error) / (q - 2.0 * error)
        w = jnp.where(
            w > -0.999, w * (1.0 + step), w
        )  # nearer to -1 the series is exact
    return w


def too_silent(first: Array, weight: Array, end: float, share: float) -> Array:
    """1 for each neuron that is silent in more than this share of the samples: [B, m] -> [m]."""
    silent = jnp.einsum("bm,b->m", (first > end).astype(first.dtype), weight)
    return (silent > share * jnp.sum(weight)).astype(first.dtype)


def rate_of_firsts(first: Array, weight: Array, end: float) -> Array:
    """The mean firing rate over neurons and samples, in Hz."""
    share = jnp.mean((first <= end).astype(first.dtype), axis=1)
    return jnp.sum(weight * share) / jnp.sum(weight) * (1000.0 / end)


def silent_of_firsts(first: Array, weight: Array, end: float) -> Array:
    """The share of neurons that spike in no sample of the batch."""
    spikes = (first <= end) & (weight > 0.0)[:, None]
    return jnp.mean(jnp.all(~spikes, axis=0).astype(first.dtype))
