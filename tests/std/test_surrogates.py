"""Every standard surrogate against its doc comment (peak, area, symmetry), and finite; the rows of conventions.md."""

import re
from dataclasses import replace
from functools import cache
from math import inf, pi, sqrt

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from models_in_text import compile_text
from scipy.special import expit

from snnc.commands.surrogates import draw_surrogates, measure, standard_surrogates
from snnc.expr import Num
from snnc.interp import evaluate

USES = {use.function.name: use for use, _ in standard_surrogates()}
FACTS = re.compile(r"Peak (?:about )?(\S+?)(?: = (\S+?))?, area (\S+?)(?: = (\S+?))?(?: \(.*\))?\.$")
WORDS = {"pi": pi, "sqrt": sqrt, "max": max, "unbounded": inf}


def values(name, x, **given):
    """The surrogate in NumPy, its parameters at their defaults where not given."""
    use = USES[name]
    formals = use.function.formals
    defaults = {f: float(evaluate(a, {})) for f, a in zip(formals[1:], use.args, strict=True)}
    assert given.keys() <= defaults.keys()
    x = np.asarray(x, float)
    return np.broadcast_to(evaluate(use.function.body, {formals[0]: x, **defaults, **given}), x.shape)


def defaults_of(name):
    use = USES[name]
    return {f: float(evaluate(a, {})) for f, a in zip(use.function.formals[1:], use.args, strict=True)}


def fact(text, numbers):
    return float(eval(text.replace("^", "**"), {"__builtins__": {}}, {**WORDS, **numbers}))


@pytest.mark.parametrize("name", USES)
def test_peak_and_area_are_those_of_the_doc_comment(name):
    doc = USES[name].function.doc
    found = FACTS.search(doc.strip())
    assert found, f"{name} does not end in `Peak …, area ….`: {doc}"
    peak, peak_number, area, area_number = found.groups()
    numbers, measured = defaults_of(name), measure(USES[name])
    tolerance = 5e-3 if "Peak about" in doc else 1e-4  # a peak that is only approached lies between two points

    assert measured.peak == pytest.approx(fact(peak, numbers), rel=tolerance)
    assert measured.area == pytest.approx(fact(area, numbers), rel=2e-5)
    for text, number in ((peak, peak_number), (area, area_number)):
        assert number is None or float(number) == pytest.approx(fact(text, numbers), rel=1e-5)


@pytest.mark.parametrize("factor", [0.7, 1.6])
@pytest.mark.parametrize(
    "name", [name for name in USES if name != "double_gauss"]
)  # its facts are those of the defaults
def test_peak_and_area_follow_the_parameters(name, factor):
    use = USES[name]
    numbers = {f: v * factor for f, v in defaults_of(name).items()}
    if name == "power_law":
        numbers = {"alpha": 2.5 * factor + 1}  # a longer tail is not added up here
    peak, _, area, _ = FACTS.search(use.function.doc.strip()).groups()

    measured = measure(replace(use, args=tuple(Num(value) for value in numbers.values())))

    assert measured.peak == pytest.approx(fact(peak, numbers), rel=1e-4)
    assert measured.area == pytest.approx(fact(area, numbers), rel=1e-4)


@pytest.mark.parametrize("name", USES)
def test_a_surrogate_is_even_unless_its_doc_comment_says_otherwise(name):
    x = np.linspace(0.0013, 50, 20_001)
    even = np.allclose(values(name, x), values(name, -x), rtol=1e-12, atol=1e-14)

    assert even == ("ot symmetric" not in USES[name].function.doc)
    if "Odd" in USES[name].function.doc:
        np.testing.assert_allclose(values(name, x), -values(name, -x))


