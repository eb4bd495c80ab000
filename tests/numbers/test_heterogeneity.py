"""Parameters with one value for each neuron or each channel, drawn and trained: emitted, interpreted, differentiated."""

import jax
import numpy as np
import pytest
from gradients import assert_same_gradients
from models_in_text import assert_same_signals, compile_text
from test_adjoint import DRIVES, standard_neurons, unit

from snnc import model as resolved
from snnc.expr import Num, variables
from snnc.units import unit_name

STEPS, BATCH = 25, 2
SHAPES = {"neuron": (3,), "channel": (2, 3, 2)}
QUICK = {("neurons.ALIF", "channel"), ("biophysics.AdEx", "neuron"), ("compat.NirCubaLI", "channel")}


def cases():
    for found in standard_neurons():
        for per in SHAPES:
            marks = () if (found.id, per) in QUICK else pytest.mark.long
            yield pytest.param(*found.values, per, id=f"{found.id}-{per}", marks=marks)


def varied(neuron, per):
    """Arguments that draw every parameter with a plain value about it, and train it unless it sets the refractory period.

    A parameter from which another one's training starts keeps its value.
    """
    held = set() if neuron.refractory is None else set(variables(neuron.refractory))
    starts = {
        v for p in neuron.params if p.trainable and not isinstance(p.value, resolved.Drawn) for v in variables(p.value)
    }
    drawn = []
    for p in neuron.params:
        if isinstance(p.value, Num) and np.isfinite(p.value.value) and p.name not in starts:
            reach = 0.03 * abs(p.value.value) or 0.02
            ends = ", ".join(f"{p.value.value + side * reach!r} * ({unit(p)})" for side in (-1, 1))
            drawn.append(f"{p.name} ~ uniform({ends}) per {per}{'' if p.name in held else ' trainable'}")
    return ", ".join(drawn)


def network_text(file, neuron, per):
    sizes = ", ".join(map(str, SHAPES[per]))
    edges = "\n".join(
        f"input in_{p.name} : real[{sizes}]\n in_{p.name} -> scale({unit(p)}) -> h.{p.name}" for p in neuron.ports
    )
    return f"""
    import std.{file} ({neuron.name})
    network Net {{
      dt = 0.2 ms
      layer h = {neuron.name}[{sizes}]({varied(neuron, per)})
      {edges}
    }}"""


def assert_one_meaning(model, drive):
    """Emitted as interpreted, run as the scanned step, and the derived gradient as JAX's; return signals and gradient.

    An upstroke multiplies the rounding of a step a hundredfold, hence the wider tolerance for the interpreter.
    """
    key = jax.random.key(3)
    found = model.run(key=key, **drive)

    assert_same_signals(model.scan(key=key, **drive)[0], found)
    if not any(body.random for body in model.compiled.plan.types):
        assert_same_signals(model.interpret(**drive), found, tolerance=1e-10)
    return found, assert_same_gradients(model, drive, key=key)


@pytest.mark.parametrize(("file", "neuron", "per"), list(cases()))
def test_a_standard_neuron_whose_neurons_or_channels_differ(file, neuron, per):
    model = compile_text(network_text(file, neuron, per))
    rng = np.random.default_rng(1)
    drive = {
        f"in_{p.name}": DRIVES.get(unit_name(p.dimension), 1.0) * rng.normal(0.4, 1.0, (STEPS, BATCH, *SHAPES[per]))
        for p in neuron.ports
    }

    assert_one_meaning(model, drive)

    shape = SHAPES[per] if per == "neuron" else (2, 1, 1)
    shapes = {np.shape(v) for v in model.module.constrained(model.params).values()}
    assert shape in shapes
    assert shapes <= {shape, ()}


EVERYWHERE = """
neuron Cell {{
  param tau   ~ uniform(5 ms, 20 ms) in (1 ms, 50 ms) per {per} trainable
  param slow  = 3 * tau
  param first ~ uniform(0.1, 0.5) per {per} trainable
  param theta = 0.6 in (0, inf) per {per} trainable via exp
  param pause ~ uniform(0.6 ms, 3.4 ms) per {per}
  param alpha ~ uniform(1, 4) per {per} trainable
  param pull  = 0.3 per {per} trainable
  event x
  state v = first * theta
  state a = first
  state b = 0
  v' = (a + b - v) / tau
  a' = (-a + pull * b) / slow
  b' = (-b{coupling}) / 7 ms
  on x {{ v += x; b += 0.1 * x }}
  spike when v >= theta scale theta emit 1 + pull {{ v -= theta; a += pull }}
  refractory pause hold v
  surrogate atan(alpha = alpha)
}}
network Net {{
  dt = 1 ms
  input drive : real[{sizes}]
  layer h = Cell[{sizes}]()
  drive -> h
  h -> scale(0.2) -> delay(1 step) -> h
}}
"""


@pytest.mark.parametrize(
    ("per", "coupling"),
    [
        ("channel", ""),
        pytest.param("channel", " - pull * a - 0.2 * v", marks=pytest.mark.long),
        pytest.param("neuron", " - pull * a - 0.2 * v", marks=pytest.mark.long),
    ],
    ids=["channel", "channel, matrix exponential", "neuron, matrix exponential"],
)
def test_parameters_of_their_own_stand_wherever_a_parameter_may(per, coupling):
    """In initial states, thresholds, resets, emissions, refractory periods and surrogates."""
    model = compile_text(EVERYWHERE.format(per=per, coupling=coupling, sizes=", ".join(map(str, SHAPES[per]))))
    drive = np.random.default_rng(2).normal(0.25, 0.4, (40, BATCH, *SHAPES[per]))

    signals, gradient = assert_one_meaning(model, {"drive": drive})

    assert 0.02 < (signals["h.spike"] > 0).mean() < 0.6
    assert not coupling or "flow_matrix(" in model.compiled.text
    flat = {n for n, g in zip(model.module.PARAM_NAMES, gradient[0], strict=True) if np.abs(g).max() == 0}
    assert flat == {"h.alpha"}  # it shapes gradients, and no signal


def test_a_refractory_period_is_rounded_for_each_neuron():
    model = compile_text("""
    neuron Cell {
      param pause ~ uniform(0.6 ms, 6.4 ms) per neuron
      event x
      state v = 0
      step { v = x }
      spike when v >= 1 { v = 0 }
      refractory pause
    }
    network Net {
      dt = 1 ms
      input drive : real[20]
      layer h = Cell[20]()
      drive -> h
    }""")
    steps = np.floor(model.given()["h.pause"] + 0.5)

    spikes = model.run(drive=np.full((60, 1, 20), 2.0))["h.spike"][:, 0]

    gaps = np.array([np.diff(np.flatnonzero(column))[0] for column in spikes.T])
    np.testing.assert_array_equal(gaps, steps + 1)
    assert len(set(gaps)) > 3
