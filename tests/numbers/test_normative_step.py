"""Each clause of language.md, "One step, normatively", against a recurrence written by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from models_in_text import compile_text

from snnc.emit.names import stream_number


def one_layer(neuron, ports=("x",), size=1, dt="1 ms", extra=""):
    """A layer `h` of the neuron `Cell`, each port fed by an input of its name without any operation."""
    edges = "\n".join(f"input in_{p} : real[{size}]\nin_{p} -> h.{p}" for p in ports)
    return compile_text(f"""
    neuron Cell {{
      {neuron}
    }}
    network Net {{
      dt = {dt}
      layer h = Cell[{size}]()
      {edges}
      {extra}
    }}""")


def column(values):
    return np.asarray(values, float)[:, None, None]


def assert_signals(model, expected, **inputs):
    """Interpreter, emitted `run` and scanned `step` all publish `expected`, one number a step."""
    sequences = {name: column(values) for name, values in inputs.items()}
    for signals in (model.interpret(**sequences), model.run(**sequences), model.scan(**sequences)[0]):
        for name, values in expected.items():
            np.testing.assert_allclose(signals[name][:, 0, 0], values, rtol=1e-13, atol=1e-13, err_msg=name)


RNG = np.random.default_rng(0)
ARRIVALS = np.round(RNG.random(24) * (RNG.random(24) < 0.5), 3)
OTHERS = np.round(RNG.random(24) * (RNG.random(24) < 0.5), 3)


# ---- 2 and 4: jumps ---------------------------------------------------------------


def test_jumps_of_one_phase_read_the_same_old_state_and_add_up():
    model = one_layer(
        """
        event x
        event y
        state u = 1
        state v = 2
        on x { u += v * x; v += u * x }
        on y { v -= u * y }""",
        ("x", "y"),
    )
    u, v, expected = 1.0, 2.0, []
    for x, y in zip(ARRIVALS, OTHERS, strict=True):
        u, v = u + v * x, v + u * x - u * y
        expected.append((u, v))

    assert_signals(
        model, {"h.u": [e[0] for e in expected], "h.v": [e[1] for e in expected]}, in_x=ARRIVALS, in_y=OTHERS
    )


def test_start_jumps_come_before_integration_and_end_jumps_after_it():
    model = one_layer(
        """
        event x
        state early = 0
        state late = 0
        early' = -early / 5 ms
        late' = -late / 5 ms
        on x at start { early += x }
        on x at end { late += x + 0 * early }""",
    )
    decay = np.exp(-0.2)
    early = late = 0.0
    expected = []
    for x in ARRIVALS:
        early, late = (early + x) * decay, late * decay + x
        expected.append((early, late))

    assert_signals(model, {"h.early": [e[0] for e in expected], "h.late": [e[1] for e in expected]}, in_x=ARRIVALS)


def test_an_end_jump_reads_the_integrated_state():
    model = one_layer("event x\nstate v = 1\nstate u = 0\nv' = -v / 5 ms\non x { u += v * x; v -= v * x }")
    v, u, expected = 1.0, 0.0, []
    for x in ARRIVALS:
        v *= np.exp(-0.2)
        v, u = v - v * x, u + v * x
        expected.append(u)

    assert_signals(model, {"h.u": expected}, in_x=ARRIVALS)


def test_step_assigns_simultaneously_and_reads_ports():
    model = one_layer("input I\nstate a = 1\nstate b = 0\nstate kept = 7\nstep { a = b + I; b = a - 0.5 * b }", ("I",))
    a, b, expected = 1.0, 0.0, []
    for now in ARRIVALS:
        a, b = b + now, a - 0.5 * b
        expected.append((a, b))

    assert_signals(
        model,
        {"h.a": [e[0] for e in expected], "h.b": [e[1] for e in expected], "h.kept": np.full(24, 7.0)},
        in_I=ARRIVALS,
    )


# ---- 5 to 7: spikes, resets, emission ---------------------------------------------------


def test_several_blocks_test_one_state_and_reset_in_text_order():
    model = one_layer(
        """
        event x
        state v = 0
        state u = 0
        on x { v += 2 * x }
        spike when v >= 0.5 { u += v; v -= 0.5 }
        spike when v >= 0.9 { u += 10 * v; v = v / 2 }""",
    )
    v = u = 0.0
    expected = []
    for x in ARRIVALS:
        v += 2 * x
        low, high = v >= 0.5, v >= 0.9
        if low:
            v, u = v - 0.5, u + v
        if high:
            v, u = v / 2, u + 10 * v
        expected.append((float(low) + high, v, u))
    spike, v, u = np.array(expected, float).T

    assert set(spike) == {0, 1, 2}
    assert_signals(model, {"h.spike": spike, "h.v": v, "h.u": u}, in_x=ARRIVALS)


@pytest.mark.parametrize("comparison", [">=", ">", "<=", "<"])
def test_a_condition_is_executed_as_written(comparison):
    model = one_layer(f"event x\nstate v = 0\non x {{ v += x }}\nspike when v {comparison} 0.5 {{ v = v }}")
    arrivals = [0.25, 0.25, 0.0, 0.25, -0.25, -0.25]
    v = np.cumsum(arrivals)
    expected = {">=": v >= 0.5, ">": v > 0.5, "<=": v <= 0.5, "<": v < 0.5}[comparison]

    assert_signals(model, {"h.spike": expected}, in_x=arrivals)


def test_emit_is_evaluated_before_the_reset_and_known_inside_the_block():
    model = one_layer(
        """
        param theta = 0.4
        event x
        state v = 0
        state u = 0
        on x { v += 2 * x }
        spike when v >= theta emit floor(v / theta) { v -= theta * spike; u += spike }""",
    )
    v = u = 0.0
    expected = []
    for x in ARRIVALS:
        v += 2 * x
        value = np.floor(v / 0.4) if v >= 0.4 else 0.0
        v, u = v - 0.4 * value, u + value
        expected.append((value, v, u))
    spike, v, u = np.array(expected).T

    assert spike.max() >= 3
    assert_signals(model, {"h.spike": spike, "h.v": v, "h.u": u}, in_x=ARRIVALS)


def test_blocks_publish_the_sum_of_what_they_emit():
    model = one_layer(
        """
        event x
        state y = 0
        state ref = 0
        on x { y += x - 0.3 * y * x }
        spike when y - ref >= 0.2 emit y - ref { ref += spike }
        spike when y - ref <= -0.1 emit y - ref { ref += spike }
        spike when y >= 1 { y -= 1 }""",
    )
    y = ref = 0.0
    expected = []
    for x in ARRIVALS:
        y += x - 0.3 * y * x
        up, down, top = y - ref >= 0.2, y - ref <= -0.1, y >= 1
        total = (up + down) * (y - ref) + top
        ref, y = (y if up or down else ref), y - top
        expected.append((total, y, ref))
    spike, y, ref = np.array(expected, float).T

    assert spike.min() < 0 < 1 < spike.max()
    assert_signals(model, {"h.spike": spike, "h.y": y, "h.ref": ref}, in_x=ARRIVALS)


def test_spike_inside_step_and_let_is_the_published_value_of_the_previous_step():
    model = one_layer(
        """
        input I
        state v = 0
        state count = 0
        let drive = I - 0.3 * spike
        step { v = 0.8 * v + drive; count = count + spike }
        spike when v >= 0.5 emit 2 { v -= 0.5 }
        spike when v >= 0.9 { v -= 0.1 }""",
        ("I",),
    )
    v = count = before = 0.0
    expected = []
    for now in ARRIVALS:
        v, count = 0.8 * v + now - 0.3 * before, count + before
        low, high = v >= 0.5, v >= 0.9
        v = v - 0.5 * low - 0.1 * high
        before = 2.0 * low + high
        expected.append((before, v, count))
    spike, v, count = np.array(expected).T

    assert spike.max() == 3
    assert_signals(model, {"h.spike": spike, "h.v": v, "h.count": count}, in_I=ARRIVALS)


def test_rising_fires_only_where_the_condition_was_false_in_the_step_before():
    model = one_layer("input I\nstate v = 0\nstep { v = I }\nspike when v > 0.5 rising { v = 0 }", ("I",))
    above = [1, 1, 0, 0, 1, 1, 1, 0, 1]

    assert_signals(model, {"h.spike": [1, 0, 0, 0, 1, 0, 0, 0, 1]}, in_I=above)


def test_rising_watches_its_condition_while_refractory_too():
    model = one_layer(
        "input I\nstate v = 0\nstep { v = I }\nspike when v > 0.5 rising { v = 0 }\nrefractory 3 ms", ("I",)
    )
    above = [1, 0, 1, 1, 1, 0, 1]

    assert_signals(model, {"h.spike": [1, 0, 0, 0, 0, 0, 1]}, in_I=above)


@pytest.mark.parametrize(
    ("period", "dt", "steps"),
    [("0 ms", "1 ms", 0), ("1 ms", "1 ms", 1), ("2 steps", "0.5 ms", 2), ("5 ms", "2 ms", 3), ("2.4 ms", "1 ms", 2)],
)
def test_the_refractory_counter_counts_the_following_steps_and_rounds_half_up(period, dt, steps):
    model = one_layer(
        f"input I\nstate v = 0\nstep {{ v = I }}\nspike when v > 0.5 {{ v = 0 }}\nrefractory {period}", ("I",), dt=dt
    )

    assert_signals(model, {"h.spike": [n % (steps + 1) == 0 for n in range(15)]}, in_I=np.ones(15))


def test_a_blocked_port_reads_zero_and_a_held_state_ignores_step_while_refractory():
    model = one_layer(
        """
        event x
        event y
        input I
        state v = 0
        state u = 0
        step { v = v + I; u = u + I }
        on x { v += x; u += x }
        on y { u += y }
        spike when v >= 1 { v = 0 }
        refractory 2 ms hold v block x, I""",
        ("x", "y", "I"),
    )
    drive = 0.4 * np.ones(24)
    v = u = 0.0
    left, expected = 0, []
    for x, y, now in zip(ARRIVALS, OTHERS, drive, strict=True):
        free = left == 0
        v, u = v + free * (now + x), u + free * (now + x) + y
        spike = free and v >= 1
        left = 2 if spike else max(left - 1, 0)
        v = 0.0 if spike else v
        expected.append((spike, v, u))
    spike, v, u = np.array(expected, float).T

    assert spike.sum() >= 3
    assert_signals(model, {"h.spike": spike, "h.v": v, "h.u": u}, in_x=ARRIVALS, in_y=OTHERS, in_I=drive)


def test_pre_is_the_state_as_tested_and_the_plain_name_the_state_after_the_reset():
    model = one_layer(
        "event x\nstate v = 0\non x { v += x }\nspike when v >= 0.8 { v = 0 }",
        extra="output before = sum_over_time(h.v.pre)\noutput after = sum_over_time(h.v)",
    )
    v, pre, post = 0.0, [], []
    for x in ARRIVALS:
        v += x
        pre.append(v)
        v = 0.0 if v >= 0.8 else v
        post.append(v)

    assert_signals(model, {"h.v.pre": pre, "h.v": post}, in_x=ARRIVALS)
    outputs = model.outputs(in_x=column(ARRIVALS))
    np.testing.assert_allclose([outputs["before"].item(), outputs["after"].item()], [sum(pre), sum(post)], rtol=1e-13)


def test_a_port_without_edge_has_its_default_and_a_connected_one_can_be_read_everywhere():
    model = one_layer(
        """
        param gain = 2
        event x
        input I
        input J = gain / 4
        state v = 0
        step { v = 0.5 * v + J }
        on x { v += x * I }
        spike when v >= I + 0.5 emit I { v -= I }""",
        ("x", "I"),
    )
    drive = 0.3 + 0.4 * OTHERS
    v, expected = 0.0, []
    for x, now in zip(ARRIVALS, drive, strict=True):
        v = 0.5 * v + 0.5 + x * now
        spike = now * (v >= now + 0.5)
        v -= spike
        expected.append((spike, v))
    spike, v = np.array(expected).T

    assert 0 < np.count_nonzero(spike) < 24
    assert_signals(model, {"h.spike": spike, "h.v": v}, in_x=ARRIVALS, in_I=drive)


# ---- 1: gathering ----------------------------------------------------------------------

RELAYS = """
neuron Relay {{
  event x
  state v = 3
  step {{ v = 0 }}
  on x {{ v += x }}
  spike when v > 0.5 {{ v = v }}
}}
network Net {{
  dt = 1 ms
  input a : real[1]
  layer f = Relay[1]()
  layer g = Relay[1]()
  layer h = Relay[1]()
  {edges}
}}"""


def test_a_spike_crosses_undelayed_layers_within_a_step_and_delays_read_zero_before():
    model = compile_text(RELAYS.format(edges="f -> g\n a -> f\n g -> delay(2 steps) -> h"))
    a = np.array([1, 0, 0, 1, 1, 0, 0, 0])
    late = [0, 0, 1, 0, 0, 1, 1, 0]

    assert_signals(model, {"f.spike": a, "g.spike": a, "h.spike": late, "h.v": late}, a=a)


def test_a_delayed_signal_starts_at_the_initial_value_of_its_state():
    model = compile_text(RELAYS.format(edges="a -> f\n a -> g\n f.v -> delay(2 steps) -> h"))
    a = np.array([1.0, 0, 0, 1, 5, 0, 0, 0])

    assert_signals(model, {"h.v": [3, 3, 1, 0, 0, 1, 5, 0]}, a=a)


def test_operations_before_a_delay_act_on_the_initial_value():
    model = compile_text(
        RELAYS.format(edges="a -> f\n a -> g\n f.v -> scale(2) -> relu() -> delay(1 step) -> scale(0.5) -> h")
    )
    a = np.array([1.0, 0, 0, 1, 5, 0, 0, 0])

    assert_signals(model, {"h.v": [3, 1, 0, 0, 1, 5, 0, 0]}, a=a)


def test_what_an_operation_adds_before_a_delay_arrives_from_the_first_step():
    model = compile_text(
        RELAYS.format(edges="a -> f\n a -> g\n f -> bias(init = constant(0.25)) -> scale(2) -> delay(2 steps) -> h")
    )
    a = np.array([1.0, 0, 0, 1])

    assert_signals(model, {"h.v": [0.5, 0.5, 2.5, 0.5]}, a=a)


def test_a_self_loop_reads_the_step_before():
    model = compile_text(RELAYS.format(edges="a -> f\n f.v -> scale(0.5) -> delay(1 step) -> f\n a -> g\n g -> h"))
    v, expected = 3.0, []
    for a in ARRIVALS:
        v = a + 0.5 * v
        expected.append(v)

    assert_signals(model, {"f.v": expected}, a=ARRIVALS)


@pytest.mark.parametrize(("time", "steps"), [("2.5 ms", 3), ("2.4 ms", 2), ("0.4 ms", 0), ("3 steps", 3)])
def test_delays_are_rounded_half_up(time, steps):
    model = compile_text(RELAYS.format(edges=f"a -> f\n a -> g\n f -> delay({time}) -> h"))
    a = np.array([1.0, 0, 0, 1, 0, 0, 0, 0])

    assert_signals(model, {"h.v": np.concatenate([np.zeros(steps), a])[:8]}, a=a)


def test_edges_of_one_port_add_up_in_text_order():
    model = compile_text(
        RELAYS.format(edges="a -> scale(1e16) -> f\n a -> f\n a -> scale(-1e16) -> f\n a -> g\n a -> h")
    )

    assert_signals(model, {"f.v": [(1e16 + 1.0) - 1e16]}, a=[1.0])


# ---- chance and memory --------------------------------------------------------------------

NOISE = "event x\nstate v = 0\non x { v += x }\nspike with rate RATE { v = 0 }"


@pytest.mark.parametrize("rate", ["200 / 1 s", "exp(v - v) * 200 / 1 s"])
def test_escape_noise_fires_with_its_probability(rate):
    model = one_layer(NOISE.replace("RATE", rate), size=50, dt="2 ms")
    spikes = model.run(in_x=np.zeros((100, 20, 50)), key=jax.random.key(1))["h.spike"]
    p = 1 - np.exp(-0.4)

    assert set(np.unique(spikes)) == {0.0, 1.0}
    assert abs(spikes.mean() - p) < 5 * np.sqrt(p * (1 - p) / spikes.size)
    assert abs(np.corrcoef(spikes[:-1].ravel(), spikes[1:].ravel())[0, 1]) < 0.02


def test_escape_noise_is_keyed_by_the_sample_and_not_by_its_place():
    model = one_layer(NOISE.replace("RATE", "200 / 1 s"), size=5)
    keys = jax.vmap(lambda n: jax.random.fold_in(jax.random.key(1), n))(jnp.arange(4))
    x = np.zeros((30, 4, 5))

    whole = model.run(in_x=x, key=keys)["h.spike"]
    turned = model.run(in_x=x, key=keys[::-1])["h.spike"]

    np.testing.assert_array_equal(turned[:, ::-1], whole)
    np.testing.assert_array_equal(model.run(in_x=x[:, :1], key=keys[2:3])["h.spike"], whole[:, 2:3])
    assert (whole[:, 0] != whole[:, 1]).any()


def test_escape_noise_equals_the_interpreter_on_the_same_numbers():
    model = one_layer(NOISE.replace("RATE", "exp(v) * 100 / 1 s") + "\nrefractory 2 ms", size=5)
    key = jax.random.key(3)
    x = RNG.normal(size=(20, 2, 5))
    keys = model.module.sample_keys(key, 2)
    chances = np.stack([model.module.uniform_draws(keys, stream_number("h"), n, (5,)) for n in range(20)])

    expected = model.interpret(in_x=x, chances={"h": chances})

    np.testing.assert_array_equal(model.run(in_x=x, key=key)["h.spike"], expected["h.spike"])
    assert 0 < expected["h.spike"].mean() < 1


def test_a_drawn_state_differs_by_sample_and_neuron_and_follows_the_key():
    model = one_layer("event x\nparam top = 2\nstate v ~ uniform(-1, top)\non x { v += x }", size=200)
    x = np.zeros((2, 3, 200))

    first = model.run(in_x=x, key=jax.random.key(1))["h.v"][0]

    np.testing.assert_array_equal(model.run(in_x=x, key=jax.random.key(1))["h.v"][1], first)
    assert len(np.unique(first)) == 600
    assert -1 <= first.min() < -0.9 < 1.9 < first.max() < 2
    assert (model.run(in_x=x, key=jax.random.key(2))["h.v"][0] != first).all()


CARRY = "event x\nstate v = 0\nstate slow = 0.5 carry\non x { v += x; slow += 0.1 * x * (1 + v) }"


def test_a_carried_state_goes_on_from_the_mean_of_the_batch_in_training_only():
    model = one_layer(CARRY)
    module = model.module
    x = model.inputs(in_x=RNG.random((6, 3, 1)))
    weight = jnp.array([1.0, 1.0, 0.0])

    signals, trained = module.run(model.params, model.buffers, x, train=True)
    _, weighted = module.run(model.params, model.buffers, x, train=True, weight=weight)
    _, evaluated = module.run(model.params, model.buffers, x)
    again, _ = module.run(model.params, trained, x)

    last = np.asarray(signals.h.slow[-1])
    np.testing.assert_allclose(model.buffers.h_slow, [0.5])
    np.testing.assert_allclose(trained.h_slow, last.mean(0), rtol=1e-14)
    np.testing.assert_allclose(weighted.h_slow, last[:2].mean(0), rtol=1e-14)
    np.testing.assert_array_equal(evaluated.h_slow, model.buffers.h_slow)
    np.testing.assert_allclose(again.h.slow - signals.h.slow, np.broadcast_to(last.mean(0) - 0.5, (6, 3, 1)), rtol=1e-9)
    np.testing.assert_array_equal(again.h.v, signals.h.v)


def test_no_gradient_crosses_samples_through_a_carried_state():
    model = one_layer(CARRY)

    def carried(values):
        x = model.module.Inputs(in_x=values)
        return model.module.run(model.params, model.buffers, x, train=True)[1].h_slow.sum()

    np.testing.assert_array_equal(jax.grad(carried)(jnp.ones((3, 2, 1))), np.zeros((3, 2, 1)))


# ---- names that emitted code uses itself ------------------------------------------------------


def test_an_authors_name_never_meets_a_name_of_the_compiler():
    model = one_layer(
        """
        param k1 = 2
        param v_decay = 3
        param v_from_I = 5
        param fired = 7
        param ready = 11
        param p = 13
        param lambda = 0.5
        event x
        input I
        state v = 0
        state s = 0
        state v_next = 1
        state refractory = 4
        state above_1 = 6
        state spike_before = 8
        let drive = I * (fired + ready) * 0.01 - 0.1 * spike
        v' = (drive - v) / 10 ms
        s' = (v_decay / k1 - s + p * exp(lambda) / 100) / (v_from_I * 1 ms)
        on x { v += x * (s / lambda if s > 0 else lambda / s); v_next += v * x }
        spike when v >= 0.1 * exp(lambda) rising { v -= 0.3; refractory += 1; above_1 += 1; spike_before += 1 }
        refractory 1 ms hold v""",
        ("x", "I"),
    )
    decay, slow = np.exp(-0.1), np.exp(-0.2)
    v, s, v_next, counts = 0.0, 0.0, 1.0, np.array([4.0, 6.0, 8.0])
    left, above, before, expected = 0, False, 0.0, []
    for x, now in zip(ARRIVALS, OTHERS, strict=True):
        free = left == 0
        if free:
            v = decay * v + (1 - decay) * (now * 0.18 - 0.1 * before)
        s = slow * s + (1 - slow) * (1.5 + 0.13 * np.exp(0.5))
        v, v_next = (v + x * s / 0.5 if free else v), v_next + v * x
        test = v >= 0.1 * np.exp(0.5)
        spike = free and test and not above
        above = test
        if spike:
            v, counts = v - 0.3, counts + 1
        left = 1 if spike else max(left - 1, 0)
        before = float(spike)
        expected.append((spike, v, s, v_next, *counts))
    names = ("h.spike", "h.v", "h.s", "h.v_next", "h.refractory", "h.above_1", "h.spike_before")

    assert sum(e[0] for e in expected) >= 2
    assert_signals(model, dict(zip(names, np.array(expected, float).T, strict=True)), in_x=ARRIVALS, in_I=OTHERS)


def test_jumps_of_one_phase_add_up_with_their_own_signs():
    jumps = ("v += 2 * x", "v += -x", "v += 0 * x", "v -= -(3 * x)")
    model = one_layer("event x\nstate v = 0\n" + "\n".join(f"on x {{ {jump} }}" for jump in jumps))

    assert_signals(model, {"h.v": np.cumsum(4 * ARRIVALS)}, in_x=ARRIVALS)
