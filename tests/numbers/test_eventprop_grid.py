"""`learn = eventprop()` on the grid: its gradient goes to that of the event-driven network as dt goes to 0."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from event_driven import central_differences, cuba, simulate
from linear_networks import CASES, END, SIZES, TIMES, drawn, exact, inputs_of, of_model, text_of
from models_in_text import compile_text

QUICK = ("tau_s < tau_m",)


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.long) for n in CASES])
def test_the_gradient_goes_to_that_of_the_event_driven_network_with_the_step(name):
    layers, chains, draw, cells = CASES[name]
    edges, events = drawn(chains, *draw)
    rng = np.random.default_rng(1)
    directions = [rng.normal(size=(3, *edge.w.shape)) for edge in edges]
    expected, spikes = exact(cells, edges, events, directions)
    errors = []
    for dt in (0.1, 0.02):
        gradient, count = of_model(text_of(layers, chains, dt), edges, events, dt)
        assert count == len(spikes) >= 4
        found = [np.tensordot(d, g, 2) for d, g in zip(directions, gradient, strict=True)]
        errors.append([np.linalg.norm(f - e) / np.linalg.norm(e) for f, e in zip(found, expected, strict=True)])

    assert max(errors[0]) < 0.2  # at dt = tau_s / 50; without delays below 0.07
    assert max(errors[1]) < 0.5 * max(errors[0])


def test_the_rule_changes_no_number_forward():
    layers, chains, _, _ = CASES["recurrent, with delays"]
    text = text_of(layers, chains, 0.5)
    x = 20.0 * (np.random.default_rng(0).random((60, 2, 3)) < 0.1)

    signals = [compile_text(t).run(a=x) for t in (text, text.replace("eventprop(floor = 1e-6 Hz)", "bptt()"))]

    assert signals[0]["h.spike"].sum() > 5
    for name, value in signals[1].items():
        np.testing.assert_array_equal(signals[0][name], value, err_msg=name)


def test_an_integral_over_a_state_that_is_reset_moves_with_the_spikes():
    """The mean of h.v loses v- - v+ for each unit of time that a spike comes earlier."""
    layers, chains, draw, cells = CASES["tau_s < tau_m"]
    edges, events = drawn(chains, *draw)
    edges, chains = edges[:1], chains[:1]
    rng = np.random.default_rng(1)
    directions = [rng.normal(size=(3, *edges[0].w.shape))]

    def loss(edges):
        areas = {}
        simulate(cells, SIZES, edges, events, END, areas)
        return areas["h"][:, 1].sum() / END

    (expected,) = central_differences(loss, edges, directions)
    dt = 0.02
    text = text_of(layers.split("\n")[0], chains, dt).replace("mean(out.v)", "mean(h.v)")
    model = compile_text(text)
    params = type(model.params)(jnp.asarray(edges[0].w))
    x = inputs_of(model, events, dt)
    means = jax.jit(jax.grad(lambda params: model.module.run(params, model.buffers, x)[0].h.v.mean(0).sum()))(params)

    found = np.tensordot(directions[0], np.asarray(means[0]), 2)
    assert np.linalg.norm(found - expected) < 0.05 * np.linalg.norm(expected)


def test_trained_parameters_of_a_neuron_move_the_spikes():
    """The threshold and both time constants, against differences of the event-driven network."""
    layers, chains, draw, _ = CASES["tau_s < tau_m"]
    edges, events = drawn(chains, *draw)
    start = {"tau_m": 20.0, "tau_s": 5.0, "theta": 1.0}
    trained = "CubaLIF[4](tau_m = 20 ms trainable, tau_s = 5 ms trainable, theta = 1 trainable)"
    dt = 0.02
    text = text_of(layers.replace("CubaLIF[4](tau_m = 20 ms, tau_s = 5 ms)", trained), chains, dt)
    model = compile_text(text)

    def exactly(**changed):
        cells = {"h": cuba(**{**start, **changed}), "out": cuba(20, 5, np.inf)}
        spikes, states = simulate(cells, SIZES, edges, events, END)
        return sum(TIMES[unit] * t for t, _, unit in spikes) + states["out"][:, 1].sum()

    step = 1e-5
    expected = {n: (exactly(**{n: v + step}) - exactly(**{n: v - step})) / (2 * step) for n, v in start.items()}
    names = model.module.PARAM_NAMES
    weights = dict(zip([n for n in names if n.endswith(".w")], (jnp.asarray(e.w) for e in edges), strict=True))
    params = type(model.params)(*(weights.get(n, p) for n, p in zip(names, model.params, strict=True)))
    x = inputs_of(model, events, dt)

    def loss(params):
        signals = model.module.run(params, model.buffers, x)[0]
        return (signals.h.spike * TIMES).sum() + signals.out.v[-1].sum()

    raw = jax.jit(jax.grad(loss))(params)
    for place, name in enumerate(names):
        if not name.endswith(".w"):
            ends = [model.module.constrained(moved(params, place, s * 1e-6))[name] for s in (1, -1)]
            slope = float(ends[0] - ends[1]) / 2e-6  # of the author's value by the raw one
            assert float(raw[place]) / slope == pytest.approx(expected[name.split(".")[1]], rel=0.05), name


def moved(params, place, by):
    return type(params)(*(p + by * (k == place) for k, p in enumerate(params)))
