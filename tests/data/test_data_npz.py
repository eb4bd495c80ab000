"""NumPy archives: their layouts, and everything that may be wrong with one."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

X = np.arange(24, dtype=np.uint8).reshape(12, 2)
LABEL = np.arange(12) % 3
SHARED = Path(__file__).parents[2].parent / "shared" / "data"


def test_names_are_fields(load, folder):
    np.savez_compressed(folder / "a.npz", speed=X / 7, label=LABEL, image=np.asfortranarray(X))

    data = load("npz", path="a.npz")

    assert list(data.fields) == ["speed", "label", "image"]
    np.testing.assert_array_equal((X / 7).astype(np.float32), data.fields["speed"])
    np.testing.assert_array_equal(X, data.fields["image"])


@pytest.mark.parametrize("name", ["y", "labels"])
def test_y_or_labels_alone_is_the_label(load, folder, name):
    np.savez(folder / "a.npz", **{"x": X, name: LABEL})

    np.testing.assert_array_equal(LABEL, load("npz", path="a.npz").fields["label"])


def test_y_beside_a_label_stays_itself(load, folder):
    np.savez(folder / "a.npz", y=X / 7, label=LABEL)

    assert list(load("npz", path="a.npz").fields) == ["y", "label"]


def test_a_split_is_honoured_and_limit_counts_in_each_part(load, folder):
    np.savez(folder / "a.npz", x=X, split=LABEL)

    np.testing.assert_array_equal(X[2::3], load("npz", path="a.npz").part("test")["x"])
    data = load("npz", path="a.npz", limit=2)
    np.testing.assert_array_equal(X[:6], data.fields["x"])
    np.testing.assert_array_equal([0, 1, 2, 0, 1, 2], data.split)


def test_limit_without_a_split_takes_the_first(load, folder):
    np.savez(folder / "a.npz", x=X)

    data = load("npz", path="a.npz", limit=5)
    np.testing.assert_array_equal(X[:5], data.fields["x"])
    assert data.split is None


def test_the_keras_layout_becomes_x_and_label(load, folder):
    np.savez(
        folder / "a.npz",
        x_train=X[:6],
        y_train=LABEL[:6],
        x_test=X[6:8],
        y_test=LABEL[6:8],
        x_val=X[8:],
        y_val=LABEL[8:],
    )

    data = load("npz", path="a.npz")

    assert list(data.fields) == ["x", "label"]
    for part, rows in (("train", slice(0, 6)), ("test", slice(6, 8)), ("val", slice(8, 12))):
        np.testing.assert_array_equal(X[rows], data.part(part)["x"])
        np.testing.assert_array_equal(LABEL[rows], data.part(part)["label"])


def test_val_is_cut_from_the_training_samples_only(load, folder):
    np.savez(folder / "a.npz", x_train=X, x_test=X[:3])

    data = load("npz", path="a.npz", val=0.25)

    assert np.bincount(data.split).tolist() == [9, 3, 3]
    np.testing.assert_array_equal(X[:3], data.part("test")["x"])


def test_a_second_test_split_is_refused(refuse, folder):
    np.savez(folder / "a.npz", x_train=X, x_test=X[:3])

    code, message, _ = refuse("npz", path="a.npz", test=0.25)

    assert (code, message) == ("E0607", "`test = 0.25` asks for a split that the data already has")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"x_train": X, "y_train": LABEL, "x_test": X},
            "`a.npz` has `x_train`, but `y_test` does not fit or is missing",
        ),
        ({"x_train": X, "extra": X}, "`a.npz` has `x_train`, but `extra` does not fit or is missing"),
        (
            {"x_train": X, "x_test": X[:, :1]},
            "samples of `a.npz` differ in shape: `x` is (2,) in train and (1,) in test",
        ),
        (
            {"x_train": X, "y_train": LABEL[1:]},
            "fields of `a.npz, train` differ in length: `x` has 12 samples, `label` has 11",
        ),
        ({"x": X, "y": np.eye(12)}, None),
        ({"x": np.full((2, 2), np.nan)}, None),
        ({"x": X, "split": LABEL[1:]}, None),
        ({}, "`a.npz` holds no fields"),
    ],
)
def test_archives_of_wrong_arrays_are_refused(refuse, folder, arrays, message):
    np.savez(folder / "a.npz", **arrays)

    code, found, _ = refuse("npz", path="a.npz")

    assert code == "E0605"
    assert message in (None, found)


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def header(shape, dtype="|u1"):
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": dtype, "fortran_order": False, "shape": shape})
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.npy", b"hello", "`a.npz` cannot be read: EOF: reading magic string, expected 8 bytes got 5"),
        ("x.txt", npy(X), "`a.npz` cannot be read: `x.txt` of `a.npz` is not an array"),
        (
            "x.npy",
            npy(X)[:-3],
            "`a.npz` cannot be read: `x.npy` of `a.npz` declares shape (12, 2) of `uint8` but holds 149 bytes",
        ),
        ("x.npy", npy(X)[:50], None),
        ("x.npy", header((10**12,)) + b"x", None),
        ("x.npy", header((-1, 4)) + b"x", None),
        (
            "x.npy",
            npy(X)[:6] + b"\x03\0" + npy(X)[8:],
            "`a.npz` cannot be read: `x.npy` of `a.npz` has an array format (3, 0) that holds no plain numbers",
        ),
        (
            "x.npy",
            header((1,), "|O") + b"cos\nsystem\n.",
            "`x.npy` of `a.npz` holds Python objects (a pickle), which are never read",
        ),
        ("../../etc.npy", npy(X), "field '../../etc' of `a.npz` is not a name"),
    ],
)
def test_members_that_are_no_arrays_are_refused(refuse, folder, name, content, message):
    with zipfile.ZipFile(folder / "a.npz", "w") as archive:
        archive.writestr(name, content)

    code, found, _ = refuse("npz", path="a.npz")

    assert code == "E0605"
    assert message in (None, found)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "`a.npz` cannot be read: File is not a zip file"),
        (npy(X), "`a.npz` cannot be read: File is not a zip file"),
        (b"\x80\x04K\x01.", "`a.npz` cannot be read: File is not a zip file"),
    ],
)
def test_files_that_are_no_archives_are_refused(refuse, folder, content, message):
    (folder / "a.npz").write_bytes(content)

    code, found, _ = refuse("npz", path="a.npz")

    assert ("E0605", message) == (code, found)


@pytest.mark.parametrize("damage", ["cut", "byte"])
def test_a_damaged_archive_is_refused(refuse, folder, damage):
    np.savez_compressed(folder / "a.npz", x=X)
    content = bytearray((folder / "a.npz").read_bytes())
    content = content[:-40] if damage == "cut" else content[:150] + bytes([content[150] ^ 255]) + content[151:]
    (folder / "a.npz").write_bytes(content)

    assert refuse("npz", path="a.npz")[0] == "E0605"


def test_an_archive_that_declares_too_much_is_refused_before_it_is_unpacked(refuse, folder):
    with zipfile.ZipFile(folder / "a.npz", "w") as archive:
        archive.writestr("x.npy", npy(X))
        archive.filelist[0].file_size = 2**34  # goes into the directory of the archive, as in a bomb

    code, message, _ = refuse("npz", path="a.npz")

    assert (code, message) == ("E0605", "`a.npz` declares 16.0 GiB of data; at most 8 GiB are read")


def test_mnist_where_it_is_at_hand(load):
    if not (SHARED / "mnist.npz").is_file():
        pytest.skip(f"there is no {SHARED / 'mnist.npz'}")

    data = load("npz", SHARED, path="mnist.npz", val=0.1)

    assert np.bincount(data.split).tolist() == [54000, 6000, 10000]
    assert ((70000, 28, 28), np.uint8) == (data.fields["x"].shape, data.fields["x"].dtype)
    assert data.part("test")["label"][:5].tolist() == [7, 2, 1, 0, 4]
