"""Networks whose spikes are those of their inputs: `pre` arrives, `post` fires where `drive` does."""

import jax
import numpy as np
from models_in_text import Model, compile_text

from snnc.plastic_interp import learn_network

RELAY = """
neuron Relay {
  event x
  input I = 0
  state v = 0
  step { v = I }
  spike when v >= 1 { }
}
"""


def pair_network(learn: str, pre: int = 1, post: int = 1, dt: float = 1.0, more: str = "", rule: str = "") -> Model:
    """An edge of `pre` by `post` weights of 0.5 that learn; `drive` makes the posts fire."""
    name = learn.partition("(")[0]
    head = rule or f"import std.plasticity ({name})"
    return compile_text(f"""
{head}
{RELAY}
network Pair {{
  dt = {dt} ms
  input pre : spikes[{pre}]
  input drive : real[{post}]
  {more}
  layer post = Relay[{post}]()
  drive -> post.I
  pre -> dense(init = constant(0.5), learn = {learn}) as edge -> post.x
}}""")


def train(width: float, count: int, steps: int, seed: int = 0) -> np.ndarray:
    """Random spikes [T, 1, count]."""
    rng = np.random.default_rng(seed)
    return (rng.random((steps, 1, count)) < width).astype(float)


def emitted(model: Model, **inputs: np.ndarray) -> np.ndarray:
    """The weights that the emitted `run_learning` leaves."""
    x = model.inputs(**inputs)
    learned = jax.jit(model.module.run_learning)(model.params, model.buffers, x)[2]
    return np.asarray(learned["edge_w"])


def interpreted(model: Model, **inputs: np.ndarray) -> np.ndarray:
    """The weights that the interpreter leaves."""
    return learn_network(model.compiled.plan, inputs, model.weights(), given=model.given())[1]["edge.w"]


def weights_after_each_step(model: Model, **inputs: np.ndarray) -> np.ndarray:
    """The weights [T, pre, post] that the emitted `learn_step` makes of the signals of each step of one batch."""
    module, steps = model.module, len(inputs["pre"])
    x = model.inputs(**inputs)
    start = ({"edge_w": model.params.edge_w}, module.init_traces(1), module.init_state(model.params, model.buffers, 1))

    def one(carry, now):
        weights, traces, state = carry
        state, signals, _ = module.step(model.params._replace(**weights), model.buffers, state, now)
        weights, traces = module.learn_step(weights, traces, now, signals, jax.numpy.ones(1))
        return (weights, traces, state), weights["edge_w"]

    return np.asarray(jax.lax.scan(one, start, x, length=steps)[1])
