"""A full disk, a folder that cannot be written, a place that is no file: what was there stays, and nothing half-written."""

import os
import stat

import numpy as np
import pytest

MUCH = 4 << 30
WRITERS = {
    "compile": ("compile", "model.snn", "-o", "out"),
    "fmt": ("fmt", "model.snn"),
    "data": ("data", "model.snn", "-o", "out"),
    "train": ("train", "model.snn", "--no-plots"),
    "run": ("run", "model.snn"),
    "new": ("new", "first"),
    "surrogates": ("surrogates", "-o", "out.png"),
}


@pytest.fixture
def model(tmp_path, write_model, blob_arrays):
    """An unformatted model with its data, and an older file where results go."""
    np.savez(tmp_path / "blobs.npz", **blob_arrays)
    (tmp_path / "out").write_text("the older file\n")
    return write_model(crooked=("  dt = 1 ms", "     dt   =   1 ms"))


def files(folder):
    """Return the files below a folder with their contents."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


QUICK = {("compile", 300), ("fmt", 0), ("data", 300), ("train", 0), ("run", 300), ("new", 300)}


@pytest.mark.parametrize(
    ("command", "room"),
    [
        pytest.param(command, room, marks=() if (command, room) in QUICK else pytest.mark.long)
        for command in WRITERS
        for room in (0, 300)
    ],
)
def test_a_full_disk_changes_nothing(tmp_path, model, snnc, command, room):
    """Beyond `room` bytes no file grows, as on a disk that is full."""
    before = files(tmp_path)

    result = snnc(*WRITERS[command], memory=MUCH, largest_file=room)

    assert result.returncode == 1, result
    assert "file too large" in result.stderr.lower(), result.stderr
    after = files(tmp_path)
    assert {name: after.get(name) for name in before} == before
    if command not in ("train", "run"):
        assert after == before
    else:
        assert all(content for name, content in after.items() if not name.endswith((".jsonl", ".lock")))
    assert not [name for name in after if ".tmp" in name or name.rpartition("/")[2].startswith(".out")]


@pytest.mark.parametrize(
    "command", ["compile", "data", "train", *(pytest.param(c, marks=pytest.mark.long) for c in ("run", "surrogates"))]
)
def test_a_folder_that_takes_no_files(model, snnc, command):
    """/proc takes no files, not even those of root."""
    place = "/proc/snnc-test.png"
    arguments = [*WRITERS[command], "--out", place] if "-o" not in WRITERS[command] else [*WRITERS[command][:-1], place]

    result = snnc(*arguments, memory=MUCH)

    assert result.returncode == 1, result
    assert "snnc-test.png" in result.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write into every folder")
def test_a_read_only_folder(tmp_path, model, snnc):
    before = files(tmp_path)
    tmp_path.chmod(0o500)
    try:
        for command in ("compile", "fmt", "data", "new"):
            result = snnc(*WRITERS[command], memory=MUCH)
            assert result.returncode == 1
            assert "permission denied" in result.stderr
    finally:
        tmp_path.chmod(0o700)
    assert files(tmp_path) == before


@pytest.mark.parametrize("command", ["compile", "data"])
def test_a_pipe_or_a_device_is_not_replaced(tmp_path, model, snnc, command):
    (tmp_path / "out").unlink()
    os.mkfifo(tmp_path / "out")

    result = snnc(*WRITERS[command])

    assert result.returncode == 1
    assert "only files are written" in result.stderr
    assert stat.S_ISFIFO((tmp_path / "out").lstat().st_mode)


@pytest.mark.parametrize("command", ["compile", "data"])
def test_a_result_does_not_replace_what_it_is_made_from(tmp_path, model, snnc, command):
    (tmp_path / "link").symlink_to("model.snn")
    os.link(tmp_path / "model.snn", tmp_path / "twin")

    for place in ("model.snn", "link", "twin", "./model.snn"):
        result = snnc(*WRITERS[command][:-1], place)
        assert result.returncode == 2
        assert "is the file that is read" in result.stderr
    assert (tmp_path / "model.snn").read_text() == model


@pytest.mark.parametrize("command", ["compile", "data", pytest.param("surrogates", marks=pytest.mark.long)])
def test_a_folder_is_not_a_place_for_a_file(tmp_path, model, snnc, command):
    before = files(tmp_path)

    result = snnc(*WRITERS[command][:-1], ".")

    assert result.returncode in (1, 2)
    assert files(tmp_path) == before


@pytest.mark.parametrize("command", ["train", "run"])
def test_a_file_is_not_a_place_for_a_folder(tmp_path, model, snnc, command):
    before = files(tmp_path)

    result = snnc(command, "model.snn", "--out", "out", memory=MUCH)

    assert result.returncode == 1
    assert files(tmp_path) == before


def test_a_link_is_followed(tmp_path, model, snnc):
    (tmp_path / "sub").mkdir()
    (tmp_path / "model.snn").rename(tmp_path / "sub" / "real.snn")
    (tmp_path / "model.snn").symlink_to("sub/real.snn")
    (tmp_path / "sub" / "out.py").write_text("older\n")
    (tmp_path / "link.py").symlink_to("sub/out.py")

    assert snnc("fmt", "model.snn").returncode == 0
    assert snnc("compile", "model.snn", "-o", "link.py").returncode == 0

    assert (tmp_path / "model.snn").is_symlink()
    assert "\n  dt = 1 ms\n" in (tmp_path / "sub" / "real.snn").read_text()
    assert (tmp_path / "link.py").is_symlink()
    assert "MODEL_HASH" in (tmp_path / "sub" / "out.py").read_text()
