"""A compilation by hand: the text of fake_model.py with a recipe on the digits."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snnc.source import Source, Span

TEXT = Path(__file__).with_name("fake_model.py").read_text()


@dataclass(frozen=True)
class FakeData:
    arguments: dict[str, Any]
    span: Span
    name: str = "blobs"
    source_name: str = "npz"


@dataclass(frozen=True)
class FakeRecipe:
    data: FakeData
    span: Span


@dataclass(frozen=True)
class FakeCompiled:
    text: str
    recipe: FakeRecipe | None
    name: str = "fake"


@pytest.fixture
def model():
    """The fake model as a module."""
    spec = importlib.util.spec_from_loader("fake_model", None)
    module = importlib.util.module_from_spec(spec)
    exec(compile(TEXT, "fake_model.py", "exec"), module.__dict__)
    return module


@pytest.fixture
def compiled(tmp_path):
    """A compiled recipe whose data set, three blobs in eight dimensions, lies beside its source fake.snn."""
    rng = np.random.default_rng(0)
    label = np.arange(240) % 3
    pixels = rng.normal(size=(3, 8))[label] + 0.3 * rng.normal(size=(240, 8))
    np.savez(tmp_path / "blobs.npz", pixels=pixels.astype(np.float32), label=label)
    source = tmp_path / "fake.snn"
    source.write_text("edition 2026\ntrain baseline of Fake on blobs {}\n")
    text = Source(str(source), source.read_text())
    arguments = {"path": "blobs.npz", "val": 0.2, "test": 0.2, "seed": 1}
    return FakeCompiled(TEXT, FakeRecipe(FakeData(arguments, Span(text, 0, 12)), Span(text, 13, 27)))


class Recorder:
    """A reporter that remembers."""

    def __init__(self):
        self.plans, self.samples, self.records, self.stages = [], [], [], []

    def start(self, plan):
        self.plans.append(plan)

    def update(self, samples_done, metrics):
        self.samples.append(samples_done)

    def epoch(self, record):
        self.records.append(record)

    def stage(self, text):
        self.stages.append(text)


@pytest.fixture
def report():
    return Recorder()
