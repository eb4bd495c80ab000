"""Norms and limits of weights through the command line: training, resumption, evaluation, lengths that do not fit."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

NORMED = (
    "  pixels -> dense() -> h\n  h -> dense() -> out\n",
    "  pixels -> dense() -> norm() -> h\n  h -> dense() -> norm(tebn) -> out\n",
)


def trained(folder, run_in, *arguments):
    result = run_in(folder, "train", "blobs.snn", "--no-plots", *arguments)
    assert result.returncode == 0, result.stderr
    return load_file(folder / "runs" / "blobs" / "weights.safetensors")


@pytest.fixture(scope="module")
def folders(tmp_path_factory, run_in, write_model):
    """Two folders: one trained for four epochs, one for two and then resumed; the weights after two, and after both."""
    folders = [tmp_path_factory.mktemp(name) for name in ("whole", "resumed")]
    for folder in folders:
        write_model(folder, replaced=NORMED)
        text = (folder / "blobs.snn").read_text()
        (folder / "blobs.snn").write_text(text.replace("  select = best(val.accuracy)\n", ""))
    whole = trained(folders[0], run_in, "--epochs", "4")
    half = trained(folders[1], run_in, "--epochs", "2")
    resumed = trained(folders[1], run_in, "--epochs", "4", "--resume")
    return folders, whole, half, resumed


def test_a_training_with_norms_learns_and_moves_their_statistics(folders):
    (folder, _), whole, _, _ = folders
    result = json.loads((folder / "runs" / "blobs" / "result.json").read_text())

    assert result["test"]["accuracy"] > 0.9
    assert whole["pixels_h.norm.gamma"].shape == (16,)
    assert whole["h_out.norm.p"].shape == (10,)
    assert np.abs(whole["buffers.pixels_h.norm.mean"]).min() > 0
    assert np.abs(whole["buffers.h_out.norm.var"] - 1).min() > 0


def test_resuming_goes_on_with_the_same_statistics(folders):
    _, whole, half, resumed = folders

    assert whole.keys() == resumed.keys()
    for name, value in whole.items():
        np.testing.assert_array_equal(resumed[name], value, err_msg=name)
    assert not np.array_equal(half["buffers.pixels_h.norm.mean"], resumed["buffers.pixels_h.norm.mean"])


def test_eval_takes_the_running_statistics(folders, run_in):
    (folder, _), _, _, _ = folders
    result = run_in(
        folder, "eval", "blobs.snn", "--weights", "runs/blobs/weights.safetensors", "--split", "test", "--json"
    )
    known = json.loads((folder / "runs" / "blobs" / "result.json").read_text())

    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    found = found.get("metrics", found.get("test", found))
    assert found["loss"] == pytest.approx(known["test"]["loss"], rel=1e-6)


def test_a_simulation_longer_than_a_norm_is_refused_at_its_line(folders, run_in):
    (folder, _), _, _, _ = folders

    result = run_in(folder, "run", "blobs.snn", "--duration", "20 ms")

    assert result.returncode == 1
    assert "error[E0401]: this norm holds values for 10 steps, and a sample has 20" in result.stderr
    assert "blobs.snn:" in result.stderr


def test_a_shorter_simulation_uses_the_first_steps(folders, run_in):
    (folder, _), _, _, _ = folders

    result = run_in(folder, "run", "blobs.snn", "--duration", "6 ms", "--out", "short")

    assert result.returncode == 0, result.stderr
    assert np.load(folder / "short" / "signals.npz")["out.v"].shape[0] == 6


def test_weights_stay_within_their_limits(tmp_path, run_in, write_model):
    drawn = "dense(w ~ normal(0.1, 0.5) in (0, inf))"
    clipped = "dense(init = kaiming_uniform(2) in (-0.3, 0.2))"
    limited = f"  pixels -> {drawn} -> h\n  h -> {clipped} -> out\n"
    write_model(tmp_path, replaced=("  pixels -> dense() -> h\n  h -> dense() -> out\n", limited))

    weights = trained(tmp_path, run_in, "--epochs", "2")

    assert weights["pixels_h.dense.w"].min() == 0
    assert weights["pixels_h.dense.w"].max() > 0.5
    assert weights["h_out.dense.w"].min() == np.float32(-0.3)
    assert weights["h_out.dense.w"].max() == np.float32(0.2)


def test_data_of_another_length_than_a_norm_are_refused_at_its_line(tmp_path, run_in, write_model):
    write_model(tmp_path, replaced=("dense() -> out", "dense() -> norm(tebn, steps = 10) -> out"))
    text = (tmp_path / "blobs.snn").read_text()
    (tmp_path / "blobs.snn").write_text(text.replace(" -> hold(duration = 10 ms)", ""))
    moving = {"pixels": np.zeros((240, 12, 8), np.float32), "label": np.arange(240) % 3}
    np.savez(tmp_path / "blobs.npz", **moving)

    result = run_in(tmp_path, "train", "blobs.snn", "--no-plots")

    assert result.returncode == 1
    assert "error[E0401]: this norm holds values for 10 steps, and a sample has 12" in result.stderr
    assert "write `steps = 12` here" in result.stderr
