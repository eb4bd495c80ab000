"""The files of a run folder are whole, and readable by any JSON reader."""

import json
import os

import numpy as np
import pytest

from snnc.harness.files import write_atomically
from snnc.harness.run_folder import RunFolder


def test_starting_clears_results_and_leaves_other_files(tmp_path):
    folder = RunFolder(tmp_path / "a" / "run")
    folder.start()
    folder.weights.write_bytes(b"old")
    folder.log({"epoch": 1})
    (folder.path / "notes.txt").write_text("mine")
    folder.start()

    assert {"metrics.jsonl", "notes.txt"} == {path.name for path in folder.path.iterdir()}
    assert folder.metrics.read_text() == ""


def test_numbers_that_are_not_finite_are_null_in_the_log(tmp_path):
    folder = RunFolder(tmp_path)
    folder.log({"epoch": np.int64(1), "train": {"loss": np.float32("nan"), "v": np.array([1.5, np.inf])}})

    assert json.loads(folder.metrics.read_text()) == {"epoch": 1, "train": {"loss": None, "v": [1.5, None]}}


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, "old")

    def refuse(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [path] == list(tmp_path.iterdir())


def test_a_written_file_keeps_its_mode(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o640)
    write_atomically(path, "new")

    assert path.stat().st_mode & 0o777 == 0o640
