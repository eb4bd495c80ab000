"""Exact updates of chains of one, two and three leaks: the matrix exponential in float64, and 1e-6 of it in float32.

A chain a' = (0.3 - a) / t0, b' = (a - b) / t1, c' = (b - c) / t2 with dt = 1 ms has a constant right-hand side and, where
time constants coincide, too few eigenvectors: AlphaLIF has three such states. All entries of one step are compared, and their
derivatives by every time constant.
"""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cells import cell
from models_in_text import compile_text
from scipy.linalg import expm, expm_frechet

STATES = "abc"
GAPS = (0.0, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 0.5)
BASES = (0.5, 1.0, 5.0, 10.0, 20.0, 100.0)


@cache
def emitted(size, dtype):
    """A function of the time constants: one step from each unit vector and from 0, [size, size + 1], and its derivatives."""
    lines = []
    for k in range(size):
        source = STATES[k - 1] if k else "0.3"
        lines.append(f"param t{k} = {10 + k} ms in (0 ms, inf) trainable\nstate {STATES[k]} = 0")
        lines.append(f"{STATES[k]}' = ({source} - {STATES[k]}) / t{k}")
    body = "\n".join(lines)
    with jax.enable_x64(dtype == "float64"):
        model = compile_text(f"""
        neuron Cell {{
          {body}
        }}
        network Net {{
          dt = 1 ms
          input idle : real[1]
          layer h = Cell[1]()
        }}""")
    assert model.compiled.plan.types[0].method == "exact"
    module = model.module

    def step(times):
        p = module.cell(**{f"t{k}": times[k] for k in range(size)})
        start = module.cell_start(p, (1, size + 1))
        unit = {s: jnp.asarray(np.eye(size + 1)[k][None], dtype) for k, s in enumerate(STATES[:size])}
        after = module.cell_step(p, start._replace(**unit))[0]
        return jnp.stack([getattr(after, s)[0] for s in STATES[:size]])

    return jax.jit(lambda times: (step(times), jnp.moveaxis(jax.jacfwd(step)(times), -1, 0)))


def computed(times, dtype):
    with jax.enable_x64(dtype == "float64"):
        value, slope = emitted(len(times), dtype)(jnp.asarray(times, dtype))
    assert value.dtype == dtype
    return np.asarray(value, float), np.asarray(slope, float)


def by_expm(times):
    n = len(times)
    a = np.zeros((n + 1, n + 1))
    for k, t in enumerate(times):
        a[k, k] = -1 / t
        a[k, k - 1 if k else n] = (1.0 if k else 0.3) / t
    slopes = []
    for k, t in enumerate(times):
        direction = np.zeros_like(a)
        direction[k] = -a[k] / t
        slopes.append(expm_frechet(a, direction, compute_expm=False)[:n])
    return _with_drift(expm(a)[:n]), _with_drift(np.array(slopes))


def _with_drift(flow):
    """What a unit vector becomes: the flow of the vector and what flows from the constant."""
    flow[..., :-1] += flow[..., -1:]
    return flow


def near(base, gap, size):
    """Time constants that float32 holds exactly, `gap` apart, relatively."""
    return np.float32([base, base * (1 + gap), base * (1 - 0.6 * gap)][:size]).astype(float)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-6)])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_one_step_and_its_gradient_around_coinciding_time_constants(size, dtype, tolerance):
    for base in BASES:
        for gap in GAPS:
            times = near(base, gap, size)
            (value, slope), (expected, gradient) = computed(times, dtype), by_expm(times)

            where = f"time constants {times}"
            np.testing.assert_allclose(value, expected, rtol=tolerance, atol=tolerance * 1e-2, err_msg=where)
            scale = np.abs(gradient).max((1, 2), keepdims=True)
            assert (np.abs(slope - gradient) <= tolerance * scale).all(), where


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-6)])
@pytest.mark.parametrize(
    "times", [(100.0, 0.5), (0.5, 100.0), (20.0, 5.0, 5.0), (5.0, 5.0, 20.0), (0.25, 100.0, 3.0), (2000.0, 20.0, 2.0)]
)
def test_one_step_and_its_gradient_of_time_constants_far_apart(times, dtype, tolerance):
    (value, slope), (expected, gradient) = computed(np.array(times), dtype), by_expm(times)
    tolerance *= max(1, 0.5 / min(times))  # a rounded dt / tau = 4 is e^-4 to 4 roundings

    np.testing.assert_allclose(value, expected, rtol=tolerance, atol=tolerance * 1e-2)
    scale = np.abs(gradient).max((1, 2), keepdims=True)
    assert (np.abs(slope - gradient) <= tolerance * scale).all()


@pytest.mark.parametrize("gap", [0.0, 1e-6, 1e-4, 1e-2])
def test_a_hundred_steps_of_the_alpha_neuron_stay_within_the_rounding_of_float32(gap):
    arguments = f"tau_m = 10 ms, tau_r = {10 * (1 + gap):.9f} ms, tau_d = {10 * (1 - gap):.9f} ms, theta = 1e9"
    x = np.zeros((100, 1, 1), np.float32)
    x[::17] = 0.7

    runs = {}
    for dtype in ("float32", "float64"):
        with jax.enable_x64(dtype == "float64"):
            runs[dtype] = cell("AlphaLIF", arguments, ports="x", dt="1 ms").run(in_x=x.astype(dtype))

    for name in ("h.r", "h.i", "h.v"):
        scale = runs["float64"][name].max()
        np.testing.assert_allclose(runs["float32"][name], runs["float64"][name], atol=1e-6 * scale, rtol=2e-6)
