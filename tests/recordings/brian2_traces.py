"""Record what Brian2 2.9.0 computes for AdEx, Izhikevich, Hodgkin-Huxley and a held membrane; no test runs this.

    python3.11 -m venv VENV && VENV/bin/pip install "brian2==2.9.0" "numpy<2.4"
    VENV/bin/python tests/recordings/brian2_traces.py

Each brian2_NAME.npz holds traces on the grid of the step `dt` (ms): row n is the state at (n + 1) dt, as snnc publishes
it. `spikes` are step numbers. All numbers are in ms, mV, pA, nS, pF.
"""

from pathlib import Path

import brian2 as b2
import numpy as np

b2.prefs.codegen.target = "numpy"
HERE = Path(__file__).parent

ADEX = """
dv/dt = (g_L * (E_L - v + Delta * exp(clip((v - V_T) / Delta, -inf, 10))) - w + I) / C / ms : 1
dw/dt = (a * (v - E_L) - w) / tau_w / ms : 1
I : 1
"""
ADEX_NUMBERS = {
    "C": 281.0, "g_L": 30.0, "E_L": -70.6, "V_T": -50.4, "Delta": 2.0, "a": 4.0, "b": 80.5, "tau_w": 144.0,
    "v_reset": -70.6, "v_peak": 20.0, "inf": np.inf,
}  # fmt: skip

IZHIKEVICH = """
dv/dt = (0.04 * p**2 + 5 * p + 140 - u + I) / ms : 1
du/dt = a * (b * p - u) / ms : 1
p = clip(v, -inf, 30) : 1
I : 1
"""
IZHIKEVICH_NUMBERS = {"a": 0.02, "b": 0.2, "c": -65.0, "d": 8.0, "inf": np.inf}

HODGKIN_HUXLEY = """
dv/dt = (120 * m**3 * h * (50 - v) + 36 * n**4 * (-77 - v) + 0.3 * (-54.387 - v) + I / 100) / ms : 1
dm/dt = (a_m * (1 - m) - b_m * m) / ms : 1
dh/dt = (a_h * (1 - h) - b_h * h) / ms : 1
dn/dt = (a_n * (1 - n) - b_n * n) / ms : 1
a_m = 1 / exprel(-(v + 40) / 10) : 1
b_m = 4 * exp(-(v + 65) / 18) : 1
a_h = 0.07 * exp(-(v + 65) / 20) : 1
b_h = 1 / (1 + exp(-(v + 35) / 10)) : 1
a_n = 0.1 / exprel(-(v + 55) / 10) : 1
b_n = 0.125 * exp(-(v + 65) / 80) : 1
I : 1
"""

HELD = """
dv/dt = (1.6 - v - 0.5 * w) / (10 * ms) : 1 (unless refractory)
dw/dt = (0.4 * v - w) / (40 * ms) : 1
"""


def simulate(equations, numbers, drive, dt, states, start, substeps=1, **group):
    """Run one neuron under `drive` (one value a step of `dt` ms); return its states [T, k] and the steps of its spikes."""
    b2.start_scope()
    b2.defaultclock.dt = dt / substeps * b2.ms
    neuron = b2.NeuronGroup(1, equations, namespace=dict(numbers), **group)
    for name, value in start.items():
        setattr(neuron, name, value)
    stimulus = b2.TimedArray(np.asarray(drive, float), dt=dt * b2.ms)
    neuron.namespace["stimulus"] = stimulus
    neuron.run_regularly("I = stimulus(t)", when="start")
    trace = b2.StateMonitor(neuron, states, record=True, when="end")
    net = b2.Network(neuron, trace)
    spikes = None
    if "threshold" in group:
        spikes = b2.SpikeMonitor(neuron)
        net.add(spikes)
    net.run(dt * len(drive) * b2.ms)
    rows = np.stack([getattr(trace, s)[0] for s in states], -1)[substeps - 1 :: substeps]
    steps = [] if spikes is None else np.round(np.asarray(spikes.t / b2.ms) / dt).astype(int)
    return rows, np.asarray(steps)


