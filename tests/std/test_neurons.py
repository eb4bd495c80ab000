"""Every standard neuron of issue 3 against its source: a closed form, a known rate, or the behaviour it was published for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cells import cell, constant, spike_steps
from scipy.integrate import quad, solve_ivp
from scipy.linalg import expm

# neuron: ports, dt, size of the random input at each port
RANDOM_INPUT = {
    "AlphaLIF": ("x I", "1 ms", (20, 2)),
    "QIF": ("x I", "1 ms", (1, 1)),
    "ResonateAndFire": ("x I", "1 ms", (1, 1)),
    "BalancedResonateAndFire": ("x", "1 ms", (200,)),
    "AdLIF": ("x", "1 ms", (20,)),
    "TwoCompartmentLIF": ("basal apical I J", "1 ms", (1, 1, 1, 1)),
    "EscapeLIF": ("x I", "1 ms", (1, 1)),
    "SigmaDelta": ("x", "1 ms", (1,)),
    "TsodyksMarkram": ("x", "1 ms", (1,)),
    "EIF": ("x I", "0.1 ms", (10, 500)),
    "AdEx": ("x I", "0.1 ms", (10, 2000)),
    "Izhikevich": ("x I", "0.1 ms", (10, 20)),
    "HodgkinHuxley": ("x I", "0.1 ms", (10, 3000)),
    "WangBuzsaki": ("x I", "0.1 ms", (10, 500)),
    "ConductanceLIF": ("exc inh I", "0.1 ms", (10, 10, 300)),
    "GLIF": ("x I", "0.1 ms", (10, 300)),
}


@pytest.mark.parametrize("neuron", RANDOM_INPUT)
def test_ten_thousand_steps_of_random_input_and_a_gradient_stay_finite_in_float32(neuron):
    ports, dt, sizes = RANDOM_INPUT[neuron]
    rng = np.random.default_rng(0)
    with jax.enable_x64(False):
        model = cell(neuron, ports=ports, dt=dt, size=4)
        drive = {}
        for port, size in zip(ports.split(), sizes, strict=True):
            draws = size * rng.normal(size=(10_000, 1, 4))
            arrives = rng.random(draws.shape) < 0.1 if port not in "IJ" else 1.0
            drive[f"in_{port}"] = ((abs(draws) if port in ("exc", "inh") else draws) * arrives).astype(np.float32)
        signals = model.run(**drive)
        if neuron == "WangBuzsaki":  # XLA takes a minute for the gradient of unrolled substeps
            model = cell(neuron, "solve = rk4", ports=ports, dt=dt, size=4)

        def total(x):
            out = model.module.run(model.params, model.buffers, x, key=jax.random.key(0))[0]
            return sum(jnp.sum(s) for s in jax.tree.leaves(out))

        slope = jax.jit(jax.grad(total))(model.inputs(**{name: x[:200] for name, x in drive.items()}))

    assert np.count_nonzero(signals["h.spike"]) > 20
    assert {value.dtype for value in signals.values()} == {np.dtype(np.float32)}
    assert all(np.isfinite(value).all() for value in signals.values())
    assert all(np.isfinite(s).all() for s in jax.tree.leaves(slope))


# ---- one dimension ---------------------------------------------------------------------


@pytest.mark.parametrize("drive", [0.2, 1.0, 5.0, 40.0])
def test_the_quadratic_neuron_fires_at_the_rate_of_its_normal_form(drive):
    model = cell("QIF", dt="0.05 ms")
    root = np.sqrt(drive)
    period = 10 / root * 2 * np.arctan(10 / root)

    intervals = np.diff(spike_steps(model.run(in_I=constant(drive, 8000)))) * 0.05

    assert len(intervals) >= 4
    np.testing.assert_allclose(intervals, period, atol=0.051)  # the grid, to which a spike and a reset are rounded


def test_the_quadratic_neuron_rests_without_current_and_diverges_from_above_its_threshold():
    model = cell("QIF", ports="x I", dt="0.1 ms")
    kick = np.zeros((600, 1, 1))
    kick[0] = 1.0  # from 0 to the unstable point of I = -1

    def count(jump):
        return spike_steps(model.run(in_x=kick * jump, in_I=constant(-1, 600))).size

    assert [count(0.9), count(1.1)] == [0, 1]


def test_the_exponential_neuron_fires_at_the_rate_of_the_integral_of_its_slope():
    drive = 300.0

    def slowness(v):
        return 100 / (10 * (-65 - v + 3.48 * np.exp(min((v + 59.9) / 3.48, 10))) + drive)

    period = 1.7 + quad(slowness, -68, -30, limit=200)[0]
    intervals = np.diff(spike_steps(cell("EIF", dt="0.02 ms").run(in_I=constant(drive, 10_000)))) * 0.02

    assert len(intervals) >= 4
    np.testing.assert_allclose(intervals, period, atol=0.041)


@pytest.mark.parametrize(("neuron", "rheobase"), [("EIF", 10 * (65 - 59.9 - 3.48)), ("GLIF", None)])
def test_the_smallest_current_that_fires_is_that_of_the_closed_form(neuron, rheobase):
    # EIF: the minimum of the slope, g_L (V_T - E_L - Delta); GLIF: the threshold rises by t_gain / t_rate of the way
    rheobase = rheobase or 9.43 * (78.85 - 51.68) / (1 - 0.005 / 0.09)
    model = cell(neuron)

    counts = [spike_steps(model.run(in_I=constant(f * rheobase, 6000))).size for f in (0.99, 1.05)]

    assert counts[0] == 0 < counts[1]


def test_the_cut_of_the_exponent_delays_a_spike_by_less_than_twenty_microseconds():
    for tau, delta, peak_above in ((281 / 30, 2.0, 70.4), (10.0, 3.48, 29.9)):
        left = quad(lambda z, tau=tau: tau * np.exp(-z), 10, peak_above / delta)[0]  # ms, uncut
        assert left < 1e-3
        assert tau * np.exp(-10) * (peak_above / delta) < 2e-2  # and cut: the rest of the way at the slope of the cut


# ---- linear systems --------------------------------------------------------------------------


def test_with_equal_time_constants_the_current_is_the_alpha_function_with_its_peak_at_tau():
    model = cell("AlphaLIF", "tau_m = 10 ms, tau_r = 5 ms, tau_d = 5 ms", ports="x", dt="0.5 ms")
    x = constant(0, 100)
    x[0] = 0.3
    t = 0.5 * np.arange(100)  # row 0 is the state right after the jump

    signals = model.run(in_x=x)
    current = 0.3 * t / 5 * np.exp(-t / 5)
    potential = [quad(lambda s, t=t: 0.03 * s / 5 * np.exp(-s / 5 - (t - s) / 10), 0, t)[0] for t in t]

    np.testing.assert_allclose(signals["h.i"][:, 0, 0], current, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(signals["h.v"][:, 0, 0], potential, rtol=1e-9, atol=1e-12)
    assert t[np.argmax(signals["h.i"])] == 5.0
    assert signals["h.i"].max() == pytest.approx(0.3 / np.e)


def test_below_threshold_the_resonator_rings_at_omega_and_decays_with_tau():
    model = cell("ResonateAndFire", ports="x", dt="0.25 ms")
    x = constant(0, 400)
    x[0] = 0.5
    t = 0.25 * np.arange(400)

    signals = model.run(in_x=x)

    np.testing.assert_allclose(signals["h.v"][:, 0, 0], 0.5 * np.exp(-t / 10) * np.sin(t), atol=1e-12)
    np.testing.assert_allclose(signals["h.u"][:, 0, 0], 0.5 * np.exp(-t / 10) * np.cos(t), atol=1e-12)


def test_the_resonator_fires_for_doublets_at_its_own_period_only():
    # Izhikevich 2001: two pulses, neither enough alone
    model = cell("ResonateAndFire", ports="x", dt="0.05 ms")
    period = 2 * np.pi

    def spikes(interval):
        x = constant(0, 400)
        x[0] = x[round(interval / 0.05)] = 0.85
        return spike_steps(model.run(in_x=x)).size

    assert [spikes(f * period) for f in (0.5, 1.0, 1.5, 2.0)] == [0, 1, 0, 0]


def test_after_a_spike_the_resonator_is_at_its_reset():
    signals = cell("ResonateAndFire", dt="0.1 ms").run(in_I=constant(20, 400))
    fired = signals["h.spike"][:, 0, 0] > 0

    assert fired.sum() >= 2
    assert set(signals["h.v"][fired, 0, 0]) == {1.0}
    assert set(signals["h.u"][fired, 0, 0]) == {0.0}


def test_the_two_compartments_relax_to_the_rest_of_two_coupled_leaks():
    model = cell("TwoCompartmentLIF", "g = 0.8", ports="I J")
    v, d = np.linalg.solve([[1.8, -0.8], [-0.8, 1.8]], [0.2, 1.1])
    flow = expm(0.1 * np.array([[-1.8 / 10, 0.8 / 10], [0.8 / 30, -1.8 / 30]]))

    signals = model.run(in_I=constant(0.2, 5000), in_J=constant(1.1, 5000))
    state = np.array([v, d]) - np.linalg.matrix_power(flow, 70) @ [v, d]

    assert not signals["h.spike"].any()
    np.testing.assert_allclose([signals["h.v"][-1, 0, 0], signals["h.d"][-1, 0, 0]], [v, d], rtol=1e-9)
    np.testing.assert_allclose([signals["h.v"][69, 0, 0], signals["h.d"][69, 0, 0]], state, rtol=1e-12)
    assert signals["h.d"][-1, 0, 0] == pytest.approx((1.1 + 0.8 * v) / 1.8)  # the sentence of its doc comment


def test_glif_below_threshold_is_the_matrix_exponential_and_resets_as_published():
    model = cell("GLIF")
    drive = 400.0
    a = np.zeros((3, 3))
    a[0] = [-9.43 / 58.72, 0, (9.43 * -78.85 + drive) / 58.72]
    a[1] = [0.005, -0.09, 0.005 * 78.85]
    flow = expm(0.1 * a)

    signals = model.run(in_I=constant(drive, 3000))
    first = spike_steps(signals)[0]
    state = [np.array([-78.85, 0.0, 1.0])]
    for _ in range(first + 1):
        state.append(flow @ state[-1])
    path = np.array(state[1:])

    np.testing.assert_allclose(signals["h.v"][:first, 0, 0], path[:first, 0], rtol=1e-11)
    np.testing.assert_allclose(signals["h.t"][:first, 0, 0], path[:first, 1], rtol=1e-9, atol=1e-12)
    assert path[first, 0] > -51.68 + path[first, 1]
    assert path[first - 1, 0] <= -51.68 + path[first - 1, 1]
    assert signals["h.v"][first, 0, 0] == pytest.approx(-78.85 + 0.2 * (path[first, 0] + 78.85) + 18.51)
    for name, value in (("i1", -9.18), ("i2", -198.94), ("s", 0.37)):
        assert signals[f"h.{name}"][first, 0, 0] == pytest.approx(value)
    later = slice(first + 1, first + 30)  # what a spike adds decays at its published rate
    np.testing.assert_allclose(signals["h.i2"][later, 0, 0], -198.94 * np.exp(-0.01 * np.arange(1, 30)), rtol=1e-12)
    assert (np.diff(spike_steps(signals)) > 38).all()  # 3.75 ms is rounded to 38 steps


# ---- excitable membranes -----------------------------------------------------------------------


def interval_of(slope, start, peak, reset, duration):
    """Spike times of a hybrid neuron, located by a solver of high order."""

    def crossing(_, x):
        return x[0] - peak

    crossing.terminal, crossing.direction = True, 1
    t, x, times = 0.0, np.asarray(start, float), []
    while t < duration:
        piece = solve_ivp(slope, (t, duration), x, events=crossing, rtol=1e-9, atol=1e-9)
        t, x = piece.t[-1], piece.y[:, -1]
        if not piece.t_events[0].size:
            break
        times.append(t)
        x = reset(x)
    return np.array(times)


@pytest.mark.parametrize(
    ("arguments", "a", "d", "rate"),
    [("", 0.02, 8.0, 22.3), ("a = 0.1 / 1 ms, d = 2 mV / 1 ms", 0.1, 2.0, 135.0)],
    ids=["regular spiking", "fast spiking"],
)
def test_izhikevichs_cells_fire_at_the_rates_of_their_equations(arguments, a, d, rate):
    def slope(_, x):
        v, u = x
        return [0.04 * v * v + 5 * v + 140 - u + 10, a * (0.2 * v - u)]

    expected = interval_of(slope, [-65, -13], 30, lambda x: np.array([-65, x[1] + d]), 500)
    times = 0.02 * (spike_steps(cell("Izhikevich", arguments, dt="0.02 ms").run(in_I=constant(10, 25_000))) + 1)

    assert len(times) == len(expected)
    np.testing.assert_allclose(np.diff(times), np.diff(expected), rtol=0.01)
    assert 1000 / np.diff(times)[-5:].mean() == pytest.approx(rate, rel=0.01)


def test_adex_keeps_firing_above_its_saddle_node_only_and_adapts():
    # Naud et al. 2008: the current at which the two nullclines touch; a step just below it still fires one transient spike
    saddle = (30 + 4) * (-50.4 + 70.6 - 2 + 2 * np.log(1 + 4 / 30))
    model = cell("AdEx")

    counts = [spike_steps(model.run(in_I=constant(f * saddle, 15_000))).size for f in (0.9, 0.99, 1.01)]
    intervals = np.diff(spike_steps(model.run(in_I=constant(1000, 5000)))) * 0.1

    assert counts[:2] == [0, 1]
    assert counts[2] >= 4
    assert (np.diff(intervals) > -0.11).all()
    assert intervals[-1] > 2.5 * intervals[0]


def test_hodgkin_and_huxley_rests_at_minus_65_and_fires_at_68_hz_for_10_microampere():
    drive = np.concatenate([constant(level, 10_000) for level in (0, 200, 1000)], axis=2)

    signals = cell("HodgkinHuxley", "solve = rk4", dt="0.02 ms", size=3).run(in_I=drive)
    steps = np.flatnonzero(signals["h.spike"][:, 0, 2])

    assert signals["h.v"][-1, 0, 0] == pytest.approx(-65, abs=0.01)
    assert signals["h.spike"].sum(0)[0, :2].tolist() == [0, 0]
    assert 1000 / (0.02 * np.diff(steps)[-5:].mean()) == pytest.approx(68.3, abs=0.7)


@pytest.mark.parametrize("neuron", ["HodgkinHuxley", "WangBuzsaki"])
def test_rates_and_their_gradients_are_finite_where_the_textbook_form_is_0_over_0(neuron):
    model = cell(neuron, "solve = euler", ports="x I", dt="0.01 ms")

    @jax.jit
    @jax.value_and_grad
    def end(v):
        step = getattr(model.module, "hodgkin_huxley_step" if neuron == "HodgkinHuxley" else "wang_buzsaki_step")
        constants = model.module.constants(model.params, model.buffers).h
        start = getattr(model.module, step.__name__.replace("_step", "_start"))(constants, (1, 1))
        zero = jnp.zeros((1, 1))
        return step(constants, start._replace(v=jnp.full((1, 1), v)), zero, zero)[0].v[0, 0]

    for v in (-40.0, -55.0, -35.0, -34.0):
        value, slope = end(v)
        near, near_slope = end(v + 1e-6)
        assert np.isfinite([value, slope]).all()
        np.testing.assert_allclose([value, slope], [near, near_slope], rtol=1e-6)


def test_wang_and_buzsakis_cell_has_its_published_rheobase_range_and_afterhyperpolarisation():
    model = cell("WangBuzsaki", dt="0.05 ms")

    def rate(density):
        steps = spike_steps(model.run(in_I=constant(100 * density, 20_000)))
        return 1000 / (0.05 * np.diff(steps)[-3:].mean()) if len(steps) > 4 else 0.0

    signals = model.run(in_I=constant(100, 10_000))
    after = signals["h.v"][spike_steps(signals)[0] : spike_steps(signals)[1], 0, 0].min()

    assert rate(0.14) == 0 < rate(0.2) < 30  # type I: about 0.16 uA/cm^2, from arbitrarily low rates
    assert rate(20.0) == pytest.approx(400, rel=0.1)  # "up to 400 Hz" at 20 uA/cm^2
    assert after == pytest.approx(-55 - 15, abs=4)  # about 15 mV below the threshold of about -55 mV


def test_a_conductance_synapse_gives_the_response_of_its_differential_equation():
    model = cell("ConductanceLIF", ports="exc inh", dt="0.05 ms")
    exc, inh = constant(0, 600), constant(0, 600)
    exc[0], inh[0] = 4.0, 9.0

    def slope(t, v):
        e, i = 4 * np.exp(-t / 5), 9 * np.exp(-t / 10)
        return (10 * (-60 - v) + e * (0 - v) + i * (-80 - v)) / 200

    truth = solve_ivp(slope, (0, 30), [-60.0], t_eval=0.05 * np.arange(600), rtol=1e-10, atol=1e-10).y[0]

    np.testing.assert_allclose(model.run(in_exc=exc, in_inh=inh)["h.v"][:, 0, 0], truth, atol=0.02)
    assert np.ptp(truth) > 1


def test_the_conductance_neuron_fires_at_the_rate_of_a_leak_with_a_refractory_period():
    model = cell("ConductanceLIF")
    period = 5 + 20 * np.log(30 / (30 - 10))  # 300 pA / 10 nS = 30 mV against a threshold 10 mV above rest

    intervals = np.diff(spike_steps(model.run(in_I=constant(300, 3000)))) * 0.1

    np.testing.assert_allclose(intervals, period, atol=0.101)


# ---- difference equations, noise, relays ----------------------------------------------------------


def test_the_balanced_resonator_conserves_its_energy_without_offset_and_refractoriness():
    # Higuchi et al. 2024: on the divergence boundary |1 + dt (b + i omega)| = 1
    arguments = "omega = 40 / 1 s, b_off = 0 / 1 s, theta = 1e9"
    x = constant(0, 2000)
    x[0] = 1000

    signals = cell("BalancedResonateAndFire", arguments, ports="x", dt="4 ms").run(in_x=x)
    energy = signals["h.u"] ** 2 + signals["h.v"] ** 2
    ends = cell("BalancedResonateAndFire", arguments.replace("= 0 /", "= 1 /"), ports="x", dt="4 ms").run(in_x=x)

    np.testing.assert_allclose(energy, energy[0].item(), rtol=1e-10)
    assert (ends["h.u"] ** 2 + ends["h.v"] ** 2)[-1] < 1e-4 * energy[0]


def test_the_balanced_resonator_follows_the_published_recurrence():
    rng = np.random.default_rng(5)
    x = 120 * rng.random(300) * (rng.random(300) < 0.3)
    dt, omega, offset, u, v, q, expected = 0.01, 12.0, 0.5, 0.0, 0.0, 0.0, []
    for now in x:
        b = (np.sqrt(1 - (dt * omega) ** 2) - 1) / dt - offset - q
        u, v = u + dt * (b * u - omega * v + now), v + dt * (omega * u + b * v)
        spike = float(u - 1 - q > 0)
        q = 0.9 * q + spike
        expected.append((spike, u, v))
    model = cell("BalancedResonateAndFire", "omega = 12 / 1 s, b_off = 0.5 / 1 s", ports="x", dt="10 ms")

    signals = model.run(in_x=x[:, None, None])
    spike, u, v = np.array(expected).T

    assert spike.sum() > 10
    np.testing.assert_array_equal(signals["h.spike"][:, 0, 0], spike)
    np.testing.assert_allclose(signals["h.u"][:, 0, 0], u, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(signals["h.v"][:, 0, 0], v, rtol=1e-9, atol=1e-12)


def test_the_adaptive_neuron_follows_the_published_symplectic_recurrence():
    rng = np.random.default_rng(6)
    x = 60 * rng.random(400) * (rng.random(400) < 0.3)
    al, be, u, w, expected = np.exp(-1 / 15), np.exp(-1 / 90), 0.0, 0.0, []
    for now in x:
        u = al * u + (1 - al) * (now - w)
        spike = float(u > 1)
        u *= 1 - spike
        w = be * w + (1 - be) * 120 * (0.3 * u + 0.8 * spike)
        expected.append((spike, u, w))
    model = cell("AdLIF", "tau_u = 15 ms, tau_w = 90 ms, a = 0.3, b = 0.8", ports="x", dt="1 ms")

    signals = model.run(in_x=x[:, None, None])
    spike, u, w = np.array(expected).T

    assert spike.sum() > 10
    np.testing.assert_array_equal(signals["h.spike"][:, 0, 0], spike)
    np.testing.assert_allclose(signals["h.u"][:, 0, 0], u, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(signals["h.w"][1:, 0, 0], w[:-1], rtol=1e-9, atol=1e-12)


def test_the_adaptive_neuron_is_stable_where_forward_euler_is_not():
    # Baronig et al. 2025: the step matrix of forward Euler has a spectral radius above 1 at strong coupling
    al, be, qa = np.exp(-1 / 5), np.exp(-1 / 60), 120.0
    euler = np.array([[al, -(1 - al)], [(1 - be) * qa, be]])
    x = constant(0, 400)
    x[0] = 4.0
    arguments = "tau_u = 5.001 ms, tau_w = 60.001 ms, a = 0.999, b = 0, theta = 1e9"

    u = cell("AdLIF", arguments.replace("b = 0,", "b = 0.001,"), ports="x", dt="1 ms").run(in_x=x)["h.u"][:, 0, 0]

    assert abs(np.linalg.eigvals(euler)).max() > 1.05
    assert abs(u[-50:]).max() < 1e-3 * abs(u).max()


def test_escape_noise_fires_at_the_rate_of_its_renewal_process():
    dt, steps, drive = 0.5, 1200, 1.0
    v = drive * (1 - np.exp(-dt * np.arange(1, 2000) / 10))
    chance = 1 - np.exp(-0.01 * np.exp((v - 1) / 0.2) * dt)
    interval = dt * (1 + np.cumprod(1 - chance).sum())  # the mean of the survivor function
    model = cell("EscapeLIF", dt="0.5 ms", size=400)

    spikes = model.run(in_I=np.full((steps, 1, 400), drive), key=jax.random.key(1))["h.spike"]

    assert spikes[400:].mean() / dt == pytest.approx(1 / interval, rel=0.04)


def test_escape_noise_of_a_clamped_potential_is_a_poisson_process():
    model = cell("EscapeLIF", "tau = 0.001 ms", dt="1 ms", size=400)  # the potential is I at every step

    spikes = model.run(in_I=np.full((600, 1, 400), 0.9), key=jax.random.key(2))["h.spike"]
    chance = 1 - np.exp(-0.01 * np.exp(-0.1 / 0.2))

    assert spikes.mean() == pytest.approx(chance, rel=0.05)
    assert spikes.sum(0).var() == pytest.approx(600 * chance * (1 - chance), rel=0.25)


def test_what_sigma_delta_has_sent_is_never_further_than_theta_from_what_it_received():
    rng = np.random.default_rng(7)
    x = rng.normal(size=(500, 3, 4)) * (rng.random((500, 3, 4)) < 0.4)
    model = cell("SigmaDelta", "theta = 0.3", ports="x", dt="1 ms", size=4)

    spikes = model.run(in_x=x)["h.spike"]
    error = np.cumsum(spikes, 0) - np.maximum(np.cumsum(x, 0), 0)

    assert abs(error).max() < 0.3
    assert abs(spikes[spikes != 0]).min() >= 0.3
    assert 0.02 < np.count_nonzero(spikes) / spikes.size < 0.3


@pytest.mark.parametrize("rate", [5, 20, 50])
@pytest.mark.parametrize(("use", "rec", "fac"), [(0.04, 100.0, 1000.0), (0.5, 800.0, 1.0)])
def test_short_term_plasticity_reaches_its_steady_state(rate, use, rec, fac):
    gap = 1000 // rate
    x = constant(0, 6001)
    x[::gap] = 1
    u = use / (1 - (1 - use) * np.exp(-gap / fac))
    r = (1 - np.exp(-gap / rec)) / (1 - (1 - u) * np.exp(-gap / rec))
    arguments = f"U = {use}, tau_rec = {rec} ms, tau_fac = {fac} ms"

    weights = cell("TsodyksMarkram", arguments, ports="x", dt="1 ms").run(in_x=x)["h.spike"][::gap, 0, 0]

    assert weights[0] == pytest.approx(use)
    assert weights[-1] == pytest.approx(u * r, rel=1e-3)