@cache
def emitted(name):
    """The derivative of a spike by its state, as emitted, for a float32 vector of margins; and that function's gradient."""
    with jax.enable_x64(False):
        model = compile_text(f"""
        neuron Cell {{
          event x
          state v = 0
          step {{ v = x }}
          spike when v >= 0 {{ }}
          surrogate {name}()
        }}
        network Net {{
          dt = 1 ms
          input a : real[1]
          layer h = Cell[1]()
          a -> h.x
        }}""")

        def spike(x):
            inputs = model.inputs(a=x.reshape(1, 1, 1))
            return model.module.run(model.params, model.buffers, inputs)[0].h.spike[0, 0, 0]

        first = jax.grad(spike)
        return jax.jit(jax.vmap(first)), jax.jit(jax.vmap(jax.grad(first)))


EDGES = [0.0, -0.0, 0.5, 1.0, 2.0, 0.2, 1e-6, 1e-30, 1e-37, 100.0, 1000.0]
WIDE = np.unique(np.concatenate([np.linspace(-1000, 1000, 4001), EDGES, np.negative(EDGES)])).astype(np.float32)


@pytest.mark.parametrize("name", USES)
def test_the_emitted_derivative_is_the_formula_and_finite_with_its_gradient_in_float32(name):
    first, second = emitted(name)

    with jax.enable_x64(False):
        slope, curvature = np.asarray(first(jnp.asarray(WIDE))), np.asarray(second(jnp.asarray(WIDE)))

    assert slope.dtype == np.float32
    assert np.isfinite(slope).all()
    assert np.isfinite(curvature).all()
    np.testing.assert_allclose(slope, values(name, WIDE), rtol=2e-5, atol=2e-6)


# conventions.md, table 1.2: the library's row, the standard formula with its arguments, the printed values at 0, .05, .2, .5, 1
AT = (0.0, 0.05, 0.2, 0.5, 1.0)
ROWS = [
    ("snnTorch fast_sigmoid, Spyx superspike", "superspike", {"beta": 25}, (1, 0.1975, 0.0278, 0.0055, 0.0015)),
    ("snnTorch, SpikingJelly atan", "atan", {"alpha": 2}, (1, 0.976, 0.717, 0.288, 0.092)),
    ("snnTorch sigmoid", "sigmoid", {"slope": 25}, (6.25, 4.33, 0.166, 1e-4, 0)),
    ("snnTorch triangular", "turned_sign", {}, (-1, -1, -1, -1, -1)),
    ("snnTorch spike_rate_escape", "shifted_exponential", {}, (9.20, 9.67, 11.2, 15.2, 25)),
    ("Norse super", "superspike", {"beta": 100}, (1, 0.0278, 0.0023, 4e-4, 1e-4)),
    ("Norse triangle, ReluGrad", "triangle", {"height": 0.3}, (0.3, 0.285, 0.24, 0.15, 0)),
    ("Norse heavi_erfc", "bell", {"height": 2 / sqrt(pi), "width": 0.01}, (1.128,)),
    ("Norse circ", "circle", {"alpha": 100}, (1,)),
    ("SpikingJelly, braintools Sigmoid", "sigmoid", {"slope": 4}, (1, 0.990, 0.856, 0.420, 0.071)),
    ("SpikingJelly SuperSpike", "inverse_square", {}, (1, 0.907, 0.694, 0.444, 0.25)),
    ("SpikingJelly SoftSign", "softsign", {"alpha": 2}, (1, 0.826, 0.510, 0.25, 0.111)),
    ("SpikingJelly Erf", "bell", {"height": 2 / sqrt(pi), "width": 0.5}, (1.128,)),
    ("SpikingJelly Rect", "rectangle", {"height": 1, "width": 1}, (1,)),
    ("braintools PiecewiseQuadratic", "triangle", {"height": 1, "width": 1}, (1, 0.95, 0.8, 0.5, 0)),
    ("braintools PiecewiseExp", "exponential", {"height": 0.5, "width": 1}, (0.5, 0.476, 0.409, 0.303, 0.184)),
    ("braintools SoftSign", "softsign", {"alpha": 1}, (0.5, 0.454, 0.347, 0.222, 0.125)),
    ("braintools Arctan", "atan", {"alpha": 1}, (0.5, 0.497, 0.455, 0.309, 0.144)),
    ("braintools NonzeroSignLog", "hyperbola", {"height": 1, "beta": 1}, (1, 0.952, 0.833, 0.667, 0.5)),
    ("braintools ERF", "bell", {"height": 1 / sqrt(pi), "width": 1}, (0.564, 0.563, 0.542, 0.439, 0.208)),
    ("braintools PiecewiseLeakyRelu", "leaky_rectangle", {}, (0.5, 0.5, 0.5, 0.5, 0.5)),
    ("braintools S2NN", "logistic_log", {}, (1, 0.952, 0.833, 0.667, 0.5)),
    ("braintools QPseudoSpike", "power_law", {}, (1, 0.937, 0.779, 0.563, 0.36)),
    ("braintools LeakyRelu", "leaky_relu", {}, (1, 1, 1, 1, 1)),
    ("braintools LogTailedRelu", "log_tail", {}, (0, 1, 1, 1, 1)),
    ("braintools GaussianGrad", "bell", {"height": 1 / sqrt(2 * pi), "width": sqrt(0.5)}, (0.399, 0.397, 0.368, 0.242, 0.054)),
    ("braintools MultiGaussianGrad", "double_gauss", {}, (0.439,)),
    ("braintools SlayerGrad", "exponential", {"height": 1, "width": 1}, (1, 0.951, 0.819, 0.607, 0.368)),
    ("Spyx arctan", "lorentzian", {"height": 1 / pi, "width": 1 / (2 * pi)}, (0.318, 0.290, 0.123, 0.029, 0.008)),
    ("Spyx tanh", "sech_squared", {}, (1,)),
    ("Spyx boxcar", "rectangle", {}, (0.5,)),
    ("Spyx triangular", "triangle", {"height": 1, "width": 0.5}, (1,)),
    ("SNNAX superspike", "hyperbola", {}, (1, 0.667, 0.333, 0.167, 0.091)),
    ("Sinabs SingleExponential", "exponential", {"height": 2, "width": 0.5}, (2, 1.81, 1.34, 0.736, 0.271)),
]  # fmt: skip


