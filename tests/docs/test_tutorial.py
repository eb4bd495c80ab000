"""The tutorial, typed command by command in a new folder: the quick part always, the whole by `pytest -m long`."""

import json
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs"))

import run_tutorial  # noqa: E402

DATA = next((d for d in (os.environ.get("SNNC_DATA"), ROOT.parent / "shared" / "data") if d and Path(d).is_dir()), None)


def follow(folder, monkeypatch, tmp_path_factory, **settings):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("SNNC_CACHE", str(tmp_path_factory.getbasetemp() / "programs"))
    return [run_tutorial.differs(done) for done in run_tutorial.run(folder, **settings)]


def test_the_quick_commands_print_what_the_pages_show(tmp_path, monkeypatch, tmp_path_factory):
    differences = follow(tmp_path / "tutorial", monkeypatch, tmp_path_factory, quick=True)

    assert "\n".join(filter(None, differences)) == ""


@pytest.mark.long
def test_every_command_prints_what_the_pages_show(tmp_path, monkeypatch, tmp_path_factory):
    folder = tmp_path / "tutorial"
    data = None if DATA is None else Path(DATA)

    differences = follow(folder, monkeypatch, tmp_path_factory, data_dir=data)

    assert "\n".join(filter(None, differences)) == ""
    made = [name for name in run_tutorial.figures() if run_tutorial.figure_file(folder, name)]
    assert made == [name for name in run_tutorial.figures() if data or "mnist" not in name]
    if data:
        for run in ("mnist-1", "mnist"):
            assert json.loads((folder / "runs" / run / "result.json").read_text())["test"]["accuracy"] > 0.95


def test_an_output_is_shortened_as_the_page_shows_it():
    assert run_tutorial.shortened("a\nb\nc\nd", "1\n…\n8\n9\n") == "a\n…\nc\nd\n"
    assert run_tutorial.shortened("a\nb", "1\n2\n") == "a\nb\n"
