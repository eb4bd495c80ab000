"""Parameters with one value for each neuron or each channel, drawn and trained: emitted, interpreted, differentiated."""

import jax
import numpy as np
import pytest
from gradients import assert_same_gradients
from models_in_text import assert_same_signals, compile_text
from test_adjoint import DRIVES, standard_neurons, unit

from snnc.expr import Num, variables
from snnc.units import unit_name

STEPS, BATCH = 25, 2
SHAPES = {"neuron": (3,), "channel": (2, 3, 2)}
QUICK = ("neurons.PLIF", "neurons.ALIF", "neurons.CubaLIF", "neurons.AdLIF", "biophysics.AdEx", "compat.SnnTorchSynaptic")


def varied(neuron, per):
    """Arguments that draw every parameter with a plain value about it, and train it unless it sets the refractory period."""
    held = set() if neuron.refractory is None else set(variables(neuron.refractory))
    drawn = []
    for p in neuron.params:
        if isinstance(p.value, Num) and np.isfinite(p.value.value):
            reach = 0.03 * abs(p.value.value) or 0.02
            ends = ", ".join(f"{p.value.value + side * reach!r} * ({unit(p)})" for side in (-1, 1))
            drawn.append(f"{p.name} ~ uniform({ends}) per {per}{'' if p.name in held else ' trainable'}")
    return ", ".join(drawn)


def network_text(file, neuron, per):
    sizes = ", ".join(map(str, SHAPES[per]))
    edges = "\n".join(f"input in_{p.name} : real[{sizes}]\n in_{p.name} -> scale({unit(p)}) -> h.{p.name}" for p in neuron.ports)
    return f"""
    import std.{file} ({neuron.name})
    network Net {{
      dt = 0.5 ms
      layer h = {neuron.name}[{sizes}]({varied(neuron, per)})
      {edges}
    }}"""


@pytest.mark.parametrize("per", SHAPES)
@pytest.mark.parametrize(("file", "neuron"), list(standard_neurons()))
def test_a_standard_neuron_with_parameters_of_their_own(file, neuron, per):
    model = compile_text(network_text(file, neuron, per))
    rng = np.random.default_rng(1)
    drive = {
        f"in_{p.name}": DRIVES.get(unit_name(p.dimension), 1.0) * rng.normal(0.4, 1.0, (STEPS, BATCH, *SHAPES[per]))
        for p in neuron.ports
    }
    found = model.run(key=jax.random.key(3), **drive)
    assert_same_signals(model.scan(key=jax.random.key(3), **drive)[0], found)
    if not any(body.random for body in model.compiled.plan.types):
        assert_same_signals(model.interpret(**drive), found)
    gradient = assert_same_gradients(model, drive, key=jax.random.key(3))
    print(sorted(model.module.constrained(model.params)))
