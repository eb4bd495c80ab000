"""Data sets of every file format, end to end; and data that do not fit, told as findings."""

import gzip
import struct

import numpy as np
import pytest

from snnc.diagnostics import Code

SEQUENCES = """\
edition 2026

import std.neurons (LIF, LI)

network Sequences {
  dt = 1 ms
  input x : spikes[6]
  layer h = LIF[12](tau = 5 ms)
  layer out = LI[2](tau = 9.5 ms)
  x -> dense() -> h
  h -> dense() -> out
  output logits = mean_over_time(out.v)
}

data trains = npz("trains.npz", test = 0.25)

train baseline of Sequences on trains {
  epochs = 2
  batch = 16
  loss = cross_entropy(logits, label)
  metric accuracy = accuracy(logits, label)
}
"""


def idx_bytes(array):
    """The IDX format: two zeros, the type (8: unsigned byte), the number of axes, their lengths, the bytes."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def write_csv(folder, arrays):
    rows = [",".join(f"{value:.5f}" for value in row) for row in arrays["pixels"]]
    lines = [f"{row},{label}" for row, label in zip(rows, arrays["label"], strict=True)]
    (folder / "blobs.csv").write_text("\n".join(lines) + "\n")
    return 'csv("blobs.csv", val = 0.2, test = 0.2)'


def write_idx(folder, arrays):
    images = np.clip(128 + 40 * arrays["pixels"], 0, 255)
    (folder / "images.idx").write_bytes(idx_bytes(images))
    (folder / "labels.idx.gz").write_bytes(gzip.compress(idx_bytes(arrays["label"])))
    return 'idx("images.idx", "labels.idx.gz", val = 0.2, test = 0.2) -> scale(1 / 128)'


def write_keras(folder, arrays):
    parts = {"x_train": arrays["pixels"][:160], "x_val": arrays["pixels"][160:200], "x_test": arrays["pixels"][200:]}
    parts |= {"y_train": arrays["label"][:160], "y_val": arrays["label"][160:200], "y_test": arrays["label"][200:]}
    np.savez(folder / "keras.npz", **parts)
    return 'npz("keras.npz")'


@pytest.mark.parametrize("write", [write_csv, write_idx, write_keras], ids=["csv", "idx", "keras"])
def test_a_file_of_samples_trains(snnc, tmp_path, write_model, blob_arrays, write):
    write_model(tmp_path, replaced=('npz("blobs.npz", val = 0.2, test = 0.2, seed = 1)', write(tmp_path, blob_arrays)))
    result = snnc("train", "blobs.snn", "--no-plots", "--epochs", "3")

    assert result.returncode == 0, result.stderr
    assert "test accuracy: " in result.stdout


def test_sequences_train_without_an_encoder(snnc, tmp_path):
    rng = np.random.default_rng(0)
    label = np.arange(80) % 2
    rate = np.where((np.arange(6) < 3)[None] == label[:, None], 0.4, 0.05)
    np.savez(tmp_path / "trains.npz", x=rng.random((80, 20, 6)) < rate[:, None], label=label)
    (tmp_path / "sequences.snn").write_text(SEQUENCES)
    trained = snnc("train", "sequences.snn", "--no-plots")
    run = snnc("run", "sequences.snn", "--weights", "runs/sequences/weights.safetensors", "--sample", "3")

    assert trained.returncode == 0, trained.stderr
    assert "20 test" in trained.stderr
    assert run.returncode == 0, run.stderr
    with np.load(tmp_path / "runs" / "sequences-run" / "signals.npz") as signals:
        assert signals["h.spike"].shape == (20, 1, 12)


@pytest.mark.parametrize(
    ("arrays", "code"),
    [
        ({"pixels": (9,), "label": ()}, Code.SHAPE_MISMATCH),
        ({"pixels": (8, 1), "label": ()}, Code.SHAPE_MISMATCH),
        ({"image": (8,), "other": (8,), "label": ()}, Code.UNKNOWN_FIELD),
        ({"label": ()}, Code.UNKNOWN_FIELD),
        ({"pixels": (8,), "sample": (8,), "label": ()}, Code.BAD_DATA),
    ],
    ids=["width", "axes", "names", "nothing", "reserved"],
)
def test_arrays_that_do_not_fit_the_network_are_told(snnc, tmp_path, write_model, arrays, code):
    write_model(tmp_path)
    np.savez(tmp_path / "blobs.npz", **{name: np.zeros((60, *shape), np.int32) for name, shape in arrays.items()})
    result = snnc("train", "blobs.snn", "--no-plots")

    assert result.returncode == 1, result.stderr
    assert f"error[{code}]" in result.stderr
    assert not (tmp_path / "runs").exists()


def test_labels_beyond_the_classes_are_told(snnc, tmp_path, write_model, blob_arrays):
    write_model(tmp_path)
    np.savez(tmp_path / "blobs.npz", **{**blob_arrays, "label": blob_arrays["label"] + 1})
    result = snnc("train", "blobs.snn", "--no-plots")

    assert result.returncode == 1, result.stderr
    assert "error[E0605]" in result.stderr


def test_a_file_that_is_not_there_is_told(snnc, tmp_path, write_model):
    write_model(tmp_path)
    (tmp_path / "blobs.npz").unlink()
    result = snnc("train", "blobs.snn")

    assert result.returncode == 1
    assert "error[E0604]: there is no file `blobs.npz`" in result.stderr
