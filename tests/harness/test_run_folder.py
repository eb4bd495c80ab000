"""The files of a run folder are whole, and readable by any JSON reader."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from snnc.harness.files import write_atomically
from snnc.harness.run_folder import RunFolder


def test_clearing_removes_results_and_leaves_other_files(tmp_path):
    folder = RunFolder(tmp_path)
    for path in (folder.weights, folder.config, folder.result, tmp_path / "curves.png", tmp_path / "notes.txt"):
        path.write_text("old")
    folder.log({"epoch": 1})
    folder.clear()

    assert {"metrics.jsonl", "notes.txt"} == {path.name for path in tmp_path.iterdir()}
    assert folder.metrics.read_text() == ""


def test_clearing_what_comes_later_keeps_the_epochs_before(tmp_path):
    folder = RunFolder(tmp_path)
    folder.weights.write_text("selected")
    folder.result.write_text("old")
    for epoch in (1, 2, 3):
        folder.log({"epoch": epoch})
    folder.metrics.write_text(folder.metrics.read_text() + '{"epoch": 4, "tor')
    folder.clear(epochs=2)

    assert folder.metrics.read_text() == '{"epoch": 1}\n{"epoch": 2}\n'
    assert {"metrics.jsonl", "weights.safetensors"} == {path.name for path in tmp_path.iterdir()}


def test_clearing_removes_what_killed_processes_left(tmp_path):
    folder = RunFolder(tmp_path)
    for name in (".checkpoint.safetensors.abc", ".metrics.jsonl.x", ".net.snn.y", ".curves.png.z", ".mine"):
        (tmp_path / name).write_text("half")
    folder.clear(source="net.snn")

    assert {"metrics.jsonl", ".mine"} == {path.name for path in tmp_path.iterdir()}


def test_a_line_that_does_not_fit_leaves_the_log_as_it_was(tmp_path, monkeypatch):
    folder = RunFolder(tmp_path)
    folder.log({"epoch": 1})

    opened = Path.open

    class Full:
        """A file on a disk that takes only a part of what is written."""

        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, data):
            return self.file.write(data[:5])

        def __getattr__(self, name):
            return getattr(self.file, name)

    monkeypatch.setattr(Path, "open", lambda path, *mode, **options: Full(opened(path, *mode, **options)))
    with pytest.raises(OSError, match=r"No space left on device.*metrics\.jsonl"):
        folder.log({"epoch": 2})
    monkeypatch.undo()
    assert folder.metrics.read_text() == '{"epoch": 1}\n'


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
