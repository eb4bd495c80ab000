"""Convolutions and pools: shape rule, NumPy meaning and emitted text agree; gradients; recordings of PyTorch."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gradients import assert_same_gradients
from hypothesis import given, settings
from hypothesis import strategies as st
from models_in_text import assert_same_signals, compile_text
from test_emitted_equals_interpreter import shaken

from snnc.emit.runtime import images
from snnc.ops.conv import Conv
from snnc.ops.operation import Init
from snnc.ops.pools import MaxPool, SumPool, Upsample
from snnc.semantics.operations.images import conv_window, pool_window, shape_of_conv, shape_of_pool, shape_of_upsample

RECORDING = np.load(Path(__file__).parent.parent / "recordings" / "torch_images.npz")
QUICK = {"deadline": None, "derandomize": True, "database": None}
LEADS = [(), (2,), (3, 2), (1, 2)]


def emitted(op, x, weights):
    """The value of an operation's emitted text."""
    names = {"x": x, **weights}
    code = op.text(("x",), {name: name for name in weights})
    return eval(code, {name: getattr(images, name) for name in dir(images)}, names)


def emitted_transposed(op, d, x, weights, shape):
    (code,) = op.transposed("d", ("x",), {name: name for name in weights}, (shape,))
    return eval(code, {name: getattr(images, name) for name in dir(images)}, {"d": d, "x": x, **weights})


def sizes(low, high, rank):
    return st.lists(st.integers(low, high), min_size=rank, max_size=rank).map(tuple)


@st.composite
def convolutions(draw):
    """A convolution that fits, the shape of its source, and the options that an author would give."""
    rank, groups = draw(st.integers(1, 3)), draw(st.sampled_from([1, 1, 2, 3]))
    options = {
        "size": groups * draw(st.integers(1, 2)),
        "kernel": draw(sizes(1, 3, rank)),
        "stride": draw(sizes(1, 3, rank)),
        "pad": draw(st.sampled_from([(0,), (1,), "same"])),
        "dilation": draw(sizes(1, 2, rank)),
        "groups": groups,
    }
    if options["pad"] == "same":
        options["stride"] = (1,)
    shape = (groups * draw(st.integers(1, 2)), *draw(sizes(5, 8, rank)))
    window = conv_window(shape, options)
    return Conv(shape[0], options["size"], window, Init("zeros"), groups, draw(st.booleans())), shape, options


def assert_convolves(case, lead, seed):
    """Value and shape as in NumPy; the gradients by their texts and by JAX are its transposes, in random directions."""
    op, shape, options = case
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(*lead, *shape))
    weights = {w.name: rng.normal(size=w.shape) for w in op.weights()}
    wanted = op.value((x,), weights)
    d = rng.normal(size=wanted.shape)

    @jax.jit
    def all_forms(x, weights, d):
        value, back = jax.vjp(lambda x, weights: emitted(op, x, weights), x, weights)
        texts = {
            name: eval(text.replace("{w}", "w"), dict(vars(images)), {"d": d, "x": x, **weights})
            for name, text in op.gradients("d", "x")
        }
        return value, (emitted_transposed(op, d, x, weights, shape), texts), back(d)

    value, by_text, by_jax = all_forms(x, weights, d)

    assert wanted.shape == (*lead, *shape_of_conv((shape,), options))
    np.testing.assert_allclose(value, wanted, rtol=0, atol=1e-12)
    other = rng.normal(size=x.shape)
    plain = {name: 0.0 * w if name == "b" else w for name, w in weights.items()}
    for d_x, d_weights in (by_text, by_jax):
        assert np.vdot(d_x, other) == pytest.approx(np.vdot(d, op.value((other,), plain)), abs=1e-9)
        for name, found in d_weights.items():
            moved = {**weights, name: weights[name] + rng.normal(size=found.shape)}
            change = np.vdot(d, op.value((x,), moved) - wanted)
            assert np.vdot(found, moved[name] - weights[name]) == pytest.approx(change, abs=1e-9)


@settings(max_examples=12, **QUICK)
@given(convolutions(), st.sampled_from(LEADS), st.integers(0, 2**31))
def test_a_convolution_is_emitted_and_transposed_as_numpy_means_it(case, lead, seed):
    assert_convolves(case, lead, seed)


@pytest.mark.long
@settings(max_examples=300, **QUICK)
@given(convolutions(), st.sampled_from(LEADS), st.integers(0, 2**31))
def test_many_convolutions_are_emitted_and_transposed_as_numpy_means_them(case, lead, seed):
    assert_convolves(case, lead, seed)


