"""Every surrogate of std.compat against its row in conventions.md, and against the library where it was run.

What is compared is the derivative that a trained model sees: that of the emitted `run` by its input.
"""

import jax
import numpy as np
import pytest
from compat_models import RECORDINGS
from models_in_text import compile_text

from snnc.pipeline import load
from snnc.resources import resource_folder
from snnc.syntax import nodes

AT = (0.0, 0.05, 0.2, 0.5, 1.0)
ROWS = {  # the values at AT that conventions.md prints, None where it prints none
    "snntorch_fast_sigmoid": (1, 0.1975, 0.0278, 0.0055, 0.0015),
    "snntorch_atan": (1, 0.976, 0.717, 0.288, 0.092),
    "snntorch_sigmoid": (6.25, 4.33, 0.166, 1e-4, 0),
    "snntorch_triangular": (-1, -1, -1, -1, -1),
    "snntorch_spike_rate_escape": (9.20, 9.67, 11.2, 15.2, 25),
    "norse_super_documented": (1, 0.0278, 0.0023, 4e-4, 1e-4),
    "norse_triangle": (0.3, 0.285, 0.24, 0.15, 0),
    "norse_tanh": (1, None, None, None, None),
    "norse_heavi_erfc": (1.128, None, None, None, None),
    "norse_circ": (1, None, None, None, None),
    "spikingjelly_sigmoid": (1, 0.990, 0.856, 0.420, 0.071),
    "spikingjelly_atan": (1, 0.976, 0.717, 0.288, 0.092),
    "spikingjelly_super_spike": (1, 0.907, 0.694, 0.444, 0.25),
    "spikingjelly_soft_sign": (1, 0.826, 0.510, 0.25, 0.111),
    "spikingjelly_piecewise_quadratic": (1, None, None, None, None),
    "spikingjelly_piecewise_exp": (0.5, None, None, None, None),
    "spikingjelly_erf": (1.128, None, None, None, None),
    "spikingjelly_rect": (1, None, None, None, None),
    "braintools_sigmoid": (1, 0.990, 0.856, 0.420, 0.071),
    "braintools_piecewise_quadratic": (1, 0.95, 0.8, 0.5, 0),
    "braintools_piecewise_exp": (0.5, 0.476, 0.409, 0.303, 0.184),
    "braintools_soft_sign": (0.5, 0.454, 0.347, 0.222, 0.125),
    "braintools_arctan": (0.5, 0.497, 0.455, 0.309, 0.144),
    "braintools_nonzero_sign_log": (1, 0.952, 0.833, 0.667, 0.5),
    "braintools_erf": (0.564, 0.563, 0.542, 0.439, 0.208),
    "braintools_piecewise_leaky_relu": (0.5, 0.5, 0.5, 0.5, 0.5),
    "braintools_s2nn": (1, 0.952, 0.833, 0.667, 0.5),
    "braintools_q_pseudo_spike": (1, 0.937, 0.779, 0.563, 0.36),
    "braintools_leaky_relu": (1, 1, 1, 1, 1),
    "braintools_log_tailed_relu": (0, 1, 1, 1, 1),
    "braintools_relu_grad": (0.3, 0.285, 0.24, 0.15, 0),
    "braintools_gaussian_grad": (0.399, 0.397, 0.368, 0.242, 0.054),
    "braintools_multi_gaussian_grad": (0.439, None, None, None, None),
    "braintools_inv_square_grad": (1, 0.0278, 0.0023, 4e-4, 1e-4),
    "braintools_slayer_grad": (1, 0.951, 0.819, 0.607, 0.368),
    "spyx_superspike": (1, 0.1975, 0.0278, 0.0055, 0.0015),
    "spyx_arctan": (0.318, 0.290, 0.123, 0.029, 0.008),
    "spyx_tanh": (1, None, None, None, None),
    "spyx_boxcar": (0.5, None, None, None, None),
    "spyx_triangular": (1, None, None, None, None),
    "snnax_superspike": (1, 0.667, 0.333, 0.167, 0.091),
    "sinabs_single_exponential": (2, 1.81, 1.34, 0.736, 0.271),
}
FORMULAS = {  # rows that give a formula and no values, written out again
    "snntorch_straight_through": lambda x: np.ones_like(x),
    "snntorch_heaviside": lambda x: np.where(x > 0, 1.0, 0.0),
    "snntorch_lso": lambda x: np.where(x > 0, 1.0, 0.1),
    "snntorch_sfs": lambda x: np.where(x > 1, (25 * np.abs(x) + 1.0) ** -2, 0.0),
    "snnax_piecewise": lambda x: np.where((x > -0.5) & (x < 0.5), 1.0, 0.0),
    "lava_spike": lambda x: 0.1 / (2 * 100) * np.exp(-np.abs(x) / 100),
    "bellec_pseudo_derivative": lambda x: 0.3 * np.maximum(1 - np.abs(x), 0),
    "braincog_sigmoid": lambda x: np.exp(-x) / (1 + np.exp(-x)) ** 2,
    "braincog_atan": lambda x: 1 / (1 + (np.pi * x) ** 2),
    "stork_superspike": lambda x: (20 * np.abs(x) + 1.0) ** -2,
    "spytorch_superspike": lambda x: (100 * np.abs(x) + 1.0) ** -2,
    "decolle_superspike": lambda x: (10 * np.abs(x) + 1.0) ** -2,
    "jaxsnn_superspike": lambda x: (80 * np.abs(x) + 1.0) ** -2,
    "sparch_boxcar": lambda x: np.where((x > -0.5) & (x <= 0.5), 1.0, 0.0),
}


