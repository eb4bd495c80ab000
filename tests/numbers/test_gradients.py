"""Gradients through the emitted `run`: finite differences where it is smooth, the declared formulas where it is not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from models_in_text import compile_text
from test_normative_step import column, one_layer


def gradient_by_inputs(model, total, **inputs):
    """d total(signals of h) / d inputs, by name, one number a step."""

    def value(sequences):
        x = model.inputs(**sequences)
        return total(model.module.run(model.params, model.buffers, x)[0].h)

    found = jax.jit(jax.grad(value))({name: jnp.asarray(column(values)) for name, values in inputs.items()})
    return {name: np.asarray(g)[:, 0, 0] for name, g in found.items()}


# ---- smooth parts ---------------------------------------------------------------------

SMOOTH = {
    "exact, closed form": """
      param tau_m = 10 ms in (0 ms, inf) trainable
      param tau_s = 4 ms in (1 ms, 20 ms) per neuron trainable
      event x
      state i = 0
      state v = 0
      i' = -i / tau_s
      v' = (i - v) / tau_m
      on x at start { i += x }""",
    "exact, coinciding time constants": """
      param tau_m = 10 ms in (0 ms, inf) trainable
      param tau_s = 10 ms in (0 ms, inf) trainable
      event x
      state i = 0
      state v = 0
      i' = -i / tau_s
      v' = (i + x - v) / tau_m
      on x { i += x }""",
    "exact, matrix exponential": """
      param tau = 10 ms in (0 ms, inf) per neuron trainable
      param omega = 0.6 trainable
      event x
      state v = 0
      state u = 0.2
      v' = -v / tau - omega * u / 1 ms + 0.1 / 1 ms
      u' = omega * v / 1 ms - u / (2 * tau)
      on x { v += x }""",
    "exponential Euler": """
      param tau = 10 ms in (0 ms, inf) trainable
      param reversal = 3 trainable
      event x
      state g = 0.1
      state v = 0.3
      v' = (g * (reversal - v) - v) / tau
      g' = -g / (2 ms + tau / 4 * v^2)
      on x { g += x }""",
    "Runge-Kutta": """
      param tau = 5 ms in (0 ms, inf) trainable
      param a = 0.8 trainable
      event x
      state v = 0
      v' = (v - v^3 / 3 + a) / tau
      solve rk4(substeps = 2)
      on x at start { v += tanh(x) }""",
    "step with a choice": """
      param b = 0.7 in (0, 1) trainable
      event x
      state v = 1
      step { v = b * v + (0.3 * sqrt(v) if v > 0.2 else 0.1 / (v - 0.5)) }
      on x { v += 0.1 * x^2 }""",
    "silent spikes": """
      param tau = 5 ms in (0 ms, inf) trainable
      param theta = 50 trainable
      event x
      state v = 0
      v' = -v / tau
      on x { v += x }
      spike when v >= theta { v -= theta }
      refractory 2 ms hold v
      surrogate box(width = 0.1)""",
}


@pytest.mark.parametrize("name", SMOOTH)
def test_the_gradient_through_smooth_parts_equals_finite_differences(name):
    model = compile_text(f"""
    neuron Cell {{
      {SMOOTH[name]}
    }}
    network Net {{
      dt = 1 ms
      input a : real[3]
      layer g = Cell[3]()
      layer h = Cell[2]()
      a -> dense() -> scale(2) -> g
      g.v -> dense(bias = true) -> delay(2 steps) -> h
      h.v -> dense() -> delay(1 step) -> g
      h.v -> delay(1 step) -> bias() -> h
    }}""")
    rng = np.random.default_rng(0)
    x = model.inputs(a=rng.random((12, 2, 3)))

    @jax.jit
    def total(params):
        signals, _ = model.module.run(params, model.buffers, x)
        return jnp.sum(signals.h.v * jnp.arange(1.0, 13)[:, None, None]) + jnp.sum(signals.g.v**2)

    gradient = jax.jit(jax.grad(total))(model.params)
    for _ in range(3):
        way = jax.tree.map(lambda p: jnp.asarray(rng.normal(size=p.shape)), model.params)
        along = sum(jnp.vdot(g, w) for g, w in zip(gradient, way, strict=True))
        up, down = (total(jax.tree.map(lambda p, w, h=h: p + h * w, model.params, way)) for h in (1e-5, -1e-5))

        np.testing.assert_allclose(along, (up - down) / 2e-5, rtol=2e-6, atol=1e-6)


# ---- surrogates -------------------------------------------------------------------------

LOGISTIC = 1 / (1 + np.exp(-4 * np.linspace(-2, 2, 9)))
MARGINS = np.linspace(-2, 2, 9)
FORMULAS = {
    "atan(alpha = 2)": 1 / (1 + (np.pi * MARGINS) ** 2),
    "superspike(beta = 10)": 1 / (1 + 10 * np.abs(MARGINS)) ** 2,
    "sigmoid(slope = 4)": 4 * LOGISTIC * (1 - LOGISTIC),
    "triangle(height = 0.3)": 0.3 * np.maximum(0, 1 - np.abs(MARGINS)),
    "box(width = 2.5)": np.where(np.abs(MARGINS) < 1.25, 0.4, 0),
    "gaussian(sigma = 0.5)": np.exp(-2 * MARGINS**2) / (0.5 * np.sqrt(2 * np.pi)),
    "exponential(height = 2)": 2 * np.exp(-2 * np.abs(MARGINS)),
    "straight_through()": np.ones(9),
    "root()": np.where(MARGINS > 0, np.sqrt(np.maximum(MARGINS, 0)), 0.5),
    "pole(at = 1)": np.where(MARGINS == 0, 1, np.log(np.maximum(np.abs(MARGINS), 1e-9))),
}
USER = """
surrogate root(x) = sqrt(x) if x > 0 else 0.5
surrogate pole(x, at = 2) = at if x == 0 else log(abs(x))
"""


@pytest.mark.parametrize("surrogate", FORMULAS)
def test_the_derivative_of_a_spike_is_the_declared_surrogate_over_scale(surrogate):
    cells = "\n".join(
        f"""
        neuron {name} {{
          input I
          state v = 0
          step {{ v = I }}
          spike when v {comparison} 0.25 scale 2 {{ v = v }}
          surrogate {surrogate}
        }}"""
        for name, comparison in (("Above", ">="), ("Below", "<"))
    )
    model = compile_text(f"""
    {USER}
    {cells}
    network Net {{
      dt = 1 ms
      input a : real[1]
      input b : real[1]
      layer above = Above[1]()
      layer below = Below[1]()
      a -> above.I
      b -> below.I
    }}""")

    def spikes(a, b):
        signals, _ = model.module.run(model.params, model.buffers, model.inputs(a=a, b=b))
        return jnp.sum(signals.above.spike + signals.below.spike)

    by_a, by_b = jax.jit(jax.grad(spikes, (0, 1)))(column(0.25 + 2 * MARGINS), column(0.25 - 2 * MARGINS))

    np.testing.assert_allclose(by_a[:, 0, 0], FORMULAS[surrogate] / 2, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(by_b[:, 0, 0], -FORMULAS[surrogate] / 2, rtol=1e-12, atol=1e-15)


def test_the_branch_not_taken_yields_no_nan_through_time():
    model = compile_text("""
    surrogate spiky(x) = sqrt(x) if x > 0 else exp(x) / (1 + sqrt(-x))
    neuron Cell {
      input I
      state v = 0.5
      step { v = 0.5 * v + (sqrt(I) if I > 0 else (log(-I) if I < 0 else 0)) }
      spike when v >= 1 { v = 0 }
      surrogate spiky()
      detach reset
    }
    network Net {
      dt = 1 ms
      input a : real[1]
      layer h = Cell[1]()
      a -> h.I
    }""")
    drive = np.array([4.0, -2.0, 0.0, 0.25])

    found = gradient_by_inputs(model, lambda h: h.v.sum(), a=drive)["a"]

    kept = np.where(model.run(a=column(drive))["h.spike"][:, 0, 0] > 0, 0.0, 1.0)
    slope = np.array([0.25, -0.5, 0.0, 1.0])
    expected = [slope[n] * sum(0.5 ** (m - n) * np.prod(kept[n : m + 1]) for m in range(n, 4)) for n in range(4)]
    assert kept.sum() == 3
    np.testing.assert_allclose(found, expected, rtol=1e-12)


# ---- reset: step 6 ------------------------------------------------------------------------


def psi(m):
    return 1 / (1 + 5 * abs(m)) ** 2


RESET = """
neuron Cell {{
  param theta = 0.8 in (0, inf) trainable
  param s = 2 in (0, inf) trainable
  input I
  state v = 0
  state u = 0
  step {{ v = 0.9 * v + I - 0.2 * u; u = 0.7 * u }}
  spike when v >= theta + 0.1 * u scale s {{ v = 0.3 * v - 0.5 * theta; u += 1 + 0.4 * v }}
  surrogate superspike(beta = 5)
  {detach}
}}
network Net {{
  dt = 1 ms
  input a : real[1]
  layer h = Cell[1]()
  a -> h.I
}}"""


@pytest.mark.parametrize("steps", [2, 6])
@pytest.mark.parametrize(
    ("detach", "through"), [("", "vu"), ("detach reset", ""), ("detach reset v", "u"), ("detach reset u", "v")]
)
def test_reset_gradients_follow_step_6(detach, through, steps):
    drive = np.array([1.0, 0.3, 1.2, 0.1, 0.7, 0.2])[:steps]
    model = compile_text(RESET.format(detach=detach))
    # every value carries its derivative by (the drives, theta), forward through the steps
    unit = np.eye(steps + 1)
    theta, d_theta, s = 0.8, unit[-1], 2.0
    v = u = 0.0
    dv = du = total = np.zeros(steps + 1)
    spikes = []
    for n, now in enumerate(drive):
        v, u, dv, du = 0.9 * v + now - 0.2 * u, 0.7 * u, 0.9 * dv + unit[n] - 0.2 * du, 0.7 * du
        margin, dm = (v - theta - 0.1 * u) / s, (dv - d_theta - 0.1 * du) / s
        S = float(margin >= 0)
        f_v, df_v = 0.3 * v - 0.5 * theta, 0.3 * dv - 0.5 * d_theta
        f_u, df_u = u + 1 + 0.4 * v, du + 0.4 * dv
        dv_next = (1 - S) * dv + S * df_v + ("v" in through) * (f_v - v) * psi(margin) * dm
        du_next = (1 - S) * du + S * df_u + ("u" in through) * (f_u - u) * psi(margin) * dm
        v, u = (f_v, f_u) if S else (v, u)
        dv, du = dv_next, du_next
        total = total + dv + 2 * du + 3 * psi(margin) * dm
        spikes.append(S)

    def value(params, x):
        h = model.module.run(params, model.buffers, model.inputs(a=x))[0].h
        return jnp.sum(h.v + 2 * h.u + 3 * h.spike)

    by_params, by_x = jax.jit(jax.grad(value, (0, 1)))(model.params, jnp.asarray(column(drive)))
    slope = jax.grad(lambda p: model.module.constrained(p)["h.theta"])(model.params).h_theta

    assert 0 < sum(spikes) < steps
    np.testing.assert_array_equal(model.run(a=column(drive))["h.spike"][:, 0, 0], spikes)
    np.testing.assert_allclose(by_x[:, 0, 0], total[:-1], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(by_params.h_theta / slope, total[-1], rtol=1e-12)
    assert by_params.h_s == 0  # `scale` is not differentiated


def test_a_later_block_reads_what_an_earlier_one_left_and_its_gradient():
    model = one_layer(
        """
        input I
        state v = 0
        step { v = 0.5 * v + I }
        spike when v >= 0.5 { v = 0.4 * v }
        spike when v >= 1 { v = 2 * v^2 }
        surrogate superspike(beta = 5)""",
        ("I",),
    )
    drive = np.array([0.7, 1.3, 0.1])
    v, dv, total = 0.0, np.zeros(3), np.zeros(3)
    for n, now in enumerate(drive):
        v, dv = 0.5 * v + now, 0.5 * dv + np.eye(3)[n]
        first, second, d1, d2 = v >= 0.5, v >= 1, psi(v - 0.5) * dv, psi(v - 1) * dv
        f, df = 0.4 * v, 0.4 * dv
        dv = (df if first else dv) + (f - v) * d1
        v = f if first else v
        f, df = 2 * v**2, 4 * v * dv
        dv = (df if second else dv) + (f - v) * d2
        v = f if second else v
        total = total + dv + d1 + d2

    found = gradient_by_inputs(model, lambda h: (h.v + h.spike).sum(), in_I=drive)["in_I"]

    np.testing.assert_allclose(found, total, rtol=1e-12)


@pytest.mark.parametrize("detach", ["", "detach reset"])
@pytest.mark.parametrize(("emit", "value", "slope"), [
    ("v^2 / theta", lambda v: v**2 / 0.5, lambda v: 4 * v),
    ("floor(v / theta)", lambda v: np.floor(v / 0.5), lambda v: 0.0),
    ("round(v / theta)", lambda v: np.floor(v / 0.5 + 0.5), lambda v: 0.0),
])  # fmt: skip
def test_graded_spikes_have_the_derivative_of_the_test_and_of_what_they_emit(emit, value, slope, detach):
    model = one_layer(
        f"""
        param theta = 0.5
        input I
        state v = 0
        step {{ v = 0.5 * v + I }}
        spike when v >= theta emit {emit} {{ v -= theta * spike }}
        surrogate superspike(beta = 5)
        {detach}""",
        ("I",),
    )
    drive = np.array([0.7, 1.3, 0.1, 0.2])
    v, dv, total = 0.0, np.zeros(4), np.zeros(4)
    for n, now in enumerate(drive):
        v, dv = 0.5 * v + now, 0.5 * dv + np.eye(4)[n]
        S, dm, e, de = v >= 0.5, psi(v - 0.5) * dv, value(v), slope(v) * dv
        total = total + 3 * (dm + S * de)
        f, df = v - 0.5 * e, dv - 0.5 * de  # inside the block `spike` is the value that is emitted
        dv = (df if S else dv) + (detach == "") * (f - v) * dm
        v = f if S else v
        total = total + dv

    found = gradient_by_inputs(model, lambda h: (h.v + 3 * h.spike).sum(), in_I=drive)["in_I"]

    np.testing.assert_allclose(found, total, rtol=1e-12)


def test_the_previous_spike_keeps_its_gradient_and_detach_stops_one():
    model = one_layer(
        """
        input I
        state v = 0
        step { v = 0.5 * v + I - 0.3 * spike + detach(0.2 * v) }
        spike when v >= 0.5 { v = v }
        surrogate superspike(beta = 5)""",
        ("I",),
    )
    drive = np.array([0.7, 1.3, 0.1, 0.2])
    v, dv, S, dS, total = 0.0, np.zeros(4), 0.0, np.zeros(4), np.zeros(4)
    for n, now in enumerate(drive):
        v, dv = 0.7 * v + now - 0.3 * S, 0.5 * dv + np.eye(4)[n] - 0.3 * dS
        S, dS = float(v >= 0.5), psi(v - 0.5) * dv
        total = total + dv + dS

    found = gradient_by_inputs(model, lambda h: (h.v + h.spike).sum(), in_I=drive)["in_I"]

    np.testing.assert_allclose(found, total, rtol=1e-12)


def test_a_refractory_neuron_has_no_spike_and_no_derivative_of_one():
    model = one_layer(
        "input I\nstate v = 0\nstep { v = I }\nspike when v >= 0.5 { v = v }\nrefractory 2 ms\n"
        "surrogate superspike(beta = 5)",
        ("I",),
    )
    drive = np.array([0.7, 0.6, 0.1, 0.3, 0.9])

    found = gradient_by_inputs(model, lambda h: h.spike.sum(), in_I=drive)["in_I"]

    np.testing.assert_allclose(found, [psi(0.2), 0, 0, psi(0.2), psi(0.4)], rtol=1e-12)


def test_without_a_surrogate_a_spike_has_no_derivative():
    model = one_layer("input I\nstate v = 0\nstep { v = I }\nspike when v >= 0.5 { v = v }", ("I",))

    found = gradient_by_inputs(model, lambda h: h.spike.sum(), in_I=[0.4, 0.6])["in_I"]

    np.testing.assert_array_equal(found, [0, 0])


def test_escape_noise_has_the_derivative_of_its_probability():
    model = one_layer("input I\nstate v = 0\nstep { v = I }\nspike with rate v^2 / 1 ms { v = v }", ("I",), dt="2 ms")
    drive = np.array([0.1, 0.4, 0.8])

    found = gradient_by_inputs(model, lambda h: h.spike.sum(), in_I=drive)["in_I"]

    np.testing.assert_allclose(found, 4 * drive * np.exp(-2 * drive**2), rtol=1e-12)


def test_a_trainable_constant_rate_has_the_derivative_of_its_probability():
    model = compile_text("""
    neuron Poisson {
      param r = 0.25 trainable
      input I = 0
      state v = 0
      step { v = I }
      spike with rate r / 1 ms { v = v }
    }
    network Net {
      dt = 2 ms
      input a : real[3]
      layer h = Poisson[3]()
      a -> h.I
    }""")
    x = model.inputs(a=np.zeros((4, 2, 3)))

    raw = jax.grad(lambda p: model.module.run(p, (), x)[0].h.spike.sum())(model.params).h_r
    slope = jax.grad(lambda p: model.module.constrained(p)["h.r"])(model.params).h_r

    np.testing.assert_allclose(raw / slope, 24 * 2 * np.exp(-0.5), rtol=1e-12)


# ---- trainable parameters -------------------------------------------------------------------

BIJECTORS = {
    "(lo, inf)": "in (2 TIME, inf) trainable",
    "(0, inf)": "in (0 TIME, inf) trainable",
    "(lo, hi)": "in (2 TIME, 40 TIME) trainable",
    "(-inf, hi)": "in (-inf, 40 TIME) trainable",
    "via exp": "in (0 TIME, inf) trainable via exp",
    "via clip": "in (5 TIME, 40 TIME) trainable via clip",
    "unbounded": "trainable",
}


def learned(interval, unit, value=10, rate=0.5, per=""):
    """Three values of tau under gradient descent, in ms, for a model whose times are all given in `unit`."""
    model = compile_text(f"""
    neuron Cell {{
      param tau = {value} {unit} {per} {interval.replace("TIME", unit)}
      input I
      state v = 0
      v' = (I - v) / tau
    }}
    network Net {{
      dt = {value / 10} {unit}
      input a : real[1]
      layer h = Cell[1]()
      a -> h.I
    }}""")
    x = model.inputs(a=np.ones((10, 1, 1)))
    params, values = model.params, []
    slope = jax.jit(jax.grad(lambda p: model.module.run(p, (), x)[0].h.v.sum()))
    for _ in range(3):
        values.append(float(np.squeeze(model.module.constrained(params)["h.tau"])))
        gradient = slope(params)
        assert np.isfinite(gradient.h_tau).all()
        assert (gradient.h_tau != 0).all()
        params = jax.tree.map(lambda p, g: p - rate * g, params, gradient)
    return np.array(values)


@pytest.mark.parametrize("name", BIJECTORS)
def test_a_trainable_parameter_starts_at_its_value_and_learns_as_fast_in_every_unit(name):
    in_ms = learned(BIJECTORS[name], "ms")

    np.testing.assert_allclose(in_ms[0], 10, rtol=1e-12)
    assert in_ms[0] < in_ms[1] < in_ms[2]
    np.testing.assert_allclose(learned(BIJECTORS[name], "s") / 1000, in_ms, rtol=1e-9)


def test_a_parameter_for_each_neuron_learns_as_fast_as_one_for_the_layer():
    interval = BIJECTORS["(lo, hi)"]

    np.testing.assert_allclose(learned(interval, "ms", per="per neuron"), learned(interval, "ms"), rtol=1e-12)


def test_the_same_model_in_other_units_learns_the_same_numbers():
    written = BIJECTORS["(lo, hi)"].replace("TIME", "ms")
    in_seconds = written.replace("2 ms", "0.002 s").replace("40 ms", "0.04 s")

    np.testing.assert_allclose(learned(in_seconds, "ms"), learned(written, "ms"), rtol=1e-12)


# ---- truncated backpropagation ----------------------------------------------------------------

TRUNCATED = """
import std.neurons (CubaLIF, LI)
network Net {{
  dt = 1 ms
  input pixels : real[64]
  layer h   = CubaLIF[4](tau_m = 20 ms in (0 ms, inf) trainable)
  layer out = LI[10]()
  pixels -> dense() -> h
  {edges}
  output logits = mean_over_time(out.v)
}}
data digits8 = digits(val = 0.1, test = 0.25, seed = 7) -> hold(duration = 12 ms)
train it of Net on digits8 {{
  epochs = 1
  batch = 4
  learn = {learn}
  loss = cross_entropy(logits, label)
  optimizer = sgd(lr = 0.1)
}}"""
EDGES = {
    "forward, delayed": "h -> delay(2 steps) -> dense() -> out",
    "recurrent": "h -> dense() -> delay(2 steps) -> h\n h -> dense() -> out\n out.v -> dense() -> delay(1 step) -> h.I",
}
REST = [(1, "forward, delayed"), (5, "recurrent")]


@pytest.mark.parametrize(
    ("k", "edges"),
    [(1, "recurrent"), (5, "forward, delayed"), *(pytest.param(*c, marks=pytest.mark.long) for c in REST)],
)
def test_tbptt_keeps_the_forward_numbers_and_cuts_the_gradient_every_k_steps(edges, k):
    whole = compile_text(TRUNCATED.format(edges=EDGES[edges], learn="bptt()"))
    cut = compile_text(TRUNCATED.format(edges=EDGES[edges], learn=f"tbptt({k})"))
    params = jax.tree.map(lambda p: 2 * p, whole.params)
    pixels = 2 * np.random.default_rng(0).random((12, 2, 64))

    def total(signals):
        return jnp.sum(jnp.sin(signals.out.v)) + jnp.sum(signals.h.spike)

    def by_run(model):
        return lambda p: total(model.module.run(p, (), model.module.Inputs(jnp.asarray(pixels)))[0])

    def by_hand(p):
        state, result = whole.module.init_state(p, (), 2), 0.0
        for n, now in enumerate(pixels):
            if n % k == 0:
                state = jax.lax.stop_gradient(state)
            state, signals, _ = whole.module.step(p, (), state, whole.module.Inputs(jnp.asarray(now)))
            result += total(signals)
        return result

    assert by_run(whole)(params) == by_run(cut)(params)
    expected, actual, untruncated = (jax.jit(jax.grad(f))(params) for f in (by_hand, by_run(cut), by_run(whole)))
    for name in params._fields:
        np.testing.assert_allclose(getattr(actual, name), getattr(expected, name), rtol=1e-10, atol=1e-12, err_msg=name)
    assert not np.allclose(actual.pixels_h_dense_w, untruncated.pixels_h_dense_w)
