"""A small real model, compiled once, and its data set: three blobs in eight dimensions."""

from pathlib import Path

import numpy as np
import pytest

from snnc import pipeline
from snnc.harness.load_module import load_module

MODEL = """\
edition 2026

import std.neurons (PLIF, LI)

network Blobs(hidden = 16) {
  dt = 1 ms

  input pixels : real[8]
  layer h = PLIF[hidden](theta ~ normal(1, 0.05))
  layer out = LI[3](tau = 9.5 ms)

  pixels -> dense() -> h
  h -> dense() -> out

  output logits = 10 * mean_over_time(out.v)
}

data blobs = npz("blobs.npz", val = 0.2, test = 0.2, seed = 1) -> hold(duration = 10 ms)

train baseline of Blobs on blobs {
  epochs = 3
  batch = 32
  loss = cross_entropy(logits, label)
  optimizer = adam(lr = 1e-2)
  metric accuracy = accuracy(logits, label)
  metric confusion = confusion(logits, label)
  select = best(val.accuracy)
}
"""


def write_blobs(folder: Path) -> Path:
    """Write blobs.snn and blobs.npz; return the former."""
    rng = np.random.default_rng(0)
    label = np.arange(240) % 3
    pixels = rng.normal(size=(3, 8))[label] + 0.3 * rng.normal(size=(240, 8))
    np.savez(folder / "blobs.npz", pixels=pixels.astype(np.float32), label=label)
    source = folder / "blobs.snn"
    source.write_text(MODEL)
    return source


@pytest.fixture(scope="session")
def compile_source():
    """From a file and settings to its compiled recipe."""

    def compile_it(source, overrides=()):
        program = pipeline.load(source)
        return pipeline.compile_entry(program, pipeline.choose(program, None), overrides)

    return compile_it


@pytest.fixture(scope="session")
def _compiled(tmp_path_factory, compile_source):
    return compile_source(write_blobs(tmp_path_factory.mktemp("blobs")))


@pytest.fixture
def source(tmp_path):
    """The path of blobs.snn, its data set beside it."""
    return write_blobs(tmp_path)


@pytest.fixture
def compiled(_compiled):
    """The recipe `baseline` of blobs.snn."""
    return _compiled


@pytest.fixture(scope="session")
def _model(_compiled):
    return load_module(_compiled.text)


@pytest.fixture
def model(_model):
    """The emitted module."""
    return _model


class Recorder:
    """A reporter that remembers."""

    def __init__(self):
        self.plans, self.samples, self.records, self.stages, self.notes = [], [], [], [], []

    def start(self, plan):
        self.plans.append(plan)

    def update(self, samples_done, metrics):
        self.samples.append(samples_done)

    def epoch(self, record):
        self.records.append(record)

    def stage(self, text):
        self.stages.append(text)

    def note(self, text):
        self.notes.append(text)


@pytest.fixture
def report():
    return Recorder()
