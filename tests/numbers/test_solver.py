"""Discrete updates: exact ones against scipy's matrix exponential, explicit ones by their order of convergence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from models_in_text import compile_text
from scipy.integrate import solve_ivp
from scipy.linalg import expm

STATES = ("v", "u", "w", "z")


def system_text(matrix, rest, dt, *, solve="exact", clauses="", start=0.0, inputs=True):
    """A layer of one neuron with x' = A x + b + I, each entry of A in 1/ms; `None` leaves an entry out."""
    n = len(rest)
    lines = []
    for i, state in enumerate(STATES[:n]):
        terms = [f"({matrix[i][j]!r}) * {STATES[j]}" for j in range(n) if matrix[i][j]]
        terms += [f"({float(rest[i])!r})"] if rest[i] else []
        terms += [f"I{i}"] if inputs else []
        lines.append(f"state {state} = {start + 0.25 * (i + 1)}\n{state}' = ({' + '.join(terms) or '0'}) / 1 ms")
        lines += [f"input I{i}"] if inputs else []
    body = "\n".join(lines)
    sources = "\n".join(f"input a{i} : real[1]\na{i} -> h.I{i}" for i in range(n)) if inputs else ""
    return f"""
    neuron System {{
      {body}
      solve {solve}
      {clauses}
    }}
    network Net {{
      dt = {dt!r} ms
      {sources}
      layer h = System[1]()
      {"" if inputs else "input idle : real[1]"}
    }}"""


def by_expm(matrix, rest, dt, drive, start=0.0):
    """States [T, n] with the drive [T, n] held over each step: the exponential of the augmented system."""
    n = len(rest)
    x = start + 0.25 * np.arange(1, n + 1)
    rows = []
    for now in drive:
        block = np.zeros((n + 1, n + 1))
        block[:n, :n] = matrix
        block[:n, n] = np.asarray(rest) + now
        x = (expm(block * dt) @ [*x, 1.0])[:n]
        rows.append(x)
    return np.array(rows)


def states_of(signals, n):
    return np.stack([signals[f"h.{s}"][:, 0, 0] for s in STATES[:n]], -1)


def tau(*times):
    return -np.diag([1.0 / t for t in times])


def coupled(diagonal, **entries):
    matrix = diagonal.copy()
    for place, value in entries.items():
        matrix[int(place[1]), int(place[2])] = value
    return matrix.tolist()


SYSTEMS = {
    "one leak": (coupled(tau(10.0)), [0.0]),
    "one integrator with input": ([[0.0]], [0.0]),
    "one integrator with constant slope": ([[0.0]], [0.3]),
    "growth": ([[0.2]], [0.1]),
    "two independent": (coupled(tau(10.0, 3.0)), [0.1, 0.0]),
    "two coupled one way": (coupled(tau(10.0, 3.0), _01=0.1), [0.0, 0.0]),
    "two coupled one way, drives on both": (coupled(tau(10.0, 3.0), _01=0.1), [0.3, -0.2]),
    "coinciding": (coupled(tau(10.0, 10.0), _01=0.1), [0.0, 0.0]),
    "nearly coinciding": (coupled(tau(10.0, 10.0 + 1e-9), _01=0.1), [0.1, 0.2]),
    "leak into an integrator": (coupled(np.diag([0.0, -0.2]), _01=0.5), [0.0, 0.0]),
    "integrator into a leak": (coupled(np.diag([-0.2, 0.0]), _01=0.5), [0.0, 0.1]),
    "two integrators": (coupled(np.zeros((2, 2)), _01=0.5), [0.0, 0.1]),
    "oscillator": ([[0.0, 1.3], [-1.3, 0.0]], [0.0, 0.0]),
    "damped resonator": ([[-0.1, 1.3], [-0.7, -0.2]], [0.2, 0.0]),
    "three in a chain": (coupled(tau(10.0, 5.0, 5.0), _01=0.3, _12=0.4), [0.0, 0.0, 0.1]),
    "three into one": (coupled(tau(10.0, 5.0, 10.0), _01=0.3, _02=0.4), [0.0, 0.0, 0.0]),
    "triangle": (coupled(tau(10.0, 5.0, 2.0), _01=0.3, _12=0.4, _02=0.2), [0.0, 0.0, 0.0]),
    "one into two": (coupled(tau(10.0, 5.0, 2.0), _02=0.3, _12=0.4), [0.0, 0.0, 0.0]),
    "ring of three": (coupled(tau(10.0, 5.0, 2.0), _01=0.3, _12=-0.4, _20=0.5), [0.1, 0.0, 0.0]),
    "four in a chain, coinciding": (coupled(tau(5.0, 5.0, 5.0, 5.0), _01=0.3, _12=0.4, _23=0.5), [0, 0, 0, 0]),
    "two pairs": (coupled(tau(5.0, 4.0, 3.0, 2.0), _01=0.3, _23=0.4, _32=-0.4), [0.1, 0.0, 0.0, 0.2]),
    "stiff": (coupled(tau(100.0, 0.1), _01=0.3), [0.0, 0.0]),
}
rng = np.random.default_rng(1)
for _k in range(8):
    _n = 1 + _k % 4
    _matrix = rng.normal(size=(_n, _n)) * (rng.random((_n, _n)) < 0.6) / 2
    SYSTEMS[f"random {_k}"] = (_matrix.tolist(), rng.normal(size=_n).tolist())


