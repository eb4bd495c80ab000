"""`snnc train`, `eval` and `data` on real files, each in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import snnc as package

DIGITS = Path(package.__file__).parent.parent / "models" / "digits.snn"
RUN_FOLDER = {
    "model.py",
    "blobs.snn",
    "config.json",
    "metrics.jsonl",
    "result.json",
    "weights.safetensors",
    "checkpoint.safetensors",
    ".lock",
    "curves.png",
    "gradients.png",
    "activity.png",
    "confusion.png",
}
FINETUNE = """
train finetune of Blobs on blobs {
  epochs = 1
  batch = 32
  start = baseline
  freeze = ["pixels_h.*"]
  loss = cross_entropy(logits, label)
  optimizer = lion(lr = exponential(1e-3, decay = 0.9, every = 1 epochs), weight_decay = 1e-3,
                   groups = [group("h.tau", lr = 1e-2, weight_decay = 0)])
  metric accuracy = accuracy(logits, label)
}

network Wide {
  dt = 1 ms
  input pixels : real[8]
  layer h = PLIF[24]()
  layer out = LI[3](tau = 9.5 ms)
  pixels -> dense() -> h
  h -> dense() -> out
  output logits = 10 * mean_over_time(out.v)
}

train wide of Wide on blobs {
  epochs = 1
  start = baseline
  loss = cross_entropy(logits, label)
}
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory, run_in, write_model):
    """A folder with blobs.snn and the run of its recipe."""
    folder = tmp_path_factory.mktemp("trained")
    write_model(folder)
    result = run_in(folder, "train", "blobs.snn", "--json")
    assert result.returncode == 0, result.stderr
    return folder, result


def final(result):
    """The JSON object in the last line of stdout."""
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def test_digits_learn_in_three_epochs(snnc, tmp_path):
    result = snnc("train", DIGITS, "--epochs", "3", "--json", "--no-plots")

    assert final(result)["test"]["accuracy"] > 0.8
    assert len(result.stdout.splitlines()) == 1
    assert "epoch 3/3" in result.stderr
    assert (tmp_path / "runs" / "digits" / "weights.safetensors").is_file()


def test_a_training_ends_with_one_json_object_and_a_full_run_folder(trained):
    folder, result = trained

    record = final(result)
    assert record["test"]["accuracy"] > 0.9
    assert record["run"] == "runs/blobs"
    assert np.shape(record["test"]["confusion"]) == (3, 3)
    assert {path.name for path in (folder / "runs" / "blobs").iterdir()} == RUN_FOLDER
    assert json.loads((folder / "runs" / "blobs" / "result.json").read_text()) == record


def test_saved_weights_evaluate_to_what_the_training_said(trained, run_in):
    folder, result = trained
    told = final(run_in(folder, "eval", "blobs.snn", "--weights", "runs/blobs/weights.safetensors", "--json"))
    words = run_in(folder, "eval", "blobs.snn", "--weights", "runs/blobs/weights.safetensors", "--split", "val")

    assert told["test"] == final(result)["test"]
    assert told["samples"] == 48
    assert words.stdout.startswith("val: 48 samples\nloss: ")


def test_options_of_the_command_line_reach_the_run(trained, run_in):
    folder, _ = trained
    options = ("--set", "blobs.seed=2", "--set", "baseline.optimizer.lr=1e-3", "--seed", "3", "--batch", "16")
    start = ("--weights", "runs/blobs/weights.safetensors", "--epochs", "1", "--no-plots", "--out", "other")
    record = final(run_in(folder, "train", "blobs.snn", *options, *start, "--json"))

    config = json.loads((folder / "other" / "config.json").read_text())
    expected = {"epochs": 1, "batch": 16, "seed": 3, "start": "runs/blobs/weights.safetensors"}
    assert {name: config[name] for name in expected} == expected
    assert config["overrides"] == {"blobs.seed": "2", "baseline.optimizer.lr": "1e-3"}
    assert not list((folder / "other").glob("*.png"))
    assert record["train"]["loss"] < 0.5


def test_weights_of_another_network_are_refused(trained, run_in):
    folder, _ = trained
    options = ("--set", "Blobs.hidden=12", "--weights", "runs/blobs/weights.safetensors", "--out", "refused")
    result = run_in(folder, "train", "blobs.snn", *options)

    assert result.returncode == 1
    assert "error[E0608]" in result.stderr


