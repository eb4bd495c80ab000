"""Delays through the command line: trained, explained, gone on with, exported."""

import json

import pytest
from safetensors.numpy import load_file

EDGE = "pixels -> dense() -> h"
DELAYED = (
    "pixels -> dense(delay ~ uniform(0 ms, 6 ms) per synapse trainable, sigma = exponential(3, 0.5, over = 0.5)) -> h\n"
    "  h -> delay(time ~ uniform(0 ms, 4 ms) per neuron) -> dense() -> out"
)


OPTIMIZER = 'optimizer = adam(lr = 1e-2, groups = [group("*.delay*", lr = 5e-2)])'


@pytest.fixture(scope="module")
def write_delayed(write_model):
    """Write into a folder the small model with delays that are learned, and others that are drawn."""

    def write(folder):
        text = write_model(folder).replace(EDGE, DELAYED).replace("optimizer = adam(lr = 1e-2)", OPTIMIZER)
        path = folder / "blobs.snn"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def delayed(tmp_path, write_delayed):
    return write_delayed(tmp_path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, write_delayed, run_in):
    """The small model, trained for four epochs into the folder `run` beside it."""
    path = write_delayed(tmp_path_factory.mktemp("trained"))
    result = run_in(path.parent, "train", path.name, "--epochs", 4, "--out", "run", "--no-plots")
    assert result.returncode == 0, result.stderr
    return path


def test_delays_are_trained_and_their_kernel_narrows(trained):
    weights = load_file(trained.parent / "run" / "checkpoint.safetensors")
    lines = [json.loads(line) for line in (trained.parent / "run" / "metrics.jsonl").read_text().splitlines()]

    assert weights["weights/pixels_h.dense.delay"].shape == (8, 16)
    assert float(weights["weights/buffers.pixels_h.dense.sigma"]) == pytest.approx(0.5)
    assert weights["weights/buffers.h_out.delay.delay"].dtype == "int32"
    assert all(line["train"]["grad_norm.pixels_h.dense.delay"] > 0 for line in lines)


def test_an_evaluation_reads_the_trained_delays(run_in, trained):
    final = json.loads((trained.parent / "run" / "result.json").read_text())
    result = run_in(trained.parent, "eval", trained.name, "--weights", "run/weights.safetensors", "--json")

    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout.splitlines()[-1])["test"]["loss"] == pytest.approx(final["test"]["loss"], rel=1e-5)


def test_more_epochs_would_change_the_width_of_all(run_in, trained):
    result = run_in(trained.parent, "train", trained.name, "--epochs", 5, "--out", "run", "--no-plots", "--resume")

    assert result.returncode == 1
    assert "epochs" in result.stderr


def test_explain_says_how_late_each_connection_is(run_in, delayed):
    result = run_in(delayed.parent, "explain", delayed.name)

    assert (
        "pixels_h.dense: 0 to 6 steps, one a synapse, trained by a Gaussian kernel, sigma 3 to 0.5 steps in the first 50 % "
        "of the epochs, rounded in evaluation"
    ) in result.stdout
    assert "h_out.delay: 0 to 4 steps, one a unit, drawn once" in result.stdout


def test_the_width_of_a_kernel_is_no_parameter_to_be_set(run_in, delayed):
    delayed.write_text(delayed.read_text().replace('group("*.delay*"', 'group("*.sigma"'))

    result = run_in(delayed.parent, "check", delayed.name)

    assert result.returncode == 1
    assert "`pixels_h.dense.delay`" in result.stderr
