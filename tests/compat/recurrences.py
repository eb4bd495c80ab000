"""The recurrences of libraries that are not recorded, transcribed from their source texts.

Each takes the input of T steps [T, n], in mV or pA where the neuron has units, and returns spikes and membranes [T, n];
dt is 1 ms.
"""

from collections.abc import Callable, Iterator

import numpy as np

Array = np.ndarray


def run(steps: Callable[[Array], Iterator[tuple[Array, Array]]]) -> Callable[[Array], tuple[Array, Array]]:
    """Collect what a generator yields, step by step."""

    def whole(x: Array) -> tuple[Array, Array]:
        spikes, membranes = zip(*steps(x), strict=True)
        return np.array(spikes, float), np.array(membranes)

    return whole


@run
def snnax_simple_lif(x):
    """snnax/snn/layers/lif.py, alpha = 0.9."""
    u = np.zeros(x.shape[1])
    for now in x:
        u = 0.9 * u + (1 - 0.9) * now
        s = (u - 1.0 >= 0).astype(float)
        u = u - u * s
        yield s, u


@run
def lava_cuba(x):
    """lava/lib/dl/slayer/neuron/cuba.py without rounding: decays 0.25 and 0.03, threshold 1."""
    u = v = np.zeros(x.shape[1])
    for now in x:
        u = (1 - 0.25) * u + now
        v = (1 - 0.03) * v + u
        s = v >= 1
        v = v * (1 - s)
        yield s, v


@run
def ml_genn_lif(x):
    """ml_genn/neurons/leaky_integrate_fire.py: sim code V = Alpha V + Isyn, reset V -= Vthresh - Vreset."""
    v = np.zeros(x.shape[1])
    for now in x:
        v = np.exp(-1 / 20) * v + now
        s = v >= 1
        v = np.where(s, v - (1 - 0), v)
        yield s, v


@run
def ml_genn_lif_event_prop(x):
    """As above with Isyn scaled by 1 - Alpha and V = Vreset."""
    v = np.zeros(x.shape[1])
    for now in x:
        v = np.exp(-1 / 20) * v + (1 - np.exp(-1 / 20)) * now
        s = v >= 1
        v = np.where(s, 0, v)
        yield s, v


@run
def bindsnet_lif(x):
    """bindsnet/network/nodes.py, LIFNodes.forward."""
    v = np.full(x.shape[1], -65.0)
    left = np.zeros(x.shape[1])
    for now in x:
        v = np.exp(-1 / 100) * (v + 65.0) - 65.0
        v = v + np.where(left > 0, 0.0, now)
        left = left - 1
        s = v >= -52.0
        left = np.where(s, 5, left)
        v = np.where(s, -65.0, v)
        yield s, v


@run
def bellec_lif(x):
    """LightLIF in Figure_3_and_S7_e_prop_tutorials/models.py of IGITUGraz/eligibility_propagation."""
    v = z = np.zeros(x.shape[1])
    decay, thr = np.exp(-1 / 20), 0.615
    for now in x:
        v = decay * v + (1 - decay) * now - z * thr
        z = ((v - thr) / thr > 0).astype(float)
        yield z, v


def bellec_alif(n_refractory: int):
    """EligALIF in the same file."""

    @run
    def steps(x):
        v = z = b = r = np.zeros(x.shape[1])
        thr = 0.03
        for now in x:
            b = np.exp(-1 / 200) * b + z
            v = np.exp(-1 / 20) * v + now - z * thr
            z = np.where(r > 0, 0.0, (v - (thr + b * 1.6)) / thr > 0)
            r = np.clip(r + n_refractory * z - 1, 0, n_refractory)
            yield z, v

    return steps


@run
def nest_psc_exp(x):
    """models/iaf_psc_exp.cpp: positive input to the excitatory port, negative to the inhibitory one."""
    v, ex, inh = np.zeros((3, x.shape[1]))
    left = np.zeros(x.shape[1], int)
    p11, p22 = np.exp(-1 / 2), np.exp(-1 / 10)
    p21 = (p11 - p22) / (250 * (1 / 10 - 1 / 2))  # 1/C (tau_m tau_s / (tau_m - tau_s)) (e^(-h/tau_m) - e^(-h/tau_s))
    for now in x:
        v = np.where(left == 0, p22 * v + p21 * ex + p21 * inh, v)
        left = np.maximum(left - 1, 0)
        ex = p11 * ex + np.maximum(now, 0)
        inh = p11 * inh + np.minimum(now, 0)
        s = v >= 15.0
        left = np.where(s, 2, left)
        v = np.where(s, 0.0, v)
        yield s, v - 70.0


@run
def nest_psc_delta(x):
    """models/iaf_psc_delta.cpp with `refractory_input` off."""
    v = np.zeros(x.shape[1])
    left = np.zeros(x.shape[1], int)
    for now in x:
        v = np.where(left == 0, np.exp(-1 / 10) * v + now, v)
        left = np.maximum(left - 1, 0)
        s = v >= 15.0
        left = np.where(s, 2, left)
        v = np.where(s, 0.0, v)
        yield s, v - 70.0


@run
def nir_lif(x):
    """tau 10 ms, solved exactly, the input held."""
    v = np.zeros(x.shape[1])
    for now in x:
        v = now + (v - now) * np.exp(-1 / 10)
        s = v > 1
        v = np.where(s, 0.0, v)
        yield s, v


def nir_cuba(threshold: float):
    """tau_syn 5 ms, tau_mem 20 ms, solved exactly; a threshold of infinity makes it CubaLI."""

    @run
    def steps(x):
        i = v = np.zeros(x.shape[1])
        fast, slow = np.exp(-1 / 5), np.exp(-1 / 20)
        for now in x:
            i = i + now / 5
            v = slow * v + i * 5 / (5 - 20) * (fast - slow)
            i = fast * i
            s = v > threshold
            v = np.where(s, 0.0, v)
            yield s, v

    return steps


@run
def nir_if(x):
    """v' = r I with r = 1 per ms."""
    v = np.zeros(x.shape[1])
    for now in x:
        v = v + now
        s = v > 1
        v = np.where(s, 0.0, v)
        yield s, v


@run
def nir_li(x):
    """NIR's LIF that never fires."""
    v = np.zeros(x.shape[1])
    for now in x:
        v = now + (v - now) * np.exp(-1 / 10)
        yield np.zeros_like(v), v
