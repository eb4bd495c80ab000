"""Steps that do not count, and states that go on: the numbers are those of each sample alone, and of one long sequence."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from models_in_text import compile_text

from snnc.emit.tensor_text import COUNTED
from snnc.interp import run_network
from snnc.model import TensorType
from snnc.ops.tensor_functions import TENSOR_FUNCTIONS
from snnc.units import ONE

NETWORK = """
import std.neurons (LIF, LI)
network Net {
  dt = 1 ms
  input x : spikes[4]
  layer h = LIF[6](theta = 0.5)
  layer out = LI[3](tau = 9 ms)
  x -> dense() -> h
  h -> dense() -> delay(2 steps) -> h
  h -> delay(1 step) -> dense() -> out
  output score = max_over_time(out.v)
  output early = mean_over_time(out.v, from = 3 ms, to = 9 ms)
  output first = first_spike_time(h)
}
data d = npz("none.npz")
"""
TERMS = {
    "score": "sum(score)",
    "early": "sum(early)",
    "first": "sum(first / 1 ms)",
    "total": "sum(sum_over_time(out.v))",
    "end": "sum(last_over_time(out.v))",
    "late": "sum(mean_over_time(out.v, last = 4 ms))",
    "spikes": "sum(count(h))",
    "counts": "count_mse(count(h), label, on = 3)",
    "direct": "count_mse(h, label, on = 3)",
    "mean": "mean(out.v)",
    "all": "sum(out.v)",
    "size": "l1(out.v)",
    "square": "l2(out.v)",
    "activity": "activity(h)",
    "rate": "rate(h)",
    "steps": "mean_over_time(cross_entropy(out.v, label))",
    "apart": "van_rossum(h, h.v, rise = 1 ms, decay = 4 ms)",
}
RECIPE = """
train main of Net on d {{
  epochs = 1
  batch = 3
  {settings}
  loss = mean_over_time(cross_entropy(out.v, label)) + sum(score) + 0.1 * mean(h.spike)
  {metrics}
}}
"""
METRICS = "\n  ".join(f"metric m_{name} = {text}" for name, text in TERMS.items())
STEPS, LENGTHS = 14, np.array([14, 9, 11])


@cache
def module_of(settings="", metrics=""):
    return compile_text(NETWORK + RECIPE.format(settings=settings, metrics=metrics))


def batch_of(steps=STEPS, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "x": (rng.random((steps, 3, 4)) < 0.5).astype(float),
        "label": np.array([0, 2, 1]),
        "length": LENGTHS,
        "weight": np.ones(3),
        "sample": np.arange(3),
    }


def alone(batch, sample, length):
    one = {name: a[sample : sample + 1] for name, a in batch.items() if name != "x"}
    return {**one, "x": batch["x"][:length, sample : sample + 1]}


def loss_of(model, batch, params):
    value = jax.jit(jax.value_and_grad(model.module.loss_fn, has_aux=True))
    (_, (metrics, *_)), gradient = value(params, model.buffers, batch, jax.random.key(0))
    return {name: float(v) for name, v in metrics.items()}, gradient


@pytest.fixture(scope="module")
def both():
    with jax.enable_x64(True):
        whole, padded = module_of(metrics=METRICS), module_of("length = length", METRICS)
        params = jax.tree.map(lambda w: 2.0 * jnp.asarray(w, float), whole.params)
        yield whole, padded, params


def test_a_padded_batch_measures_and_learns_what_each_sample_does_alone(both):
    whole, padded, params = both
    batch = batch_of()

    singles = [loss_of(whole, alone(batch, b, n), params) for b, n in enumerate(LENGTHS)]
    metrics, gradient = loss_of(padded, batch, params)

    for name in (*(f"m_{name}" for name in TERMS), "loss", "rate.h"):
        expected = np.mean([single[name] for single, _ in singles])
        assert metrics[name] == pytest.approx(expected, rel=1e-12), name
    mean = jax.tree.map(lambda *parts: sum(parts) / 3, *[g for _, g in singles])
    for actual, expected in zip(gradient, mean, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-12)


def test_the_signals_that_count_are_those_of_the_interpreter(both):
    whole, padded, params = both
    batch = batch_of()
    names = zip(whole.module.PARAM_NAMES, params, strict=True)
    weights = {name: np.asarray(w) for name, w in names}

    metrics, _ = loss_of(padded, batch, params)

    found = []
    for b, n in enumerate(LENGTHS):
        recording = run_network(whole.compiled.plan, {"x": batch["x"][:n, b : b + 1]}, weights)
        v, label = recording["out.v"][:, 0], batch["label"][b]
        entropy = np.logaddexp.reduce(v, axis=1) - v[:, label]
        found.append((entropy.mean() + v.max(axis=0).sum() + 0.1 * recording["h.spike"].mean(), v[-1].sum()))
    assert metrics["loss"] == pytest.approx(np.mean([loss for loss, _ in found]), rel=1e-12)
    assert metrics["m_end"] == pytest.approx(np.mean([end for _, end in found]), rel=1e-12)


def test_every_function_of_a_sequence_knows_steps_that_do_not_count():
    spikes = TensorType(True, True, (3,), ONE, "spikes")
    line = TensorType(True, True, (), ONE, "spikes")
    label = TensorType(False, True, (), ONE, "class")
    for name, function in TENSOR_FUNCTIONS.items():
        for first in (spikes, line):
            for second in ((), (label,), (first,)):
                types = (first, *second)
                if len(types) != len(function.operands):
                    continue
                result = function.check(types)
                assert isinstance(result, str) or result.time or name in COUNTED, name


def test_burn_in_cuts_the_gradient_and_does_not_count(both):
    whole, _, params = both
    model, batch, burn = module_of("burn_in = 5 ms"), batch_of(), 5
    module = whole.module

    def by_hand(params):
        state, rows = module.init_state(params, whole.buffers, 3), []
        for n in range(STEPS):
            state, signals, _ = module.step(params, whole.buffers, state, module.Inputs(batch["x"][n]))
            if n == burn - 1:
                state = jax.lax.stop_gradient(state)
            rows.append(signals)
        v = jnp.stack([row.out.v for row in rows[burn:]])
        spike = jnp.stack([row.h.spike for row in rows[burn:]])
        entropy = module.cross_entropy(v, batch["label"])
        return jnp.mean(entropy) + jnp.mean(jnp.sum(jnp.max(v, axis=0), axis=1)) + 0.1 * jnp.mean(spike)

    expected, slope = jax.jit(jax.value_and_grad(by_hand))(params)
    metrics, gradient = loss_of(model, batch, params)

    assert metrics["loss"] == pytest.approx(float(expected), rel=1e-12)
    for a, b in zip(gradient, slope, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_burn_in_goes_with_parts_and_in_step(both):
    _, _, params = both
    batch = batch_of()
    plain, parted = module_of("burn_in = 5 ms"), module_of("burn_in = 5 ms\n  learn = bptt(checkpoint = 4)")

    (expected, slope), (metrics, gradient) = (loss_of(m, batch, params) for m in (plain, parted))

    assert metrics == pytest.approx(expected, rel=1e-12)
    for a, b in zip(gradient, slope, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    _, stepped = plain.scan(x=batch["x"])
    for name, value in plain.outputs(x=batch["x"]).items():
        np.testing.assert_allclose(stepped[name], value, rtol=1e-12, err_msg=name)


def test_states_carried_over_batches_are_those_of_one_long_sequence(both):
    whole, _, params = both
    model, long = module_of("carry = true"), batch_of(2 * STEPS)
    module, key = model.module, jax.random.key(0)
    halves = [{**long, "x": long["x"][k : k + STEPS]} for k in (0, STEPS)]
    once = whole.module.run(params, whole.buffers, whole.module.Inputs(long["x"]))[0]

    carried = module.nothing_carried(params, model.buffers, 3)
    found = []
    for half in halves:
        _, signals, _ = module.run_batch(params, model.buffers, half, key, True, carried)
        carried = signals.carried
        found.append(signals)

    for layer, name in (("h", "spike"), ("out", "v")):
        expected = getattr(getattr(once, layer), name)
        actual = np.concatenate([getattr(getattr(s, layer), name) for s in found])
        np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-14)


def test_an_epoch_begins_anew_and_batches_come_in_the_order_of_the_data():
    module = module_of("carry = true").module
    fields = {"x": np.moveaxis(batch_of()["x"], 0, 1).repeat(3, axis=0), "label": np.arange(9) % 3}
    state = module.init_train_state(0, 3, 2, None, 3)
    order = []
    for epoch in range(2):
        for part in module.epoch_batches(fields, epoch, 3, 0):
            goes_on = bool(module.carried_before(state).goes_on)
            order.append((part["sample"].tolist(), goes_on))
            state, _ = module.train_step(state, part)
        state = state._replace(epoch=state.epoch + 1)

    assert order == [([0, 1, 2], False), ([3, 4, 5], True), ([6, 7, 8], True)] * 2