@pytest.mark.parametrize("name", SYSTEMS)
def test_exact_updates_equal_the_matrix_exponential(name):
    matrix, rest = SYSTEMS[name]
    n, dt = len(rest), 0.7
    model = compile_text(system_text(matrix, rest, dt))
    drive = np.random.default_rng(0).normal(size=(12, n))
    x = {f"a{i}": drive[:, None, i : i + 1] for i in range(n)}

    expected = by_expm(matrix, rest, dt, drive)

    scale = np.abs(expected).max()
    np.testing.assert_allclose(states_of(model.run(**x), n), expected, rtol=1e-12, atol=1e-12 * scale)
    np.testing.assert_allclose(states_of(model.interpret(**x), n), expected, rtol=1e-12, atol=1e-12 * scale)


def test_auto_means_exact_where_coefficients_are_constant():
    assert compile_text(system_text([[-0.1]], [0.0], 1.0, solve="auto")).compiled.plan.types[0].method == "exact"


# ---- coinciding time constants in float32 ----------------------------------------

CUBA = """
import std.neurons (CubaLI)
network Net {
  dt = 1 ms
  input a : spikes[1]
  layer h = CubaLI[1](tau_m = 10 ms in (0 ms, inf) trainable, tau_s = TAU_S ms in (0 ms, inf) trainable)
  a -> h.x
}"""


def potential_and_gradient(tau_s, dtype):
    """v after 12 steps from one spike at step 0, and its derivative by tau_m and tau_s."""
    with jax.enable_x64(dtype == np.float64):
        model = compile_text(CUBA.replace("TAU_S", repr(tau_s)))
        module = model.module
        spikes = np.zeros((12, 1, 1), dtype)
        spikes[0] = 1
        x = model.inputs(a=spikes)
        c = module.constants(model.params, model.buffers)

        def end(taus):
            p = module.cuba_li(tau_m=taus[0], tau_s=taus[1])
            state = module.cuba_li_start(p, (1, 1))
            for n in range(12):
                state, *_ = module.cuba_li_step(p, state, x.a[n])
            return state.v[0, 0]

        value, gradient = jax.value_and_grad(end)(jnp.asarray([10.0, tau_s], dtype))
        assert value.dtype == dtype
        whole = module.run(model.params, model.buffers, x)[0].h.v[-1, 0, 0]
        np.testing.assert_allclose(whole, value, rtol=1e-5)
        assert c.h is not None
        return float(value), np.asarray(gradient, float)


