"""Losses: one number per sample [B], or per step and sample [T, B]."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax


def nll(log_probability: Array, label: Array) -> Array:
    """Return -log p of the labelled class: [..., B, classes] -> [..., B].

    `label` holds class numbers [B], or [T, B] where each step has its own.
    """
    label = jnp.broadcast_to(label, log_probability.shape[:-1])
    chosen = jnp.take_along_axis(log_probability, label[..., None], axis=-1)
    return -chosen[..., 0]


def cross_entropy(logits: Array, label: Array) -> Array:
    """Return -log softmax(logits) of the labelled class: [..., B, classes] -> [..., B].

    `label` holds class numbers [B], or [T, B] where each step has its own.
    """
    return nll(jax.nn.log_softmax(logits, axis=-1), label)


def ttfs_cross_entropy(first: Array, label: Array, *, tau: float) -> Array:
    """Return the cross-entropy of softmax(-first / tau): [B, classes] -> [B].

    `first` are the times of the first spikes and `tau` a time constant, both in ms: the
    earliest unit is the answer. After Mostafa (2018), who takes exp(time) for the time.
    """
    return cross_entropy(-first / tau, label)


def late_label(first: Array, label: Array, *, tau: float) -> Array:
    """Return exp(first / tau) - 1 of the labelled unit: [B, classes] -> [B].

    `first` are the times of the first spikes and `tau` a time constant, both in ms.
    """
    return -nll(jnp.expm1(first / tau), label)


def mae(a: Array, b: Array, *, batch_axis: int) -> Array:
    """Return the mean of |a - b| over features: [B, ...] -> [B], or [T, B].

    As `mse`, in the unit of `a`.
    """
    return jnp.mean(jnp.abs(a - b), axis=tuple(range(batch_axis + 1, a.ndim)))


def mse(a: Array, b: Array, *, batch_axis: int) -> Array:
    """Return the mean of (a - b)^2 over features: [B, ...] -> [B], or [T, B].

    `batch_axis` is that of `a`: 1 after a time axis, else 0. `b` without a time axis
    stands at every step. In the square of the unit of `a`.
    """
    return jnp.mean((a - b) ** 2, axis=tuple(range(batch_axis + 1, a.ndim)))


def count_mse(spikes: Array, label: Array, *, on: float, off: float) -> Array:
    """Return the mean over units of (count - target)^2: -> [B].

    `spikes` are [T, B, classes], or counts [B, classes]. The unit of the label shall
    fire `on` times, each other one `off` times, as in `mse_count_loss` of snnTorch.
    """
    counts = jnp.sum(spikes, axis=0) if spikes.ndim == 3 else spikes
    labelled = jnp.arange(counts.shape[-1], dtype=label.dtype) == label[:, None]
    return jnp.mean((counts - jnp.where(labelled, on, off)) ** 2, axis=-1)


def exponential_filter(x: Array, *, tau: float, dt: float) -> Array:
    """Return x convolved with exp(-t / tau) along time: [T, ...] -> [T, ...]; ms."""
    keep = float(np.exp(-dt / tau))

    def advance(trace: Array, now: Array) -> tuple[Array, Array]:
        trace = keep * trace + now
        return trace, trace

    return lax.scan(advance, jnp.zeros_like(x[0]), x)[1]


def filtered_error(error: Array, *, rise: float, decay: float, dt: float) -> Array:
    """Return a difference of spike trains, filtered by a kernel of peak 1: same shape.

    exp(-t / decay), or with rise > 0 the difference of two exponentials. Times in ms.
    """
    filtered = exponential_filter(error, tau=decay, dt=dt)
    if rise > 0:
        ratio = rise / decay
        peak = ratio ** (ratio / (1 - ratio)) - ratio ** (1 / (1 - ratio))
        filtered = (filtered - exponential_filter(error, tau=rise, dt=dt)) / peak
    return filtered


def van_rossum(
    y: Array, target: Array, *, rise: float, decay: float, dt: float
) -> Array:
    """Return the squared distance of spike trains: [T, B, ...] -> [B], a plain number.

    The integral of the squared difference of the filtered trains, divided by `decay`,
    mean over units (van Rossum 2001). The kernel has peak 1: exp(-t / decay), or with
    rise > 0 the difference of two exponentials (Zenke & Ganguli 2018). Times in ms,
    rise < decay.
    """
    filtered = filtered_error(y - target, rise=rise, decay=decay, dt=dt)
    per_unit = dt / decay * jnp.sum(filtered**2, axis=0)
    return jnp.mean(per_unit, axis=tuple(range(1, per_unit.ndim)))


def van_rossum_of_counted(
    y: Array, target: Array, counts: Array, *, rise: float, decay: float, dt: float
) -> Array:
    """As `van_rossum`, of the spikes in the steps where `counts` [T, B] is 1, not 0.

    The integral goes over these steps.
    """
    counts = counts.reshape(*counts.shape, *(1 for _ in y.shape[2:]))
    error = jnp.where(counts > 0, y - target, 0.0)
    filtered = filtered_error(error, rise=rise, decay=decay, dt=dt)
    per_unit = dt / decay * jnp.sum(jnp.where(counts > 0, filtered**2, 0.0), axis=0)
    return jnp.mean(per_unit, axis=tuple(range(1, per_unit.ndim)))