@pytest.mark.parametrize(("row", "name", "given", "printed"), ROWS, ids=[row[0] for row in ROWS])
def test_the_rows_of_the_table_of_conventions_come_out(row, name, given, printed):
    actual = values(name, AT, **given)[: len(printed)]
    unit = {0.1975: 5e-5, 1e-4: 6e-5}
    rounding = [unit.get(p, 6e-3 if p > 1 else 6e-4) for p in printed]

    assert (np.abs(actual - printed) <= np.maximum(rounding, 6e-3 * np.abs(printed))).all(), (actual, printed)


def test_asymmetric_formulas_have_their_values_below_the_threshold_too():
    x = np.array([-2.0, -0.5])

    np.testing.assert_allclose(values("logistic_log", x), 4 * expit(4 * x) * (1 - expit(4 * x)))
    np.testing.assert_allclose(values("leaky_relu", x), [0.1, 0.1])
    np.testing.assert_allclose(values("log_tail", [-1, 0, 3], below=0.2), [0.2, 0.2, 1 / 3])
    np.testing.assert_allclose(values("above_edge", [-1.1, -1.0, 5]), [0, 1, 1])
    np.testing.assert_allclose(values("sparse_superspike", [-3, 1, 1.5]), [0, 0, 1 / 38.5**2])
    np.testing.assert_allclose(values("turned_sign", [-1, 0, 1]), [1, -1, -1])
    np.testing.assert_allclose(values("inverse_distance", [-10, 0, 5, 1]), [0.1, 0.3, 0.2, 0.3])
    # one exponential below, repeated at every further threshold above
    np.testing.assert_allclose(values("periodic_exponential", [-1, 0, 0.3, 1.3, 2]), np.exp([-2, 0, -0.6, -0.6, 0]))


def test_all_are_drawn_into_one_picture(tmp_path):
    facts = [measure(use, formula) for use, formula in standard_surrogates()[:6]]
    path = draw_surrogates(tmp_path / "surrogates.png", facts)

    assert path.read_bytes().startswith(b"\x89PNG")
