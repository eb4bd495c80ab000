"""IDX files: round trips in every type, compressed or not, and everything that may be wrong with one."""

import gzip
import struct

import numpy as np
import pytest

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}
IMAGE = np.arange(24).reshape(4, 3, 2)
LABEL = np.array([0, 1, 2, 1])


def idx(array, dtype="u1"):
    start = struct.pack(f">BBBB{array.ndim}I", 0, 0, CODES[dtype], array.ndim, *array.shape)
    return start + array.astype(f">{dtype}").tobytes()


@pytest.fixture
def files(folder):
    (folder / "images").write_bytes(idx(IMAGE))
    (folder / "labels").write_bytes(idx(LABEL))
    return {"images": "images", "labels": "labels"}


@pytest.mark.parametrize("dtype", CODES)
def test_every_type_is_read(load, folder, files, dtype):
    (folder / "images").write_bytes(idx(IMAGE, dtype))

    data = load("idx", **files)

    np.testing.assert_array_equal(IMAGE, data.fields["image"])
    np.testing.assert_array_equal(LABEL, data.fields["label"])
    assert data.fields["image"].dtype.isnative


def test_compressed_files_are_known_by_their_content(load, folder, files):
    for name in files:
        (folder / name).write_bytes(gzip.compress((folder / name).read_bytes()))

    np.testing.assert_array_equal(IMAGE, load("idx", **files).fields["image"])


def test_a_second_pair_is_the_test_split(load, folder, files):
    (folder / "more").write_bytes(idx(IMAGE[:2] + 1))
    (folder / "more-labels").write_bytes(idx(LABEL[:2]))

    data = load("idx", **files, test_images="more", test_labels="more-labels", limit=3, val=0.3)

    assert np.bincount(data.split).tolist() == [2, 1, 2]
    np.testing.assert_array_equal(IMAGE[:2] + 1, data.part("test")["image"])


@pytest.mark.parametrize("given", ["test_images", "test_labels"])
def test_half_a_test_pair_is_refused(refuse, files, given):
    code, message, _ = refuse("idx", **files, **{given: files["images"]})

    assert (code, message) == ("E0607", "`test_images` and `test_labels` belong together, and one is missing")


GOOD = idx(IMAGE)
FAULTS = {
    "empty": (b"", "its first bytes are , which is not the start of an IDX file"),
    "magic": (b"\x89PNG\r\n", "its first bytes are 89 50 4e 47, which is not the start of an IDX file"),
    "type": (b"\0\0\x07\x03" + GOOD[4:], "its first bytes are 00 00 07 03, which is not the start of an IDX file"),
    "no axes": (b"\0\0\x08\0", "its first bytes are 00 00 08 00, which is not the start of an IDX file"),
    "head": (GOOD[:9], None),
    "short": (GOOD[:-1], "it declares shape (4, 3, 2), 24 bytes, and holds 23"),
    "long": (GOOD + b"x", "it declares shape (4, 3, 2), 24 bytes, and holds more than that"),
    "gzip cut": (gzip.compress(GOOD)[:-12], "Compressed file ended before the end-of-stream marker was reached"),
    "gzip damaged": (gzip.compress(GOOD)[:12] + b"\xff" * 20, None),
}


@pytest.mark.parametrize("case", FAULTS)
def test_malformed_files_are_refused(refuse, folder, files, case):
    content, reason = FAULTS[case]
    (folder / "images").write_bytes(content)

    code, message, _ = refuse("idx", **files)

    assert code == "E0605"
    assert reason is None or message == f"`images` cannot be read: {reason}"


def test_a_file_that_declares_too_much_is_refused_unread(refuse, folder, files):
    (folder / "images").write_bytes(struct.pack(">BBBB3I", 0, 0, 0x08, 3, 2**31, 8, 8))

    code, message, _ = refuse("idx", **files)

    assert (code, message) == ("E0605", "`images` declares 128.0 GiB of data; at most 8 GiB are read")


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (idx(LABEL), idx(IMAGE), "`images` has 1 axis, so it holds no images"),
        (idx(IMAGE), idx(LABEL[1:]), "fields of `images` differ in length: `image` has 4 samples, `label` has 3"),
        (idx(IMAGE[:0]), idx(LABEL[:0]), "field `image` of `images` is empty: its shape is (0, 3, 2)"),
        (
            idx(IMAGE),
            idx(LABEL - 1, "i1"),
            "field `label` of `images` must hold class numbers 0, 1, …: sample 0 has -1",
        ),
        (
            idx(np.full((4, 1), np.nan), "f4"),
            idx(LABEL),
            "field `image` of `images` has 4 values that are NaN, infinite or too large for float32, "
            "the first in sample 0",
        ),
    ],
)
def test_pairs_that_do_not_fit_are_refused(refuse, folder, files, images, labels, message):
    (folder / "images").write_bytes(images)
    (folder / "labels").write_bytes(labels)

    code, found, _ = refuse("idx", **files)

    assert ("E0605", message) == (code, found)
