"""`sparse`, `one_to_one`, `inhibit`, `attention`, `embedding` and the joins: emitted code, interpreter, gradients."""

import numpy as np
import pytest
from gradients import assert_same_gradients
from models_in_text import assert_same_signals, compile_text

STEPS, BATCH = 30, 3
HEAD = "import std.neurons (LIF, ALIF, LI)\n"

CASES = {
    "sparse": "x -> sparse(12, density = 0.3) -> LIF() as h -> sparse(5, fan_in = 4, bias = true) -> LI(tau = 20 ms) as out",
    "sparse in a loop": """
        x -> dense(8) -> LIF() as h -> dense(4) -> LI(tau = 20 ms) as out
        h -> sparse(density = 0.4, seed = 3) -> delay(1 step) -> h
        h -> delay(2 steps) -> sparse(fan_in = 2) -> h""",
    "listed": "x -> sparse(3, listed = [[0, 1], [7, 2], [3, 0], [3, 1]], init = constant(1.5)) -> LIF() as h",
    "one to one": """
        x -> one_to_one(0.8) -> LIF() as h -> one_to_one(w = normal(0.5, 0.1)) -> LI(tau = 20 ms) as out
        h -> one_to_one(0.3) -> delay(1 step) -> h""",
    "inhibit": """
        x -> dense(8) -> LIF() as h -> dense(4) -> LI(tau = 20 ms) as out
        h -> inhibit(others = -0.2) -> delay(1 step) -> h""",
    "shared weights": """
        x -> dense(8) as d -> LIF() as h -> dense(8, share = d) -> LIF() as g -> dense(8) as r -> LI(tau = 20 ms) as out
        g -> dense(8, share = r) -> delay(1 step) -> g
        h -> dense(share = d) -> delay(2 steps) -> h""",
    "transposed in a loop": """
        x -> dense(8) -> reshape([4, 2]) -> LIF() as h -> flatten() -> dense(4) -> LI(tau = 20 ms) as out
        h -> transpose() -> dense(4) -> transpose() -> delay(1 step) -> h""",
    "joins in a loop": """
        x -> dense(8) -> LIF() as a
        layer h = LIF[8]()
        x -> dense() -> h
        and(a, h) as both -> dense() -> delay(1 step) -> h
        iand(a, h) as one -> dense() -> delay(1 step) -> h
        add(a, h, both) as sum
        concat(a, h, sum) -> dense() -> delay(1 step) -> h
        h -> dense(4) -> LI(tau = 20 ms) as out""",
}


def network(edges, size="8"):
    return compile_text(f"{HEAD} network Net {{\n dt = 1 ms\n input x : spikes[{size}]\n {edges}\n }}")


def spikes(*shape):
    return (np.random.default_rng(0).random((STEPS, BATCH, *shape)) < 0.4) * 2.0


@pytest.mark.parametrize("name", CASES)
def test_connections_equal_the_interpreter_and_their_gradient_the_scanned_step(name):
    model = network(CASES[name])
    x = {"x": spikes(8)}

    expected = model.interpret(**x)
    assert expected["h.spike"].any()
    assert_same_signals(expected, model.run(**x))
    assert_same_signals(expected, model.scan(**x)[0])
    gradient, _ = assert_same_gradients(model, x)
    assert all(np.any(np.asarray(g) != 0) for g in gradient)


def test_weights_of_a_sparse_product_that_do_not_exist_have_no_gradient():
    model = network(CASES["sparse"])

    gradient, _ = assert_same_gradients(model, {"x": spikes(8)})
    given = model.given()
    for name, value in zip(model.module.PARAM_NAMES, gradient, strict=True):
        if name.endswith("sparse.w"):
            mask = given[name.removesuffix("w") + "mask"]
            assert set(np.unique(mask)) == {0.0, 1.0}
            assert np.all(np.asarray(value)[mask == 0] == 0)
    assert (given["h_out.sparse.mask"].sum(axis=0) == 4).all()


def test_the_seed_alone_says_which_weights_exist():
    one, same, other = (
        network(f"x -> sparse(40, density = 0.5{seed}) -> LIF() as h") for seed in ("", ", seed = 0", ", seed = 1")
    )

    masks = [np.asarray(m.given()["x_h.sparse.mask"]) for m in (one, same, other)]
    np.testing.assert_array_equal(masks[0], masks[1])
    assert np.any(masks[0] != masks[2])
    assert 0.4 < masks[0].mean() < 0.6


def test_attention_is_the_product_without_softmax():
    edges = """
        x -> dense(6) -> LIF() as q
        x -> dense(6) -> LIF() as k
        x -> dense(6) -> LIF() as v
        attention(q, k, v, heads = 2, scale = 0.25) -> LIF(theta = 0.5) as h
        add(h, q) -> flatten() -> dense(3) -> LI(tau = 20 ms) as out"""
    model = network(edges, "5, 6")
    x = {"x": spikes(5, 6)}

    expected = model.interpret(**x)
    q, k, v = (expected[f"{name}.spike"] for name in "qkv")
    parts = []
    for head in (slice(0, 3), slice(3, 6)):
        parts.append(0.25 * (q[..., head] @ np.swapaxes(k[..., head], -1, -2)) @ v[..., head])
    recording = np.concatenate(parts, -1)
    drive = model.compiled.network.node("q_h.attention").op.value((q, k, v), {})
    np.testing.assert_allclose(drive, recording, rtol=1e-12)
    assert expected["h.spike"].any()
    assert_same_signals(expected, model.run(**x))
    assert_same_signals(expected, model.scan(**x)[0])
    assert_same_gradients(model, x)


@pytest.mark.parametrize("size", ["1", "4"])
def test_an_embedding_looks_rows_up(size):
    edges = "x -> embedding(6, count = 9) as rows -> flatten() -> dense(3) -> LIF() as h"
    model = compile_text(f"{HEAD} network Net {{\n dt = 1 ms\n input x : real[{size}]\n {edges}\n }}")
    x = {"x": np.random.default_rng(1).integers(0, 9, (STEPS, BATCH, int(size))).astype(float)}

    expected = model.interpret(**x)
    assert_same_signals(expected, model.run(**x))
    assert_same_signals(expected, model.scan(**x)[0])
    gradient, _ = assert_same_gradients(model, x)
    assert np.any(np.asarray(gradient[0]) != 0)


def test_shared_weights_are_one_array():
    model = network(CASES["shared weights"])

    assert list(model.module.PARAM_NAMES) == ["d.w", "r.w"]


@pytest.mark.parametrize("image", [True, False])
def test_a_convolution_shares_its_kernel(image):
    size = "3, 6, 6" if image else "3, 9"
    edges = "x -> conv(3, pad = 1) as k -> LIF() as h -> conv(3, pad = 1, share = k) -> LIF() as g"
    model = network(edges, size)
    x = {"x": spikes(*map(int, size.split(",")))}

    expected = model.interpret(**x)
    assert expected["g.spike"].any()
    assert_same_signals(expected, model.run(**x))
    assert_same_gradients(model, x)
