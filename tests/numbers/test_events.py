"""An input as event lists gives what the dense input gives, in an update and in a whole training."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from models_in_text import compile_text

from snnc.data.event_lists import event_lists
from snnc.emit.runtime.events import Events, event_dense

NETWORK = """
import std.neurons (ALIF, LIF, LI)
network Net {
  dt = 1 ms
  input a : spikes[60]
  layer g = LIF[24](theta = 0.3)
  layer h = ALIF[24](theta = 0.3, tau_a = 50 ms, tau_m = 9 ms in (1 ms, 50 ms) trainable)
  layer out = LI[3]()
  a -> dense() -> g
  a -> dense(bias = true) -> h
  h -> delay(1 step) -> dense() -> h
  g -> dense() -> out
  h -> dense() -> out
  output logits = max_over_time(out.v)
}
data d = npz("d.npz")
train main of Net on d {
  epochs = 2
  batch = 8
  loss = cross_entropy(logits, label)
  penalty 1e-3 * mean(g.spike)
  metric accuracy = accuracy(logits, label)
  sparse_input = on
}
"""
STEPS, SAMPLES = 20, 21


@pytest.fixture(scope="module")
def module():
    return compile_text(NETWORK).module


@pytest.fixture(scope="module")
def fields():
    rng = np.random.default_rng(0)
    a = (rng.random((SAMPLES, STEPS, 60)) < 0.05).astype(np.uint8)
    return {"a": a, "label": np.arange(SAMPLES, dtype=np.int32) % 3}


def batches(module, fields):
    """The last, short batch of an epoch, dense and as event lists."""
    *_, dense = module.epoch_batches(fields, 1, 8, 0)
    *_, sparse = module.epoch_batches(module.with_events(fields, 8), 1, 8, 0)
    assert isinstance(sparse["a"], module.Events)
    assert sparse["weight"].sum() == 5
    return dense, sparse


@pytest.mark.parametrize(("kind", "tolerance"), [(np.float32, 1e-5), (np.float64, 1e-13)])
def test_product_and_gradient_are_those_of_the_dense_product(kind, tolerance):
    rng = np.random.default_rng(1)
    spikes = (rng.random((6, 12, 40)) < 0.1).astype(kind)
    events = Events(*event_lists(spikes, 4, np.inf).of_batch(np.array([3, 0, 5, 1]), np.ones(4)))
    x = jnp.moveaxis(spikes[np.array([3, 0, 5, 1])], 1, 0)
    w, d = jnp.asarray(rng.normal(size=(40, 7)), kind), jnp.asarray(rng.normal(size=(12, 4, 7)), kind)

    wanted, wanted_back = jax.vjp(lambda w: x @ w, w)
    found, found_back = jax.jit(lambda w, d, events: jax.vjp(lambda w: event_dense(events, w), w))(w, d, events)

    assert found.dtype == kind
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(found_back(d)[0], wanted_back(d)[0], rtol=tolerance, atol=10 * tolerance)


def test_spikes_are_the_same_and_gradients_to_rounding(module, fields):
    dense, sparse = batches(module, fields)
    params = jax.tree.map(lambda w: jnp.asarray(w, float), module.init_params(jax.random.key(0)))
    key = jax.random.key(1)

    def measure(batch):
        _, signals, _ = jax.jit(module.run_batch, static_argnums=4)(params, module.Buffers(), batch, key, True)
        (loss, _), gradient = jax.jit(jax.value_and_grad(module.loss_fn, has_aux=True))(
            params, module.Buffers(), batch, key
        )
        return signals, loss, gradient

    (wanted, wanted_loss, wanted_gradient), (found, loss, gradient) = measure(dense), measure(sparse)

    assert wanted.g.spike.sum() > 50
    np.testing.assert_array_equal(wanted.g.spike, found.g.spike)
    np.testing.assert_array_equal(wanted.h.spike, found.h.spike)
    np.testing.assert_allclose(loss, wanted_loss, rtol=1e-12)
    for a, b in zip(wanted_gradient, gradient, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-10, atol=1e-12 * np.abs(a).max())


def test_a_training_in_single_precision_ends_at_the_same_weights(module, fields):
    with jax.enable_x64(False):
        ends = []
        for train in (fields, module.with_events(fields, 8)):
            state = module.init_train_state(0, 3, 2)
            for epoch in (1, 2):
                for part in module.epoch_batches(train, epoch, 8, 0):
                    state, metrics = module.train_step(state, part)
            ends.append((state.params, metrics))

    (wanted, wanted_metrics), (found, metrics) = ends
    for a, b in zip(wanted, found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-5)
    assert float(metrics["loss"]) == pytest.approx(float(wanted_metrics["loss"]), rel=1e-5)
    assert module.train_step._cache_size() == 2  # one for arrays, one for events
