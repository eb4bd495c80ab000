"""Every model that comes with snnc: emitted file, scanned step and interpreter agree in float64."""

import numpy as np
import pytest
from models_in_text import assert_same_signals, compile_file, compile_text

from snnc.ops.initialisers import fluctuation_std
from snnc.pipeline import load
from snnc.resources import resource_folder

# `ttfs` has no steps to interpret: test_first_spikes.py
MODELS = [path for path in sorted(resource_folder("models").glob("*.snn")) if "learn = ttfs(" not in path.read_text()]


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_a_model_file_is_emitted_as_it_is_interpreted(path):
    model = compile_file(path, load(path).recipes[0])
    rng = np.random.default_rng(0)
    steps = model.module.STEPS if ", last = " in path.read_text() else 12  # such a window ends with the sample
    inputs = {}
    for node in model.compiled.network.inputs:
        x = rng.random((steps, 2, *node.shape))
        inputs[node.name] = (x < 0.3).astype(float) if node.kind == "spikes" else x

    whole, (scanned, outputs) = model.run(**inputs), model.scan(**inputs)

    assert any(whole[f"{layer}.spike"].sum() > 0 for layer in model.module.SPIKING)
    assert_same_signals(model.interpret(**inputs), whole)
    assert_same_signals(whole, scanned)
    for name, value in model.outputs(**inputs).items():
        np.testing.assert_allclose(outputs[name], value, rtol=1e-12, atol=1e-12)


def test_fluctuation_sets_the_spread_that_its_formula_gives():
    """A LIF whose potential jumps has eps(t) = exp(-t / tau): on the grid eps_hat = dt / (1 - exp(-2 dt / tau))."""
    model = compile_text(
        """import std.neurons (LIF)
network N {
  dt = 1 ms
  input x : spikes[400]
  x -> dense(init = fluctuation(rate = 20 Hz, xi = 2)) -> LIF[300](tau = 10 ms) as h
}"""
    )

    expected = fluctuation_std(theta=1.0, inputs=400, rate=0.02, xi=2.0, eps_squared=1 / (1 - np.exp(-0.2)))
    assert dict(model.compiled.plan.network.operations[0].op.init.options)["std"] == pytest.approx(expected, rel=1e-6)
    assert np.asarray(model.params.x_h_dense_w).std() == pytest.approx(expected, rel=0.01)


def test_a_neuron_can_be_an_argument_of_a_network():
    text = """import std.neurons (LIF, CubaLIF)
network N(cell = LIF) {
  dt = 1 ms
  input x : spikes[4]
  x -> dense(3) -> cell() as h
}"""

    plain, cuba = compile_text(text), compile_text(text.replace("cell = LIF", "cell = CubaLIF"))

    assert plain.compiled.network.layers[0].neuron.name == "LIF"
    assert cuba.compiled.network.layers[0].neuron.name == "CubaLIF"
