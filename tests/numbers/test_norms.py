"""Norms against recordings of PyTorch and SpikingJelly, and what holds of them in a network."""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from models_in_text import assert_same_signals, compile_text

from snnc.units import unit_name

RECORDINGS = Path(__file__).parents[1] / "recordings"
sys.path.append(str(RECORDINGS))

from norm_traces import ALPHA, CASES, SAMPLES, STEPS, THETA, batches, weights  # noqa: E402

FILE = np.load(RECORDINGS / "norms.npz")
ARGUMENTS = {
    "tdbn": f"tdbn, alpha = {ALPHA}, theta = {THETA}",
    "bntt": f"bntt, steps = {STEPS}",
    "tebn": f"tebn, steps = {STEPS}",
}


def norm_alone(kind, shape):
    """A network that is one norm, `bn`, with the weights of the recording."""
    model = compile_text(f"""
    network Net {{
      input x : real{list(shape)}
      x -> norm({ARGUMENTS.get(kind, kind)}) as bn
      output y = mean_over_time(bn)
    }}""")
    given = {f"bn.{name}": value for name, value in weights(kind, shape).items()}
    assert set(given) == set(model.module.PARAM_NAMES)
    return model, model.module.Params(*(jnp.asarray(given[name]) for name in model.module.PARAM_NAMES))


def run_norm(model, params, buffers, x, weight=None, train=True, steps=STEPS):
    """What the norm gives [T, B, ...], and the buffers after it."""
    signals, buffers = model.module.run(
        params, buffers, model.inputs(x=x), train=train, weight=weight, steps=steps, key=jax.random.key(0)
    )
    return signals.bn, buffers


def close(actual, expected, name):
    np.testing.assert_allclose(actual, expected, rtol=1e-10, atol=1e-11, err_msg=name)


@pytest.mark.parametrize("case", CASES)
def test_a_norm_does_what_the_library_did_in_training_and_evaluation(case):
    kind, shape = CASES[case]
    model, params = norm_alone(kind, shape)
    x, _ = batches(shape)

    buffers = model.buffers
    for k in range(3):
        y, buffers = run_norm(model, params, buffers, x[k])
        close(y, FILE[f"{case}.y{k}"], f"y{k}")
        for name, value in zip(model.module.BUFFER_NAMES, buffers, strict=True):
            close(value, FILE[f"{case}.{name.removeprefix('bn.')}{k}"], f"{name} after batch {k}")
    y, after = run_norm(model, params, buffers, x[3], train=False)

    close(y, FILE[f"{case}.eval"], "evaluation")
    assert after is buffers
    assert len(buffers) == (0 if kind == "layer" else 2)


@pytest.mark.parametrize("case", CASES)
def test_the_gradient_through_the_statistics_is_that_of_the_library(case):
    kind, shape = CASES[case]
    model, params = norm_alone(kind, shape)
    x, cotangent = batches(shape)

    def loss(params, x):
        return jnp.sum(run_norm(model, params, model.buffers, x)[0] * cotangent)

    d_params, dx = jax.grad(loss, argnums=(0, 1))(params, jnp.asarray(x[0]))

    close(dx, FILE[f"{case}.dx"], "x")
    for name, value in zip(model.module.PARAM_NAMES, d_params, strict=True):
        short = name.removeprefix("bn.")
        inside = ALPHA * THETA if (kind, short) == ("tdbn", "gamma") else 1.0  # SpikingJelly keeps them in its weight
        close(value, inside * FILE[f"{case}.d{short}"], name)


@pytest.mark.parametrize("kind", ["batch", "bntt", "tebn"])
def test_samples_that_fill_up_a_batch_do_not_count(kind):
    model, params = norm_alone(kind, (3,))
    x, cotangent = batches((3,))
    real, full = x[0], np.concatenate([x[0], 100 * x[1]], axis=1)
    weight = jnp.asarray(np.repeat([1.0, 0.0], SAMPLES))

    def loss(params, x, weight):
        y, buffers = run_norm(model, params, model.buffers, x, weight)
        return jnp.sum(y[:, :SAMPLES] * cotangent), (y[:, :SAMPLES], buffers)

    gradient = jax.grad(loss, has_aux=True)
    expected, actual = gradient(params, real, None), gradient(params, full, weight)

    jax.tree.map(lambda a, b: close(b, a, kind), expected, actual)


