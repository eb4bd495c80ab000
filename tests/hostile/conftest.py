"""The real command line, kept in a cage: a clock, an address space, and, where a test asks for it, a full disk."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import snnc as package

ROOT = Path(package.__file__).parent.parent
LITTLE = 1 << 30  # bytes of address space: enough for what needs no JAX
MUCH = 4 << 30

# Becomes `python -m snnc ARGUMENTS` within limits. Not `preexec_fn`: that forks, which JAX in the parent does not like.
CAGE = """\
import os, resource, sys
memory, largest_file, *arguments = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_AS, (int(memory), int(memory)))
if largest_file != "-1":  # every write beyond fails, as on a full disk
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(largest_file), int(largest_file)))
os.execv(sys.executable, [sys.executable, "-m", "snnc", *arguments])
"""

MODEL = """\
edition 2026

import std.neurons (LIF, LI)

network Blobs {
  dt = 1 ms
  input pixels : real[8]
  layer h = LIF[HIDDEN](tau = 10 ms)
  layer out = LI[3](tau = 9.5 ms)
  pixels -> dense() -> h
  h -> dense() -> out
  output logits = 10 * mean_over_time(out.v)
}

data blobs = SOURCE -> hold(duration = 5 ms)

train baseline of Blobs on blobs {
  epochs = 1
  batch = 32
  loss = cross_entropy(logits, label)
  optimizer = adam(lr = 1e-2)
}
"""
SOURCE = 'npz("blobs.npz", val = 0.2, test = 0.2, seed = 1)'


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    """The environment of every process: the snnc that is tested, and a cache of compiled programs of their own."""
    cache = tmp_path_factory.mktemp("programs")
    return {**os.environ, "PYTHONPATH": str(ROOT), "SNNC_CACHE": str(cache), "JAX_PLATFORMS": "cpu"}


@pytest.fixture(scope="session")
def run_in(environment):
    """Run `python -m snnc ARGUMENTS` in a folder and within limits; never a traceback, a signal or an internal error."""

    def run(folder, *arguments, memory=LITTLE, largest_file=None, seconds=60, variables=()):
        limits = [str(memory), "-1" if largest_file is None else str(largest_file)]
        result = subprocess.run(
            [sys.executable, "-I", "-S", "-c", CAGE, *limits, *map(str, arguments)],
            cwd=folder,
            env={**environment, **dict(variables)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=seconds,
        )
        assert result.returncode in (0, 1, 2), result
        assert "Traceback" not in result.stderr, result.stderr
        assert len(result.stderr) < 100_000
        return result

    return run


@pytest.fixture
def snnc(tmp_path, run_in):
    """Run `python -m snnc ARGUMENTS` in an empty folder."""
    return lambda *arguments, **limits: run_in(tmp_path, *arguments, **limits)


@pytest.fixture
def refused(tmp_path, snnc):
    """Run a command that must end in a finding of the given code, with exit code 1 and no file written."""

    def run(code, *arguments, said="", **limits):
        before = snapshot(tmp_path)
        result = snnc(*arguments, **limits)
        assert result.returncode == 1, result
        assert f"error[{code}]" in result.stderr, result.stderr
        assert said in result.stderr, result.stderr
        assert snapshot(tmp_path) == before
        return result

    return run


def snapshot(folder):
    """Return every path below a folder with what it holds; links, pipes and folders with their kind."""

    def content(path):
        mode = path.lstat().st_mode
        return path.read_bytes() if stat.S_ISREG(mode) else stat.S_IFMT(mode)

    return {path.relative_to(folder).as_posix(): content(path) for path in folder.rglob("*")}


@pytest.fixture(scope="session")
def blob_arrays():
    """Three blobs in eight dimensions: 240 samples."""
    rng = np.random.default_rng(0)
    label = np.arange(240) % 3
    pixels = rng.normal(size=(3, 8))[label] + 0.3 * rng.normal(size=(240, 8))
    return {"pixels": pixels.astype(np.float32), "label": label}


@pytest.fixture
def write_model(tmp_path, write_model_to):
    """Write model.snn, with another data source or size of its hidden layer, or with texts replaced by others."""
    return lambda **changes: write_model_to(tmp_path, **changes)


@pytest.fixture(scope="session")
def write_model_to():
    """Write model.snn into a folder."""

    def write(folder, source=SOURCE, hidden="16", **replaced):
        text = MODEL.replace("SOURCE", source).replace("HIDDEN", hidden)
        for old, new in replaced.values():
            assert old in text
            text = text.replace(old, new)
        (folder / "model.snn").write_text(text, encoding="utf-8")
        return text

    return write
