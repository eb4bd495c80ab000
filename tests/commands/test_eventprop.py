"""`learn = eventprop()` from the command line: spike times learn, and `explain` prints the adjoint."""

import json

import numpy as np
import pytest

MODEL = """\
edition 2026

import std.neurons (CubaLIF)

network Race {
  dt = 0.5 ms

  input pixels : spikes[8]
  layer h = CubaLIF[12](tau_m = 20 ms, tau_s = 5 ms)
  layer out = CubaLIF[3](tau_m = 20 ms, tau_s = 5 ms)

  pixels -> dense(init = normal(2, 1.5)) -> h
  h -> delay(1 ms) -> dense(init = normal(1.5, 0.5)) -> out

  output first = first_spike_time(out.spike)
}

data blobs = npz("blobs.npz", val = 0.2, test = 0.2, seed = 1) -> latency(early = 1 ms, late = 15 ms, duration = 40 ms)

train race of Race on blobs {
  epochs = 12
  batch = 16
  learn = eventprop()
  loss = ttfs_cross_entropy(first, label, tau = 2 ms)
  optimizer = adam(lr = 2e-2)
  metric accuracy = accuracy(-first / 1 ms, label)
}
"""


@pytest.fixture
def race(tmp_path, blob_arrays):
    """Write race.snn, and the blobs between 0 and 1."""
    pixels = blob_arrays["pixels"]
    scaled = (pixels - pixels.min(0)) / np.ptp(pixels, axis=0)
    np.savez(tmp_path / "blobs.npz", pixels=scaled.astype(np.float32), label=blob_arrays["label"])
    (tmp_path / "race.snn").write_text(MODEL)


def test_units_learn_to_fire_first(race, snnc):
    result = snnc("train", "race.snn", "--json")

    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout.splitlines()[-1])
    assert found["train"]["accuracy"] >= 0.75, found  # one in three by chance


def test_explain_prints_the_adjoint_with_its_jumps(race, snnc):
    text = snnc("explain", "race.snn").stdout

    assert "-l_i' = -(l_i / tau_s) + l_v / tau_m" in text
    assert "at `spike when v >= theta`: l_margin = (i / tau_m * l_v - l_t) / max((i - v) / tau_m, 0.005)" in text
    assert "by the time of what arrives at x, per size: l_i / tau_s - l_v / tau_m" in text


def test_a_located_network_learns_by_the_same_rule(race, tmp_path, snnc):
    text = (tmp_path / "race.snn").read_text()
    (tmp_path / "inside.snn").write_text(text.replace("  dt = 0.5 ms", "  dt = 1 ms\n  events = located"))

    result = snnc("train", "inside.snn", "--epochs", "3", "--no-plots")

    assert result.returncode == 0, result.stderr
    lines = (tmp_path / "runs" / "inside" / "metrics.jsonl").read_text().splitlines()
    losses = [json.loads(line)["train"]["loss"] for line in lines]
    assert losses[-1] < 0.95 * losses[0]


def test_the_cost_of_a_located_network_is_told(race, tmp_path, snnc):
    text = (tmp_path / "race.snn").read_text()
    (tmp_path / "inside.snn").write_text(text.replace("  dt = 0.5 ms", "  dt = 1 ms\n  events = located"))

    assert "arithmetic of one training step" in snnc("cost", "inside.snn").stdout
