"""Weights of local rules, step by step, against recordings of Brian2 (tests/recordings/brian2_plasticity.py)."""

from pathlib import Path

import numpy as np
import pytest
from plasticity_networks import pair_network, weights_after_each_step

RECORDED = Path(__file__).parents[1] / "recordings" / "brian2_plasticity.npz"
EULER = """
plasticity Rewarded {
  input reward
  state x = 0 per pre
  state y = 0 per post
  state c = 0 per synapse
  x' = -x / 20 ms
  y' = -y / 20 ms
  c' = -c / 200 ms
  w' = c * reward / 50 ms
  on pre { c -= 0.012 * y; x += 1 }
  on post { c += 0.01 * x; y += 1 }
  solve euler
}"""
RULES = {
    "pair": ("PairSTDP(tau_post = 30 ms, a_plus = 0.02, a_minus = 0.03)", "", ""),
    "triplet": ("TripletSTDP(w_min = -9, w_max = 9)", "", ""),
    "rstdp": ("Rewarded(reward = reward)", "input reward : real[1]", EULER),
}


@pytest.mark.parametrize("name", RULES)
def test_weights_are_those_of_brian2_after_every_step(name):
    learn, more, rule = RULES[name]
    with np.load(RECORDED) as data:
        brian = dict(data)
    model = pair_network(learn, pre=3, post=2, more=more, rule=rule)
    inputs = {"pre": brian["pre"][:, None], "drive": brian["post"][:, None]}
    if more:
        inputs["reward"] = brian["reward"][:, None, None]

    np.testing.assert_allclose(weights_after_each_step(model, **inputs), brian[name], rtol=1e-12, atol=1e-12)
    assert np.ptp(brian[name]) > 1e-3
