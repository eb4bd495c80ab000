"""Networks used as blocks: the emitted functions against the interpreter and against the same network written out."""

import re
from functools import cache

import jax
import numpy as np
import pytest
from gradients import assert_same_gradients
from models_in_text import assert_same_signals, compile_text

STEPS, BATCH = 30, 3

RESIDUAL = """
    network Residual(c, tau = 10 ms) {
      input x : spikes
      x -> dense(c) -> LIF(tau = tau) as a -> dense(c) -> LIF(surrogate = triangle(height = 0.3)) as b
      b -> dense(init = orthogonal(0.8)) -> delay(1 step) -> b
      output y = b.spike + x
    }"""

CASES = {
    "a chain of uses": RESIDUAL + """
    network Net {
      dt = 1 ms
      input x : spikes[8]
      x -> dense(6) -> LIF() as stem -> Residual(6) -> Residual(6, tau = 5 ms) as last -> repeat(3, Residual(6)) as body
        -> dense(4) -> LI(tau = 20 ms) as out
    }""",
    "a block in a block": RESIDUAL + """
    network Pair(c) {
      input x : spikes
      x -> Residual(c) as first -> dense(c) -> LIF() as h -> Residual(c) as second
      output y = second
    }
    network Net {
      dt = 1 ms
      input x : spikes[8]
      x -> Pair(8) as p -> Pair(8) as q -> dense(4) -> LI(tau = 20 ms) as out
    }""",
    "several inputs and outputs": """
    network Gate(c, cell = LIF) {
      input x : spikes
      input g : spikes
      layer h = cell[c]()
      x -> dense() -> h
      and(h, g) as open
      iand(h, g) as closed
      output yes = open
      output no = closed
    }
    network Net {
      dt = 1 ms
      input x : spikes[8]
      x -> dense(8) -> LIF() as a
      Gate(x, a, c = 8) as one
      one.yes -> Gate(8, g = one.no, cell = ALIF) as two
      concat(two.yes, two.no, one.h) -> dense(4) -> LI(tau = 20 ms) as out
    }""",
    "feedback around a block": RESIDUAL + """
    network Net {
      dt = 1 ms
      input x : spikes[8]
      x -> dense(6) -> LIF() as stem -> Residual(6) as r -> dense(4) -> LI(tau = 20 ms) as out
      r -> dense(6) -> delay(2 ms) -> stem
    }""",
    "a signal from inside": RESIDUAL + """
    network Net {
      dt = 1 ms
      input x : spikes[8]
      x -> Residual(8) as r -> Residual(8) as s
      add(r.a, s.b) -> dense(4) -> LI(tau = 20 ms) as out
    }""",
}  # fmt: skip


@cache
def compiled(name):
    return compile_text("import std.neurons (LIF, ALIF, LI)\n" + CASES[name])


def spikes(seed=0):
    return (np.random.default_rng(seed).random((STEPS, BATCH, 8)) < 0.4) * 2.0


@pytest.mark.parametrize("name", CASES)
def test_blocks_equal_the_interpreter_and_their_gradient_the_scanned_step(name):
    model = compiled(name)
    x = {"x": spikes()}

    expected = model.interpret(**x)
    assert any(v.any() for n, v in expected.items() if n.endswith(".spike") and "." in n.removesuffix(".spike"))
    assert_same_signals(expected, model.run(**x))
    assert_same_signals(expected, model.scan(**x)[0])
    assert_same_gradients(model, x)


def test_uses_with_the_same_equations_share_one_function():
    text = compiled("a chain of uses").compiled.text

    assert len(re.findall(r"^def run_residual\w*\(", text, re.M)) == 1
    assert text.count("run_residual(") == 1 + 5
    assert len(re.findall(r"^def residual_loop_\d+\(", text, re.M)) == 1


def test_a_block_in_a_cycle_is_written_out():
    assert "def run_residual" not in compiled("feedback around a block").compiled.text


def test_every_use_has_weights_of_its_own():
    model = compiled("a chain of uses")

    weights = model.weights()
    names = [f"{use}.x_a.dense.w" for use in ("stem_last.residual", "last", "body_1", "body_2", "body_3")]
    values = [weights[name] for name in names]
    assert all(not np.array_equal(a, b) for k, a in enumerate(values) for b in values[:k])


def test_one_more_use_does_not_reshuffle_the_others():
    before = compiled("a chain of uses")
    longer = CASES["a chain of uses"].replace("repeat(3,", "repeat(4,")
    after = compile_text("import std.neurons (LIF, ALIF, LI)\n" + longer)

    for name, value in before.weights().items():
        np.testing.assert_array_equal(value, after.weights()[name])


def test_sequences_in_parts_are_the_same_through_blocks(tmp_path):
    recipe = """
    data noise = npz("noise.npz")
    train t of Net on noise {{
      epochs = 1; batch = 3; loss = cross_entropy(y, label); learn = bptt({how}); optimizer = sgd(lr = 0.1)
    }}
    """
    text = "import std.neurons (LIF, ALIF, LI)\n" + CASES["a chain of uses"].rstrip().removesuffix("}")
    text += "output y = mean_over_time(out.v)\n }\n"
    gradients = []
    for how in ("checkpoint = off", "checkpoint = 7"):
        model = compile_text(text + recipe.format(how=how))
        batch = {"x": spikes(), "label": np.array([0, 1, 2]), "sample": np.arange(3), "weight": np.ones(3)}
        key = jax.random.key(1)
        gradients.append(
            jax.jit(jax.grad(model.module.loss_fn, has_aux=True))(model.params, model.buffers, batch, key)[0]
        )
    for a, b in zip(*map(jax.tree.leaves, gradients), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-10 * max(float(np.abs(a).max()), 1e-30))


SEW = """
    network Sew(c) {
      input x : spikes
      x -> conv(c, kernel = 3, pad = 1) -> norm() -> LIF() as a -> conv(c, kernel = 3, pad = 1) -> norm() -> LIF() as b
      output y = b.spike + x
    }
    network Net {
      dt = 1 ms
      input x : spikes[2, 6, 6]
      x -> conv(4, pad = 1) -> norm() -> LIF() as stem -> %s -> flatten() -> dense(3) -> LI(tau = 20 ms) as out
    }"""


def test_norms_in_blocks_learn_their_statistics_as_written_out():
    shared = compile_text("import std.neurons (LIF, LI)\n" + SEW % "repeat(2, Sew(4)) as s")
    apart = compile_text("import std.neurons (LIF, LI)\n" + SEW % "Sew(4) as s_1 -> Sew(c = 4) as s_2")
    x = (np.random.default_rng(0).random((9, BATCH, 2, 6, 6)) < 0.4) * 2.0
    assert "run_sew(" in shared.compiled.text

    found = []
    for model in (shared, apart):
        signals, buffers = model.module.run(model.params, model.buffers, model.inputs(x=x), train=True)
        named = dict(zip(model.module.BUFFER_NAMES, buffers, strict=True))
        assert all(np.any(np.asarray(named[f"s_{k}.{n}.norm.mean"]) != 0) for k in (1, 2) for n in ("x_a", "a_b"))
        spiking = {n: v for n, v in model.named(signals).items() if not n.startswith("out.")}  # weights of another name
        found.append((spiking, named))
    assert_same_signals(found[0][0], found[1][0])
    for name, value in found[0][1].items():
        np.testing.assert_allclose(value, found[1][1][name], rtol=1e-12)
    assert_same_signals(shared.run(x=x), shared.scan(x=x)[0])
    assert_same_signals(shared.interpret(x=x), shared.run(x=x))
