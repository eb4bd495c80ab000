"""`snnc fold` through the command line: the same results without norms, and what stays and why."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file

CHAINS = "  pixels -> dense() -> h\n  h -> dense() -> out\n"
NORMS = """\
  pixels -> dense(b = normal(0, 1)) # first
    -> norm()  # gone
    -> h
  pixels -> reshape([2, 4]) -> conv(4, kernel = 3, pad = same) -> norm(eps = 0.1) -> depthwise(kernel = 2) as d
    -> norm(affine = false) as e -> flatten() -> sparse(density = 0.7) -> norm(tdbn) -> h
  pixels -> Half(8) as a -> repeat(2, Half(8)) -> dense() -> h
  h -> dense(12) -> norm(tdbn, theta = 2, alpha = 0.5) as scaled -> dense(bias = false) -> norm(tebn) -> out
"""
BLOCK = """\

## A dense layer with a norm.
network Half(c) {
  input x : real
  x -> dense(c) -> relu() -> dense(c) -> norm() as y
  output z = y
}
"""
STAYS = """\
  pixels -> dense() -> norm(bntt) -> h
  h -> dense(9) -> norm() -> relu() -> norm() -> dense() -> norm(tebn) -> out
  h -> dense() as d -> norm() -> out
  h -> dense(share = d) -> norm() -> out
  h -> dense(3) as e -> norm() -> out
  h -> dense(w ~ normal(0, 1) in (0, inf)) -> norm() -> out
  h -> dense(delay ~ uniform(0 ms, 3 ms) per synapse) -> norm() -> out
  h -> dense() -> norm(layer) -> out
  pixels -> reshape([4, 2]) -> dense(2) -> norm() -> flatten() -> dense() -> out
  e -> out