def record_adex():
    dt, rng = 0.1, np.random.default_rng(1)
    drive = 900 + 400 * rng.normal(size=1200)
    start = {"v": -70.6, "w": 0.0}
    spiking = {"threshold": "v >= v_peak", "reset": "v = v_reset; w += b", "method": "rk4"}
    trace, spikes = simulate(ADEX, ADEX_NUMBERS, drive, dt, ["v", "w"], start, **spiking)
    smooth, _ = simulate(ADEX, ADEX_NUMBERS, np.full(20, 700.0), 0.8, ["v", "w"], start, substeps=256, method="rk4")
    np.savez_compressed(HERE / "brian2_adex.npz", dt=dt, drive=drive, trace=trace, spikes=spikes, smooth=smooth)


def record_izhikevich():
    dt, rng = 0.1, np.random.default_rng(2)
    drive = 10 + 8 * rng.normal(size=1200)
    start = {"v": -65.0, "u": -13.0}
    spiking = {"threshold": "v >= 30", "reset": "v = c; u += d", "method": "rk4"}
    trace, spikes = simulate(IZHIKEVICH, IZHIKEVICH_NUMBERS, drive, dt, ["v", "u"], start, **spiking)
    smooth, _ = simulate(
        IZHIKEVICH, IZHIKEVICH_NUMBERS, np.full(8, 4.0), 0.8, ["v", "u"], start, substeps=256, method="rk4"
    )
    np.savez_compressed(HERE / "brian2_izhikevich.npz", dt=dt, drive=drive, trace=trace, spikes=spikes, smooth=smooth)


def record_hodgkin_huxley():
    dt, rng = 0.05, np.random.default_rng(3)
    drive = np.repeat(1000 + 600 * rng.normal(size=60), 20)
    v = -65.0
    rates = {
        "m": (1 / _exprel(-(v + 40) / 10), 4 * np.exp(-(v + 65) / 18)),
        "h": (0.07 * np.exp(-(v + 65) / 20), 1 / (1 + np.exp(-(v + 35) / 10))),
        "n": (0.1 / _exprel(-(v + 55) / 10), 0.125 * np.exp(-(v + 65) / 80)),
    }
    start = {"v": v, **{g: a / (a + b) for g, (a, b) in rates.items()}}
    states = ["v", "m", "h", "n"]
    trace, _ = simulate(HODGKIN_HUXLEY, {}, drive, dt, states, start, method="exponential_euler")
    smooth, _ = simulate(HODGKIN_HUXLEY, {}, np.full(60, 1000.0), 0.2, states, start, substeps=128, method="rk4")
    np.savez_compressed(HERE / "brian2_hodgkin_huxley.npz", dt=dt, drive=drive, trace=trace, smooth=smooth)


def _exprel(x):
    return np.expm1(x) / x


def record_held():
    """A held membrane with adaptation: t_ref = 4 steps of ours is a refractoriness of 5 steps in Brian2, which counts the
    step of the spike; arrivals act between integration and threshold, as `on x at end` does."""
    dt, steps, weights = 0.5, 400, np.array([0.3, 0.5, -0.2, 0.4])
    rng = np.random.default_rng(4)
    arrives = rng.random((steps, 4)) < 0.12
    b2.start_scope()
    b2.defaultclock.dt = dt * b2.ms
    neuron = b2.NeuronGroup(
        1, HELD, threshold="v >= 1", reset="v = 0.1; w += 0.2", refractory=5 * dt * b2.ms, method="exact"
    )
    at, who = np.nonzero(arrives)
    source = b2.SpikeGeneratorGroup(4, who, at * dt * b2.ms, when="start")
    synapses = b2.Synapses(source, neuron, "weight : 1", on_pre="v_post += weight; w_post += 0.1 * weight")
    synapses.connect()
    synapses.weight = weights
    synapses.pre.when = "before_thresholds"
    trace = b2.StateMonitor(neuron, ["v", "w"], record=True, when="end")
    spikes = b2.SpikeMonitor(neuron)
    b2.Network(neuron, source, synapses, trace, spikes).run(steps * dt * b2.ms)
    np.savez_compressed(
        HERE / "brian2_held.npz",
        dt=dt,
        drive=arrives @ weights,
        trace=np.stack([trace.v[0], trace.w[0]], -1),
        spikes=np.round(np.asarray(spikes.t / b2.ms) / dt).astype(int),
    )


if __name__ == "__main__":
    record_adex()
    record_izhikevich()
    record_hodgkin_huxley()
    record_held()
    for path in sorted(HERE.glob("brian2_*.npz")):
        with np.load(path) as data:
            print(path.name, path.stat().st_size, {k: v.shape for k, v in data.items()}, data.get("spikes", [])[:8])
