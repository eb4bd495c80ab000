"""The derived adjoint against JAX's gradient of the scanned `step`: 1e-10 in float64."""

import jax
import numpy as np
import pytest
from gradients import assert_same_gradients
from hypothesis import given, settings
from models_in_text import compile_text
from random_models import networks
from test_emitted_equals_interpreter import SLOW, sequences, shaken

from snnc.diagnostics import Findings
from snnc.expr import Num, variables
from snnc.resources import resource_folder
from snnc.semantics.modules import load_module
from snnc.semantics.neurons import resolve_neuron
from snnc.semantics.scope import Scope
from snnc.syntax import nodes
from snnc.units import unit_name, unit_quantity

STEPS, BATCH, SIZE = 40, 2, 3
QUICK = {  # at least one for each solver, way of jumping, of spiking and of keeping a state
    *("LIF", "ALIF", "CubaLIF", "QIF", "BalancedResonateAndFire", "TwoCompartmentLIF", "EscapeLIF", "SigmaDelta"),
    *("TsodyksMarkram", "AdEx", "ConductanceLIF"),
}
DRIVES = {"mV": 10.0, "pA": 400.0, "nS": 3.0, "mV/ms": 8.0}  # of a typical input, in the coherent unit


def standard_neurons():
    for file in ("neurons", "biophysics", "compat"):
        module = load_module(resource_folder("models") / "std" / f"{file}.snn")
        scope = Scope({}, module, Findings())
        for item in module.file.items:
            if isinstance(item, nodes.Neuron):
                neuron = resolve_neuron(item, module, (), scope, None, scope.findings)
                quick = file != "compat" and item.name in QUICK
                marks = () if quick else (pytest.mark.long,)
                yield pytest.param(file, neuron, id=f"{file}.{item.name}", marks=marks)


def unit(p):
    return "1" if unit_name(p.dimension) == "1" else unit_quantity(p.dimension)


def network_text(file, neuron):
    edges = "\n".join(
        f"input in_{p.name} : real[{SIZE}]\n in_{p.name} -> scale({unit(p)}) -> h.{p.name}" for p in neuron.ports
    )
    return f"""
    import std.{file} ({neuron.name})
    network Net {{
      dt = 0.5 ms
      layer h = {neuron.name}[{SIZE}]({trained_everywhere(neuron)})
      {edges}
    }}"""


def trained_everywhere(neuron):
    """Arguments that make every parameter with a plain value trainable, but those of the refractory period."""
    held = set() if neuron.refractory is None else set(variables(neuron.refractory))
    return ", ".join(
        f"{p.name} = {p.value.value!r} * ({unit(p)}) trainable"
        for p in neuron.params
        if isinstance(p.value, Num) and p.name not in held and np.isfinite(p.value.value)
    )


@pytest.mark.parametrize(("file", "neuron"), list(standard_neurons()))
def test_the_adjoint_of_a_standard_neuron_is_the_gradient_of_its_step(file, neuron):
    model = compile_text(network_text(file, neuron))
    rng = np.random.default_rng(1)
    drive = {
        f"in_{p.name}": DRIVES.get(unit_name(p.dimension), 1.0) * rng.normal(0.4, 1.0, (STEPS, BATCH, SIZE))
        for p in neuron.ports
    }

    gradient = assert_same_gradients(model, drive, key=jax.random.key(3))

    assert any(np.abs(g).max() > 0 for g in jax.tree.leaves(gradient))


NAMED_LIKE_THE_ADJOINT = """
import std.neurons (LIF, LI)
neuron loop_2 {
  event x
  state v = 0
  state half = 0
  state margin = 0
  half' = -half / 5 ms
  margin' = -margin / 7 ms
  v' = (half + margin - v) / 10 ms
  on x { half += x; margin += 0.1 * x }
  spike when v + margin >= 0.2 { v = 0; margin -= half }
  surrogate atan(alpha = 2)
}
network Net {
  dt = 1 ms
  input fixed : real[3]
  layer h = loop_2[4]()
  layer d_h = loop_2[4]()
  layer h_state = LIF[4](theta = 0.2)
  layer kept = LI[2]()
  fixed -> dense() -> h
  h -> dense() -> d_h
  d_h -> dense() -> h_state
  h_state -> dense() -> delay(1 step) -> h
  h_state -> dense() -> kept
  output end = mean_over_time(kept.v)
}
"""


