"""`learn = ttfs()`: times and derivatives against an event-driven simulator that knows no closed form, in float64."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from models_in_text import compile_text
from scipy.optimize import brentq

from snnc.emit.runtime.first_spikes import lambert_w

TEXT = """import std.neurons (CubaLIF)

network Net {{
  dt = 0.01 ms
  events = located
  input points : spikes[6]
  layer h = CubaLIF[8](tau_m = {tau_m} ms, tau_s = 2 ms, theta = 0.5, refractory = 20 ms)
  layer out = CubaLIF[3](tau_m = {tau_m} ms, tau_s = 2 ms, theta = 0.4, refractory = 20 ms)
  points -> dense() -> h
  h -> dense() -> out
  points -> dense() -> out
  output first = first_spike_time(out.spike)
}}

data values = npz("values.npz") -> latency(late = 8 ms, duration = 20 ms)

train t of Net on values {{
  learn = ttfs()
  loss = ttfs_cross_entropy(first, label, tau = 1 ms)
}}
"""
END = 20.0


def potential(t, arrivals, weights, tau_m, tau_s):
    """v at the times t, as the sum of the responses to all jumps of i so far; any ratio of the time constants."""
    s = np.maximum(np.asarray(t)[..., None] - arrivals, 0)
    rate = 1 / tau_s - 1 / tau_m
    response = s if rate == 0 else -np.expm1(-rate * s) / rate
    return np.exp(-s / tau_m) * response / tau_m @ weights


def simulate(times, weights, tau_m, tau_s, theta, end):
    """The first time at which v reaches theta: bracketed on a fine grid from arrival to arrival, then by Brent's method."""
    order = np.argsort(times)
    kept = times[order] <= end
    arrivals, weights = times[order][kept], weights[order][kept]
    stops = [*arrivals, end]
    grid = np.concatenate([np.linspace(a, b, 100) for a, b in pairwise(stops)])
    over = np.flatnonzero(potential(grid, arrivals, weights, tau_m, tau_s) >= theta)
    if not len(over):
        return np.inf
    before, after = grid[over[0] - 1], grid[over[0]]
    return brentq(
        lambda t: potential(t, arrivals, weights, tau_m, tau_s) - theta, before, after, xtol=1e-14, rtol=1e-15
    )


def network(times, h_w, out_w, skip_w, tau_m):
    """First spikes of both layers for one sample."""
    h = [simulate(times, h_w[:, j], tau_m, 2.0, 0.5, END) for j in range(h_w.shape[1])]
    both = np.array([*h, *times])
    weights = np.concatenate([out_w, skip_w])
    out = [simulate(both, weights[:, j], tau_m, 2.0, 0.4, END) for j in range(3)]
    return np.array(h), np.array(out)


@pytest.fixture(scope="module", params=[2, 4], ids=["equal", "double"])
def case(request):
    """The compiled network, its weights and inputs, among them neurons that stay silent."""
    model = compile_text(TEXT.format(tau_m=request.param))
    rng = np.random.default_rng(5)
    weights = [rng.normal(0.9, 1.0, (6, 8)), rng.normal(0.3, 0.6, (8, 3)), rng.normal(0.2, 0.3, (6, 3))]
    weights[0][:, 2] = -0.5  # never spikes
    steps = rng.choice(np.arange(20, 800), (4, 6), replace=False)
    steps[0, 3] = 2000  # no spike of this unit
    spikes = np.zeros((2000, 4, 6))
    for b, n in zip(*np.nonzero(steps < 2000), strict=True):
        spikes[steps[b, n], b, n] = 1.0
    return model, request.param, weights, (steps + 1) * 0.01, spikes


def test_first_spikes_equal_those_of_an_event_driven_simulator(case):
    model, tau_m, weights, times, spikes = case
    found = model.run(points=spikes, params=model.module.Params(*map(jnp.asarray, weights)))

    expected = [network(sample, *weights, tau_m) for sample in times]
    for name, values in (("h.first", [h for h, _ in expected]), ("out.first", [o for _, o in expected])):
        silent = np.isinf(values)
        assert 0 < silent.sum() < silent.size or name == "out.first"
        np.testing.assert_allclose(found[name], np.where(silent, END + 0.01, values), rtol=0, atol=1e-9)


def test_located_steps_give_the_same_times(case):
    """The network without the rule and without its refractory period; what spikes again in it is left unconnected."""
    model, tau_m, (h_w, out_w, skip_w), _, spikes = case
    h_w = 0.6 * h_w  # some neurons spike once
    text = TEXT[: TEXT.index("data values")].format(tau_m=tau_m).replace(", refractory = 20 ms", "")
    text = text.replace("}\n", "  output h_first = first_spike_time(h.spike)\n  output spikes = count(h.spike)\n}\n")
    stepped = compile_text(text)
    x = stepped.inputs(points=spikes)
    forward = jax.jit(stepped.module.forward)

    def weights(*arrays):
        named = dict(zip(model.module.PARAM_NAMES, map(jnp.asarray, arrays), strict=True))
        return (
            module.Params(*(named[name] for name in module.PARAM_NAMES)) for module in (stepped.module, model.module)
        )

    counts = forward(next(weights(h_w, out_w, skip_w)), stepped.buffers, x).spikes
    once = (np.asarray(counts) <= 1).all(axis=0)
    assert np.asarray(counts)[:, once].any()
    by_steps, by_rule = weights(h_w, np.where(once[:, None], 3 * out_w, 0.0), 3 * skip_w)

    found = forward(by_steps, stepped.buffers, x)

    expected = model.run(points=spikes, params=by_rule)
    np.testing.assert_allclose(found.h_first, expected["h.first"], rtol=0, atol=1e-9)
    assert (expected["out.first"] < END).any()
    np.testing.assert_allclose(found.first, expected["out.first"], rtol=0, atol=1e-9)


