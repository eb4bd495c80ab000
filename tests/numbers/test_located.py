"""`events = located`: spike times and gradient are those of the event-driven network."""

import numpy as np
import pytest
from linear_networks import CASES, drawn, exact, of_model, text_of
from models_in_text import assert_same_signals, compile_text

DT = 0.1  # ms; the inputs are such that no spike acts on another neuron in the step in which that one spikes

QUICK = ("tau_s = tau_m", "two compartments", "recurrent, with delays")


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.long) for n in CASES])
def test_the_gradient_is_that_of_the_event_driven_network(name):
    layers, chains, draw, cells = CASES[name]
    edges, events = drawn(chains, *draw)
    rng = np.random.default_rng(1)
    directions = [rng.normal(size=(3, *edge.w.shape)) for edge in edges]
    expected, spikes = exact(cells, edges, events, directions)

    gradient, count = of_model(text_of(layers, chains, DT, "located"), edges, events, DT)

    assert count == len(spikes) >= 4
    for d, g, e in zip(directions, gradient, expected, strict=True):
        np.testing.assert_allclose(np.tensordot(d, g, 2), e, rtol=1e-6, atol=1e-6 * np.abs(e).max())


def test_the_interpreter_locates_the_same_spikes():
    layers, chains, _, _ = CASES["recurrent, with delays"]
    model = compile_text(text_of(layers, chains, 0.5, "located"))
    x = 20.0 * (np.random.default_rng(0).random((60, 2, 3)) < 0.1)

    signals = model.run(a=x)

    assert signals["h.spike"].sum() > 5
    assert_same_signals(model.interpret(a=x), signals, 1e-9)
