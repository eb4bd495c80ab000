"""How products and loops are computed over whole sequences changes none of their values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from models_in_text import compile_text

from snnc.emit.runtime.loops import layer_loop
from snnc.emit.runtime.products import dense, dense_over_time, product_gradient

NETWORK = """
import std.neurons ({neuron})
network Net {{
  dt = 1 ms
  input x : spikes[4]
  layer h = {neuron}[6]()
  x -> dense() -> h
}}"""


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize("rows", [3, 64, 100, 128])
@pytest.mark.parametrize("columns", [1, 6, 10, 64, 200])
def test_gradient_of_a_weight_is_the_sum_of_outer_products(rows, columns):
    rng = np.random.default_rng(rows + columns)
    x, d = rng.standard_normal((5, 2, rows)), rng.standard_normal((5, 2, columns))

    found = jax.jit(product_gradient)(x, d)

    np.testing.assert_allclose(found, np.einsum("tbi,tbj->ij", x, d), rtol=1e-12, atol=1e-12)


def test_gradients_of_a_product_over_time_are_those_of_the_product():
    rng = np.random.default_rng(0)
    x, w, d = rng.standard_normal((5, 2, 64)), rng.standard_normal((64, 3)), rng.standard_normal((5, 2, 3))

    found = jax.jit(lambda x, w: jax.vjp(dense_over_time, x, w)[1](d))(x, w)
    wanted = jax.vjp(dense, x, w)[1](d)

    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("length", [0, 3])
def test_reading_the_state_back_changes_no_gradient(length):
    module = compile_text(NETWORK.format(neuron="LIF")).module
    x = 3 * jax.random.uniform(jax.random.key(0), (8, 2, 6))

    def gradient(before):
        def loss(x, start):
            p = module.lif(tau=5.0, theta=1.0)
            loop = layer_loop(module.lif_step, module.lif_adjoint, p, start, (x,), 8, length, before)
            return jnp.sum(loop[1].v ** 2 * jnp.arange(8.0)[:, None, None])

        return jax.jit(jax.grad(loss, argnums=(0, 1)))(x, module.lif_start(None, (2, 6)))

    found, wanted = jax.tree.leaves(gradient(module.lif_before)), jax.tree.leaves(gradient(None))

    assert float(jnp.abs(wanted[0]).max()) > 1
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("neuron", "reads_back"), [("LIF", True), ("LI", True), ("CubaLIF", False), ("ALIF", False)])
def test_a_state_is_read_back_where_its_cotangent_follows_from_the_ports(neuron, reads_back):
    text = compile_text(NETWORK.format(neuron=neuron)).compiled.text

    assert ("before=" in text) == reads_back