def recorded():
    """Return the points and, by name, what the libraries computed there."""
    found = {}
    for file in ("surrogates_torch", "surrogates_jax"):
        with np.load(RECORDINGS / f"{file}.npz", allow_pickle=False) as kept:
            points = kept["x"]
            found |= {name: kept[name] for name in kept if name not in ("version", "x")}
    return points, found


def names():
    return load(resource_folder("models") / "std" / "compat.snn").module.defined(nodes.Surrogate)


@pytest.fixture(scope="module")
def derivatives():
    """By name: the derivative of a spike by its margin, at AT and at the points of the recordings."""
    points = np.concatenate([AT, recorded()[0]])
    layers = "\n".join(
        f"layer {name} = Cell[{points.size}](surrogate = compat.{name})\nmargin -> {name}" for name in names()
    )
    model = compile_text(f"""
    import std.compat
    neuron Cell {{
      event x
      state v = 0
      step {{ v = x }}
      spike when v >= 0 {{ }}
      surrogate compat.snntorch_atan
    }}
    network Net {{
      dt = 1 ms
      input margin : real[{points.size}]
      {layers}
    }}""")

    def spikes(x):
        signals = model.module.run(model.params, model.buffers, model.inputs(margin=x[None, None]))[0]
        return {name: getattr(signals, name).spike.sum() for name in names()}

    found = jax.jit(jax.jacrev(spikes))(points)
    return {name: np.asarray(value) for name, value in found.items()}


def test_every_surrogate_of_compat_is_tested():
    assert set(names()) == {*ROWS, *FORMULAS, *recorded()[1]}


@pytest.mark.parametrize("name", ROWS)
def test_a_surrogate_has_the_values_of_its_row(name, derivatives):
    for value, printed in zip(derivatives[name], ROWS[name], strict=False):
        if printed is not None:
            digits = max(len(f"{printed:.10f}".rstrip("0").partition(".")[2]), 1)
            assert value == pytest.approx(printed, abs=0.51 * 10.0**-digits)


@pytest.mark.parametrize("name", FORMULAS)
def test_a_surrogate_has_the_formula_of_its_row(name, derivatives):
    points = np.concatenate([AT, recorded()[0]])

    np.testing.assert_allclose(derivatives[name], FORMULAS[name](points), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", recorded()[1])
def test_a_surrogate_is_what_the_library_computes(name, derivatives):
    values = recorded()[1][name]
    tolerance = 1e-6 if values.dtype == np.float32 else 1e-9

    np.testing.assert_allclose(derivatives[name][len(AT) :], values, rtol=tolerance, atol=1e-15)
