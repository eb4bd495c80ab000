"""Initial weights have the moments, ranges and structure that their formulas say."""

import jax
import numpy as np
import pytest

from snnc.emit.runtime import initialisers as runtime
from snnc.ops.initialisers import INITIALISERS, fluctuation_std

SHAPE = (200, 300)
GAIN = 1.7

# name, options, and the standard deviation or bound for fan_in 200, fan_out 300
NORMAL = [
    ("kaiming_normal", {"gain": GAIN}, GAIN / np.sqrt(200)),
    ("lecun_normal", {}, 1 / np.sqrt(200)),
    ("xavier_normal", {"gain": GAIN}, GAIN * np.sqrt(2 / 500)),
]
UNIFORM = [
    ("kaiming_uniform", {"gain": GAIN}, GAIN / np.sqrt(200)),
    ("lecun_uniform", {}, np.sqrt(3 / 200)),
    ("xavier_uniform", {"gain": GAIN}, GAIN * np.sqrt(6 / 500)),
]


def draw(name, shape, seed=0, **options):
    fn = getattr(runtime, INITIALISERS[name].runtime)
    return np.asarray(fn(jax.random.key(seed), shape, **options))


@pytest.mark.usefixtures("strict_float32")
@pytest.mark.parametrize(("name", "options", "std"), NORMAL)
def test_normal_draws_have_the_spread_of_the_formula(name, options, std):
    weights = draw(name, SHAPE, **options) / float(std)

    assert np.float32 == weights.dtype
    assert abs(weights.mean()) < 4 / np.sqrt(weights.size)
    assert weights.std() == pytest.approx(1.0, rel=0.015)
    assert np.mean(weights**4) == pytest.approx(3.0, rel=0.06)


@pytest.mark.usefixtures("strict_float32")
@pytest.mark.parametrize(("name", "options", "bound"), UNIFORM)
def test_uniform_draws_fill_the_range_of_the_formula(name, options, bound):
    weights = draw(name, SHAPE, **options) / float(bound)

    assert np.float32 == weights.dtype
    assert 0.999 < weights.max() <= 1.0 + 1e-6
    assert -0.999 > weights.min() >= -1.0 - 1e-6
    assert np.mean(weights**2) == pytest.approx(1 / 3, rel=0.02)


@pytest.mark.usefixtures("strict_float32")
def test_the_default_of_kaiming_uniform_is_that_of_pytorch():
    (gain,) = INITIALISERS["kaiming_uniform"].options

    weights = draw("kaiming_uniform", (25, 4000), gain=gain.default)

    assert np.abs(weights).max() == pytest.approx(1 / np.sqrt(25), rel=1e-3)


@pytest.mark.usefixtures("strict_float32")
def test_fans_of_a_kernel_count_its_positions():
    assert runtime.fan_in((3, 5, 2, 4)) == 3 * 5 * 2
    assert runtime.fan_out((3, 5, 2, 4)) == 3 * 5 * 4
    bound = np.abs(draw("kaiming_uniform", (3, 5, 2, 4000), gain=1.0)).max()
    assert bound == pytest.approx(1 / np.sqrt(30), rel=1e-3)


@pytest.mark.usefixtures("strict_jax")
@pytest.mark.parametrize("shape", [(6, 6), (9, 4), (4, 9), (2, 3, 5)])
def test_orthogonal_weights_have_orthonormal_rows_or_columns(shape):
    matrix = draw("orthogonal", shape, gain=GAIN).reshape(-1, shape[-1]) / GAIN

    gram = matrix.T @ matrix if matrix.shape[0] >= matrix.shape[1] else matrix @ matrix.T
    np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-12)


@pytest.mark.usefixtures("strict_jax")
def test_orthogonal_weights_are_uniform_over_signs():
    corners = [draw("orthogonal", (2, 2), seed, gain=1.0)[0, 0] for seed in range(200)]

    assert abs(np.mean(np.sign(corners))) < 0.25


@pytest.mark.usefixtures("strict_float32")
def test_given_distributions_and_values():
    normal = draw("normal", SHAPE, mean=3.0, std=0.5)
    uniform = draw("uniform", SHAPE, low=-2.0, high=6.0)

    assert [normal.mean(), normal.std()] == pytest.approx([3.0, 0.5], abs=0.01)
    assert [uniform.min(), uniform.max()] == pytest.approx([-2.0, 6.0], abs=0.01)


@pytest.mark.usefixtures("strict_jax")
@pytest.mark.parametrize(("name", "options"), [("constant", {"value": 0.25}), ("zeros", {})])
def test_what_draws_nothing_has_its_numpy_meaning(name, options):
    np.testing.assert_array_equal(draw(name, (3, 4), **options), INITIALISERS[name].value((3, 4), **options))


@pytest.mark.usefixtures("strict_float32")
def test_keys_decide():
    np.testing.assert_array_equal(
        draw("kaiming_normal", (3, 4), 1, gain=1.0), draw("kaiming_normal", (3, 4), 1, gain=1.0)
    )
    assert not np.array_equal(draw("kaiming_normal", (3, 4), 1, gain=1.0), draw("kaiming_normal", (3, 4), 2, gain=1.0))


def test_fluctuation_is_replaced_when_compiling():
    fluctuation = INITIALISERS["fluctuation"]

    assert [name for name, initialiser in INITIALISERS.items() if initialiser.compile_time] == ["fluctuation"]
    assert {option.name: option.default for option in fluctuation.options} == {"rate": 0.01, "xi": 1.0}


def test_fluctuating_weights_bring_the_potential_xi_deviations_below_threshold():
    rng = np.random.default_rng(0)
    n, rate, tau, dt, xi = 100, 0.02, 10.0, 0.1, 2.0
    std = fluctuation_std(theta=1.0, inputs=n, rate=rate, xi=xi, eps_squared=tau / 2)  # eps = exp(-t / tau)
    weights = rng.normal(0.0, std, (n, 400))

    v, trace = np.zeros(400), []
    for step in range(6000):
        v = v * np.exp(-dt / tau) + (rng.random(n) < rate * dt) @ weights
        if step > 1000:
            trace.append(v)
    deviation = np.sqrt(np.mean(np.var(trace, axis=0)))  # about each neuron's mean, which is 0 only on average

    assert 1.0 / deviation == pytest.approx(xi, rel=0.1)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("normal", {"mean": 0.0, "std": -1.0}, "`std` must not be negative"),
        ("uniform", {"low": 1.0, "high": 1.0}, "`low` must be below `high`"),
        ("fluctuation", {"rate": 0.0, "xi": 1.0}, "`rate` must be positive"),
        ("fluctuation", {"rate": 0.01, "xi": 0.0}, "`xi` must be positive"),
    ],
)
def test_wrong_option(name, options, message):
    assert message == INITIALISERS[name].refuse(options)


@pytest.mark.usefixtures("strict_float32")
@pytest.mark.parametrize(("name", "options"), [(name, options) for name, options, _ in (*NORMAL, *UNIFORM)])
def test_draws_are_the_same_inside_and_outside_of_jit(name, options):
    fn = getattr(runtime, INITIALISERS[name].runtime)
    key = jax.random.key(3)

    np.testing.assert_array_equal(jax.jit(lambda key: fn(key, SHAPE, **options))(key), fn(key, SHAPE, **options))
