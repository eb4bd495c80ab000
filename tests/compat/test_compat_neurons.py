"""Every neuron of std.compat against a run of its library, or against the library's recurrence written in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import recurrences
from compat_models import RECORDINGS, layer_of, read_gradient, read_recording
from inputs import drive

from snnc.pipeline import load
from snnc.resources import resource_folder
from snnc.syntax import nodes

RECORDED = {
    "SnnTorchLeaky": "snntorch_leaky",
    "SnnTorchSynaptic": "snntorch_synaptic",
    "NorseLIF": "norse_lif",
    "NorseLIFBox": "norse_lif_box",
    "SpikingJellyLIF": "spikingjelly_lif",
    "SpikingJellyPLIF": "spikingjelly_plif",
    "SpikingJellyIF": "spikingjelly_if",
    "SpyxLIF": "spyx_lif",
    "RockpoolLIF": "rockpool_lif",
    "SinabsLIF": "sinabs_lif",
    "SinabsLIFSyn": "sinabs_lif_syn",
    "BrainPyLifTraining": "brainpy_lif_training",
    "BrainPyLifInference": "brainpy_lif_inference",
}
GRADIENTS = {
    neuron: name
    for neuron, name in RECORDED.items()
    if name.startswith(("snntorch", "norse", "spikingjelly", "spyx", "sinabs"))
}
SEVERAL_SPIKES = ("RockpoolLIF", "SinabsLIF", "SinabsLIFSyn")  # publish `v` before the reset, by spike * 1
HELD = {"x": "real"}
INPUT = {"I": "real"}
TRANSCRIBED = {  # recurrence, ports, scale and mean of the input, arguments of the layer
    "SnnaxSimpleLIF": (recurrences.snnax_simple_lif, HELD, 1.5, 1.0, ""),
    "LavaCuba": (recurrences.lava_cuba, HELD, 0.05, 0.5, ""),
    "MlGennLIF": (recurrences.ml_genn_lif, HELD, 0.12, 1.0, ""),
    "MlGennLIFEventProp": (recurrences.ml_genn_lif_event_prop, HELD, 1.5, 1.0, ""),
    "BindsNetLIF": (recurrences.bindsnet_lif, {"x": "voltage"}, 2.5, 1.0, ""),
    "BellecLIF": (recurrences.bellec_lif, HELD, 1.0, 1.0, ""),
    "BellecALIF": (recurrences.bellec_alif(1), HELD, 0.4, 1.0, ""),
    "BellecALIF, 5 steps": (recurrences.bellec_alif(5), HELD, 0.4, 1.0, "refractory = 4 ms"),
    "NestIafPscExp": (recurrences.nest_psc_exp, {"ex": "current", "inh": "current"}, 800.0, 0.5, ""),
    "NestIafPscDelta": (recurrences.nest_psc_delta, {"x": "voltage"}, 4.0, 0.5, ""),
    "NirLIF": (recurrences.nir_lif, INPUT, 1.5, 1.0, ""),
    "NirCubaLIF": (recurrences.nir_cuba(1.0), {"S": "real"}, 2.0, 1.0, ""),
    "NirCubaLI": (recurrences.nir_cuba(np.inf), {"S": "real"}, 2.0, 1.0, ""),
    "NirIF": (recurrences.nir_if, INPUT, 0.15, 1.0, ""),
    "NirLI": (recurrences.nir_li, INPUT, 1.5, 1.0, ""),
}
STEPS, NEURONS = 500, 64


def port_of(neuron):
    return "I" if neuron.startswith("BrainPy") else "x"


def after_reset(neuron, v, spike):
    """Return the membrane after the reset, as the libraries return it."""
    return v - spike if neuron in SEVERAL_SPIKES else v


def assert_traces(neuron, model, spikes, membrane, **inputs):
    """Interpreter and emitted `run` fire as `spikes` says and their membranes are those given, of the last neurons."""
    sequences = {name: x[:, None] for name, x in inputs.items()}
    for signals in (model.interpret(**sequences), model.run(**sequences)):
        if "h.spike" in signals:
            np.testing.assert_array_equal(signals["h.spike"][:, 0], spikes)
        v = after_reset(neuron, signals["h.v"], signals.get("h.spike"))
        np.testing.assert_allclose(v[:, 0, -membrane.shape[1] :], membrane, rtol=1e-9, atol=1e-9)


def test_every_neuron_of_compat_is_tested():
    program = load(resource_folder("models") / "std" / "compat.snn")

    tested = {*RECORDED, *(name.split(",")[0] for name in TRANSCRIBED)}

    assert set(program.module.defined(nodes.Neuron)) == tested


@pytest.mark.parametrize("neuron", RECORDED)
def test_a_neuron_does_what_its_library_did(neuron):
    kept = read_recording(RECORDED[neuron])
    port = port_of(neuron)
    model = layer_of(neuron, kept.x.shape[1], **{port: "real"})

    assert kept.x.shape == (STEPS, NEURONS)
    assert_traces(neuron, model, kept.spikes, kept.membrane, **{f"in_{port}": kept.x})


@pytest.mark.parametrize("case", TRANSCRIBED)
def test_a_neuron_follows_the_recurrence_of_its_library(case):
    recurrence, ports, scale, mean, arguments = TRANSCRIBED[case]
    model = layer_of(case.split(",")[0], NEURONS, arguments, **ports)
    x = drive(0, scale, mean, STEPS, NEURONS)
    parts = {"ex": np.maximum(x, 0), "inh": np.minimum(x, 0)}

    spikes, membrane = recurrence(x)

    assert_traces(case, model, spikes, membrane, **{f"in_{port}": parts.get(port, x) for port in ports})
    counts = spikes.sum(axis=0)
    assert not spikes.any() or (counts.min() >= 15 and counts.max() <= 200), (counts.min(), counts.max())


@pytest.mark.parametrize("neuron", GRADIENTS)
def test_the_gradient_through_two_steps_is_that_of_the_library(neuron):
    kept = read_gradient(GRADIENTS[neuron])
    model = layer_of(neuron, kept.x.shape[1], x="real")

    def total(first):
        x = model.inputs(in_x=jnp.stack([first, kept.x[1]])[:, None])
        signals = model.module.run(model.params, model.buffers, x)[0].h
        v = after_reset(neuron, signals.v, signals.spike)
        return (kept.weights[0] * signals.spike[:, 0] + kept.weights[1] * v[:, 0]).sum()

    gradient = jax.jit(jax.grad(total))(kept.x[0])

    assert np.ptp(kept.gradient) > 0.1
    np.testing.assert_allclose(gradient, kept.gradient, rtol=1e-9, atol=1e-12)


def test_recordings_are_small_and_say_what_made_them():
    for name in RECORDED.values():
        path = RECORDINGS / f"{name}.npz"
        with np.load(path, allow_pickle=False) as kept:
            assert str(kept["version"]).startswith(name.split("_")[0])
        assert path.stat().st_size < 60_000
