"""Lengths that differ, burn-in, states that go on, targets for each step: through the command line, on small files."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

NETWORK = """\
edition 2026
import std.neurons (LIF, LI)

network Stream {
  dt = 1 ms
  input x : real[4]
  layer h = LIF[10]()
  layer out = LI[3](tau = 20 ms)
  x -> dense() -> h -> delay(2 steps) -> dense() -> out
  output score = max_over_time(out.v)
}

data d = npz("d.npz")
"""
RECIPE = """
train t of Stream on d {
  epochs = 2
  batch = 6
  loss = mean_over_time(cross_entropy(out.v, label))
  optimizer = adam(lr = 1e-2)
  penalty 1e-3 * mean(h.spike)
  metric accuracy = accuracy(score, label)
  metric late = sum(mean_over_time(out.v, last = 5 ms))
}
"""
LENGTH = RECIPE.replace("  epochs", "  length = length\n  epochs")
STEPS = LENGTH.replace("accuracy(score, label)", "mean_over_time(accuracy(out.v, label))")


def samples(count=12, steps=20, seed=0):
    rng = np.random.default_rng(seed)
    length = rng.integers(8, steps + 1, count)
    x = rng.normal(1.0, 2.0, (count, steps, 4)).astype(np.float32)
    x[np.arange(steps) >= length[:, None]] = 0
    return {"x": x, "label": rng.integers(0, 3, count), "length": length}


def write(folder, recipe, network=NETWORK, **arrays):
    (folder / "m.snn").write_text(network + recipe)
    np.savez(folder / "d.npz", **arrays)


def log(folder, run):
    return [json.loads(line) for line in (folder / "runs" / run / "metrics.jsonl").read_text().splitlines()]


def train(folder, run_in, *arguments):
    result = run_in(folder, "train", "m.snn", "--no-plots", "--out", "runs/m", *arguments)
    assert result.returncode == 0, result.stderr
    return load_file(folder / "runs" / "m" / "weights.safetensors"), log(folder, "m")


def test_more_padding_changes_no_number(tmp_path, run_in):
    found = []
    given = samples()
    for extra, junk in ((0, 0.0), (7, 5.0)):
        folder = tmp_path / str(extra)
        folder.mkdir()
        x = np.concatenate([given["x"], np.zeros((12, extra, 4), np.float32)], axis=1)
        x[np.arange(20 + extra) >= given["length"][:, None]] = junk
        write(folder, LENGTH, **{**given, "x": x})
        found.append(train(folder, run_in))

    (weights, lines), (padded, padded_lines) = found

    for name, value in weights.items():
        np.testing.assert_allclose(padded[name], value, rtol=1e-5, atol=1e-6, err_msg=name)
    for line, other in zip(lines, padded_lines, strict=True):
        assert other["train"] == pytest.approx(line["train"], rel=1e-5, abs=1e-6)


CARRY = "  carry = true\n"


@pytest.fixture(scope="module")
def streams(tmp_path_factory, run_in):
    """A recording of 3 streams, 4 windows each, with `split`: trained whole, and in two sittings."""
    recipe = RECIPE.replace("  batch = 6\n", "  batch = 3\n  burn_in = 3 ms\n" + CARRY)
    split = np.repeat([0, 1], [12, 6]).astype(np.uint8)
    arrays = {name: a for name, a in samples(18).items() if name != "length"}
    folders = [tmp_path_factory.mktemp(name) for name in ("whole", "resumed")]
    for folder in folders:
        write(folder, recipe, **arrays, split=split)
    whole = train(folders[0], run_in, "--epochs", "3")
    train(folders[1], run_in, "--epochs", "1")
    resumed = train(folders[1], run_in, "--epochs", "3", "--resume")
    return folders[0], whole, resumed


def test_resuming_goes_on_with_the_same_states(streams):
    folder, (weights, lines), (again, again_lines) = streams
    saved = load_file(folder / "runs" / "m" / "checkpoint.safetensors")

    for name, value in weights.items():
        np.testing.assert_array_equal(again[name], value, err_msg=name)
    assert [line["train"] for line in again_lines] == [line["train"] for line in lines]
    assert any("carried.h" in name for name in saved)
    assert any("carried.h_out_delay" in name for name in saved)


def test_evaluation_goes_on_from_batch_to_batch(streams, run_in):
    folder, (_, lines), _ = streams
    arguments = ("eval", "m.snn", "--weights", "runs/m/weights.safetensors", "--split", "val", "--json")

    result = run_in(folder, *arguments)

    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    metrics = found.get("val", found)
    assert metrics["loss"] == pytest.approx(lines[-1]["val"]["loss"], rel=1e-6)


def test_labels_of_steps_and_targets_of_steps_are_learned(tmp_path, run_in):
    given = samples()
    label = (given["x"].sum(axis=2) > 4).astype(int) + (given["x"].sum(axis=2) > 8)
    target = given["x"][:, :, :3]
    regression = """
train fit of Stream on d {
  epochs = 2
  length = length
  batch = 6
  loss = mse(out.v, target)
  metric off = mean_over_time(mae(out.v, target))
}
"""
    write(tmp_path, STEPS + regression, **{**given, "label": label, "target": target})

    for name in ("t", "fit"):
        result = run_in(tmp_path, "train", "m.snn", name, "--no-plots")
        assert result.returncode == 0, result.stderr
    classes, numbers = log(tmp_path, "m-t"), log(tmp_path, "m-fit")

    assert classes[-1]["train"]["loss"] < classes[0]["train"]["loss"]
    assert numbers[-1]["train"]["loss"] < numbers[0]["train"]["loss"]
    assert 0 < numbers[-1]["train"]["off"] < 5


@pytest.mark.parametrize(
    ("recipe", "changed", "message"),
    [
        (RECIPE, {}, "`d` has a field `length`, and recipe `t` does not say what it is for"),
        (LENGTH, {"length": None}, "`d` has no field `length`, from which `t` takes the length of each sample"),
        (LENGTH, {"length": np.full(12, 21)}, "the length `length` of `d` is 21 for sample 0"),
        (LENGTH, {"length": np.full(12, 9.5)}, "the length `length` of `d` is float32 of shape (12,)"),
        (STEPS, {"label": np.zeros((12, 7), int)}, "`label` has 7 steps, and the samples have 20"),
        (LENGTH.replace("  epochs", "  burn_in = 20 ms\n  epochs"), {}, "takes 20 steps, and a sample has 20"),
    ],
)  # fmt: skip
def test_data_that_do_not_fit_are_refused_in_words(tmp_path, run_in, recipe, changed, message):
    arrays = {**samples(), **changed}
    write(tmp_path, recipe, **{name: array for name, array in arrays.items() if array is not None})

    result = run_in(tmp_path, "train", "m.snn", "--no-plots")

    assert result.returncode == 1
    assert message in result.stderr