"""
WEIGHTS = "runs/blobs-Blobs/weights.safetensors"
FOLDED = "blobs-Blobs_folded"
COMMAND = ("fold", "blobs.snn", "--weights", WEIGHTS)


@pytest.fixture(scope="module")
def folded(tmp_path_factory, run_in, write_model):
    """A folder with a trained model of dense, convolutional and block norms, folded, and what the command said."""
    folder = tmp_path_factory.mktemp("folded")
    write_model(folder, BLOCK, (CHAINS, NORMS))
    result = run_in(folder, "train", "blobs.snn", "--no-plots")
    assert result.returncode == 0, result.stderr
    return folder, run_in(folder, *COMMAND)


@pytest.fixture
def folder(folded, tmp_path):
    """A copy of that folder."""
    return shutil.copytree(folded[0], tmp_path / "copy")


def said(result):
    """Return the words of a message about wrong use, without the frame around them."""
    return " ".join(result.stderr.replace("│", " ").split())


def evaluated(run_in, folder, model, weights):
    result = run_in(folder, "eval", model, "--weights", weights, "--split", "train", "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)["train"]


def simulated(run_in, folder, model, weights, out):
    result = run_in(folder, "run", model, "--weights", weights, "--sample", "3", "--out", out)
    assert result.returncode == 0, result.stderr
    return np.load(folder / out / "signals.npz")


def test_the_folded_model_has_the_same_metrics(folded, run_in):
    folder, result = folded
    before = evaluated(run_in, folder, "blobs.snn", WEIGHTS)
    after = evaluated(run_in, folder, f"{FOLDED}.snn", f"{FOLDED}.safetensors")

    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == [f"{FOLDED}.snn", f"{FOLDED}.safetensors"]
    assert after["accuracy"] == before["accuracy"]
    assert after["loss"] == pytest.approx(before["loss"], rel=1e-5)


def test_the_folded_model_has_the_same_signals(folded, run_in):
    folder, _ = folded
    before = simulated(run_in, folder, "blobs.snn", WEIGHTS, "before")
    after = simulated(run_in, folder, f"{FOLDED}.snn", f"{FOLDED}.safetensors", "after")

    assert before["h.spike"].any()
    np.testing.assert_array_equal(after["h.spike"], before["h.spike"])
    np.testing.assert_allclose(after["out.v"], before["out.v"], rtol=1e-5, atol=1e-5)


def test_the_folded_file_is_the_file_without_the_norms(folded, run_in):
    folder, result = folded
    text = (folder / f"{FOLDED}.snn").read_text()

    assert text.startswith("# Norms folded into the weights by `snnc fold` from 'blobs.snn'.\nedition 2026\n")
    assert "  pixels -> dense(b = normal(0, 1))  # first\n    # gone\n    -> h\n" in text
    assert "conv(4, kernel = 3, pad = same, bias = true) -> depthwise(kernel = 2, bias = true) as e\n" in text
    assert "    -> flatten() -> sparse(density = 0.7, bias = true) -> h\n" in text
    assert "h -> dense(12, bias = true) as scaled -> dense(bias = false) -> norm(tebn) -> out\n" in text
    assert "  x -> dense(c) -> relu() -> dense(c, bias = true) as y\n" in text
    assert "  metric confusion = confusion(logits, label)\n" in text
    assert run_in(folder, "fmt", "--check", f"{FOLDED}.snn").returncode == 0
    assert "blobs.snn:18: `norm(tebn)` stays: it has a factor for each step" in result.stderr
    assert "folded: blobs.snn:13, blobs.snn:15, blobs.snn:16, blobs.snn:16, blobs.snn:18, blobs.snn:38" in result.stderr


def test_each_use_of_a_block_has_its_own_folded_weights(folded):
    old = load_file(folded[0] / WEIGHTS)
    new = load_file(folded[0] / f"{FOLDED}.safetensors")

    for use in ("a", "a_h.half_1", "a_h.half_2"):
        factor = old[f"{use}.y.gamma"] / np.sqrt(old[f"buffers.{use}.y.var"] + 1e-5)
        shift = old[f"{use}.y.beta"] - old[f"buffers.{use}.y.mean"] * factor
        np.testing.assert_allclose(new[f"{use}.y.w"], old[f"{use}.x_y.dense2.w"] * factor, rtol=1e-5)
        np.testing.assert_allclose(new[f"{use}.y.b"], shift, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(new[f"{use}.x_y.dense.w"], old[f"{use}.x_y.dense.w"])


def test_a_second_fold_replaces_the_first_and_no_other_file(folder, run_in):
    (folder / f"{FOLDED}.safetensors").unlink()
    assert run_in(folder, *COMMAND).returncode == 0
    assert (folder / f"{FOLDED}.safetensors").exists()

    shutil.copy(folder / WEIGHTS, folder / f"{FOLDED}.safetensors")
    refused = run_in(folder, *COMMAND)
    assert refused.returncode == 2
    assert f"{FOLDED}.safetensors exists and was not written by `snnc fold`" in said(refused)
    assert (folder / f"{FOLDED}.safetensors").read_bytes() == (folder / WEIGHTS).read_bytes()

    (folder / f"{FOLDED}.snn").write_text("mine")
    assert run_in(folder, *COMMAND).returncode == 2
    assert (folder / f"{FOLDED}.snn").read_text() == "mine"


def test_a_recipe_that_names_a_norm_is_told_so(folder, run_in):
    text = (folder / "blobs.snn").read_text()
    (folder / "blobs.snn").write_text(text.replace("  epochs = 2\n", '  epochs = 2\n  freeze = ["pixels_h.norm.*"]\n'))

    result = run_in(folder, *COMMAND, "-o", "other")

    assert result.returncode == 1
    assert "the file says something of a norm that would be gone, and nothing is written" in result.stderr
    assert "pixels_h.norm.*" in result.stderr
    assert not (folder / "other").exists()


def test_norms_that_stay_are_named_with_the_reason(snnc, tmp_path, write_model):
    write_model(tmp_path, replaced=(CHAINS, STAYS))
    (tmp_path / "w.safetensors").write_bytes(b"no weights")

    result = snnc("fold", "blobs.snn", "--weights", "w.safetensors")

    assert result.returncode == 1
    assert "error[E0608]: cannot read weights" in result.stderr
    assert [line.split(" stays: ")[1] for line in result.stderr.splitlines() if " stays: " in line] == [
        "it has other values in each step",
        "it does not stand directly behind one of `dense`, `conv`, `depthwise`, `sparse`",
        "it has a factor for each step",
        "the `dense` before it shares its weights",
        "the `dense` before it shares its weights",
        "the result of the `dense` before it is also read elsewhere, as `e`",
        "the `dense` before it keeps its weights within limits",
        "the `dense` before it has delays",
        "its mean and variance are those of each sample",
        "its channels are the first axis of [4, 2], and those of the `dense` before it the last",
    ]
    assert not (tmp_path / "blobs_folded.snn").exists()


def test_without_a_norm_there_is_nothing_to_fold(snnc, tmp_path, write_model):
    write_model(tmp_path)
    (tmp_path / "w.safetensors").write_bytes(b"")

    result = snnc("fold", "blobs.snn", "--weights", "w.safetensors")

    assert (result.returncode, result.stderr) == (1, "error: blobs.snn: there is no norm to fold\n")


def test_imported_norms_stay_and_a_file_with_imports_too(snnc, tmp_path, write_model):
    (tmp_path / "halves.snn").write_text("edition 2026\n" + BLOCK)
    write_model(
        tmp_path, replaced=(CHAINS, "  pixels -> Half(8) as a -> dense() -> norm() -> h\n  h -> dense() -> out\n")
    )
    text = (tmp_path / "blobs.snn").read_text()
    (tmp_path / "blobs.snn").write_text(text.replace("network", 'import "./halves.snn" (Half)\n\nnetwork', 1))
    (tmp_path / "w.safetensors").write_bytes(b"")

    result = snnc("fold", "blobs.snn", "--weights", "w.safetensors", "-o", "other")

    assert result.returncode == 2
    assert "halves.snn:6: `norm() as y` stays: it stands in the imported file halves.snn" in result.stderr
    assert "blobs.snn imports './halves.snn', which lies beside it: leave -o out" in said(result)
    assert not (tmp_path / "other").exists()
