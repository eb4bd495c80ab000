"""One neuron under the published conventions: the table at the end of conventions.md.

tau 10 ms, dt 1 ms, a constant drive of 1.5, threshold 1, reset to zero, steps counted from 0.
"""

import numpy as np
import pytest
from compat_models import layer_of

DECAY = float(np.exp(-0.1))
SCALED = 1.5 * (1 - DECAY)
NEST = "E_L = 0 mV, V_th = 1 mV, V_reset = 0 mV"
CURRENT = 1.5 * 250 / 10  # pA that holds 1.5 mV through 250 pF and 10 ms
CASES = {  # neuron, arguments, port and its dimension, value at the port, first steps with spikes
    "exact": ("NirLIF", "", "I", "real", 1.5, [10, 21, 32]),
    "Euler, which agrees at this tau": ("NorseLIFBox", "", "x", "real", 1.5, [10, 21, 32]),
    "snnTorch, reset one step late": ("SnnTorchLeaky", f"beta = {DECAY}", "x", "real", SCALED, [10, 22, 34]),
    "NEST with a current": ("NestIafPscDelta", f"{NEST}, refractory = 0 ms", "I", "current", CURRENT, [11, 22, 33]),
    "Spyx": ("SpyxLIF", f"beta = {DECAY}", "x", "real", SCALED, [11, 23, 35]),
    "snnTorch with the current unscaled": ("SnnTorchLeaky", f"beta = {DECAY}", "x", "real", 1.5, [0, 1, 2]),
    "2 ms as Brian2 counts them": (
        "NestIafPscDelta", f"{NEST}, I_e = {CURRENT} pA, refractory = 1 ms", "x", "voltage", 0.0, [10, 22, 34],
    ),
    "2 ms as NEST counts them": (
        "NestIafPscDelta", f"{NEST}, I_e = {CURRENT} pA", "x", "voltage", 0.0, [10, 23, 36],
    ),
}  # fmt: skip


def held(neuron, arguments, port, kind, value, steps):
    """Signals of the interpreter and of the emitted `run` under a constant input."""
    model = layer_of(neuron, 1, arguments, **{port: kind})
    x = {f"in_{port}": np.full((steps, 1, 1), value)}
    return model.interpret(**x), model.run(**x)


@pytest.mark.parametrize("case", CASES)
def test_a_convention_spikes_in_the_steps_of_the_table(case):
    *settings, expected = CASES[case]

    for signals in held(*settings, steps=40):
        assert np.flatnonzero(signals["h.spike"][:, 0, 0])[:3].tolist() == expected


def test_the_unscaled_current_makes_snntorch_spike_in_every_step():
    for signals in held("SnnTorchLeaky", f"beta = {DECAY}", "x", "real", 1.5, steps=40):
        assert signals["h.spike"].all()


def test_the_membrane_of_snntorch_is_seen_above_its_threshold():
    for signals in held("SnnTorchLeaky", f"beta = {DECAY}", "x", "real", SCALED, steps=40):
        assert signals["h.v"].max() == pytest.approx(1.022, abs=5e-4)


@pytest.mark.parametrize(
    ("neuron", "arguments", "port", "expected"),
    [
        ("NirLIF", "tau = 2 ms", "I", 66),
        ("NorseLIFBox", "tau_mem_inv = 500 / 1 s", "x", 100),
        ("SpikingJellyLIF", "tau = 2", "x", 100),
    ],
)
def test_a_short_time_constant_tells_exact_from_euler(neuron, arguments, port, expected):
    for signals in held(neuron, arguments, port, "real", 1.5, steps=200):
        assert signals["h.spike"].sum() == expected
