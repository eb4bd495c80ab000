"""Delays of units and synapses: emitted against interpreted, step against run, gradients against finite differences."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from models_in_text import assert_same_signals, compile_text

from snnc.interp import run_network

STEPS, BATCH = 12, 2

# A delay that stands between the input and `h`, and one in a circle; each with the delays that begin in ms.
EDGES = {
    "fixed, per neuron": "x -> delay(time ~ uniform(0 ms, 4 ms) per neuron) -> dense() -> h",
    "fixed, one for all": "x -> delay(time ~ normal(2 ms, 1 ms), max = 5 ms) -> dense() -> h",
    "fixed, after the product": "x -> dense() -> delay(time ~ lognormal(2 ms, 0.5) per neuron, max = 4 ms) -> h",
    "fixed, per synapse": "x -> dense(delay ~ uniform(1 ms, 4 ms) per synapse, bias = true) -> h",
    "gaussian, per neuron": "x -> delay(time ~ uniform(0 ms, 4 ms) per neuron trainable, sigma = 0.7) -> dense() -> h",
    "gaussian, one for all": "x -> delay(time = 2.3 ms trainable, max = 5 ms) -> dense() -> h",
    "gaussian, per synapse": "x -> dense(delay ~ uniform(0 ms, 4 ms) per synapse trainable) -> h",
    "linear, per neuron": "x -> dense() -> delay(time ~ uniform(0 ms, 4 ms) per neuron trainable, kernel = linear) -> h",
    "linear, per synapse": "x -> dense(delay ~ uniform(1 ms, 4 ms) in (1 ms, 6 ms) per synapse trainable via clip, "
    "kernel = linear) -> h",
}
CIRCLES = {
    "fixed, per neuron": "h -> delay(time ~ uniform(1 ms, 4 ms) per neuron) -> dense() -> h",
    "gaussian, per neuron": "h.v -> dense() -> delay(time ~ uniform(1 ms, 3 ms) in (1 ms, 4 ms) per neuron trainable) -> h",
    "fixed, per synapse": "h -> dense(delay ~ uniform(1 ms, 4 ms) per synapse, bias = true) -> h",
    "gaussian, per synapse": "h -> dense(delay ~ uniform(2 ms, 3 ms) in (2 ms, 4 ms) per synapse trainable) -> h",
    "linear, per synapse": "h.v -> dense(delay ~ uniform(1 ms, 3 ms) in (1 ms, 4 ms) per synapse trainable, "
    "kernel = linear) -> h",
    "from an early step on": "h.v -> delay(1 ms) -> dense(delay ~ uniform(0 ms, 3 ms) per synapse trainable) -> h",
}


def network(*edges, learn=""):
    lines = "\n".join(edges)
    return compile_text(f"""
    import std.neurons (LIF)
    network Net {{
      dt = 1 ms
      input x : real[3]
      layer h = LIF[4](tau = 4 ms)
      layer g = LIF[2](tau = 4 ms)
      {lines}
      h -> dense() -> g
    }}""")


def driven(model, size=3.0, seed=0):
    """The model with weights at which its neurons fire, and an input for it."""
    rng = np.random.default_rng(seed)
    trained = set(model.module.constrained(model.params))
    values = [
        value if name in trained else jnp.asarray(size * rng.normal(size=np.shape(value)))
        for name, value in zip(model.module.PARAM_NAMES, model.params, strict=True)
    ]
    x = rng.normal(size=(STEPS, BATCH, 3)) + 0.5
    return replace(model, params=type(model.params)(*values)), x


def interpreted(model, x, train):
    recording = run_network(model.compiled.plan, {"x": x}, model.weights(), given=model.given(), train=train)
    return {name: recording[name] for name in model.module.SIGNALS}


@pytest.mark.parametrize("edge", EDGES)
def test_delays_are_emitted_as_they_are_interpreted(edge):
    model, x = driven(network(EDGES[edge]))

    for train in (False, True):
        expected = interpreted(model, x, train)
        assert_same_signals(expected, model.run(x=x, train=train), 1e-9)
        assert 0.02 < expected["h.spike"].mean() < 0.98


@pytest.mark.parametrize("circle", CIRCLES)
def test_delays_in_a_circle_are_emitted_as_they_are_interpreted(circle):
    model, x = driven(network("x -> dense() -> h", CIRCLES[circle]))

    for train in (False, True):
        assert_same_signals(interpreted(model, x, train), model.run(x=x, train=train), 1e-9)


def test_the_step_scanned_equals_the_run():
    model, x = driven(network(*EDGES.values(), *CIRCLES.values()))

    signals, _ = model.scan(x=x)

    assert_same_signals(model.run(x=x), signals, 1e-9)


def test_before_the_first_step_a_delayed_potential_has_its_initial_value():
    model = compile_text("""
    neuron Rests {
      param tau = 5 ms
      input I = 0
      state v = 3
      v' = (I - v) / tau
    }
    network Net {
      dt = 1 ms
      input x : real[1]
      layer a = Rests[2]()
      layer early = Rests[2]()
      layer late = Rests[2]()
      x -> dense() -> a.I
      a.v -> delay(time ~ uniform(2 ms, 3 ms) per neuron) -> early.I
      a.v -> delay(time ~ uniform(2 ms, 3 ms) per neuron)
        -> dense(delay ~ uniform(3 ms, 5 ms) per synapse, init = constant(1)) -> late.I
    }""")
    x = np.ones((3, 1, 1))

    expected = interpreted(model, x, False)

    assert_same_signals(expected, model.run(x=x), 1e-12)
    np.testing.assert_allclose(expected["early.v"][0], 3.0)


@pytest.mark.parametrize(
    "kernel", ["gaussian, per synapse", "linear, per synapse", "gaussian, per neuron", "linear, per neuron"]
)
@pytest.mark.parametrize("place", ["forward", "circle"])
def test_gradients_of_delays_equal_finite_differences(kernel, place):
    if place == "circle" and kernel not in CIRCLES:
        pytest.skip("the same runtime function as another")
    edges = (EDGES[kernel],) if place == "forward" else ("x -> dense() -> h", CIRCLES[kernel])
    text = "\n".join(edges).replace("h.v", "h")
    model = compile_text(f"""
    import std.neurons (LI)
    network Net {{
      dt = 1 ms
      input x : real[3]
      layer h = LI[4](tau = 4 ms)
      {text}
    }}""")
    model, x = driven(model, 0.3)
    module = model.module

    def loss(params):
        signals, _ = module.run(params, model.buffers, model.inputs(x=x), train=True)
        return jnp.sum(jnp.sin(signals.h.v))

    got = jax.jit(jax.grad(loss))(model.params)
    value = jax.jit(loss)
    for field, grad in zip(model.params._fields, got, strict=True):
        start = getattr(model.params, field)
        at = tuple(0 for _ in start.shape)
        moved = [value(model.params._replace(**{field: start.at[at].add(h)})) for h in (1e-6, -1e-6)]
        assert float(grad[at]) == pytest.approx(float((moved[0] - moved[1]) / 2e-6), rel=1e-5, abs=1e-8), field


def test_the_width_of_a_kernel_is_a_buffer_without_gradient_and_evaluation_rounds():
    model, x = driven(network(EDGES["gaussian, per synapse"]))
    assert float(model.buffers.x_h_dense_sigma) == 2.0  # half of the longest delay
    narrow = replace(model, buffers=model.buffers._replace(x_h_dense_sigma=jnp.asarray(1e-3)))

    assert_same_signals(model.run(x=x), narrow.run(x=x, train=True), 1e-9)
    assert not np.allclose(model.run(x=x)["h.v"], model.run(x=x, train=True)["h.v"])


def test_fixed_delays_are_whole_steps_in_the_buffers():
    model = network(
        "x -> delay(time ~ uniform(0 ms, 4 ms) per neuron) -> dense(delay ~ uniform(1.2 ms, 2.4 ms) per synapse) -> h"
    )
    units, synapses = model.buffers.x_h_delay_delay, model.buffers.x_h_dense_delay

    assert units.dtype == synapses.dtype == jnp.int32
    assert units.shape == (3,)
    assert synapses.shape == (3, 4)
    assert set(np.unique(synapses)) <= {1, 2}


@pytest.mark.parametrize("kernel", ["gaussian", "linear"])
def test_trainable_delays_begin_in_raw_space_and_stay_inside_their_interval(kernel):
    model = network(f"x -> dense(delay ~ uniform(0 ms, 4 ms) per synapse trainable, kernel = {kernel}) -> h")
    far = model.params._replace(x_h_dense_delay=jnp.asarray([[50.0, -50.0, 1e4, -1e4]] * 3))

    found = model.module.constrained(far)["x_h.dense.delay"]

    assert float(found.min()) >= 0
    assert float(found.max()) <= 4
    assert np.isfinite(model.run(x=np.ones((3, 1, 3)), params=far, train=True)["h.v"]).all()


def in_recipe(learn, edge):
    """A model whose recipe learns by `learn`."""
    return compile_text(f"""
    import std.neurons (LI)
    network Net {{
      dt = 1 ms
      input x : real[64]
      layer a = LI[3](tau = 0.01 ms)
      layer h = LI[10](tau = 4 ms)
      x -> dense() -> a.I
      {edge}
      output y = last_over_time(h.v)
    }}
    data d = digits() -> hold(duration = 12 ms)
    train t of Net on d {{
      epochs = 1
      batch = 2
      loss = cross_entropy(y, label)
      optimizer = sgd(lr = 1)
      learn = {learn}
    }}""")


CUT = (
    "a.v -> delay(time ~ uniform(2 ms, 4 ms) per neuron) -> dense() -> h",
    "a.v -> dense(delay ~ uniform(2 ms, 4 ms) per synapse trainable) -> h",
)


@pytest.mark.parametrize("edge", CUT, ids=["units", "synapses"])
def test_truncation_cuts_gradients_and_leaves_values(edge):
    x = np.random.default_rng(0).normal(size=(STEPS, BATCH, 64))

    def sixth(model):
        """The value in the sixth step, and which steps of the input its gradient reaches."""

        def value(x):
            signals, _ = model.module.run(model.params, model.buffers, model.module.Inputs(x=x), train=True)
            return jnp.sum(signals.h.v[6])

        found, d = jax.jit(jax.value_and_grad(value))(jnp.asarray(x))
        return float(found), np.abs(d).sum((1, 2)) > 1e-12

    whole, reached = sixth(in_recipe("bptt()", edge))
    cut, reached_cut = sixth(in_recipe("tbptt(6)", edge))

    assert cut == pytest.approx(whole, rel=1e-12)
    assert reached[:6].any()
    assert not reached_cut[:6].any()


def test_a_sequence_in_parts_has_the_same_gradients():
    edges = "\n".join(CUT)

    def gradient(learn):
        module = in_recipe(learn, edges).module
        state = module.init_train_state(0, 1)
        rng = np.random.default_rng(0)
        batch = {
            "x": rng.normal(size=(BATCH, 64)), "label": np.array([1, 2]), "sample": np.arange(2), "weight": np.ones(2),
        }  # fmt: skip
        return jax.jit(jax.grad(module.loss_fn, has_aux=True))(
            state.params, state.buffers, batch, module.key_of_epoch(state)
        )[0]

    whole, parts = gradient("bptt()"), gradient("bptt(checkpoint = 5)")

    for name, expected, found in zip(whole._fields, whole, parts, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12, err_msg=name)


def test_low_precision_rounds_the_factors_of_delayed_products_too():
    """In float64 the sums differ from those of the whole numbers by the rounding of one factor, 1/256."""
    edge, x = CUT[1].replace("a.v", "x"), np.random.default_rng(0).normal(size=(STEPS, BATCH, 64))
    whole, low = in_recipe("bptt()", edge), in_recipe("bptt()\n precision = bf16", edge)

    expected, found = (m.run(x=x, train=True)["h.v"] for m in (whole, low))

    assert 1e-6 < np.abs(found - expected).max() < 0.02 * np.abs(expected).max()


def test_delays_inside_blocks_are_those_of_each_use():
    text = """
    import std.neurons (LIF)
    network Late(n) {
      input x : spikes
      x -> delay(time ~ uniform(0 ms, 3 ms) per neuron)
        -> dense(n, delay ~ uniform(1 ms, 4 ms) per synapse trainable) -> LIF() as h
      h -> dense(delay ~ uniform(1 ms, 2 ms) per synapse) -> h
      output y = h.spike
    }
    network Net {
      dt = 1 ms
      input x : real[3]
      x -> repeat(2, Late(4)) as late -> dense(2) -> LIF() as g
    }"""
    model, x = driven(compile_text(text))

    for train in (False, True):
        expected = interpreted(model, x, train)
        assert_same_signals(expected, model.run(x=x, train=train), 1e-9)
    assert_same_signals(interpreted(model, x, False), model.scan(x=x)[0], 1e-9)
    assert not np.array_equal(*(model.given()[f"late_{k}.h_h.dense.delay"] for k in (1, 2)))


PLANTED = {
    "per synapse": "x -> dense(delay ~ uniform(0 ms, 12 ms) per synapse trainable{kernel}, init = constant(1)) -> h",
    "per neuron": "x -> delay(time ~ uniform(0 ms, 12 ms) per neuron trainable{kernel}) -> dense(init = constant(1)) -> h",
}


def recovered(edge, updates, schedule):
    """How many steps a student's delays are off those of its teacher, after `updates` on random spikes."""
    model = compile_text(f"""
    import std.neurons (LI)
    network Net {{
      dt = 1 ms
      input x : spikes[5]
      layer h = LI[4](tau = 2 ms)
      {edge}
    }}""")
    module, rng = model.module, np.random.default_rng(1)
    field = next(name for name in model.params._fields if name.endswith("_delay"))
    sigma = [name for name in model.buffers._fields if name.endswith("_sigma")]
    teacher = module.init_params(jax.random.key(1))
    planted = next(iter(module.constrained(teacher).values()))
    x = module.Inputs(x=jnp.asarray((rng.random((60, 16, 5)) < 0.05).astype(float)))
    wanted = module.run(teacher, model.buffers, x)[0].h.v
    rule = optax.adam(0.05)

    def update(carry, share):
        params, memory = carry
        buffers = model.buffers._replace(**dict.fromkeys(sigma, schedule(share)))
        d = jax.grad(lambda p: jnp.mean((module.run(p, buffers, x, train=True)[0].h.v - wanted) ** 2))(params)
        change, memory = rule.update(d, memory)
        return (optax.apply_updates(params, change), memory), None

    student = model.params
    shares = jnp.linspace(0.0, 1.0, updates)
    (student, _), _ = jax.jit(lambda s: jax.lax.scan(update, (s, rule.init(s)), shares))(student)
    before = np.abs(next(iter(module.constrained(model.params).values())) - planted)
    after = np.abs(next(iter(module.constrained(student).values())) - planted)
    assert getattr(student, field).shape == planted.shape
    assert before.max() > 3
    return after


@pytest.mark.parametrize("edge", PLANTED)
def test_trainable_delays_recover_planted_ones_within_a_step(edge):
    def width(share):
        return 6.0 * (0.5 / 6.0) ** jnp.minimum(2 * share, 1.0)

    assert recovered(PLANTED[edge].format(kernel=""), 300, width).max() < 1.0
