"""The cache of compiled programs serves later processes, and stands concurrent and killed ones."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import snnc
from snnc.harness import runtime
from snnc.harness.runtime import FEW_COPIES

PROGRAM = """
from snnc.harness.runtime import prepare_runtime
print(*prepare_runtime(), sep="; ")
import jax
print(jax.jit(lambda x: x * 2 + 1)(20.5))
"""


FLAGS = """
import os
from snnc.harness.runtime import update_loops_in_place
print(update_loops_in_place(), os.environ.get("XLA_FLAGS"), sep=";")
import jax
print(jax.jit(lambda x: x * 2 + 1)(20.5))
"""


def start(folder):
    root = str(Path(snnc.__file__).parent.parent)
    environment = {**os.environ, "PYTHONPATH": root, "SNNC_CACHE": str(folder), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-W", "error", "-c", PROGRAM]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_processes_that_run_together_share_whole_entries(tmp_path):
    folder = tmp_path / "cache"
    outputs = [process.communicate() for process in [start(folder), start(folder)]]
    entries = sorted(folder.iterdir())
    again = start(folder).communicate()

    assert [(out.splitlines()[1], err) for out, err in [*outputs, again]] == [("42.0", "")] * 3
    assert entries
    assert all(entry.name.endswith("-cache") for entry in entries)
    assert entries == sorted(folder.iterdir())


def test_a_folder_that_cannot_be_made_only_turns_the_cache_off(tmp_path):
    (tmp_path / "file").write_text("")
    out, err = start(tmp_path / "file" / "cache").communicate()

    assert "cached" not in out
    assert (out.splitlines()[1], err) == ("42.0", "")


@pytest.mark.parametrize(
    ("before", "asked", "after"),
    [
        (None, "True", f"{FEW_COPIES}=true"),
        ("--xla_cpu_max_isa=AVX", "True", f"--xla_cpu_max_isa=AVX {FEW_COPIES}=true"),
        (f"{FEW_COPIES}=false", "False", f"{FEW_COPIES}=false"),
    ],
)
def test_xla_is_asked_for_loops_in_place_unless_its_flags_say_otherwise(before, asked, after):
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    environment |= {"PYTHONPATH": str(Path(snnc.__file__).parent.parent), "JAX_PLATFORMS": "cpu"}
    environment |= {} if before is None else {"XLA_FLAGS": before}
    done = subprocess.run([sys.executable, "-c", FLAGS], env=environment, capture_output=True, text=True, check=True)

    assert done.stdout.splitlines() == [f"{asked};{after}", "42.0"]


def test_an_unknown_version_of_xla_is_not_asked(monkeypatch):
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    monkeypatch.setattr(runtime, "version", lambda _: "0.99.1")

    assert not runtime.update_loops_in_place()
    assert "XLA_FLAGS" not in os.environ
