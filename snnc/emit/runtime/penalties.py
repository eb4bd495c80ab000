"""Reductions and penalties; `weight` [B] is 1 for samples and 0 for padding.

`batch_axis` is 1 after a time axis, 0 without one, None for a tensor of parameters.
"""

import jax
import jax.numpy as jnp
from jax import Array


def mean_over_samples(per_sample: Array, weight: Array) -> Array:
    """Return the mean over samples, padding left out: [B, ...] -> [...]."""
    shaped = weight.reshape(weight.shape + (1,) * (per_sample.ndim - 1))
    return jnp.sum(shaped * per_sample, axis=0) / jnp.sum(weight)


def mean_of_all(x: Array, *, weight: Array, batch_axis: int | None) -> Array:
    """Return the mean over every axis, padding left out: a scalar, unit of x."""
    if batch_axis is None:
        return jnp.mean(x)
    others = tuple(axis for axis in range(x.ndim) if axis != batch_axis)
    return mean_over_samples(jnp.mean(x, axis=others), weight)


def sum_per_sample(x: Array, *, batch_axis: int | None) -> Array:
    """Return the sum over all axes but the samples: -> [B] or a scalar, unit of x."""
    return jnp.sum(x, axis=tuple(a for a in range(x.ndim) if a != batch_axis))


def size_of_all(x: Array, *, weight: Array, batch_axis: int | None) -> Array:
    """Return the sum over a tensor of parameters: a scalar, unit of x.

    Of a signal: mean over samples of the sum over features of the mean over time.
    """
    if batch_axis is None:
        return jnp.sum(x)
    per_feature = jnp.mean(x, axis=tuple(range(batch_axis)))
    features = tuple(range(1, per_feature.ndim))
    return mean_over_samples(jnp.sum(per_feature, axis=features), weight)


def l1(x: Array, *, weight: Array, batch_axis: int | None) -> Array:
    """Return sum |x| of a parameter, or its mean over samples and steps of a signal."""
    return size_of_all(jnp.abs(x), weight=weight, batch_axis=batch_axis)


def l2(x: Array, *, weight: Array, batch_axis: int | None) -> Array:
    """Return sum x^2 of a parameter, or its mean over samples and steps of a signal."""
    return size_of_all(x**2, weight=weight, batch_axis=batch_axis)


def activity(spikes: Array, *, weight: Array) -> Array:
    """Return the mean number of spikes per neuron and sample: [T, B, ...] -> scalar."""
    counts = jnp.sum(spikes, axis=0)
    per_sample = jnp.mean(counts, axis=tuple(range(1, counts.ndim)))
    return mean_over_samples(per_sample, weight)


def rate_per_neuron(spikes: Array, *, weight: Array, dt: float) -> Array:
    """Return each neuron's rate in Hz over samples and time: [T, B, ...] -> [...].

    `dt` is in ms, hence the factor 1000.
    """
    counts = mean_over_samples(jnp.sum(spikes, axis=0), weight)
    return counts * (1000.0 / (spikes.shape[0] * dt))


def rate_upper(spikes: Array, *, bound: float, weight: Array, dt: float) -> Array:
    """Return mean over neurons of relu(rate - bound)^2: [T, B, ...] -> scalar, Hz^2.

    `bound` is in 1/ms, as all frequencies are, and `dt` in ms.
    """
    rates = rate_per_neuron(spikes, weight=weight, dt=dt)
    return jnp.mean(jax.nn.relu(rates - 1000.0 * bound) ** 2)


def rate_lower(spikes: Array, *, bound: float, weight: Array, dt: float) -> Array:
    """Return mean over neurons of relu(bound - rate)^2: [T, B, ...] -> scalar, Hz^2.

    `bound` is in 1/ms, as all frequencies are, and `dt` in ms.
    """
    rates = rate_per_neuron(spikes, weight=weight, dt=dt)
    return jnp.mean(jax.nn.relu(1000.0 * bound - rates) ** 2)


def rate_target(spikes: Array, *, target: float, weight: Array, dt: float) -> Array:
    """Return mean over neurons of (rate - target)^2: [T, B, ...] -> scalar, Hz^2.

    `target` is in 1/ms, as all frequencies are, and `dt` in ms.
    """
    rates = rate_per_neuron(spikes, weight=weight, dt=dt)
    return jnp.mean((rates - 1000.0 * target) ** 2)