@pytest.mark.parametrize("kind", ["batch", "tdbn", "bntt", "tebn", "layer"])
def test_an_input_held_over_all_steps_has_the_statistics_of_its_copies(kind):
    model, params = norm_alone(kind, (3,))
    held = batches((3,))[0][0][:1]

    for train in (True, False):
        y, buffers = run_norm(model, params, model.buffers, held, train=train)
        expected, after = run_norm(model, params, model.buffers, np.repeat(held, STEPS, axis=0), train=train)

        close(np.broadcast_to(y, expected.shape), expected, kind)
        jax.tree.map(lambda a, b: close(b, a, kind), after, buffers)


NETWORK = """
import std.neurons (LIF, LI)
network Net {
  dt = 1 ms
  input a : real[3]
  input b : spikes[2]
  input c : real[2, 3]
  layer h = LIF[5](theta = 0.4)
  layer g = LIF[2, 3](theta = 0.4)
  layer out = LI[4]()
  a -> dense() -> norm() -> h
  b -> dense() -> norm(bntt, steps = 12) -> delay(2 steps) -> h
  h -> dense() -> delay(1 step) -> h
  h -> dense() -> norm(tebn, steps = 12, affine = false) -> out
  c -> norm(tdbn, theta = 0.5) -> g
  g -> norm(layer) -> flatten() -> norm(layer, affine = false) -> dense() -> norm(tdbn, affine = false, alpha = 0.5) -> out
  output mean = mean_over_time(out.v)
}
"""


def network():
    """The network with random weights and statistics, and sequences for it."""
    rng = np.random.default_rng(4)
    model = compile_text(NETWORK)
    params = jax.tree.map(lambda a: jnp.asarray(rng.normal(size=np.shape(a))), model.params)
    buffers = jax.tree.map(lambda a: jnp.asarray(rng.uniform(0.5, 2.0, np.shape(a))), model.buffers)
    x = {"a": rng.normal(size=(12, 4, 3)), "b": rng.random((12, 4, 2)) < 0.4, "c": rng.normal(size=(12, 4, 2, 3))}
    x = {name: 1.0 * value for name, value in x.items()}
    return type(model)(model.compiled, model.module, params, buffers), x


def test_evaluation_is_emitted_as_it_is_interpreted():
    model, x = network()

    expected = model.interpret(**x)

    assert_same_signals(expected, model.run(**x))
    assert 0.02 < expected["h.spike"].mean() < 0.98


def test_the_scanned_step_equals_the_run():
    model, x = network()
    signals, outputs = model.scan(**x)

    assert_same_signals(model.run(**x), signals)
    close(outputs["mean"], model.outputs(**x)["mean"], "mean")


def test_more_steps_than_a_norm_holds_are_refused():
    model, params = norm_alone("tebn", (3,))

    with pytest.raises(ValueError, match="holds values for 4 steps, and this sequence has 5"):
        run_norm(model, params, model.buffers, np.zeros((5, 2, 3)), steps=5)


def test_the_norm_of_a_port_with_a_unit_carries_it():
    model = compile_text("""
    neuron Cell {
      input I : current
      state v = 0 mV
      v' = (2 mV / (1 pA) * I - v) / (10 ms)
    }
    network Net {
      dt = 1 ms
      input x : real[3]
      layer g = Cell[4]()
      layer h = Cell[4]()
      x -> dense() -> norm() -> g
      x -> dense() -> norm(tdbn, theta = 20 pA) -> h
    }""")
    units = {
        f"{node.name}.{part.name}": unit_name(part.dimension)
        for node in model.compiled.network.operations
        for part in (*node.op.weights(), *node.op.buffers())
    }

    assert units["x_g.dense.w"] == units["x_g.norm.mean"] == "1"
    assert units["x_g.norm.gamma"] == units["x_g.norm.beta"] == units["x_h.norm.beta"] == "pA"
    assert units["x_h.norm.gamma"] == "1"  # `theta` has the unit
    assert "20.0*normalised(" in "".join(model.compiled.text.split())
