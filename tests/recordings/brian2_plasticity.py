"""Record what Brian2 2.9.0 computes for pair and triplet STDP and for reward-modulated STDP; no test runs this.

    python3.11 -m venv VENV && VENV/bin/pip install "brian2==2.9.0" "numpy<2.4"
    VENV/bin/python tests/recordings/brian2_plasticity.py

brian2_plasticity.npz holds the spikes [T, pre] and [T, post] on the grid of 1 ms, `reward` [T], and for each rule the weights
[T, pre, post] after each step. Traces decay between events; where pre and post coincide, the pre pathway runs first. The
weights of the pair rule are clipped to (0, 1) after both.
"""

from pathlib import Path

import brian2 as b2
import numpy as np

b2.prefs.codegen.target = "numpy"
HERE = Path(__file__).parent
STEPS, PRE, POST = 300, 3, 2

PAIR = """
w : 1
dx/dt = -x / (20 * ms) : 1 (event-driven)
dy/dt = -y / (30 * ms) : 1 (event-driven)
"""
PAIR_PRE = "w -= 0.03 * y; x += 1"
PAIR_POST = "w += 0.02 * x; y += 1"

TRIPLET = """
w : 1
dr1/dt = -r1 / (16.8 * ms) : 1 (event-driven)
dr2/dt = -r2 / (101 * ms) : 1 (event-driven)
do1/dt = -o1 / (33.7 * ms) : 1 (event-driven)
do2/dt = -o2 / (125 * ms) : 1 (event-driven)
"""
TRIPLET_PRE = "w -= o1 * (7e-3 + 2.3e-4 * r2); r1 += 1; r2 += 1"
TRIPLET_POST = "w += r1 * (5e-10 + 6.2e-3 * o2); o1 += 1; o2 += 1"

RSTDP = """
dx/dt = -x / (20 * ms) : 1 (clock-driven)
dy/dt = -y / (20 * ms) : 1 (clock-driven)
dc/dt = -c / (200 * ms) : 1 (clock-driven)
dw/dt = c * reward(t) / (50 * ms) : 1 (clock-driven)
"""
RSTDP_PRE = "c -= 0.012 * y; x += 1"
RSTDP_POST = "c += 0.01 * x; y += 1"


def weights(equations, on_pre, on_post, pre, post, drive, clip=False, **more):
    """Return the weights after each step, [T, pre, post], from 0.5 on."""
    b2.start_scope()
    b2.defaultclock.dt = 1 * b2.ms
    sides = []
    for spikes in (pre, post):
        times, units = np.nonzero(spikes)
        sides.append(b2.SpikeGeneratorGroup(spikes.shape[1], units, times * b2.ms))
    synapses = b2.Synapses(
        *sides,
        equations,
        on_pre=on_pre,
        on_post=on_post,
        namespace={"reward": b2.TimedArray(drive, dt=1 * b2.ms)},
        **more,
    )
    synapses.connect()
    synapses.post.order = 1
    synapses.w = 0.5
    if clip:
        synapses.run_regularly("w = clip(w, 0, 1)", when="after_synapses")
    trace = b2.StateMonitor(synapses, "w", record=True, when="end")
    b2.Network(*sides, synapses, trace).run(STEPS * b2.ms)
    result = np.zeros((STEPS, PRE, POST))
    result[:, np.asarray(synapses.i), np.asarray(synapses.j)] = np.asarray(trace.w).T
    return result


rng = np.random.default_rng(11)
pre, post = (rng.random((STEPS, PRE)) < 0.1).astype(float), (rng.random((STEPS, POST)) < 0.1).astype(float)
reward = rng.normal(size=STEPS)
given = (pre, post, reward)
np.savez(
    HERE / "brian2_plasticity.npz",
    pre=pre,
    post=post,
    reward=reward,
    pair=weights(PAIR, PAIR_PRE, PAIR_POST, *given, clip=True),
    triplet=weights(TRIPLET, TRIPLET_PRE, TRIPLET_POST, *given),
    rstdp=weights(RSTDP, RSTDP_PRE, RSTDP_POST, *given, method="euler"),
)
