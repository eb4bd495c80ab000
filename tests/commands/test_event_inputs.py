"""Inputs as event lists by the real command: chosen, forced, refused, resumed, and in the emitted file alone."""

import json
import subprocess
import sys
from functools import partial

import numpy as np
import pytest

MODEL = """\
edition 2026

import std.neurons (LIF, LI)

network Net {
  dt = 1 ms
  input x : spikes[100]
  layer h = LIF[130](tau = 10 ms, theta = 0.2)
  layer out = LI[4](tau = 20 ms)
  x -> dense() -> h
  h -> dense() -> out
  output logits = mean_over_time(out.v)
}

data d = npz("d.npz", val = 0.2, seed = 1)

train main of Net on d {
  epochs = 2
  batch = 16
  loss = cross_entropy(logits, label)
  metric accuracy = accuracy(logits, label)
  sparse_input = SETTING
}
"""


def write_to(folder, setting, density=0.015, largest=1):
    """Write the model with a setting, and spikes of some density with a largest value."""
    rng = np.random.default_rng(0)
    x = (rng.random((90, 30, 100)) < density).astype(np.uint8)
    x[0, 0, 0] = largest
    np.savez(folder / "d.npz", x=x, label=rng.integers(0, 4, 90))
    (folder / "net.snn").write_text(MODEL.replace("SETTING", setting))


@pytest.fixture
def write(tmp_path):
    return partial(write_to, tmp_path)


def trained(snnc, *arguments):
    done = snnc("train", "net.snn", "--json", "--no-plots", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


@pytest.fixture(scope="module")
def listed(tmp_path_factory, run_in):
    """A command in a folder, what a training with event lists ended with there, and what it told; the folder."""
    folder = tmp_path_factory.mktemp("listed")
    write_to(folder, "on")
    snnc = partial(run_in, folder)
    return snnc, *trained(snnc, "--out", "whole"), folder


def test_sparse_spikes_are_listed_dense_ones_are_not_and_numbers_stay(snnc, write, listed):
    results, told = {"on": listed[1]}, {"on": listed[2]}
    for setting in ("auto", "off"):
        write(setting)
        results[setting], told[setting] = trained(snnc, "--out", setting)
    for setting, words in told.items():
        assert ("input `x` as event lists: density 1.5 %" in words) == (setting != "off")
    write("auto", density=0.3)
    _, words = trained(snnc, "--out", "dense")

    assert "event lists" not in words
    for setting in ("auto", "on"):
        for part in ("train", "val"):
            assert results[setting][part] == pytest.approx(results["off"][part], rel=1e-4)


def test_a_training_with_event_lists_goes_on(listed):
    snnc, whole, _, _ = listed
    trained(snnc, "--epochs", "1", "--out", "parts")
    parts, told = trained(snnc, "--out", "parts", "--resume")

    assert "input `x` as event lists" in told
    assert (parts["train"], parts["val"]) == (whole["train"], whole["val"])


def test_spikes_that_are_counted_cannot_be_forced(snnc, write):
    write("on", largest=2)
    done = snnc("train", "net.snn", "--no-plots")

    assert done.returncode == 1
    assert "E0605" in done.stderr
    assert "`x` has values other than 0 and 1, and event lists hold spikes only" in done.stderr


def test_header_and_explain_say_so(snnc, write, tmp_path):
    for setting, said in (("auto", True), ("off", False)):
        write(setting)
        explained = snnc("explain", "net.snn").stdout
        assert snnc("compile", "net.snn", "-o", "net.py").returncode == 0
        header = (tmp_path / "net.py").read_text().split('"""')[1]
        assert (
            "x as event lists in updates, where no list is longer than 12 % of what it stands for" in explained
        ) == said
        assert ("as event lists in updates, where they are short: x" in header) == said
        assert ("EventLists" in (tmp_path / "net.py").read_text()) == said


def test_the_emitted_file_alone_learns_the_same(listed, environment):
    snnc, result, _, folder = listed
    assert snnc("data", "net.snn", "-o", "export.npz").returncode == 0
    assert snnc("compile", "net.snn", "-o", "net.py").returncode == 0
    command = [sys.executable, "-W", "error", "net.py", "--data", "export.npz"]
    done = subprocess.run(command, cwd=folder, env={**environment, "PYTHONPATH": ""}, capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")
    assert f"train loss {result['train']['loss']:.4f}" in done.stdout.splitlines()[-1]