def test_names_that_the_adjoint_uses_itself_may_be_the_authors():
    model = shaken(compile_text(NAMED_LIKE_THE_ADJOINT))
    drive = 3.0 * np.random.default_rng(0).normal(size=(30, BATCH, 3))

    gradient = assert_same_gradients(model, {"fixed": drive})

    assert all(np.abs(g).max() > 0 for g in gradient[0])


def test_a_second_derivative_follows_the_product_rule():
    model = shaken(compile_text(NAMED_LIKE_THE_ADJOINT))
    rng = np.random.default_rng(0)
    x = model.inputs(fixed=3.0 * rng.normal(size=(15, BATCH, 3)))
    share = jax.numpy.asarray(rng.normal(size=(15, BATCH, 4)))
    along = jax.tree.map(lambda w: jax.numpy.asarray(rng.normal(size=w.shape)), model.params)

    def total(params):
        return jax.numpy.sum(share * model.module.run(params, model.buffers, x)[0].d_h.spike)

    def dot(a, b):
        return sum(jax.numpy.sum(u * w) for u, w in zip(a, b, strict=True))

    def curvature(f):
        return jax.jit(jax.grad(lambda params: dot(jax.grad(f)(params), along)))(model.params)

    value, slope = jax.value_and_grad(total)(model.params)
    squared = curvature(lambda params: total(params) ** 2)

    assert float(dot(slope, slope)) > 0
    for found, own, g in zip(squared, curvature(total), slope, strict=True):
        expected = 2 * g * dot(slope, along) + 2 * value * own
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * float(np.abs(expected).max() + 1e-30))


HALF = """
neuron Cell {{
  param tau = 10 ms in (0 ms, inf)
  param theta = 1
  event x
  state v = 0
  v' = -v / tau
  on x {{ v += x }}
  spike when v >= theta{scale} {{ {reset} }}
  surrogate superspike(beta = 10)
}}
network Net {{
  dt = 1 ms
  input a : spikes[3]
  layer h = Cell[16]()
  a -> dense() -> h
  h -> dense() -> delay(1 step) -> h
  output counts = count(h.spike)
}}
data d = randman(classes = 3, units = 3, steps = 40, samples = 10, test = 0.2)
train main of Net on d {{
  epochs = 1
  batch = 8
  loss = cross_entropy(counts, label)
  precision = {precision}
}}
"""


@pytest.mark.parametrize("scale", ["", " scale theta"])
@pytest.mark.parametrize("reset", ["v -= theta", "v = 0"])
def test_margins_in_16_bits_keep_the_gradient_to_a_thousandth_and_every_spike(reset, scale):
    half, full = (
        shaken(compile_text(HALF.format(reset=reset, scale=scale, precision=precision)))
        for precision in ("f16_residual", "f32")
    )
    x = {"a": 2.0 * np.random.default_rng(0).normal(size=(40, BATCH, 3))}

    assert_same_gradients(half, x, tolerance=1e-3)

    assert half.module.CellKept._fields == ("margin",)
    assert 0.02 < full.run(**x)["h.spike"].mean() < 0.9
    np.testing.assert_array_equal(half.run(**x)["h.spike"], full.run(**x)["h.spike"])


@settings(max_examples=4, **SLOW)
@given(networks())
def test_the_adjoint_of_random_neurons_is_the_gradient_of_their_step(text):
    assert_adjoint_of(text)


@pytest.mark.long
@settings(max_examples=500, **SLOW)
@given(networks())
def test_the_adjoint_of_many_random_neurons_is_the_gradient_of_their_step(text):
    assert_adjoint_of(text)


def assert_adjoint_of(text):
    model = shaken(compile_text(text))
    x = sequences(steps=15)
    assert_same_gradients(model, {name: x[name] for name in model.module.Inputs._fields})
