"""Kernels of time loops: in interpret mode the same numbers as the scan, and a lowering for CUDA on a machine without a GPU."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from models_in_text import assert_same_signals, compile_text
from test_emitted_equals_interpreter import shaken

BLOCK = 128  # elements of a program of a kernel
TRITON = "__gpu$xla.gpu.triton"

NETWORK = """
import std.neurons (LIF, CubaLIF, ALIF, PLIF, LI)
network Net {{
  dt = 1 ms
  input a : real[3]
  layer h = {neuron}[{size}]({arguments})
  layer out = LI[2]()
  a -> dense() -> h
  h -> dense() -> out
  output logits = mean_over_time(out.v)
}}"""
RECIPE = """
data d = randman(classes = 2, units = 3, steps = {steps}, samples = 6, test = 0.2)
train main of Net on d {{
  epochs = 1
  batch = 4
  loss = cross_entropy(logits, label)
  {settings}
}}"""
LAYERS = {
    "fixed parameters": ("LIF", "theta = 0.4"),
    "one value a layer": ("PLIF", "theta = 0.4 in (0, inf) trainable"),
    "one value a neuron": ("PLIF", "tau = 8 ms in (1 ms, 50 ms) per neuron trainable, theta = 0.4"),
    "two states": ("CubaLIF", "tau_s = 4 ms in (1 ms, 50 ms) per neuron trainable, theta = 0.1"),
    "adaptation": ("ALIF", "tau_a ~ uniform(20 ms, 90 ms) per neuron, beta = 0.2 trainable, theta = 0.4"),
    "refractory": ("LIF", "theta = 0.3 in (0, inf) per neuron trainable, refractory = 3 ms"),
}


def in_interpret_mode(text):
    """The text with kernels, which the CPU runs as an interpreter of Pallas does, and the text without."""
    with_kernels, scanned = (shaken(compile_text(text, kernel)) for kernel in ("pallas", "scan"))
    module = with_kernels.module
    module.fused_loop = partial(module.fused_loop, interpret=True)
    return with_kernels, scanned


def drive(steps, batch):
    return {"a": 2.0 * np.random.default_rng(0).normal(size=(steps, batch, 3))}


SEEN_IN_OTHERS = {"fixed parameters", "one value a layer"}
SIZES = [
    *(
        pytest.param(case, 20, 3, 50, marks=pytest.mark.long if case in SEEN_IN_OTHERS else ())
        for case in LAYERS  # 150 elements: the second block is not full
    ),
    pytest.param("one value a neuron", 7, 2, BLOCK // 2, marks=pytest.mark.long),  # one full block
    ("one value a neuron", 1, 1, 1),
]


def results_in_training(model, x):
    """The signals of `run` in training, and gradients of a weighting of them all, by params and inputs."""

    def total(params, inputs):
        signals, buffers = model.module.run(params, model.buffers, inputs, train=True)
        results = jax.tree.leaves((signals, buffers))
        return sum(jnp.sum(jnp.sin(jnp.arange(r.size).reshape(r.shape)) * r) for r in results), signals

    gradients, signals = jax.jit(jax.grad(total, (0, 1), has_aux=True))(model.params, model.inputs(**x))
    return gradients, model.named(signals)


def assert_kernels_equal_the_scan(text, x):
    """Signals to 1e-12, gradients to 1e-10 of the greatest; return the signals."""
    with_kernels, scanned = in_interpret_mode(text)
    (found, signals), (expected, wanted) = (results_in_training(model, x) for model in (with_kernels, scanned))

    assert "fused_loop(" in with_kernels.compiled.text
    assert_same_signals(wanted, signals)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-10 * float(np.abs(b).max()))
        assert len(signals["h.spike"]) == 1 or np.abs(b).max() > 0
    return wanted


@pytest.mark.parametrize(("case", "steps", "batch", "size"), SIZES)
def test_a_kernel_gives_the_signals_and_gradients_of_the_scan(case, steps, batch, size):
    neuron, arguments = LAYERS[case]

    signals = assert_kernels_equal_the_scan(
        NETWORK.format(neuron=neuron, arguments=arguments, size=size), drive(steps, batch)
    )

    assert steps == 1 or 0.02 < signals["h.spike"].mean() < 0.98


@pytest.mark.parametrize("settings", ["learn = tbptt(4)", "learn = bptt(checkpoint = 5)"])
def test_kernels_keep_to_the_recipe(settings):
    text = NETWORK.format(neuron="ALIF", arguments="theta = 0.3 in (0, inf) trainable", size=6)

    assert_kernels_equal_the_scan(text + RECIPE.format(steps=10, settings=settings), drive(10, 2))


HELD = """
neuron Cell {
  param theta = 0.5 in (0, inf) trainable
  event x
  input I = 0
  state v = 0
  state rest = 0.1 carry
  v' = (rest + I - v) / 5 ms
  rest' = -rest / 50 ms
  on x at end { v += x }
  spike when v >= theta { v = 0; rest += 0.01 }
  surrogate atan(alpha = 2)
}
network Net {
  dt = 1 ms
  input a : real[3]
  input held : real[6]
  layer h = Cell[6]()
  a -> dense() -> h
  held -> scale(2) -> h.I
}"""


def test_a_held_input_and_a_carried_state_pass_through_kernels():
    rng = np.random.default_rng(0)

    assert_kernels_equal_the_scan(HELD, {"a": rng.normal(size=(20, 4, 3)), "held": rng.normal(size=(1, 4, 6))})


def lowered(model, platform):
    """The gradient of a network over sequences as a program for `platform`, in float32."""
    module = model.module

    def total(params, buffers, x):
        signals, _ = module.run(params, buffers, x, train=True)
        return sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves(signals.out))

    with jax.enable_x64(False):
        weights = jax.tree.map(lambda w: jnp.asarray(w, jnp.float32), (model.params, model.buffers))
        x = model.inputs(a=jnp.zeros((9, 5, 3), jnp.float32))
        return jax.jit(jax.grad(total)).trace(*weights, x).lower(lowering_platforms=(platform,)).as_text()


@pytest.mark.parametrize(
    ("case", "settings"),
    [*((case, "") for case in LAYERS), ("refractory", "precision = f16_residual"), ("refractory", "learn = tbptt(4)")],
)
def test_kernels_are_lowered_for_cuda_and_left_out_elsewhere(case, settings):
    neuron, arguments = LAYERS[case]
    text = NETWORK.format(neuron=neuron, arguments=arguments, size=100) + RECIPE.format(steps=9, settings=settings)
    model = compile_text(text, "pallas")

    assert lowered(model, "cuda").count(TRITON) >= 4  # two layers, forward and backward
    loops = [lowered(m, "cpu") for m in (model, compile_text(text))]
    assert TRITON not in loops[0]
    assert loops[0].count("stablehlo.while") <= loops[1].count("stablehlo.while")  # nothing is computed twice


def test_a_second_derivative_goes_through_the_loop():
    text = NETWORK.format(neuron="PLIF", arguments="theta = 0.4", size=6)
    found = []
    for model in (shaken(compile_text(text, kernel)) for kernel in ("pallas", "scan")):
        x = model.inputs(**drive(10, 2))

        def total(params, model=model, x=x):
            return jnp.sum(model.module.run(params, model.buffers, x)[0].out.v ** 2)

        def slope(params, total=total):
            return sum(jnp.sum(jnp.sin(g)) for g in jax.tree.leaves(jax.grad(total)(params)))

        found.append(jax.jit(jax.grad(slope))(model.params))

    for a, b in zip(*map(jax.tree.leaves, found), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-10 * float(np.abs(b).max()))


FALLBACKS = """
import std.neurons (LIF, QIF, EscapeLIF, LI)
network Net {
  dt = 1 ms
  input a : real[3]
  layer waits = LIF[4]()
  layer explicit = QIF[4]()
  layer noisy = EscapeLIF[4]()
  layer out = LI[2]()
  a -> dense() -> waits
  waits -> delay(1 step) -> dense() -> waits
  waits -> dense() -> explicit
  explicit -> dense() -> noisy
  noisy -> dense() -> out
}"""


def test_layers_that_no_kernel_can_run_keep_their_loops_and_the_header_says_why():
    model = compile_text(FALLBACKS, "pallas")
    header = model.compiled.text.split('"""')[1]

    assert [line.strip() for line in header.splitlines() if "kernel" in line] == [
        "no kernel for waits: its input waits for its own spikes",
        "no kernel for explicit: the gradient of rk4 goes through JAX",
        "no kernel for noisy: it draws noise",
        "out on an NVIDIA GPU: one kernel forward and one backward",
    ]
    assert lowered(model, "cuda").count(TRITON) >= 2


@pytest.mark.parametrize("kernel", ["scan", "auto"])
def test_without_kernels_an_emitted_file_says_nothing_of_them(kernel):
    text = compile_text(FALLBACKS, kernel).compiled.text

    assert text == compile_text(FALLBACKS).compiled.text
    assert not {"kernel", "pallas", "triton"} & set(text.lower().split())