def test_a_recipe_starts_from_the_weights_of_another(snnc, tmp_path, write_model):
    write_model(tmp_path, FINETUNE)
    early = snnc("train", "blobs.snn", "finetune")
    snnc("train", "blobs.snn", "baseline", "--no-plots")
    result = snnc("train", "blobs.snn", "finetune", "--no-plots")
    wide = snnc("train", "blobs.snn", "wide", "--no-plots")

    assert (early.returncode, result.returncode, wide.returncode) == (1, 0, 0)
    assert "error[E0608]: `finetune` starts from `baseline`, which has no weights yet" in early.stderr
    assert "run `snnc train blobs.snn baseline` first" in early.stderr
    assert "starts from runs/blobs-baseline/weights.safetensors\n" in result.stderr
    assert "weights.safetensors; fresh: pixels_h.dense.w, h_out.dense.w\n" in wide.stderr
    before = load_file(tmp_path / "runs" / "blobs-baseline" / "weights.safetensors")
    after = load_file(tmp_path / "runs" / "blobs-finetune" / "weights.safetensors")
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed == {"h.tau", "h_out.dense.w"}


@pytest.mark.parametrize(
    ("optimizer", "more"),
    [
        ("momentum(lr = onecycle(0.05, warmup = 9 epochs), nesterov = true, clip_norm = 1)", "learn = tbptt(4)"),
        pytest.param(
            *("rmsprop(lr = warmup(1e-2, over = 3 updates), clip_value = 0.1)", "penalty 1e-3 * mean(h.spike)"),
            marks=pytest.mark.long,
        ),
        pytest.param(
            *("adamax(lr = step(2e-2, factor = 0.5, every = 1 epochs))", 'freeze = ["h.tau", "h_out.*"]'),
            marks=pytest.mark.long,
        ),
        ("adamw(lr = cosine(2e-2, warmup = 9 epochs), weight_decay = 1e-2)", "precision = f16_residual"),
        pytest.param("sgd(lr = 0.1)", "learn = bptt(checkpoint = auto)", marks=pytest.mark.long),
    ],
    ids=["momentum", "rmsprop", "adamax", "adamw", "sgd"],
)
def test_every_optimiser_lowers_the_loss(snnc, tmp_path, write_model, optimizer, more):
    write_model(tmp_path, replaced=("optimizer = adam(lr = 1e-2)", f"optimizer = {optimizer}\n  {more}"))
    result = snnc("train", "blobs.snn", "--epochs", "3", "--no-plots")
    lines = (tmp_path / "runs" / "blobs" / "metrics.jsonl").read_text().splitlines() if not result.returncode else []

    assert result.returncode == 0, result.stderr
    losses = [json.loads(line)["train"]["loss"] for line in lines]
    assert losses[2] < losses[0]


def test_the_exported_data_train_the_emitted_file_alone(snnc, tmp_path, write_model, environment):
    write_model(tmp_path)
    exported = snnc("data", "blobs.snn", "-o", "out.npz")
    compiled = snnc("compile", "blobs.snn", "-o", "alone.py")
    command = [sys.executable, "-W", "error", "alone.py", "--data", "out.npz", "--epochs", "2", "--out", "w.npz"]
    alone = {**environment, "PYTHONPATH": ""}
    result = subprocess.run(command, cwd=tmp_path, env=alone, capture_output=True, text=True, timeout=120)

    assert exported.stdout == "out.npz: pixels [240, 8], label [240]\n"
    assert compiled.stdout == "alone.py\n"
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("epoch 1: train ")
    with np.load(tmp_path / "w.npz") as weights:
        assert {"h.tau", "pixels_h.dense.w", "h_out.dense.w"} == set(weights)


@pytest.mark.long  # in the quick suite the tutorial's commands do it
def test_a_new_file_trains(snnc):
    snnc("new", "first")
    record = final(snnc("train", "first.snn", "--epochs", "2", "--json", "--no-plots"))

    assert record["test"]["accuracy"] > 0.7


def test_a_rate_that_is_far_too_high_is_told(snnc, tmp_path, write_model):
    write_model(tmp_path)
    data = snnc("train", "blobs.snn", "--set", "baseline.optimizer.lr=1e9", "--no-plots", "--json")

    assert data.returncode == 1  # its words: test_run_time_messages.py
    assert [finding["code"] for finding in json.loads(data.stdout)] == ["E0609"]
