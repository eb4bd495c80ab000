"""`learn = bptt(checkpoint = …)`: the same numbers as BPTT over the whole sequence, with less memory."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from models_in_text import compile_text

RECIPE = """
data d = randman(classes = 3, units = 4, steps = {steps}, samples = 6, test = 0.2)
train main of Net on d {{
  epochs = 1
  batch = 5
  learn = bptt({checkpoint})
  loss = cross_entropy(logits, label)
  {penalty}
  metric accuracy = accuracy(logits, label)
}}
"""
NETWORKS = {
    "recurrent": """
      import std.neurons (ALIF, CubaLI)
      network Net {
        dt = 1 ms
        input a : spikes[4]
        layer h = ALIF[8](tau_a = 50 ms, tau_m = 9 ms in (1 ms, 50 ms) trainable)
        layer out = CubaLI[3]()
        a -> dense() -> h
        h -> dense() -> delay(2 steps) -> h
        h -> dense() -> out
        output logits = max_over_time(out.v)
      }""",
    "delays outside cycles, dropout, a late window, a layer with a taken name": """
      import std.neurons (LIF, LI)
      network Net {
        dt = 1 ms
        input a : spikes[4]
        layer s = LIF[8](theta = 0.5)
        layer out = LI[3]()
        a -> delay(3 steps) -> dense() -> s
        s -> dropout(0.3) -> delay(1 step) -> dense() -> out
        output logits = mean_over_time(out.v, from = 7 ms)
      }""",
    "noise, drawn states, a carried state": """
      neuron Noisy {
        event x
        state v ~ uniform(0, 0.5)
        state slow = 0.1 carry
        v' = -v / 10 ms
        slow' = -slow / 100 ms
        on x { v += x }
        spike with rate exp(v - slow) * 60 / 1 s { v = 0; slow += 0.1 }
      }
      network Net {
        dt = 1 ms
        input a : spikes[4]
        layer h = Noisy[6]()
        layer out = Noisy[3]()
        a -> dense() -> h
        h -> dense() -> out
        output logits = sum_over_time(out.v)
      }""",
}


@cache
def gradient_of(network, checkpoint, steps=23, penalty=""):
    """Loss, metrics, new buffers, gradient and temporary bytes of one batch in training."""
    text = network + RECIPE.format(checkpoint=checkpoint, steps=steps, penalty=penalty)
    module = compile_text(text).module
    key = jax.random.key(2)
    rng = np.random.default_rng(0)
    batch = {
        "a": (rng.random((steps, 5, 4)) < 0.4).astype(float),
        "label": np.arange(5) % 3,
        "weight": np.asarray([1.0, 1, 1, 1, 0]),
        "sample": np.arange(5),
    }
    params = jax.tree.map(lambda w: 1.5 * jnp.asarray(w, float), module.init_params(key))
    value = jax.jit(jax.value_and_grad(module.loss_fn, has_aux=True))
    compiled = value.lower(params, module.init_buffers(key), batch, key).compile()
    (loss, (metrics, buffers)), gradient = compiled(params, module.init_buffers(key), batch, key)
    return {"loss": loss, **metrics}, buffers, gradient, compiled.memory_analysis().temp_size_in_bytes


WAYS = ["checkpoint = auto", "checkpoint = 4", "checkpoint = 5 steps", "checkpoint = 100"]


def cases():
    """The first network in parts of every length, the others in parts of four steps; `pytest -m long` runs the rest."""
    for name in NETWORKS:
        for checkpoint in WAYS:
            quick = name == "recurrent" or checkpoint == "checkpoint = 4"
            yield pytest.param(name, checkpoint, marks=() if quick else pytest.mark.long)


@pytest.mark.parametrize(("name", "checkpoint"), list(cases()))
def test_parts_give_the_numbers_of_the_whole(name, checkpoint):
    parts = gradient_of(NETWORKS[name], checkpoint)
    whole = gradient_of(NETWORKS[name], "checkpoint = off")

    assert parts[0].keys() == whole[0].keys()
    for a, b in zip(jax.tree.leaves(parts[:3]), jax.tree.leaves(whole[:3]), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
    assert any(np.abs(g).max() > 0 for g in whole[2])


def test_a_penalty_on_spikes_is_kept_whole_and_stays_the_same():
    parts, whole = (
        gradient_of(NETWORKS["recurrent"], checkpoint, penalty="penalty 0.1 * mean(h.spike)")
        for checkpoint in ("checkpoint = 6", "checkpoint = off")
    )

    for a, b in zip(jax.tree.leaves(parts[:3]), jax.tree.leaves(whole[:3]), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_parts_need_a_fraction_of_the_memory():
    parts, whole = (
        gradient_of(NETWORKS["recurrent"], checkpoint, steps=1024)[3]
        for checkpoint in ("checkpoint = auto", "checkpoint = off")
    )

    assert parts < whole / 3
