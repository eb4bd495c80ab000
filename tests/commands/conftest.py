"""The command line in a process of its own, and a small real model with its data."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import snnc as package

ROOT = Path(package.__file__).parent.parent
MODEL = """\
edition 2026

import std.neurons (PLIF, LI)

network Blobs(hidden = 16) {
  dt = 1 ms

  input pixels : real[8]
  layer h = PLIF[hidden]()
  layer out = LI[3](tau = 9.5 ms)

  pixels -> dense() -> h
  h -> dense() -> out

  output logits = 10 * mean_over_time(out.v)
}

data blobs = npz("blobs.npz", val = 0.2, test = 0.2, seed = 1) -> hold(duration = 10 ms)

train baseline of Blobs on blobs {
  epochs = 2
  batch = 32
  loss = cross_entropy(logits, label)
  optimizer = adam(lr = 1e-2)
  metric accuracy = accuracy(logits, label)
  metric confusion = confusion(logits, label)
  select = best(val.accuracy)
}
"""


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    """The environment of every process: the snnc that is tested, and one cache of compiled programs for all."""
    cache = tmp_path_factory.mktemp("programs")
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**inherited, "PYTHONPATH": str(ROOT), "SNNC_CACHE": str(cache), "JAX_PLATFORMS": "cpu"}


@pytest.fixture(scope="session")
def run_in(environment):
    """Run `python -m snnc ARGUMENTS` in a folder, warnings being errors."""

    def run(folder, *arguments):
        command = [sys.executable, "-W", "error", "-m", "snnc", *map(str, arguments)]
        result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
        assert "Traceback" not in result.stderr, result.stderr
        return result

    return run


@pytest.fixture
def snnc(tmp_path, run_in):
    """Run `python -m snnc ARGUMENTS` in an empty folder."""
    return lambda *arguments: run_in(tmp_path, *arguments)


@pytest.fixture(scope="session")
def blob_arrays():
    """Three blobs in eight dimensions: 240 samples, easily told apart."""
    rng = np.random.default_rng(0)
    label = np.arange(240) % 3
    pixels = rng.normal(size=(3, 8))[label] + 0.3 * rng.normal(size=(240, 8))
    return {"pixels": pixels.astype(np.float32), "label": label}


@pytest.fixture(scope="session")
def write_model(blob_arrays):
    """Write blobs.snn and blobs.npz into a folder, with further recipes, or with one text replaced by another."""

    def write(folder, more="", replaced=("", "")):
        assert replaced[0] in MODEL
        text = (MODEL.replace(*replaced) if replaced[0] else MODEL) + more
        np.savez(folder / "blobs.npz", **blob_arrays)
        (folder / "blobs.snn").write_text(text)
        return text

    return write
