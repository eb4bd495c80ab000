"""The snippets of docs/coming-from run in the libraries that they are about, and spike as the `.snn` beside them.

A library is looked for in the interpreters that SNNC_PEERS names, separated by `:`. A test without its library is skipped.

- `python simulates LIBRARY` defines `simulate(x)`; the `snn beside` block after it is the same model, with one spiking layer `h`;
- `python runs LIBRARY` only has to run;
- `nestml parses` is read and checked by NESTML.
"""

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs"))

from fenced import blocks_of  # noqa: E402

PAGES = sorted((ROOT / "docs" / "coming-from").glob("*.md"))
BLOCKS = [block for page in PAGES for block in blocks_of(page)]
STEPS, NEURONS = 300, 4
SAVE = """
import numpy as np
np.savez("theirs.npz", spikes=np.asarray(simulate(np.load("x.npz")["x"])))
"""
PARSE = """
import sys
from pynestml.frontend.pynestml_frontend import init_predefined
from pynestml.symbols.predefined_units import PredefinedUnits
from pynestml.utils.logger import Logger, LoggingLevel
from pynestml.utils.model_parser import ModelParser
init_predefined()
Logger.init_logger(LoggingLevel.ERROR)
unit = ModelParser.parse_file(sys.argv[1])
assert unit is not None
model = unit.get_model_list()[0]
assert not Logger.has_errors(model), Logger.get_all_messages_of_level_and_or_node(model, LoggingLevel.ERROR)
"""


def interpreter(library):
    """Return an interpreter that has the library, or skip the test."""
    for python in os.environ.get("SNNC_PEERS", "").split(":"):
        if (
            python
            and subprocess.run([python, "-c", f"import {library}"], capture_output=True, check=False).returncode == 0
        ):
            return python
    pytest.skip(f"{library} is in none of the interpreters of SNNC_PEERS")


def execute(python, text, folder, *arguments):
    (folder / "snippet.py").write_text(text, encoding="utf-8")
    ended = subprocess.run(
        [python, "snippet.py", *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=300
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def pairs():
    return [
        pytest.param(block, after, id=block.words[2])
        for block, after in pairwise(BLOCKS)
        if block.words[:2] == ("python", "simulates")
    ]


@pytest.mark.parametrize(("theirs", "ours"), pairs())
def test_both_models_spike_alike(theirs, ours, tmp_path):
    assert ours.words == ("snn", "beside")
    python = interpreter(theirs.words[2])
    x = np.random.default_rng(3).random((STEPS, NEURONS)).astype(np.float32)
    np.savez(tmp_path / "x.npz", x=x)
    (tmp_path / "net.snn").write_text(ours.text, encoding="utf-8")

    execute(python, theirs.text + SAVE, tmp_path)
    command = [sys.executable, "-m", "snnc", "run", "net.snn", "--data", "x.npz", "--out", "out"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert ended.returncode == 0, ended.stderr
    expected = np.load(tmp_path / "theirs.npz")["spikes"].astype(int)
    found = np.load(tmp_path / "out" / "signals.npz")["h.spike"].reshape(STEPS, NEURONS).astype(int)
    assert expected.sum() > 20
    assert np.array_equal(expected, found)


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.words[:2] == ("python", "runs")], ids=lambda b: b.words[2])
def test_a_snippet_runs(block, tmp_path):
    execute(interpreter(block.words[2]), block.text, tmp_path)


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.words == ("nestml", "parses")], ids=lambda b: b.name)
def test_a_nestml_model_is_accepted_by_nestml(block, tmp_path):
    python = interpreter("pynestml")
    (tmp_path / "model.nestml").write_text(block.text, encoding="utf-8")

    execute(python, PARSE, tmp_path, "model.nestml")
