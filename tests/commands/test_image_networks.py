"""Convolutional models through the real command line."""

import json

import numpy as np
import pytest

TEXT = """\
edition 2026

import std.neurons (LIF, LI)

network Net {
  dt = 1 ms
  input x : spikes[2, 64]
  x -> reshape([2, 8, 8]) -> conv(4, pad = same) -> LIF(theta = 0.5) as c1
  c1 -> max_pool(2) -> depthwise(3, pad = 1) -> LIF(theta = 0.3) as c2
  c2 -> avg_pool(2) -> flatten() -> dense(2) -> LI(tau = 20 ms) as out
  output logits = mean_over_time(out.v)
}

data events = npz("events.npz")

train main of Net on events {
  epochs = 3
  batch = 8
  loss = cross_entropy(logits, label)
  optimizer = adam(lr = 1e-2)
  metric accuracy = accuracy(logits, label)
}
"""


@pytest.fixture
def folder(tmp_path):
    """A model whose two classes spike in the left or in the right half of the image, and its data."""
    rng = np.random.default_rng(0)
    label = np.arange(48) % 2
    rate = np.where((np.arange(8) < 4) == (label[:, None] == 0), 0.4, 0.05)
    x = rng.random((48, 10, 2, 8, 8)) < rate[:, None, None, None, :]
    np.savez(tmp_path / "events.npz", x=x.astype(np.uint8).reshape(48, 10, 2, 64), label=label)
    (tmp_path / "net.snn").write_text(TEXT)
    return tmp_path


def test_a_convolutional_network_learns(snnc, folder):
    done = snnc("train", folder / "net.snn", "--data-dir", folder, "--out", folder / "run", "--json")

    assert done.returncode == 0, done.stderr
    result = json.loads((folder / "run" / "result.json").read_text())
    assert result["train"]["accuracy"] > 0.9


def test_its_sizes_are_explained(snnc, folder):
    done = snnc("explain", folder / "net.snn")

    assert done.returncode == 0
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "x_c1.conv.w [3, 3, 2, 4] 72" in lines
    assert "c1_c2.depthwise.w [3, 3, 1, 4] 36" in lines
    assert (
        "LIF (std/neurons.snn:45): c1[4, 8, 8], c2[4, 4, 4]" in done.stdout or "c1[4, 8, 8], c2[4, 4, 4]" in done.stdout
    )


def test_its_work_is_counted(snnc, folder):
    done = snnc("cost", folder / "net.snn", "--json", "--rate", "100Hz", "--steps", "10")
    said = json.loads(done.stdout.splitlines()[-1])

    first, second, last = 4 * 64 * 2 * 9, 4 * 16 * 9, 16 * 2  # synapses
    assert said["flops"]["forward_products"] == 2 * 8 * 10 * (first + second + last)
    assert said["flops"]["backward_products"] == 2 * 8 * 10 * (first + 2 * second + 2 * last)
    counts = {s["name"]: s["per_presentation"] for s in said["synaptic_operations"]}
    pooled = 1 - 0.9**4  # a place of a pool is not 0 where any of its four spikes
    assert counts == {
        "x_c1.conv": pytest.approx(0.1 * 10 * first),
        "c1_c2.depthwise": pytest.approx(pooled * 10 * second),
        "c2_out.dense": pytest.approx(pooled * 10 * last),
    }


def test_small_weights_before_a_convolutional_layer_are_warned_of(snnc, folder):
    (folder / "net.snn").write_text(
        TEXT.replace("depthwise(3, pad = 1)", "depthwise(3, pad = 1, init = normal(0, 0.001))")
    )
    done = snnc("check", folder / "net.snn")

    assert done.returncode == 0
    assert "warning[W0109]: `c2` will stay silent at the initial weights: 9 inputs" in done.stdout + done.stderr