def test_the_gradient_equals_finite_differences_of_the_simulator(case):
    model, tau_m, weights, times, spikes = case
    x = model.inputs(points=spikes)
    scale = np.random.default_rng(1).normal(size=(4, 3))

    def objective(params):
        return jnp.sum(model.module.run(params, model.buffers, x)[0].out.first * scale)

    found = jax.jit(jax.grad(objective))(model.module.Params(*map(jnp.asarray, weights)))

    def simulated(*changed):
        out = np.array([network(sample, *changed, tau_m)[1] for sample in times])
        return np.sum(np.where(np.isinf(out), 0.0, out) * scale)

    assert all((np.asarray(grad) != 0).mean() > 0.3 for grad in found)
    for place, (grad, w) in enumerate(zip(found, weights, strict=True)):
        assert np.isfinite(grad).all()
        chosen = np.random.default_rng(2).choice(w.size, 4, replace=False)
        for index in zip(*np.unravel_index(chosen, w.shape), strict=True):
            changed = [[v.copy() for v in weights] for _ in range(2)]
            for sign, new in zip((1, -1), changed, strict=True):
                new[place][index] += sign * 1e-6
            expected = (simulated(*changed[0]) - simulated(*changed[1])) / 2e-6
            np.testing.assert_allclose(grad[index], expected, rtol=1e-6, atol=1e-7)


def test_weights_into_silent_neurons_have_no_gradient(case):
    model, _, weights, _, spikes = case
    x = model.inputs(points=spikes)
    quiet = [0 * w - 0.1 for w in weights]

    def objective(params):
        return jnp.sum(model.module.run(params, model.buffers, x)[0].out.first ** 2)

    value, grads = jax.jit(jax.value_and_grad(objective))(model.module.Params(*map(jnp.asarray, quiet)))

    np.testing.assert_allclose(value, 12 * (END + 0.01) ** 2)
    assert all((np.asarray(grad) == 0).all() for grad in grads)


def test_lambert_w_is_that_of_scipy():
    excess = np.concatenate([[0.0], np.logspace(-14, 2, 400)])

    found = lambert_w(jnp.asarray(excess))

    with np.errstate(all="ignore"):
        expected = scipy.special.lambertw(-np.exp(-1 - excess)).real
    near = excess < 1e-6  # where exp(-1 - excess) rounds, the series is nearer
    np.testing.assert_allclose(found[~near], expected[~near], rtol=1e-9)
    w = np.asarray(found)
    np.testing.assert_allclose((np.log(-w) + w + 1 + excess)[near], 0, atol=1e-15)


def test_weights_into_neurons_that_are_silent_too_often_grow():
    text = TEXT.format(tau_m=4).replace("ttfs()", "ttfs(bump = 0.125, quiet = 0.5)")
    text = text.replace(
        "tau = 1 ms)\n", "tau = 1 ms)\n  optimizer = sgd(lr = 1e-30)\n  freeze = ['points_out.*']\n".replace("'", '"')
    )
    model = compile_text(text)
    module = model.module
    h_w = np.full((6, 8), 2.0)
    h_w[:, 0] = -1.0  # silent in all samples
    h_w[:, 1] = [4.0, *[-5.0] * 5]  # in one of two: not too often
    h_w[:, 2] = [0.1, *[-5.0] * 5]  # in both
    out_w = np.full((8, 3), 2.0)
    out_w[:, 1] = 0.0
    skip_w = np.zeros((6, 3))
    weights = module.Params(*map(jnp.asarray, (h_w, out_w, skip_w)))
    points = np.ones((3, 6), np.float32)  # all at once; the third sample only fills up the batch
    points[1, 1:] = 0.0  # the first unit before the others
    batch = {"points": points, "label": np.zeros(3, np.int32), "sample": np.arange(3, dtype=np.int32)}
    batch["weight"] = np.array([1.0, 1.0, 0.0], np.float32)
    state = module.init_train_state(0, 1)._replace(params=weights)

    new, _ = module.train_step(state, batch)

    silent = np.array([1, 0, 1, 0, 0, 0, 0, 0])
    np.testing.assert_allclose(new.params[0], h_w + 0.125 * silent, atol=1e-12)
    np.testing.assert_allclose(new.params[1], out_w + 0.125 * np.array([0, 1, 0]), atol=1e-12)
    np.testing.assert_array_equal(new.params[2], skip_w)
