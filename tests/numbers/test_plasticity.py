"""Plasticity: the emitted file against the interpreter, and both against what the published equations say."""

import numpy as np
import pytest
from plasticity_networks import emitted, interpreted, pair_network

RULES = {
    "PairSTDP()": {},
    "NearestSTDP()": {},
    "MultiplicativeSTDP(mu_plus = 0.4, mu_minus = 0.7)": {},
    "TripletSTDP()": {},
    "RSTDP(reward = reward, tau_c = 200 ms)": {"reward": (1,)},
    "VoltageSTDP(u = u)": {"u": (2,)},
    "Oja()": {},
    "BCM(eta = 0.1 / 1 ms, tau_theta = 50 ms)": {},
    "Scaling(eta = 3)": {},
}


def events(steps, batch, count, seed, share=0.15):
    return (np.random.default_rng(seed).random((steps, batch, count)) < share).astype(float)


@pytest.mark.parametrize("learn", RULES)
def test_every_rule_of_the_library_is_emitted_as_it_is_interpreted(learn):
    more = {"reward": "input reward : real[1]", "u": "input u : voltage[2]"}
    needed = RULES[learn]
    model = pair_network(learn, pre=3, post=2, more="\n".join(more[name] for name in needed))
    inputs = {"pre": events(80, 4, 3, 1), "drive": events(80, 4, 2, 2)}
    inputs |= {name: np.random.default_rng(3).normal(0, 1, (80, 4, *shape)) for name, shape in needed.items()}
    if "u" in inputs:
        inputs["u"] = 20 * inputs["u"] - 55

    expected = interpreted(model, **inputs)

    np.testing.assert_allclose(emitted(model, **inputs), expected, rtol=1e-12, atol=1e-14)
    assert np.abs(expected - 0.5).max() > 1e-4


def spikes_at(steps, *times):
    train = np.zeros((steps, 1, 1))
    train[list(times)] = 1
    return train


@pytest.fixture(scope="module")
def window(float64):
    return pair_network("PairSTDP(tau_post = 30 ms)")


@pytest.mark.parametrize("lag", [-40, -7, -1, 0, 1, 13, 60])
def test_the_window_of_pair_stdp_is_that_of_its_equations(lag, window):
    pre, post = spikes_at(150, 70), spikes_at(150, 70 + lag)
    # a pre and a post of one step count as pre before post, for `on pre` stands first
    expected = 0.01 * np.exp(-lag / 20) if lag >= 0 else -0.012 * np.exp(lag / 30)

    for change in (emitted(window, pre=pre, drive=post), interpreted(window, pre=pre, drive=post)):
        assert change[0, 0] - 0.5 == pytest.approx(expected, rel=1e-12, abs=1e-15)


ORDERED = """
plasticity Ordered {{
  state x = 0 per pre
  state y = 0 per post
  x' = -x / 20 ms
  y' = -y / 20 ms
  {blocks}
}}"""
PRE = "on pre { w -= 0.012 * y;  x += 1 }"
POST = "on post { w += 0.01 * x;   y += 1 }"


@pytest.mark.parametrize(("blocks", "change"), [((PRE, POST), 0.01), ((POST, PRE), -0.012)])
def test_the_order_of_the_text_decides_what_happens_in_one_step(blocks, change):
    model = pair_network("Ordered()", rule=ORDERED.format(blocks="\n".join(blocks)))
    both = spikes_at(5, 2)

    assert emitted(model, pre=both, drive=both)[0, 0] - 0.5 == pytest.approx(change, rel=1e-12)
    assert interpreted(model, pre=both, drive=both)[0, 0] - 0.5 == pytest.approx(change, rel=1e-12)


def triplet_by_hand(pre, post, dt):
    """Pfister & Gerstner (2006), equations 2 to 4 with their all-to-all parameters, from the spike times alone."""
    plus, x, minus, y = 16.8, 101.0, 33.7, 125.0
    total = 0.0
    for t in pre * dt:
        o1 = np.exp(-(t - post[post * dt < t] * dt) / minus).sum()
        r2 = np.exp(-(t - pre[pre * dt < t] * dt) / x).sum()
        total -= o1 * (7e-3 + 2.3e-4 * r2)
    for t in post * dt:
        r1 = np.exp(-(t - pre[pre * dt <= t] * dt) / plus).sum()
        o2 = np.exp(-(t - post[post * dt < t] * dt) / y).sum()
        total += r1 * (5e-10 + 6.2e-3 * o2)
    return total


def test_the_triplet_rule_turns_from_depression_to_potentiation_with_frequency():
    model = pair_network("TripletSTDP(w_min = -10, w_max = 10)")
    found = []
    steps = 2020  # of the slowest pairing, for all: compiled once
    for period in (100, 30, 20):
        pre = np.arange(10, 10 + 20 * period, period)
        post = pre - 10  # post leads by 10 ms, as in the pairings of Sjostrom et al. (2001)
        change = emitted(model, pre=spikes_at(steps, *pre), drive=spikes_at(steps, *post))[0, 0] - 0.5
        assert change == pytest.approx(triplet_by_hand(pre, post, 1.0), rel=1e-12)
        found.append(change)

    assert found == sorted(found)
    assert found[0] < 0 < found[-1]


def test_reward_turns_eligibility_into_weight():
    model = pair_network("RSTDP(reward = reward, tau_c = 300 ms, w_max = 100)", more="input reward : real[1]")
    pre, post = events(400, 1, 1, 5), events(400, 1, 1, 6)
    reward = np.random.default_rng(7).normal(0, 1, (400, 1, 1))
    x = y = c = 0.0
    w = 0.5
    for n in range(400):  # Izhikevich (2007), eligibility held over a step
        w += 1.0 * c * reward[n, 0, 0] / 1000
        x, y, c = x * np.exp(-1 / 20), y * np.exp(-1 / 20), c * np.exp(-1 / 300)
        if pre[n, 0, 0]:
            c, x = c - 0.012 * y, x + 1
        if post[n, 0, 0]:
            c, y = c + 0.01 * x, y + 1

    assert emitted(model, pre=pre, drive=post, reward=reward)[0, 0] == pytest.approx(w, rel=1e-12)
    assert interpreted(model, pre=pre, drive=post, reward=reward)[0, 0] == pytest.approx(w, rel=1e-12)


def test_new_weights_act_from_the_next_step_on_and_are_the_mean_over_the_batch():
    model = pair_network("PairSTDP()", pre=2, post=2)
    one = {"pre": events(60, 3, 2, 8), "drive": events(60, 3, 2, 9)}
    apart = [interpreted(model, **{k: v[:, b : b + 1] for k, v in one.items()}) for b in range(3)]

    # additive and away from its bounds, the rule's change of a batch is the mean of its changes of the samples
    np.testing.assert_allclose(emitted(model, **one), np.mean(apart, axis=0), rtol=1e-12)


def test_weights_of_a_unit_sum_to_what_normalize_says():
    rule = (
        "plasticity Sums { param s = 3\n on post { w += 0.1 * pre }\n clip w in (0, inf)\n normalize w to s per post }"
    )
    model = pair_network("Sums(s = 2)", pre=3, post=2, rule=rule)
    inputs = {"pre": events(30, 2, 3, 1, 0.5), "drive": events(30, 2, 2, 2, 0.5)}

    np.testing.assert_allclose(emitted(model, **inputs).sum(axis=0), 2.0, rtol=1e-12)
    np.testing.assert_allclose(emitted(model, **inputs), interpreted(model, **inputs), rtol=1e-12)
