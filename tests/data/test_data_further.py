"""`val =` and `test =` may name further files."""

from pathlib import Path

import numpy as np
import pytest

from snnc.data.files import LoadContext
from snnc.data.sources import SOURCES
from snnc.diagnostics import CompileError
from snnc.source import NOWHERE


def write(folder: Path, name: str, count: int, **more: np.ndarray) -> None:
    np.savez(folder / name, x=np.full((count, 2), count, np.float32), label=np.arange(count) % 2, **more)


def test_a_further_file_is_the_test_split_and_a_fraction_still_counts(tmp_path):
    write(tmp_path, "a.npz", 20)
    write(tmp_path, "b.npz", 6)
    given = {"path": "a.npz", "test": "b.npz", "val": 0.5}

    data = SOURCES["npz"].load(LoadContext(NOWHERE, tmp_path, None), given)

    assert [len(data.part(part)["label"]) for part in ("train", "val", "test")] == [10, 10, 6]
    assert (data.part("test")["x"] == 6).all()


def test_further_files_have_the_same_fields(tmp_path):
    write(tmp_path, "a.npz", 20)
    write(tmp_path, "b.npz", 6, extra=np.zeros(6))

    with pytest.raises(CompileError, match="differ in their fields: extra"):
        SOURCES["npz"].load(LoadContext(NOWHERE, tmp_path, None), {"path": "a.npz", "test": "b.npz"})


def test_a_set_that_is_already_split_takes_no_further_file(tmp_path):
    write(tmp_path, "a.npz", 4, split=np.array([0, 0, 1, 2], np.uint8))
    write(tmp_path, "b.npz", 6)

    with pytest.raises(CompileError, match="brings a split along"):
        SOURCES["npz"].load(LoadContext(NOWHERE, tmp_path, None), {"path": "a.npz", "test": "b.npz"})