@st.composite
def pools(draw):
    rank = draw(st.integers(1, 3))
    size = draw(sizes(1, 3, rank))
    options = {"size": size, "stride": draw(st.one_of(st.none(), sizes(1, 3, rank)))}
    options["pad"] = tuple(draw(st.integers(0, n // 2)) for n in size)
    shape = (draw(st.integers(1, 3)), *draw(sizes(3, 6, rank)))
    kind = draw(st.sampled_from(["sum_pool", "avg_pool", "max_pool"]))
    window = pool_window(shape, options)
    op = MaxPool(window) if kind == "max_pool" else SumPool(window, kind)
    return op, shape, options


def assert_pools(case, lead, binary, seed):
    op, shape, options = case
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(*lead, *shape))
    x = (x > 0.5).astype(float) if binary else x
    wanted = op.value((x,), {})
    d = rng.normal(size=wanted.shape)

    @jax.jit
    def all_forms(x, d):
        value, back = jax.vjp(lambda x: emitted(op, x, {}), x)
        return value, emitted_transposed(op, d, x, {}, shape), back(d)[0]

    value, by_text, by_jax = all_forms(x, d)

    assert wanted.shape == (*lead, *shape_of_pool((shape,), options))
    np.testing.assert_allclose(value, wanted, rtol=0, atol=1e-12)
    np.testing.assert_allclose(by_text, by_jax, rtol=0, atol=1e-12)
    if op.kind == "max_pool":  # the gradient of each window goes to one place
        assert np.sum(by_text) == pytest.approx(np.sum(d), abs=1e-9)
        assert np.vdot(by_text, x) == pytest.approx(np.vdot(d, wanted), abs=1e-9)
    else:
        other = rng.normal(size=x.shape)
        assert np.vdot(by_text, other) == pytest.approx(np.vdot(d, op.value((other,), {})), abs=1e-9)


@settings(max_examples=12, **QUICK)
@given(pools(), st.sampled_from(LEADS), st.booleans(), st.integers(0, 2**31))
def test_a_pool_is_emitted_and_transposed_as_numpy_means_it(case, lead, binary, seed):
    assert_pools(case, lead, binary, seed)


@pytest.mark.long
@settings(max_examples=300, **QUICK)
@given(pools(), st.sampled_from(LEADS), st.booleans(), st.integers(0, 2**31))
def test_many_pools_are_emitted_and_transposed_as_numpy_means_them(case, lead, binary, seed):
    assert_pools(case, lead, binary, seed)


@pytest.mark.parametrize(("shape", "factor"), [((2, 5), (3,)), ((2, 3, 4), (2, 1)), ((1, 2, 3, 2), (2, 2, 3))])
def test_upsampling_is_emitted_and_transposed_as_numpy_means_it(shape, factor):
    op = Upsample(factor)
    x = np.random.default_rng(0).normal(size=(3, 2, *shape))
    value, back = jax.vjp(lambda x: emitted(op, x, {}), jnp.asarray(x))

    np.testing.assert_array_equal(value, op.value((x,), {}))
    assert value.shape[2:] == shape_of_upsample((shape,), {"factor": factor})
    np.testing.assert_allclose(emitted_transposed(op, value, x, {}, shape), back(value)[0], rtol=1e-12)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float16, jnp.bfloat16])
def test_the_type_of_numbers_is_kept(dtype):
    x, w = jnp.ones((3, 2, 2, 5, 5), dtype), jnp.ones((3, 3, 2, 4), dtype)

    def all_of_them(x, w):
        made = [jax.vjp(images.conv, x, w)]
        made += [jax.vjp(lambda x, pool=pool: pool(x, (2, 2)), x) for pool in (images.sum_pool, images.max_pool)]
        return [(value, back(value)) for value, back in made]

    assert {a.dtype for a in jax.tree.leaves(jax.eval_shape(all_of_them, x, w))} == {jnp.dtype(dtype)}


