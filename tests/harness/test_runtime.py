"""The cache of compiled programs serves later processes, and stands concurrent and killed ones."""

import os
import subprocess
import sys
from pathlib import Path

import snnc

PROGRAM = """
from snnc.harness.runtime import prepare_runtime
print(*prepare_runtime(), sep="; ")
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
