"""The emitted `run` against the NumPy interpreter: spike for spike, states to 1e-12."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from models_in_text import assert_same_signals, compile_text
from random_models import networks

STEPS, BATCH = 20, 2
STANDARD = {
    "LI": ("x", "I"),
    "CubaLI": ("x", "I"),
    "IF": ("x",),
    "LIF": ("x", "I"),
    "PLIF": ("x", "I"),
    "ALIF": ("x", "I"),
    "CubaLIF": ("x", "I"),
}


def shaken(model, seed=0):
    """The same model with random weights, and trainable parameters a little off their initial value."""
    rng = np.random.default_rng(seed)
    trained = set(model.module.constrained(model.params))
    values = [
        np.asarray(value) + 0.1 * rng.normal(size=np.shape(value))
        if name in trained
        else 1.5 * rng.normal(size=np.shape(value)) / np.sqrt(np.shape(value)[0])
        for name, value in zip(model.module.PARAM_NAMES, model.params, strict=True)
    ]
    return replace(model, params=type(model.params)(*(jax.numpy.asarray(v) for v in values)))


def sequences(seed=0, steps=STEPS):
    rng = np.random.default_rng(seed)
    return {
        "a": 2 * rng.normal(size=(steps, BATCH, 3)),
        "b": (rng.random((steps, BATCH, 2)) < 0.4).astype(float),
    }


@pytest.mark.parametrize("name", STANDARD)
def test_a_standard_neuron_is_emitted_as_it_is_interpreted(name):
    edges = "\n".join(f"a -> dense() -> h.{port}\n h.v -> dense() -> delay(2 steps) -> h.x" for port in STANDARD[name])
    model = shaken(
        compile_text(f"""
        import std.neurons ({name})
        network Net {{
          dt = 1 ms
          input a : real[3]
          input b : spikes[2]
          layer h = {name}[5]()
          {edges}
          b -> dense() -> delay(1 step) -> h.x
        }}""")
    )

    expected = model.interpret(**sequences(steps=60))

    assert_same_signals(expected, model.run(**sequences(steps=60)))
    if "h.spike" in expected:
        assert 0.02 < expected["h.spike"].mean() < 0.98


def test_layers_of_one_type_keep_their_own_parameters():
    model = shaken(
        compile_text("""
        import std.neurons (LIF)
        network Net {
          dt = 1 ms
          input a : real[3]
          layer fast = LIF[3](tau = 3 ms)
          layer slow = LIF[3](tau = 30 ms, theta = 0.5)
          a -> dense() -> fast
          a -> dense() -> slow
        }""")
    )
    x = sequences()["a"]

    assert_same_signals(model.interpret(a=x), model.run(a=x))


def assert_emitted_as_interpreted(text):
    model = shaken(compile_text(text))

    assert_same_signals(model.interpret(**sequences()), model.run(**sequences()))


SLOW = {
    "deadline": None,
    "derandomize": True,
    "database": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
}


@settings(max_examples=6, **SLOW)
@given(networks())
def test_random_networks_are_emitted_as_they_are_interpreted(text):
    assert_emitted_as_interpreted(text)


@pytest.mark.long
@settings(max_examples=1000, **SLOW)
@given(networks())
def test_many_random_networks_are_emitted_as_they_are_interpreted(text):
    assert_emitted_as_interpreted(text)
