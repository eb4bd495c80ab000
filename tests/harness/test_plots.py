"""Every plot is drawn from what the log holds, also where numbers are missing, few or many."""

import numpy as np
import pytest
from matplotlib.image import imread

from snnc.harness.plot_signals import draw_raster, draw_traces
from snnc.harness.plots import draw_confusion, draw_curves, draw_training
from snnc.harness.records import EpochRecord


def record(epoch, **train):
    metrics = {"loss": 1 / epoch, "accuracy": 1 - 1 / epoch, **train}
    return EpochRecord(epoch, 0.1, 100.0, metrics, {"loss": 2 / epoch, "accuracy": 0.5}, epoch == 2)


def has_ink(path):
    image = imread(path)
    return image[..., :3].min() < 0.5 and min(image.shape[:2]) > 200


def test_a_training_draws_what_its_log_holds(tmp_path):
    extra = {"grad_norm.h.tau": 0.1, "rate.h": 12.0, "silent.h": 0.25}
    history = [record(epoch, **extra) for epoch in range(1, 5)]
    written = draw_training(tmp_path, history, {"loss": 0.1, "confusion": np.eye(3)})

    assert [path.name for path in written] == ["curves.png", "gradients.png", "activity.png", "confusion.png"]
    assert all(map(has_ink, written))


def test_a_log_of_loss_and_metrics_draws_curves_only(tmp_path):
    assert [path.name for path in draw_training(tmp_path, [record(1)], {})] == ["curves.png"]


@pytest.mark.parametrize("layers", [1, 20])
def test_many_parameters_and_missing_numbers_can_be_drawn(tmp_path, layers):
    extra = {f"grad_norm.l{index}.w": 0.0 if index == 0 else 0.1 for index in range(layers)}
    history = [record(1, **extra), record(2)]

    assert all(map(has_ink, draw_training(tmp_path, history, {})))


def test_lost_numbers_leave_a_gap(tmp_path):
    assert has_ink(draw_curves(tmp_path / "c.png", [record(1), record(2, loss=float("nan")), record(3, loss=np.inf)]))


@pytest.mark.parametrize("classes", [2, 40])
def test_a_confusion_matrix_of_any_size_can_be_drawn(tmp_path, classes):
    assert has_ink(draw_confusion(tmp_path / "c.png", np.eye(classes)))


def test_a_raster_draws_every_layer(tmp_path):
    spikes = {"h": np.eye(50, 900), "map": np.zeros((50, 4, 5, 5)), "one": np.ones((50, 1))}

    assert has_ink(draw_raster(tmp_path / "r.png", spikes, 0.5))


def test_traces_draw_states_of_any_shape(tmp_path):
    states = {"h.v": np.random.default_rng(0).normal(size=(30, 20)), "g.v": np.zeros((30, 1)), "time": np.arange(30.0)}

    assert has_ink(draw_traces(tmp_path / "t.png", states, {"h.v": "mV"}, 1.0))
