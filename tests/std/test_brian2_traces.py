"""AdEx, Izhikevich, Hodgkin-Huxley and a held membrane against traces of Brian2 (tests/recordings/brian2_traces.py)."""

from pathlib import Path

import numpy as np
import pytest
from cells import cell, constant, spike_steps
from models_in_text import compile_text

RECORDINGS = Path(__file__).parents[1] / "recordings"


def recorded(name):
    with np.load(RECORDINGS / f"brian2_{name}.npz") as data:
        return dict(data)


def trace_of(signals, states):
    return np.stack([signals[f"h.{s}"][:, 0, 0] for s in states], -1)


@pytest.mark.parametrize(("name", "neuron", "states"), [("adex", "AdEx", "vw"), ("izhikevich", "Izhikevich", "vu")])
def test_the_same_method_gives_the_same_trace_and_spikes(name, neuron, states):
    brian = recorded(name)
    model = cell(neuron, "solve = rk4")

    signals = model.run(in_I=brian["drive"][:, None, None])

    np.testing.assert_array_equal(spike_steps(signals), brian["spikes"])
    np.testing.assert_allclose(trace_of(signals, states), brian["trace"], rtol=1e-8, atol=1e-8)


def test_exponential_euler_of_hodgkin_and_huxley_is_that_of_brian2():
    brian = recorded("hodgkin_huxley")
    model = cell("HodgkinHuxley", dt="0.05 ms")

    signals = model.run(in_I=brian["drive"][:, None, None])
    v = brian["trace"][:, 0]

    assert model.compiled.plan.types[0].method == "exponential Euler"
    np.testing.assert_allclose(trace_of(signals, "vmhn"), brian["trace"], rtol=1e-8, atol=1e-8)
    np.testing.assert_array_equal(spike_steps(signals), np.flatnonzero((v[1:] >= 0) & (v[:-1] < 0)) + 1)
    assert len(spike_steps(signals)) >= 3


@pytest.mark.parametrize(
    ("name", "neuron", "states", "drive", "dt", "parts"),
    [
        ("adex", "AdEx", "vw", 700.0, 0.8, 4),
        ("izhikevich", "Izhikevich", "vu", 4.0, 0.8, 4),
        ("hodgkin_huxley", "HodgkinHuxley", "vmhn", 1000.0, 0.2, 10),
    ],
)
def test_runge_kutta_converges_to_brian2_with_order_four(name, neuron, states, drive, dt, parts):
    truth = recorded(name)["smooth"]

    def error(parts):
        model = cell(neuron, "solve = rk4", dt=f"{dt / parts} ms")
        signals = model.run(in_I=constant(drive, parts * len(truth)))
        return np.abs(trace_of(signals, states)[parts - 1 :: parts] - truth).max()

    errors = [error(parts), error(2 * parts)]

    assert np.log2(errors[0] / errors[1]) == pytest.approx(4, abs=0.3)
    assert errors[1] < 1e-3


def test_exponential_euler_converges_to_brian2_with_order_one():
    truth = recorded("hodgkin_huxley")["smooth"]

    def error(parts):
        model = cell("HodgkinHuxley", dt=f"{0.2 / parts} ms")
        signals = model.run(in_I=constant(1000, parts * len(truth)))
        return np.abs(trace_of(signals, "vmhn")[parts - 1 :: parts] - truth).max()

    errors = [error(n) for n in (64, 128)]

    assert np.log2(errors[0] / errors[1]) == pytest.approx(1, abs=0.1)


def test_a_held_state_ignores_jumps_and_adaptation_sees_it_constant_as_with_unless_refractory():
    brian = recorded("held")
    model = compile_text("""
    neuron Held {
      event x
      state v = 0
      state w = 0
      v' = (1.6 - v - 0.5 * w) / 10 ms
      w' = (0.4 * v - w) / 40 ms
      on x at end { v += x; w += 0.1 * x }
      spike when v >= 1 { v = 0.1; w += 0.2 }
      refractory 2 ms hold v
    }
    network Net {
      dt = 0.5 ms
      input a : real[1]
      layer h = Held[1]()
      a -> h.x
    }""")

    signals = model.run(a=brian["drive"][:, None, None])

    assert len(brian["spikes"]) >= 20
    np.testing.assert_array_equal(spike_steps(signals), brian["spikes"])
    np.testing.assert_allclose(trace_of(signals, "vw"), brian["trace"], rtol=1e-12, atol=1e-12)
    for n in brian["spikes"]:
        assert set(signals["h.v"][n : n + 5, 0, 0]) == {0.1}  # the step of the spike and the four that are held
