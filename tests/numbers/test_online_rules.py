"""Rules that learn while the network runs, against the gradient of the whole sequence where theory says that they agree."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from models_in_text import compile_text

RECIPE = """
data d = randman(classes = 3, units = 4, steps = 20, samples = 6, test = 0.2)
train main of Net on d {{
  epochs = 1
  batch = 5
  learn = {rule}
  loss = {loss}
  metric accuracy = accuracy(logits, label)
}}
"""
STEPS = 20

# No state of its own: what it shows in a step comes from that step alone, so that nothing of a readout is forgotten.
INSTANT = "neuron Instant { event x; state v = 0; step { v = x } }\n"
LEAKY = "import std.neurons (LI)\n"


def network(neuron, size=6, recurrent="", readout="LI[3](tau = 15 ms)", head=LEAKY, further=""):
    return f"""
      import std.neurons (LIF, ALIF, CubaLIF, PLIF)
      {head}
      {further}
      network Net {{
        dt = 1 ms
        input a : spikes[4]
        layer h = {neuron.replace("[n]", f"[{size}]")}
        layer out = {readout}
        a -> dense() -> h
        {recurrent}
        h -> dense() -> out
        output logits = mean_over_time(out.v)
      }}"""


@cache
def two_gradients(text, rule, loss="cross_entropy(3 * out.v, label)", change=lambda params: params):
    """The gradient that a rule adds up step by step, and that of the whole sequence, at weights changed by `change`."""
    module = compile_text(text + RECIPE.format(rule=rule, loss=loss)).module
    rng = np.random.default_rng(0)
    batch = {
        "a": (rng.random((STEPS, 5, 4)) < 0.4).astype(float),
        "label": np.arange(5) % 3,
        "weight": np.asarray([1.0, 1, 1, 1, 0]),
        "sample": np.arange(5),
    }
    key = jax.random.key(2)
    params = change(jax.tree.map(lambda w: 2.0 * jnp.asarray(w, float), module.init_params(key)))
    buffers = module.init_buffers(key)
    end, metrics = jax.jit(module.learn)(params, buffers, batch, key)
    (_, (expected, _)), whole = jax.jit(jax.value_and_grad(module.loss_fn, has_aux=True))(params, buffers, batch, key)
    for name in expected:
        np.testing.assert_allclose(metrics[name], expected[name], rtol=1e-12, err_msg=name)
    assert float(metrics["rate.h"]) > 1.0
    return end.grads, whole, module


def assert_equal(forward, whole, names, tolerance=1e-12):
    for name, a, b in zip(names, forward, whole, strict=True):
        largest = float(jnp.abs(b).max())
        assert largest > 1e-6, name
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * largest, err_msg=name)


RECURRENT = "h -> dense(init = orthogonal(0.8)) -> delay(1 step) -> h"
AUTHORS = (
    "ALIF[n](tau_m = 20 ms, tau_a = 500 ms, theta = 0.62, beta = 0.07, refractory = 2 ms, "
    "surrogate = triangle(height = 0.3))"
)


LONG = pytest.mark.long


@pytest.mark.parametrize("feedback", [pytest.param("symmetric", marks=LONG), "random", "adaptive"])
def test_eprop_forward_and_backward_in_time_are_one(feedback):
    rule = f"eprop(feedback = {feedback}, online = true)"

    forward, whole, module = two_gradients(network(AUTHORS, recurrent=RECURRENT), rule)

    assert_equal(forward, whole, module.PARAM_NAMES)


@pytest.mark.parametrize("window", ["from = 7 ms, to = 15 ms", "last = 6 ms"])
def test_a_loss_may_look_at_some_steps(window):
    loss = f"mean_over_time(cross_entropy(3 * out.v, label), {window})"

    forward, whole, module = two_gradients(network("LIF[n](tau = 20 ms)"), "eprop(online = true)", loss)

    assert_equal(forward, whole, module.PARAM_NAMES)


@pytest.mark.parametrize("neuron", [pytest.param("LIF[n](tau = 20 ms)", marks=LONG), AUTHORS])
def test_eprop_is_bptt_without_recurrence(neuron):
    forward, _, module = two_gradients(network(neuron), "eprop(online = true)")
    text = network(neuron) + RECIPE.format(rule="bptt()", loss="cross_entropy(3 * out.v, label)")
    bptt = compile_text(text).module

    def loss(params):
        rng = np.random.default_rng(0)
        batch = {
            "a": (rng.random((STEPS, 5, 4)) < 0.4).astype(float),
            "label": np.arange(5) % 3,
            "weight": np.asarray([1.0, 1, 1, 1, 0]),
            "sample": np.arange(5),
        }
        return bptt.loss_fn(params, bptt.init_buffers(jax.random.key(2)), batch, jax.random.key(2))[0]

    params = jax.tree.map(lambda w: 2.0 * jnp.asarray(w, float), bptt.init_params(jax.random.key(2)))
    assert_equal(forward, jax.jit(jax.grad(loss))(params), module.PARAM_NAMES)


def test_random_feedback_differs_from_symmetric():
    _, symmetric, _ = two_gradients(network("LIF[n](tau = 20 ms)"), "eprop(online = true)")
    _, random, module = two_gradients(network("LIF[n](tau = 20 ms)"), "eprop(feedback = random, online = true)")

    assert np.abs(symmetric[0] - random[0]).max() > 1e-3 * np.abs(symmetric[0]).max()
    np.testing.assert_array_equal(symmetric[1], random[1])  # the readout's own weights
    assert module.BUFFER_NAMES == ("h_out.dense.feedback",)


def test_ottt_is_bptt_in_its_exact_case():
    """No recurrence, a detached subtractive reset, a loss of each step, a readout that forgets nothing."""
    text = network("LIF[n](tau = 5 ms)", readout="Instant[3]()", head="", further=INSTANT)

    forward, whole, module = two_gradients(text, "ottt()")

    assert_equal(forward, whole, module.PARAM_NAMES)


@pytest.mark.parametrize("neuron", ["CubaLIF[n]()", pytest.param(AUTHORS, marks=LONG)])
def test_traces_of_each_synapse_are_bptt_for_one_layer(neuron):
    text = network(neuron, readout="Instant[3]()", head="", further=INSTANT)

    forward, whole, module = two_gradients(text, "d_rtrl()")

    assert_equal(forward, whole, module.PARAM_NAMES)


@pytest.mark.parametrize("neuron", [pytest.param("LIF[n](tau = 20 ms)", marks=LONG), AUTHORS])
def test_ostl_is_bptt_for_one_recurrent_layer(neuron):
    text = network(neuron, recurrent=RECURRENT, readout="Instant[3]()", head="", further=INSTANT)

    forward, whole, module = two_gradients(text, "ostl()")

    assert_equal(forward, whole, module.PARAM_NAMES)


def test_d_rtrl_keeps_what_a_neuron_tells_itself():
    """With weights from each neuron to itself alone nothing is left out."""
    text = network("LIF[n](tau = 20 ms)", recurrent=RECURRENT, readout="Instant[3]()", head="", further=INSTANT)

    def diagonal(params):
        return params._replace(h_h_dense_w=0.7 * jnp.eye(6))

    forward, whole, module = two_gradients(text, "d_rtrl()", change=diagonal)

    assert_equal(forward, whole, module.PARAM_NAMES)


def test_decolle_reads_a_local_readout_of_each_layer():
    """Its gradient is that of the sum of local losses when nothing passes between layers."""
    text = network("LIF[n](tau = 5 ms)", readout="Instant[3]()", head="", further=INSTANT)

    forward, whole, _ = two_gradients(text, "decolle()")

    assert_equal(forward[1:], whole[1:], ["h_out"])  # the readout's own loss
    assert np.abs(forward[0] - whole[0]).max() > 1e-3 * np.abs(whole[0]).max()


def test_memory_does_not_grow_with_the_steps():
    text = network("ALIF[n]()", size=16, recurrent=RECURRENT) + RECIPE.format(
        rule="eprop(online = true)", loss="cross_entropy(out.v, label)"
    )
    module = compile_text(text).module
    key = jax.random.key(0)
    params, buffers = module.init_params(key), module.init_buffers(key)

    def temporary(steps):
        kinds = {
            "a": jax.ShapeDtypeStruct((steps, 5, 4), float),
            "label": jax.ShapeDtypeStruct((5,), int),
            "weight": jax.ShapeDtypeStruct((5,), float),
            "sample": jax.ShapeDtypeStruct((5,), int),
        }
        compiled = jax.jit(module.learn).lower(params, buffers, kinds, key).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert temporary(10_000) < 1.02 * temporary(100)
