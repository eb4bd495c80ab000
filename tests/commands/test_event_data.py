"""Models that come with snnc on small files in the layouts of their data sets, and event data through the command line."""

import json

import event_files
import numpy as np
import pytest

from snnc.resources import resource_folder

MODELS = resource_folder("models")
WINDOWS = """\
edition 2026

import std.neurons (LIF, LI)

network Words {
  dt = 10 ms
  input audio : real[6]
  audio -> dense(8) -> LIF(tau = 50 ms) as h -> dense(2) -> LI(tau = 50 ms) as out
  output logits = mean_over_time(out.v)
}

data gsc = folder("gsc", test = 0.25) -> window(length = 100 ms, stride = 50 ms)

train main of Words on gsc {
  epochs = 4
  batch = 8
  loss = cross_entropy(logits, label)
  optimizer = adam(lr = 2e-2)
  metric accuracy = accuracy(logits, label)
}
"""


def result(folder):
    return json.loads((folder / "result.json").read_text())


def test_the_recipe_of_shd_learns_from_files_in_its_layout(snnc, tmp_path):
    event_files.write_shd(tmp_path / "SHD", samples=40)
    small = ("--set", "Speech.hidden=24", "--set", "main.batch=20", "--set", "main.optimizer.lr=2e-2")
    done = snnc("train", MODELS / "shd.snn", "--data-dir", ".", "--epochs", "6", "--no-plots", "--out", "run", *small)

    assert done.returncode == 0, done.stderr
    assert "36 train + 4 val + 20 test" in done.stderr
    losses = [
        json.loads(line)["train"]["loss"] for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    ]
    assert losses[-1] < 0.95 * losses[0]


@pytest.mark.long  # in the quick suite its files are read by test_data_events, and its network runs in test_model_files
def test_the_recipe_of_dvs_gesture_runs_on_files_in_its_layout(snnc, tmp_path):
    event_files.write_dvs_gesture(tmp_path / "DvsGesture", recordings=(2, 1))
    small = ("--set", "Gesture.c=2", "--set", "main.batch=10", "--set", "gestures.bin.duration=300 ms")
    done = snnc(
        "train", MODELS / "dvs_gesture.snn", "--data-dir", ".", "--epochs", "1", "--no-plots", "--out", "run", *small
    )

    assert done.returncode == 0, done.stderr
    assert "20 train + 2 val + 11 test" in done.stderr
    assert np.isfinite(result(tmp_path / "run")["test"]["loss"])


@pytest.mark.long
def test_the_spiking_transformer_learns(snnc, tmp_path):
    small = ("--set", "Spikformer.d=16", "--set", "Spikformer.depth=1")
    done = snnc("train", MODELS / "spikformer.snn", "--epochs", "3", "--no-plots", "--out", "run", *small)

    assert done.returncode == 0, done.stderr
    assert result(tmp_path / "run")["train"]["accuracy"] > 0.4


@pytest.mark.long
def test_the_deep_residual_network_runs(snnc, tmp_path):
    rng = np.random.default_rng(0)
    images = {f"x_{part}": rng.integers(0, 255, (20, 28, 28), np.uint8) for part in ("train", "test")}
    np.savez(tmp_path / "fashion_mnist.npz", **images, y_train=np.arange(20) % 10, y_test=np.arange(20) % 10)
    small = ("--set", "Deep.c=2", "--set", "baseline.batch=20", "--set", "Deep.blocks=1", "--epochs", "1")
    done = snnc("train", MODELS / "deep_residual.snn", "--data-dir", ".", "--no-plots", "--out", "run", *small)

    assert done.returncode == 0, done.stderr
    assert np.isfinite(result(tmp_path / "run")["test"]["loss"])


def test_windows_of_a_folder_of_arrays_train_and_are_exported(snnc, tmp_path):
    rng = np.random.default_rng(0)
    for label, word in enumerate(("no", "yes")):
        (tmp_path / "gsc" / word).mkdir(parents=True)
        for number in range(8):
            loud = np.where((np.arange(6) < 3) == (label == 0), 1.0, 0.1)
            np.save(tmp_path / "gsc" / word / f"{number}.npy", (rng.random((20, 6)) * loud).astype(np.float32))
    (tmp_path / "words.snn").write_text(WINDOWS)
    trained = snnc("train", "words.snn", "--no-plots")
    exported = snnc("data", "words.snn", "-o", "words.npz")

    assert trained.returncode == 0, trained.stderr
    assert "36 train + 12 test" in trained.stderr  # three windows of each of 16 arrays
    assert exported.returncode == 0, exported.stderr
    with np.load(tmp_path / "words.npz") as stored:
        assert stored["audio"].shape == (48, 10, 6)