@pytest.mark.parametrize("groups", [1, 2])
def test_the_convolution_of_other_devices_has_the_same_value_and_gradients(monkeypatch, groups):
    rng = np.random.default_rng(0)
    x, w = jnp.asarray(rng.normal(size=(3, 2, 4, 7, 6))), jnp.asarray(rng.normal(size=(3, 2, 4 // groups, 4)))

    def value_and_gradients(x, w):
        value, back = jax.vjp(lambda x, w: images.conv(x, w, (2, 1), ((1, 0), (0, 2)), (1, 2), groups), x, w)
        return value, *back(jnp.cos(value))

    by_windows = jax.jit(value_and_gradients)(x, w)
    monkeypatch.setattr(images.lax, "platform_dependent", lambda *given, cpu, default: default(*given))
    by_xla = jax.jit(lambda x, w: value_and_gradients(x, w))(x, w)

    for found, wanted in zip(by_windows, by_xla, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-11)


def test_the_first_of_equal_numbers_has_the_gradient_of_a_maximum():
    spikes = jnp.array([[0.0, 1.0, 1.0, 1.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])[None]

    gradient = jax.grad(lambda x: jnp.sum(images.max_pool(x, (2, 2))))(spikes)

    assert gradient[0].tolist() == [[0, 1, 1, 0], [0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]]


# ---- recordings of PyTorch (tests/recordings/torch_images.py) ------------------------------


def recorded(case):
    return {key.split("/")[1]: RECORDING[key].astype(float) for key in RECORDING if key.startswith(f"{case}/")}


CONVOLUTIONS = {
    "conv1d": {"kernel": (5,), "stride": (2,), "pad": (2,)},
    "conv2d": {"kernel": (3, 5), "stride": (1, 2), "pad": (1, 2), "dilation": (2, 1)},
    "conv2d_same": {"kernel": (4,), "pad": "same"},
    "conv2d_groups": {"groups": 2},
    "depthwise": {"groups": 4, "pad": (1,)},
    "conv3d": {"kernel": (2, 3, 3), "pad": (1,)},
}
POOLS = {
    "avg_pool": {"size": (2,)},
    "avg_pool_overlap": {"size": (3,), "stride": (2,), "pad": (1,)},
    "max_pool": {"size": (2,)},
    "max_pool_overlap": {"size": (3,), "stride": (2,), "pad": (1,)},
    "max_pool_spikes": {"size": (3,), "stride": (1,), "pad": (1,)},
}


def assert_recorded(op, record, weights):
    np.testing.assert_allclose(op.value((record["x"],), weights), record["y"], rtol=0, atol=1e-12)

    @jax.jit
    def value_and_gradients(x, weights, d):
        value, back = jax.vjp(lambda x, weights: emitted(op, x, weights), x, weights)
        return value, *back(d)

    value, d_x, d_weights = value_and_gradients(record["x"], weights, record["d"])
    np.testing.assert_allclose(value, record["y"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(d_x, record["d_x"], rtol=0, atol=1e-12)
    for name, found in d_weights.items():
        np.testing.assert_allclose(found, record[f"d_{name}"], rtol=0, atol=1e-11)


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolutions_equal_pytorchs(case):
    record = recorded(case)
    options = {"kernel": (3,), "stride": (1,), "pad": (0,), "dilation": (1,), "groups": 1, **CONVOLUTIONS[case]}
    shape = record["x"].shape[1:]
    window = conv_window(shape, options)
    op = Conv(shape[0], record["y"].shape[1], window, Init("zeros"), options["groups"], bias=True)

    assert shape_of_conv((shape,), {**options, "size": op.size}) == record["y"].shape[1:]
    assert_recorded(op, record, {"w": record["w"], "b": record["b"]})


@pytest.mark.parametrize("case", POOLS)
def test_pools_equal_pytorchs(case):
    record = recorded(case)
    options = {"stride": None, "pad": (0,), **POOLS[case]}
    shape = record["x"].shape[1:]
    window = pool_window(shape, options)
    op = MaxPool(window) if case.startswith("max") else SumPool(window, "avg_pool")

    assert shape_of_pool((shape,), options) == record["y"].shape[1:]
    assert_recorded(op, record, {})


# ---- whole networks ------------------------------------------------------------------------

DEEP = """
import std.neurons (LIF, LI)
network Net {
  dt = 1 ms
  input x : spikes[2, 8, 8]
  x -> conv(4, kernel = 3, pad = same, bias = true, b = normal(0, 0.1)) -> LIF(theta = 0.3) as c1
  c1 -> max_pool(2) -> depthwise(3, pad = 1, multiplier = 2) -> LIF(theta = 0.2) as c2
  c2 -> conv(4, kernel = [1, 3], stride = [2, 1], groups = 2, pad = [0, 1]) -> LIF(theta = 0.2) as c3
  c3 -> upsample([2, 1]) -> avg_pool(3, stride = 1, pad = 1) -> flatten() -> dense(3) -> LI(tau = 10 ms) as out
}"""
CYCLE = """
import std.neurons (LIF)
network Net {
  dt = 1 ms
  input x : spikes[2, 6, 6]
  x -> conv(3, pad = 1) -> LIF(theta = 0.3) as h
  h -> max_pool(3, stride = 1, pad = 1) -> conv(3, pad = 1, bias = true) -> delay(1 step) -> h
  h -> delay(2 steps) -> depthwise(3, pad = same) -> h
  h -> avg_pool(2) -> LIF(theta = 0.2) as g
  g -> upsample(2) -> delay(1 step) -> h
}"""


def spikes_of(model, share=0.3):
    (node,) = model.compiled.plan.network.inputs
    return {"x": (np.random.default_rng(1).random((8, 2, *node.shape)) < share).astype(float)}


@pytest.mark.parametrize("text", [DEEP, CYCLE], ids=["deep", "cycle"])
def test_a_network_of_images_is_emitted_as_it_is_interpreted(text):
    model = shaken(compile_text(text))
    x = spikes_of(model)
    expected = model.interpret(**x)

    assert_same_signals(expected, model.run(**x))
    assert_same_signals(expected, model.scan(**x)[0])
    assert all(
        0.02 < expected[f"{n.name}.spike"].mean() < 0.98 for n in model.compiled.plan.network.layers if n.neuron.spikes
    )


@pytest.mark.parametrize("text", [DEEP, CYCLE], ids=["deep", "cycle"])
def test_the_gradient_of_a_network_of_images_is_that_of_its_scanned_step(text):
    model = shaken(compile_text(text))

    assert_same_gradients(model, spikes_of(model))
    assert "_by_jax(" not in model.compiled.text
