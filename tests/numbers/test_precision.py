"""`precision = bf16 | f16`: products of rounded factors, forward and for the gradient; everything else as it was."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gradients import assert_same_gradients
from models_in_text import assert_same_signals, compile_text
from test_emitted_equals_interpreter import shaken

from snnc.emit.runtime.precision import dense_in

STEPS, BATCH = 20, 4
TYPES = {"bf16": jnp.bfloat16, "f16": jnp.float16}
TEXT = """
import std.neurons (LIF, LI)
network Net {{
  dt = 1 ms
  input a : spikes[5]
  layer h = LIF[16](tau = 8 ms, theta = 0.4)
  layer out = LI[3]()
  a -> dense() -> h
  h -> dense() -> delay(1 step) -> h
  h.v -> delay(2 steps) -> dense() -> h
  h -> sparse(density = 0.6, seed = 1) -> out
  h -> dense(bias = true) -> out
  output logits = mean_over_time(out.v)
}}
data d = randman(classes = 3, units = 5, steps = 20, samples = 10, test = 0.2)
train main of Net on d {{
  loss = cross_entropy(logits, label)
  precision = {precision}
}}
"""


def model_in(precision):
    model = shaken(compile_text(TEXT.format(precision=precision)))
    return model, {"a": np.random.default_rng(0).normal(size=(STEPS, BATCH, 5))}


def as_held(values, dtype):
    return np.asarray(jnp.asarray(values, dtype), float)


@pytest.mark.parametrize("precision", TYPES)
def test_a_product_is_that_of_its_rounded_factors_and_so_are_those_of_its_gradient(precision):
    rng, dtype = np.random.default_rng(0), TYPES[precision]
    x, w, d = rng.normal(size=(6, 4, 5)), rng.normal(size=(5, 3)), 1e-9 * rng.uniform(0.1, 1.0, (6, 4, 3))

    y, back = jax.vjp(lambda x, w: dense_in(x, w, dtype), x, w)
    d_x, d_w = back(jnp.asarray(d))

    few = as_held(d * 2.0**29, dtype) / 2.0**29
    np.testing.assert_allclose(y, as_held(x, dtype) @ as_held(w, dtype), rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(d_x, few @ as_held(w, dtype).T, rtol=1e-12, atol=1e-22)
    np.testing.assert_allclose(d_w, np.einsum("tbi,tbj->ij", as_held(x, dtype), few), rtol=1e-12, atol=1e-22)
    assert float(np.abs(y - x @ w).max()) > 1e-5


@pytest.mark.parametrize("precision", TYPES)
def test_run_and_the_scanned_step_round_alike(precision):
    model, x = model_in(precision)

    signals, _ = model.scan(**x)

    assert 0.02 < signals["h.spike"].mean() < 0.9
    assert_same_signals(model.run(**x), signals)


@pytest.mark.parametrize(("precision", "tolerance"), [("bf16", 1e-10), ("f16", 1e-6)])
def test_the_derived_gradient_rounds_as_that_of_the_step(precision, tolerance):
    """In float16 each product scales its cotangents by a power of two, below which what is too small is lost."""
    model, x = model_in(precision)

    gradient = assert_same_gradients(model, x, tolerance=tolerance)

    assert all(np.abs(g).max() > 0 for g in jax.tree.leaves(gradient[0]))


@pytest.mark.parametrize(("precision", "near"), [("bf16", 2.0**-8), ("f16", 2.0**-10)])
def test_the_first_step_is_that_of_the_interpreter_to_rounding(precision, near):
    """Later steps differ by more where a potential comes close to the threshold: the meaning stays float64."""
    model, x = model_in(precision)
    results = (model.run(**x), model.interpret(**x))
    found, meant = (signals["h.v"][0] + 0.4 * signals["h.spike"][0] for signals in results)  # before the reset

    np.testing.assert_allclose(found, meant, rtol=0, atol=4 * near * np.abs(meant).max())
    assert np.abs(found - meant).max() > 0


def lowered(precision, platform):
    x, w = jnp.ones((3, 2, 5), jnp.float32), jnp.ones((5, 4), jnp.float32)
    gradient = jax.jit(jax.grad(lambda x, w: jnp.sum(dense_in(x, w, TYPES[precision]) ** 2), (0, 1)))
    return gradient.trace(x, w).lower(lowering_platforms=(platform,)).as_text()


@pytest.mark.parametrize("precision", TYPES)
def test_a_gpu_multiplies_in_16_bits_and_sums_in_32(precision):
    products = [line for line in lowered(precision, "cuda").splitlines() if "dot_general" in line]

    assert len(products) == 3
    assert all(line.count(f"x{precision}>") == 2 and line.rstrip().endswith("xf32>") for line in products)


@pytest.mark.parametrize("precision", TYPES)
def test_a_cpu_computes_nothing_in_16_bits(precision):
    assert f"x{precision}>" not in lowered(precision, "cpu")
