"""`snnc train` that is killed, interrupted or started twice, each time as a process of its own."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from safetensors.numpy import load_file

from snnc.harness.checkpoint import read_about
from snnc.harness.lock import sole_training

TIMES = {"seconds", "samples_per_s"}

# Every source of random numbers and everything that goes from update to update: drawn parameters and initial values,
# a carried state, escape noise, an encoder that draws, dropout, a schedule over all epochs, clipping, selection.
MODEL = """\
edition 2026

import std.neurons (LI)

neuron Noisy {
  param tau = 10 ms in (1 ms, 50 ms) per neuron trainable
  param rest ~ normal(0.0, 0.1) per neuron
  event x
  state v ~ uniform(0, 0.5)
  state slow = 0 carry
  v' = (rest - v) / tau
  slow' = -slow / 1 s
  on x at start { v += x }
  spike with rate 20 Hz * exp((v - 1) / 0.2) { v = 0; slow += 0.01 }
  surrogate triangle()
}

network Blobs {
  dt = 1 ms
  input pixels : spikes[8]
  pixels -> dense(12) -> Noisy() as h -> dropout(0.2) -> dense(3) -> LI(tau = 9.5 ms) as out
  output logits = 10 * mean_over_time(out.v)
}

data blobs = npz("blobs.npz", val = 0.2, test = 0.2, seed = 1) -> rate(duration = 10 ms, peak = 500 Hz)

