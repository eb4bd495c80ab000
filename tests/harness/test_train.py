"""A training leaves a run folder from which it can be read, continued and repeated."""

import dataclasses
import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from snnc.diagnostics import CompileError
from snnc.harness.records import TrainOptions
from snnc.harness.simulate import evaluate_split
from snnc.harness.train import train

DIVERGES = ("baseline.optimizer.lr", "step(1e-2, factor = 1e30, every = 2 epochs)")


@pytest.fixture
def options(tmp_path, source):
    return TrainOptions(source=source, folder=tmp_path / "run", epochs=4)


def test_a_run_folder_holds_everything_of_the_run(compiled, options, report):
    result = train(compiled, options, report)

    names = {path.name for path in options.folder.iterdir()}
    assert {
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
    } == names
    assert json.loads((options.folder / "result.json").read_text()) == result.as_json()
    assert (options.folder / "blobs.snn").read_bytes() == options.source.read_bytes()


def test_each_epoch_is_one_line_of_the_log(compiled, options, report):
    train(compiled, dataclasses.replace(options, plots=False), report)

    lines = [json.loads(line) for line in (options.folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4]
    assert {"loss", "accuracy", "rate.h", "silent.h", "grad_norm.h.tau"} <= set(lines[0]["train"])
    assert len(lines[0]["val"]["confusion"]) == 3


def test_the_reporter_hears_of_every_update_and_epoch(compiled, options, report):
    train(compiled, dataclasses.replace(options, plots=False), report)

    assert report.plans[0].samples == {"train": 144, "val": 48, "test": 48}
    assert report.samples == [32, 64, 96, 128, 144] * 4
    assert [record.epoch for record in report.records] == [1, 2, 3, 4]
    assert report.stages == ["evaluating"]


def test_the_result_is_that_of_the_selected_weights(compiled, options, report, model):
    result = train(compiled, dataclasses.replace(options, plots=False), report)

    best = max(report.records, key=lambda record: record.val["accuracy"])
    assert best.epoch == result.epoch
    assert best.val["accuracy"] == result.val["accuracy"]
    again, samples = evaluate_split(model, compiled, options.source, None, result.weights, "test")
    assert samples == 48
    assert again["accuracy"] == result.test["accuracy"]
    assert result.test["accuracy"] > 0.8


def test_the_same_seed_gives_the_same_weights(compiled, options, report, tmp_path):
    first = train(compiled, dataclasses.replace(options, plots=False, seed=3), report)
    other = dataclasses.replace(options, plots=False, seed=3, folder=tmp_path / "again")
    second = train(compiled, other, report)

    one, two = load_file(first.weights), load_file(second.weights)
    assert sorted(one) == sorted(two)
    for name in one:
        np.testing.assert_array_equal(one[name], two[name])


def test_a_training_can_start_from_weights_in_its_own_folder(compiled, options, report):
    first = train(compiled, dataclasses.replace(options, plots=False), report)
    more = dataclasses.replace(options, plots=False, weights=first.weights, epochs=1)
    second = train(compiled, more, report)

    assert second.train["loss"] < first.train["loss"]
    assert str(first.weights) == json.loads((options.folder / "config.json").read_text())["start"]


def test_an_earlier_result_does_not_outlive_a_new_run(compiled, options, report):
    train(compiled, options, report)
    train(compiled, dataclasses.replace(options, plots=False, epochs=1), report)

    assert list(options.folder.glob("*.png")) == []
    assert len((options.folder / "metrics.jsonl").read_text().splitlines()) == 1


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_update(compile_source, source, options, report):
    broken = compile_source(source, overrides=(("baseline.optimizer.lr", "1e38"),))

    with pytest.raises(CompileError) as caught:
        train(broken, options, report)
    (finding,) = caught.value.diagnostics
    assert finding.code == "E0609"
    assert finding.message.startswith("the loss is no longer finite in epoch 1, update 2: ")


def test_a_divergence_keeps_the_last_good_weights(compile_source, source, options, report, model):
    broken = compile_source(source, overrides=(DIVERGES,))

    with pytest.raises(CompileError, match=r"E0609.*in epoch 3, update 2"):
        train(broken, options, report)
    metrics, _ = evaluate_split(model, broken, source, None, options.folder / "weights.safetensors", "val")
    assert np.isfinite(metrics["loss"])
    assert (options.folder / "curves.png").is_file()


def test_a_file_without_a_recipe_is_told_so(compiled, options, report):
    with pytest.raises(CompileError, match=r"E0606.*has no `train` section"):
        train(dataclasses.replace(compiled, recipe=None), options, report)

    assert not options.folder.exists()
