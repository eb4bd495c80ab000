"""Scanning the emitted `step` against `run` and `forward`, in evaluation."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import HealthCheck, given, settings
from models_in_text import assert_same_signals, compile_text
from random_models import networks
from test_emitted_equals_interpreter import sequences, shaken

READOUTS = """
import std.neurons (LIF, LI)
network Net {
  dt = 1 ms
  input a : real[3]
  input b : spikes[2]
  layer h = LIF[6](theta = 0.4)
  layer out = LI[4]()
  a -> dense() -> h
  b -> dense() -> delay(2 steps) -> h
  h -> dense() -> delay(1 step) -> h
  h -> dropout(0.5) -> dense() -> out
  output largest = max_over_time(out.v)
  output mean    = mean_over_time(out.v)
  output total   = sum_over_time(out.v)
  output last    = last_over_time(out.v)
  output spikes  = count(h.spike)
  output first   = first_spike_time(h.spike)
  output classes = sum_over_time(softmax(out.v))
  output logs    = log_softmax(mean_over_time(out.v))
  output tail_largest = max_over_time(out.v, from = 7 ms)
  output tail_mean    = mean_over_time(out.v, from = 7 ms)
  output head_mean    = mean_over_time(out.v, to = 9 ms)
  output middle_mean  = mean_over_time(out.v, from = 4 ms, to = 12 ms)
  output middle_sum   = sum_over_time(out.v, from = 4 ms, to = 12 ms)
  output middle_last  = last_over_time(out.v, from = 4 ms, to = 12 ms)
  output middle_count = count(h.spike, from = 4 ms, to = 12 ms)
  output middle_first = first_spike_time(h.spike, from = 4 ms, to = 12 ms)
  output head_first   = first_spike_time(h.spike, to = 9 ms)
  output joined       = 2 * mean_over_time(out.v) - max_over_time(out.v) / 3
  output timed        = sum_over_time(out.v * time) / sum_over_time(out.v * 1 ms)
}
"""


def assert_step_equals_run(model, steps):
    x = sequences(steps=steps)
    x = {name: x[name] for name in model.module.Inputs._fields}

    signals, outputs = model.scan(**x)

    assert_same_signals(model.run(**x), signals)
    whole = model.outputs(**x)
    assert whole.keys() == outputs.keys()
    for name, value in whole.items():
        np.testing.assert_allclose(outputs[name], value, rtol=1e-12, atol=1e-12, err_msg=name)


def test_every_readout_and_window_streams():
    assert_step_equals_run(shaken(compile_text(READOUTS)), 20)


def test_readouts_have_their_numpy_meaning():
    model = shaken(compile_text(READOUTS))
    x = sequences()
    signals, outputs = model.run(**x), model.outputs(**x)
    v, spike = signals["out.v"], signals["h.spike"]
    first = np.where(spike.any(0), spike.argmax(0) + 1, 21)
    window = spike[4:12]

    assert 0 < spike.mean() < 1
    np.testing.assert_allclose(outputs["tail_mean"], v[7:].mean(0), rtol=1e-12)
    np.testing.assert_allclose(outputs["middle_last"], v[11], rtol=1e-12)
    np.testing.assert_array_equal(outputs["middle_count"], window.sum(0))
    np.testing.assert_allclose(outputs["first"], first, rtol=1e-12)
    np.testing.assert_allclose(outputs["middle_first"], np.where(window.any(0), window.argmax(0) + 1, 9), rtol=1e-12)
    time = np.arange(1, 21)[:, None, None]
    np.testing.assert_allclose(outputs["timed"], (v * time).sum(0) / v.sum(0), rtol=1e-12)


def test_step_equals_run_in_float32_to_the_rounding_of_products():
    with jax.enable_x64(False):
        model = shaken(compile_text(READOUTS))
        model = type(model)(
            model.compiled, model.module, jax.tree.map(lambda w: w.astype(jnp.float32), model.params), ()
        )
        x = {name: value.astype(np.float32) for name, value in sequences().items()}
        signals, _ = model.scan(**x)
        whole = model.run(**x)

    assert whole["out.v"].dtype == np.float32
    np.testing.assert_array_equal(signals["h.spike"], whole["h.spike"])
    np.testing.assert_allclose(signals["out.v"], whole["out.v"], rtol=1e-5, atol=1e-5)


def test_step_equals_run_with_escape_noise_and_drawn_states():
    model = compile_text("""
    neuron Noisy {
      event x
      state v ~ uniform(0, 1)
      v' = -v / 10 ms
      on x { v += x }
      spike with rate exp(v) * 100 / 1 s { v = 0 }
    }
    network Net {
      dt = 1 ms
      input a : real[3]
      layer g = Noisy[4]()
      layer h = Noisy[4]()
      a -> dense() -> g
      g -> dense() -> delay(1 step) -> g
      g -> dense() -> h
    }""")
    x = sequences()["a"]
    key = jax.random.key(5)

    signals, _ = model.scan(a=x, key=key)
    whole = model.run(a=x, key=key)

    assert 0.02 < whole["h.spike"].mean() < 0.9
    assert_same_signals(whole, signals)


@settings(
    max_examples=4, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
@given(networks())
def test_scanned_step_equals_run_on_random_networks(text):
    assert_step_equals_run(shaken(compile_text(text)), 15)
