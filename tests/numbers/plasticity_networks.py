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
