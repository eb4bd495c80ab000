"""Readouts stream: a fold over the steps has the value of the sequence form; and the gradient of spike times."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from snnc.emit.runtime import readouts as runtime
from snnc.ops.readouts import READOUTS

FOLDS = [readout for readout in READOUTS if readout.fold is not None]


def run_fold(fold, sequences, dt):
    """Return the value after each step, by evaluating the texts of `fold`."""

    def evaluate(text, **holes):
        return eval(text.format(**{hole: hole for hole in holes}), {"jnp": jnp}, holes)

    slots = dict(zip(fold.slots, (evaluate(text, like=sequences[0][0]) for text in fold.init), strict=True))
    values = []
    for n, operands in enumerate(zip(*sequences, strict=True)):
        now = dict(zip("xy", operands, strict=False))
        updated = [evaluate(text, **now, **slots) for text in fold.update]
        slots = dict(zip(fold.slots, updated, strict=True))
        values.append(evaluate(fold.value, count=jnp.asarray(n + 1), dt=dt, **slots))
    return values


@pytest.mark.usefixtures("strict_jax")
@pytest.mark.parametrize("readout", FOLDS, ids=lambda readout: readout.name)
def test_a_fold_has_the_value_of_the_sequence_so_far(readout):
    rng = np.random.default_rng(0)
    spikes, rest = jnp.asarray((rng.random((9, 3, 4)) < 0.2).astype(float)), jnp.asarray(rng.random((9, 3, 4)))
    sequences = (spikes, rest)[: len(readout.operands)]
    extras = {"dt": 0.5} if readout.extras else {}

    streamed = run_fold(readout.fold, sequences, 0.5)

    for n, value in enumerate(streamed):
        expected = getattr(runtime, readout.runtime)(*(x[: n + 1] for x in sequences), **extras)
        np.testing.assert_allclose(value, expected, rtol=1e-12)


@pytest.mark.usefixtures("strict_jax")
@pytest.mark.parametrize("readout", FOLDS, ids=lambda readout: readout.name)
def test_a_fold_has_the_gradient_of_the_sequence(readout):
    rng = np.random.default_rng(1)
    sequences = tuple(jnp.asarray(rng.random((6, 2, 3))) for _ in readout.operands)
    every = tuple(range(len(sequences)))
    cotangent = jnp.asarray(rng.normal(size=(2, 3)))
    extras = {"dt": 0.5} if readout.extras else {}

    whole = jax.grad(lambda *x: jnp.sum(cotangent * getattr(runtime, readout.runtime)(*x, **extras)), every)
    streamed = jax.grad(lambda *x: jnp.sum(cotangent * run_fold(readout.fold, x, 0.5)[-1]), every)

    for by_step, at_once in zip(streamed(*sequences), whole(*sequences), strict=True):
        np.testing.assert_allclose(by_step, at_once, rtol=1e-12, atol=1e-14)


def spike_time(spikes, dt):
    """Return the published time of the first spike of a train of zeros and ones."""
    fired = [n for n, spike in enumerate(spikes) if spike]
    return dt * (fired[0] + 1 if fired else len(spikes) + 1)


def multilinear(spikes, dt):
    """Return the extension: the mean time if step n fires with probability `spikes[n]`, independently."""
    total = 0.0
    for corner in itertools.product((0, 1), repeat=len(spikes)):
        chance = np.prod([p if bit else 1 - p for p, bit in zip(spikes, corner, strict=True)])
        total += chance * spike_time(corner, dt)
    return total


@pytest.mark.usefixtures("strict_jax")
@pytest.mark.parametrize("spikes", [*itertools.product((0.0, 1.0), repeat=4), (0.2, 0.0, 1.0, 0.7)])
def test_first_spike_time_and_its_gradient_are_those_of_the_multilinear_extension(spikes):
    dt, h = 0.5, 1e-4
    differences = []
    for n in range(len(spikes)):
        up, down = (multilinear([*spikes[:n], spikes[n] + step, *spikes[n + 1 :]], dt) for step in (h, -h))
        differences.append((up - down) / (2 * h))

    value, gradient = jax.value_and_grad(lambda s: runtime.first_spike_time(s, dt=dt))(jnp.asarray(spikes))

    np.testing.assert_allclose(value, multilinear(spikes, dt), rtol=1e-12)
    np.testing.assert_allclose(gradient, differences, rtol=1e-9, atol=1e-9)