train baseline of Blobs on blobs {
  epochs = EPOCHS
  batch = 32
  loss = cross_entropy(logits, label)
  optimizer = adamw(lr = cosine(1e-2, warmup = 1 epochs), weight_decay = 1e-4, clip_norm = 1,
                    groups = [group("*.tau", lr = 1e-2)])
  penalty 1e-3 * mean(h.spike)
  metric accuracy = accuracy(logits, label)
  metric confusion = confusion(logits, label)
  select = best(val.accuracy)
}
"""


class Trainings:
    """Runs `snnc train noisy.snn` in a folder, in processes that can be killed."""

    def __init__(self, folder, environment):
        self.folder = folder
        self.environment = environment

    def start(self, *arguments):
        command = [sys.executable, "-W", "error", "-m", "snnc", "train", "noisy.snn", "--no-plots", *arguments]
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def finish(self, *arguments):
        process = self.start(*arguments)
        _, words = process.communicate(timeout=300)
        assert process.returncode == 0, words
        return words

    def assert_same(self, one, two):
        """Weights bit by bit, the log without times, the metrics of the result."""
        first, second = (load_file(self.folder / run / "weights.safetensors") for run in (one, two))
        assert sorted(first) == sorted(second)
        for name in first:
            assert first[name].tobytes() == second[name].tobytes(), name
        logs = [(self.folder / run / "metrics.jsonl").read_text().splitlines() for run in (one, two)]
        lines = [[_timeless(json.loads(line)) for line in log] for log in logs]
        assert lines[0] == lines[1]
        results = [json.loads((self.folder / run / "result.json").read_text()) for run in (one, two)]
        assert [results[0][name] for name in METRICS] == [results[1][name] for name in METRICS]


METRICS = ("train", "val", "test", "epochs", "epoch")


def _timeless(record):
    return {name: value for name, value in record.items() if name not in TIMES}


@pytest.fixture
def trainings(tmp_path, environment, blob_arrays):
    """A folder with the model and its data."""

    def prepare(epochs):
        np.savez(tmp_path / "blobs.npz", **{**blob_arrays, "pixels": np.abs(blob_arrays["pixels"]) / 4})
        (tmp_path / "noisy.snn").write_text(MODEL.replace("EPOCHS", str(epochs)))
        return Trainings(tmp_path, environment)

    return prepare


def killed_at_random(trainings, kills, epochs, seed):
    """Train once in peace and once with so many SIGKILLs at random moments; return what there is to tell of it.

    One in four falls anywhere into the start of a process, the others into the time after its first checkpoint, so that
    they meet imports, the start of a run, updates, checkpoints being written, and the ends of epochs.
    """
    draw = random.Random(seed)
    settings = ("--epochs", str(epochs), "--checkpoint-every", "0")
    trainings.finish(*settings, "--out", "whole")
    lines = (trainings.folder / "whole" / "metrics.jsonl").read_text().splitlines()
    training = sum(json.loads(line)["seconds"] for line in lines[1:])  # the first one is compiled too
    stretch = 2.0 * training / kills  # on average, a kill comes after half of it
    told = [f"undisturbed: {training:.1f} s in {epochs} epochs of 5 updates"]
    run = trainings.folder / "killed"
    for kill in range(kills):
        before, began = _written(run), time.monotonic()
        process = trainings.start(*settings, "--out", "killed", *(("--resume",) if kill else ()))
        if draw.random() < 0.25:
            wait = draw.uniform(0.0, 2.5)
        else:
            while _written(run) == before and process.poll() is None:
                time.sleep(0.002)
            wait = draw.uniform(0.0, stretch)
        try:
            process.wait(wait)
        except subprocess.TimeoutExpired:
            process.kill()
        _, words = process.communicate()
        assert process.returncode in (-signal.SIGKILL, 0), words
        ended = "killed" if process.returncode else "had ended"
        told.append(f"kill {kill + 1:2}: {ended} after {time.monotonic() - began:5.2f} s; saved: {_reached(run)}")
    words = trainings.finish(*settings, "--out", "killed", "--resume")
    told.append(next(line for line in words.splitlines() if line.startswith(("goes on", "this run", "nothing"))))
    trainings.assert_same("whole", "killed")
    return told


def _written(run):
    """When the checkpoint was written, 0 before there is one."""
    path = run / "checkpoint.safetensors"
    return path.stat().st_mtime_ns if path.exists() else 0


def _reached(run):
    path = run / "checkpoint.safetensors"
    if not path.exists():
        return "nothing yet"
    return read_about(path).place(5) + (", and a torn file" if list(run.glob(".*.safetensors.*")) else "")


def test_a_training_killed_at_a_random_moment_ends_as_if_it_had_not_been(trainings):
    told = killed_at_random(trainings(3), kills=1, epochs=3, seed=int.from_bytes(os.urandom(4), "big"))

    assert len(told) == 3


@pytest.mark.long
def test_a_training_killed_at_twenty_random_moments_ends_as_if_it_had_not_been(trainings, capsys):
    seed = int.from_bytes(os.urandom(4), "big")
    told = killed_at_random(trainings(200), kills=20, epochs=200, seed=seed)

    with capsys.disabled():
        print(f"\nseed {seed}", *told, sep="\n")


def reach(process, words):
    """Read what a process tells until a line begins with `words`."""
    for line in process.stderr:
        if line.startswith(words):
            return line
    raise AssertionError(f"it ended without saying {words!r}")


@pytest.mark.parametrize(
    ("number", "code"),
    # in the quick suite the next test sends SIGINT
    [pytest.param(signal.SIGINT, 130, marks=pytest.mark.long), (signal.SIGTERM, 143)],
)
def test_a_signal_saves_says_how_to_go_on_and_leaves(trainings, number, code):
    runs = trainings(20000)
    process = runs.start("--out", "run one")
    reach(process, "epoch")
    process.send_signal(number)
    _, rest = process.communicate(timeout=60)

    assert process.returncode == code
    assert "stopping after the running update; Ctrl-C again leaves at once, without saving" in rest
    assert "interrupted; what was reached is in run one\n" in rest
    assert "go on with: snnc train noisy.snn --out 'run one' --no-plots --resume\n" in rest
    assert "Traceback" not in rest
    assert len((runs.folder / "run one" / "metrics.jsonl").read_text().splitlines()) == rest.count("\nepoch") + 1
    again = runs.start("--out", "run one", "--resume")
    told = reach(again, "goes on after")
    again.kill()
    again.communicate()
    assert told == f"goes on after {_reached(runs.folder / 'run one')}\n"


def test_a_second_ctrl_c_leaves_at_once(trainings, tmp_path):
    """Without a cache of compiled programs the first update takes seconds."""
    runs = trainings(20000)
    runs.environment = {**runs.environment, "SNNC_CACHE": str(tmp_path / "empty")}
    process = runs.start()
    reach(process, "Blobs")
    time.sleep(0.1)  # let it get into the first update
    process.send_signal(signal.SIGINT)
    reach(process, "stopping after the running update")
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=60)

    assert process.returncode == 130
    assert rest == ""


def test_two_trainings_in_one_folder_are_refused(trainings):
    runs = trainings(20000)
    first = runs.start("--out", "run")
    reach(first, "Blobs")
    second = runs.start("--out", "run")
    _, words = second.communicate(timeout=60)
    first.kill()
    first.communicate()

    assert second.returncode == 1
    assert "error[E0612]: two trainings cannot share a run folder" in words
    assert f"process {first.pid} has trained there since 2" in words
    with sole_training(runs.folder / "run"):
        pass  # a killed process holds it no longer
