"""Files are looked for in the data folder, then beside the `.snn` file, and never anywhere else."""

import os

import numpy as np
import pytest


def write(path, value):
    np.savez(path, x=np.full((2, 1), value), label=[0, 1])


def test_the_data_folder_comes_before_the_folder_of_the_text(load, folder, tmp_path):
    (tmp_path / "data").mkdir()
    write(folder / "a.npz", 1)
    write(folder / "b.npz", 1)
    write(tmp_path / "data" / "a.npz", 2)

    assert load("npz", tmp_path / "data", path="a.npz").fields["x"][0, 0] == 2
    assert load("npz", tmp_path / "data", path="b.npz").fields["x"][0, 0] == 1
    assert load("npz", path="a.npz").fields["x"][0, 0] == 1


def test_ways_that_stay_inside_are_allowed(load, folder):
    (folder / "sub").mkdir()
    write(folder / "a.npz", 1)
    (folder / "link.npz").symlink_to("a.npz")

    for name in ("sub/../a.npz", str(folder / "a.npz"), "link.npz"):
        assert load("npz", path=name).fields["x"][0, 0] == 1


def test_a_missing_file_names_the_folders_searched(refuse, folder, tmp_path):
    code, message, help = refuse("npz", tmp_path / "data", path="a.npz")

    assert (code, message) == ("E0604", "there is no file `a.npz`")
    assert help == (
        f"searched in `{tmp_path / 'data'}`, `{folder}`; name the folder of the data by `--data-dir` or `SNNC_DATA`"
    )


@pytest.mark.parametrize("data_dir", [False, True])
@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize("way", ["parent", "absolute", "link", "folder link"])
def test_ways_out_are_refused_whether_or_not_the_file_exists(refuse, folder, tmp_path, way, exists, data_dir):
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "data").mkdir()
    if exists:
        write(outside / "a.npz", 1)
    name = {"parent": "../outside/a.npz", "absolute": str(outside / "a.npz"), "link": "l.npz", "folder link": "o/a.npz"}
    for root in (folder, tmp_path / "data"):
        (root / "l.npz").symlink_to(outside / "a.npz")
        (root / "o").symlink_to(outside)

    code, message, _ = refuse("npz", tmp_path / "data" if data_dir else None, path=name[way])

    expected = f"`{name[way]}` leads out of the folders of this file and its data"
    assert ("E0605", expected) == (code, message)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "`` is not a file"),
        ("sub", "`sub` is not a file"),
        ("pipe", "`pipe` is not a file"),
        ("a\0b", "`a\0b` cannot be read: embedded null byte"),
        ("x" * 300, f"`{'x' * 200}` cannot be read: File name too long"),
    ],
)
def test_names_that_are_no_files_are_refused(refuse, folder, name, message):
    (folder / "sub").mkdir()
    os.mkfifo(folder / "pipe")

    code, found, _ = refuse("npz", path=name)

    assert ("E0605", message) == (code, found)


def test_a_circle_of_links_is_refused(refuse, folder):
    (folder / "a.npz").symlink_to("b.npz")
    (folder / "b.npz").symlink_to("a.npz")

    assert refuse("npz", path="a.npz")[0] == "E0605"
