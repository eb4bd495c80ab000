"""Networks whose edges learn by rules of their own, trained by the command."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

MODEL = """\
edition 2026

import std.neurons (LIF, LI)
import std.plasticity (PairSTDP)

network Net {{
  dt = 1 ms
  input pixels : spikes[64]
  layer h = LIF[20](tau = 50 ms)
  layer out = LI[10](tau = 20 ms)
  pixels -> dense(init = uniform(0, 0.2), learn = PairSTDP(a_plus = 1e-3, a_minus = 1.1e-3, w_max = 0.3)) -> h
  h -> inhibit(others = -0.5) -> delay(1 step) -> h
  h -> dense() -> out
  output logits = 10 * mean_over_time(out.v)
}}

data digits8 = digits(val = 0.1, test = 0.25, seed = 7) -> rate(duration = 30 ms, peak = 100 Hz)

train main of Net on digits8 {{
  epochs = 2
  batch = 64
  {learn}
  metric accuracy = accuracy(logits, label)
}}
"""


def trained(run_in, folder, learn, *more):
    (folder / "net.snn").write_text(MODEL.format(learn=learn))
    result = run_in(folder, "train", "net.snn", "--json", *more)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1]), load_file(folder / "runs" / "net" / "weights.safetensors")


def test_a_rule_of_its_own_on_one_edge_and_gradients_on_the_others(run_in, tmp_path):
    loss = "loss = cross_entropy(logits, label)\n  optimizer = adamw(lr = 3e-2, weight_decay = 1e-2)"
    final, mixed = trained(run_in, tmp_path, loss, "--no-plots")
    unlearned, alone = trained(run_in, tmp_path, "learn = none()")

    # the readout does not act on the hidden layer, so that its weights are those of plasticity alone
    np.testing.assert_allclose(mixed["pixels_h.dense.w"], alone["pixels_h.dense.w"], rtol=2e-5, atol=1e-7)
    assert np.abs(mixed["h_out.dense.w"] - alone["h_out.dense.w"]).max() > 1e-3
    assert final["test"]["accuracy"] > 0.3
    assert "loss" not in unlearned["test"]
    assert 0 <= alone["pixels_h.dense.w"].min() < alone["pixels_h.dense.w"].max() <= np.float32(0.3)


DIGITS = Path(__file__).parents[2] / "models" / "digits_stdp.snn"


def accuracy_without_labels(run_in, folder, *more):
    result = run_in(folder, "train", DIGITS, "--out", "run", "--json", "--no-plots", *more)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])["test"]["accuracy"]


def test_units_find_digits_without_labels(run_in, tmp_path):
    found = accuracy_without_labels(run_in, tmp_path, "--epochs", "4")
    again = run_in(tmp_path, "eval", DIGITS, "--weights", "run/weights.safetensors", "--json")
    explained = run_in(tmp_path, "explain", DIGITS).stdout

    assert found > 0.75
    assert json.loads(again.stdout.splitlines()[-1])["test"]["accuracy"] == pytest.approx(found, abs=1e-6)
    assert "on post: w <- w + eta * (x - w)" in explained
    assert "w <- scaled to sum to 12 per post" in explained


@pytest.mark.long
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_whole_training_reaches_what_docs_results_says(run_in, tmp_path, seed):
    assert accuracy_without_labels(run_in, tmp_path, "--seed", seed) >= 0.85


REWARDED = """\
edition 2026
import std.neurons (LIF)
import std.plasticity (RSTDP)
network Circuit {
  dt = 1 ms
  input spikes : spikes[20]
  input reward : real[1]
  layer out = LIF[1](tau = 20 ms)
  spikes -> dense(init = uniform(0, 0.3), learn = RSTDP(reward = reward * out.spike, tau_c = 25 ms, a_plus = 0.3)) -> out
}
data task = reward_task(samples = 60, units = 20, steps = 100, test = 0.2)
train reinforced of Circuit on task {
  epochs = 1
  batch = 12
  learn = none()
  metric earned = mean(sum_over_time(out.spike * reward))
}
"""


def test_a_reward_of_each_sample_is_held_over_its_steps(run_in, tmp_path):
    (tmp_path / "net.snn").write_text(REWARDED)
    result = run_in(tmp_path, "train", "net.snn", "--json")

    assert result.returncode == 0, result.stderr
    weights = load_file(tmp_path / "runs" / "net" / "weights.safetensors")["spikes_out.dense.w"]
    assert weights.shape == (20, 1)
    assert np.ptp(weights) > 0
    assert np.isfinite(json.loads(result.stdout.splitlines()[-1])["test"]["earned"])
