"""`learn = eventprop()` on the grid: its gradient goes to that of the event-driven network as dt goes to 0."""

import numpy as np
import pytest
from linear_networks import CASES, drawn, exact, of_model, text_of
from models_in_text import compile_text


@pytest.mark.parametrize("name", CASES)
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