@pytest.mark.parametrize("tau_s", [9.99999, 10.0, 9.9, 10.3, 5.0])
def test_near_coincident_time_constants_keep_float32_accuracy(tau_s):
    value, gradient = potential_and_gradient(tau_s, np.float32)
    truth, slope = potential_and_gradient(tau_s, np.float64)

    # current e^(-t/tau_s) into the membrane, by quadrature free of cancellation
    t, s = 11.0, np.polynomial.legendre.leggauss(30)
    at = t / 2 * (s[0] + 1)
    expected = np.sum(t / 2 * s[1] * np.exp(-at / tau_s) * np.exp(-(t - at) / 10.0)) / 10.0
    np.testing.assert_allclose(truth, expected, rtol=1e-12)
    np.testing.assert_allclose(value, truth, rtol=2e-6)
    np.testing.assert_allclose(gradient, slope, rtol=1e-4, atol=1e-6)


def test_the_gradient_of_an_exact_update_by_its_time_constants_equals_finite_differences():
    for tau_s in (10.0, 9.99999, 3.0):
        _, slope = potential_and_gradient(tau_s, np.float64)
        up, _ = potential_and_gradient(tau_s + 1e-4, np.float64)
        down, _ = potential_and_gradient(tau_s - 1e-4, np.float64)

        np.testing.assert_allclose(slope[1], (up - down) / 2e-4, rtol=1e-6)


# ---- explicit methods -------------------------------------------------------------

NONLINEAR = """
neuron Morris {{
  state v = 0.2
  state w = 0.1
  v' = (v - v^3 / 3 - w + 0.5) / 1 ms
  w' = 0.08 * (v + 0.7 - 0.8 * w) / 1 ms
  solve {solve}
}}
network Net {{
  dt = {dt!r} ms
  layer h = Morris[1]()
  input idle : real[1]
}}"""


def end_of_nonlinear(solve, steps):
    model = compile_text(NONLINEAR.format(solve=solve, dt=4.0 / steps))
    idle = np.zeros((steps, 1, 1))
    run, interpreted = model.run(idle=idle), model.interpret(idle=idle)
    np.testing.assert_allclose(run["h.v"], interpreted["h.v"], rtol=1e-12)
    return run["h.v"][-1, 0, 0]


@pytest.mark.parametrize(("solve", "order"), [("euler", 1), ("rk2", 2), ("rk4", 4), ("euler(substeps = 2)", 1)])
def test_explicit_methods_converge_with_their_order(solve, order):
    def slope(_, x):
        return [x[0] - x[0] ** 3 / 3 - x[1] + 0.5, 0.08 * (x[0] + 0.7 - 0.8 * x[1])]

    truth = solve_ivp(slope, (0, 4), [0.2, 0.1], method="DOP853", rtol=1e-13, atol=1e-14).y[0, -1]
    errors = [abs(end_of_nonlinear(solve, steps) - truth) for steps in (32, 64)]

    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.25)


def test_substeps_are_smaller_steps():
    assert end_of_nonlinear("rk4(substeps = 4)", 16) == pytest.approx(end_of_nonlinear("rk4", 64), rel=1e-13)


# ---- exponential Euler -------------------------------------------------------------


def test_exponential_euler_is_exact_with_coefficients_frozen_at_the_start_of_the_step():
    model = compile_text("""
    neuron Synapse {
      input I
      state v = 0.5
      state g = 1
      v' = (g * (2 - v) - v + I) / 8 ms
      g' = -g / (2 ms * (1 + v^2))
    }
    network Net {
      dt = 0.5 ms
      input a : real[1]
      layer h = Synapse[1]()
      a -> h.I
    }""")
    drive = np.random.default_rng(0).normal(size=20)
    v, g, expected = 0.5, 1.0, []
    for now in drive:
        step = expm(0.5 * np.array([[-(g + 1) / 8, (2 * g + now) / 8], [0, 0]]))
        v, g = (step @ [v, 1.0])[0], g * np.exp(-0.5 / (2 * (1 + v**2)))
        expected.append((v, g))

    signals = model.run(a=drive[:, None, None])

    assert model.compiled.plan.types[0].method == "exponential Euler"
    np.testing.assert_allclose(np.stack([signals["h.v"], signals["h.g"]], -1)[:, 0, 0], expected, rtol=1e-12)


