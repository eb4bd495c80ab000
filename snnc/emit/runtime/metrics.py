"""Metrics; `weight` [B] is 1 for samples and 0 for padding."""

import jax.numpy as jnp
from jax import Array


def accuracy(scores: Array, label: Array) -> Array:
    """Return 1 where the labelled class scores highest: [..., B, classes] -> [..., B].

    `label` holds class numbers [B] or [T, B]; of equal scores the first class counts.
    """
    answer = jnp.argmax(scores, axis=-1).astype(label.dtype)
    return (answer == label).astype(scores.dtype)


def assigned_accuracy(
    counts: Array, label: Array, *, responses: Array, classes: float, updates: float
) -> Array:
    """Return 1 where the units of the labelled class answer most: [B, units] -> [B].

    Each unit stands for the class to which it answered most, by the mean of its
    `responses` in training; one that never answered stands for none.
    """
    means = responses[:, 1:] / jnp.maximum(responses[:, :1], 1e-9)
    own = jnp.argmax(means, axis=0) == jnp.arange(int(classes))[:, None]
    member = (own & (jnp.max(means, axis=0) > 0.0)).astype(counts.dtype)
    scores = counts @ member.T / jnp.maximum(jnp.sum(member, axis=1), 1.0)
    answer = jnp.argmax(scores, axis=-1).astype(label.dtype)
    return (answer == label).astype(counts.dtype)


def responses_after(
    responses: Array,
    counts: Array,
    label: Array,
    *,
    weight: Array,
    classes: float,
    updates: float,
) -> Array:
    """Add the answers [B, units] of a batch to `responses`, which fade over `updates` updates."""
    samples = jnp.concatenate([jnp.ones_like(counts[:, :1]), counts], axis=1)
    shown = (label[:, None] == jnp.arange(int(classes))) * weight[:, None]
    return (1.0 - 1.0 / updates) * responses + shown.T.astype(counts.dtype) @ samples


def confusion(scores: Array, label: Array, *, weight: Array) -> Array:
    """Return how many samples of each true class (row) were taken for which (column).

    [B, classes] -> [classes, classes]; among equal scores the first class counts.
    """
    answer = jnp.argmax(scores, axis=-1).astype(label.dtype)
    counts = jnp.zeros((scores.shape[-1], scores.shape[-1]), scores.dtype)
    return counts.at[label, answer].add(weight)


def total_activity(spikes: Array) -> tuple[Array, Array]:
    """The sum of spikes [T, B, ...] over the steps, and that of their sizes."""
    return jnp.sum(spikes, axis=0), jnp.sum(jnp.abs(spikes), axis=0)


def rate_of_total(total: Array, weight: Array, steps: int, dt: float) -> Array:
    """As `firing_rate`, from the sum of the spikes over the steps [B, ...]."""
    per_sample = jnp.mean(total, axis=tuple(range(1, total.ndim)))
    per_sample = per_sample / steps * (1000.0 / dt)
    return jnp.sum(weight * per_sample) / jnp.sum(weight)


def silent_of_total(total: Array, weight: Array) -> Array:
    """As `silent_fraction`, from the sum of the sizes of the spikes [B, ...]."""
    quiet = jnp.tensordot(weight, total, axes=(0, 0)) == 0
    return jnp.mean(quiet.astype(total.dtype))


def firing_rate(spikes: Array, *, weight: Array, dt: float) -> Array:
    """Return the mean rate over neurons, samples and time: [T, B, ...] -> scalar, Hz.

    `dt` is in ms, hence the factor 1000.
    """
    others = tuple(axis for axis in range(spikes.ndim) if axis != 1)
    per_sample = jnp.mean(spikes, axis=others) * (1000.0 / dt)
    return jnp.sum(weight * per_sample) / jnp.sum(weight)