def test_exponential_euler_has_its_limit_where_a_rate_is_zero():
    model = compile_text("""
    neuron Gated {
      input g
      state v = 0.5
      v' = (1 - g * v) / 8 ms
    }
    network Net {
      dt = 1 ms
      input a : real[1]
      layer h = Gated[1]()
      a -> h.g
    }""")

    signals = model.run(a=np.zeros((4, 1, 1)))
    slope = jax.grad(lambda a: model.module.run((), (), model.inputs(a=a))[0].h.v[-1, 0, 0])(jnp.zeros((4, 1, 1)))

    np.testing.assert_allclose(signals["h.v"][:, 0, 0], 0.5 + np.arange(1, 5) / 8, rtol=1e-12)
    assert np.isfinite(slope).all()


# ---- hold ---------------------------------------------------------------------------

HOLD = """
neuron Held {{
  event x
  state v = 0.9
  state u = 0.5
  state w = 0.2
  v' = -v / 10 ms + 0.3 * u / 1 ms + 0.05 / 1 ms
  u' = -u / 4 ms + 0.2 * {loop} / 1 ms + 0.1 * w / 1 ms
  w' = (0.4 * v - w) / 6 ms
  on x at start {{ v += x; u += x }}
  on x at end {{ v += x; w -= x }}
  spike when v >= 1.2 {{ v = 0.1 }}
  refractory 3 ms hold v
  solve {solve}
}}
network Net {{
  dt = 1 ms
  input a : spikes[1]
  layer h = Held[1]()
  a -> h.x
}}"""


@pytest.mark.parametrize("loop", ["v", "w", "u"])
def test_a_held_state_ignores_jumps_and_the_others_see_it_constant(loop):
    model = compile_text(HOLD.format(loop=loop, solve="exact"))
    x = 0.3 * (np.random.default_rng(3).random(30) < 0.4)
    matrix = np.array([[-0.1, 0.3, 0], [0, -0.25, 0.1], [0.4 / 6, 0, -1 / 6]])
    matrix[1, "vuw".index(loop)] += 0.2
    full = np.block([[matrix, np.array([[0.05], [0], [0]])], [np.zeros((1, 4))]])
    reduced = full.copy()
    reduced[0] = 0
    state, left, expected, spikes = np.array([0.9, 0.5, 0.2]), 0, [], []
    for now in x:
        free = left <= 0
        state = state + now * np.array([1.0 * free, 1, 0])
        state = (expm(full if free else reduced) @ [*state, 1.0])[:3]
        state = state + now * np.array([1.0 * free, 0, -1])
        spike = free and state[0] >= 1.2
        left = 3 if spike else max(left - 1, 0)
        state[0] = 0.1 if spike else state[0]
        expected.append(state.copy())
        spikes.append(float(spike))

    for signals in (model.run(a=x[:, None, None]), model.interpret(a=x[:, None, None])):
        actual = np.stack([signals[f"h.{s}"][:, 0, 0] for s in "vuw"], -1)
        np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)
        np.testing.assert_array_equal(signals["h.spike"][:, 0, 0], spikes)
    assert 2 <= sum(spikes) <= 8


@pytest.mark.parametrize("solve", ["euler", "rk2", "rk4(substeps = 3)", "exp_euler"])
def test_a_held_state_stays_with_every_solver(solve):
    model = compile_text(HOLD.format(loop="v", solve=solve))
    x = 0.3 * (np.random.default_rng(3).random(30) < 0.4)

    signals = model.run(a=x[:, None, None])
    fired = np.flatnonzero(signals["h.spike"][:, 0, 0])

    assert len(fired) >= 2
    for n in fired:
        np.testing.assert_array_equal(
            signals["h.v"][n : n + 4, 0, 0], np.full_like(signals["h.v"][n : n + 4, 0, 0], 0.1)
        )
