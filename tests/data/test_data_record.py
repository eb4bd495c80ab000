"""The record: what arrays become, which are refused and in what words, parts, and the file it writes."""

import numpy as np
import pytest

from snnc.data.record import make_dataset
from snnc.diagnostics import Code, CompileError

X = np.arange(6.0).reshape(3, 2)
LABEL = np.array([0, 1, 1])


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("float64", "float32"),
        ("float16", "float32"),
        (">f4", "float32"),
        ("bool", "uint8"),
        ("uint8", "uint8"),
        (">i2", "int16"),
        ("int64", "int32"),
        ("uint64", "int32"),
    ],
)
def test_fields_become_types_that_training_keeps(span, given, kept):
    data = make_dataset({"x": X.astype(given)}, None, span, "f")

    assert np.dtype(kept) == data.fields["x"].dtype
    np.testing.assert_array_equal(X.astype(given), data.fields["x"])


@pytest.mark.parametrize(
    "label", [LABEL, LABEL.astype(float), LABEL.astype(">u2"), LABEL[:, None], LABEL == 1], ids=lambda a: str(a.dtype)
)
def test_labels_become_int32_of_one_axis(span, label):
    data = make_dataset({"label": label}, None, span, "f")

    assert np.int32 == data.fields["label"].dtype
    np.testing.assert_array_equal([0, 1, 1], data.fields["label"])


FAULTS = {
    "no fields": ({}, None, "`f` holds no fields"),
    "name": ({"a b": X}, None, "field 'a b' of `f` is not a name"),
    "reserved": ({"weight": X}, None, "field `weight` of `f` has a reserved name"),
    "text": ({"x": np.array(["a", "b"])}, None, "field `x` of `f` holds values of type `<U1`, not numbers"),
    "objects": ({"x": np.array([None])}, None, "field `x` of `f` holds values of type `object`, not numbers"),
    "scalar": ({"x": np.float32(1) * np.ones(())}, None, "field `x` of `f` is empty: its shape is ()"),
    "empty": ({"x": X[:0]}, None, "field `x` of `f` is empty: its shape is (0, 2)"),
    "empty samples": ({"x": X[:, :0]}, None, "field `x` of `f` is empty: its shape is (3, 0)"),
    "lengths": (
        {"x": X, "label": LABEL[:2]},
        None,
        "fields of `f` differ in length: `x` has 3 samples, `label` has 2",
    ),
    "nan": (
        {"x": np.array([[1, 2], [3, np.nan], [np.inf, 4]])},
        None,
        "field `x` of `f` has 2 values that are NaN, infinite or too large for float32, the first in sample 1",
    ),
    "overflow": (
        {"x": np.array([1e300])},
        None,
        "field `x` of `f` has 1 values that are NaN, infinite or too large for float32, the first in sample 0",
    ),
    "wide": (
        {"x": np.array([0, 2**40])},
        None,
        "field `x` of `f` has 1 values that are too large for 32-bit integers, the first in sample 1",
    ),
    "one-hot for each step": (
        {"label": np.ones((3, 4, 5), int)},
        None,
        "field `label` of `f` has shape (3, 4, 5): one class number for each sample, or for each of its steps, is expected",
    ),
    "fraction": (
        {"label": np.array([0, 0.5])},
        None,
        "field `label` of `f` must hold class numbers 0, 1, …: sample 1 has 0.5",
    ),
    "nan label": (
        {"label": np.array([0, np.nan])},
        None,
        "field `label` of `f` must hold class numbers 0, 1, …: sample 1 has nan",
    ),
    "negative": (
        {"label": np.array([0, 1, -1])},
        None,
        "field `label` of `f` must hold class numbers 0, 1, …: sample 2 has -1",
    ),
    "split codes": (
        {"x": X},
        np.array([0, 1, 3]),
        "`split` of `f` is not one code for each of the 3 samples, some of them for training",
    ),
    "split length": (
        {"x": X},
        np.array([0, 1]),
        "`split` of `f` is not one code for each of the 3 samples, some of them for training",
    ),
    "no training": (
        {"x": X},
        np.array([1, 1, 2]),
        "`split` of `f` is not one code for each of the 3 samples, some of them for training",
    ),
}


@pytest.mark.parametrize("case", FAULTS)
def test_arrays_that_are_no_samples_are_refused(span, case):
    fields, split, message = FAULTS[case]

    with pytest.raises(CompileError) as caught:
        make_dataset(fields, split, span, "f")

    (finding,) = caught.value.diagnostics
    assert (Code.BAD_DATA, message, span) == (finding.code, finding.message, finding.span)
    assert finding.help


def test_parts_follow_the_codes(span):
    data = make_dataset({"x": X, "label": LABEL}, np.array([0, 2, 0]), span, "f")

    np.testing.assert_array_equal(X[[0, 2]], data.part("train")["x"])
    np.testing.assert_array_equal(X[:0], data.part("val")["x"])
    np.testing.assert_array_equal([1], data.part("test")["label"])


def test_without_a_split_all_is_for_training(span):
    data = make_dataset({"x": X}, None, span, "f")

    np.testing.assert_array_equal(X, data.part("train")["x"])
    assert len(data.part("test")["x"]) == 0


def test_arrays_are_read_only_and_the_caller_keeps_his_own(span):
    mine = X.astype(np.float32)
    data = make_dataset({"x": mine}, None, span, "f")

    with pytest.raises(ValueError, match="read-only"):
        data.fields["x"][0] = 1
    mine[0] = 5


def test_a_saved_set_reads_back_the_same_and_its_bytes_repeat(span, load, folder):
    fields = {"x": X, "label": LABEL, "file": X, "allow_pickle": LABEL}
    data = make_dataset(fields, np.array([0, 2, 1]), span, "f")

    data.save_npz(folder / "a.npz")
    again = load("npz", path="a.npz")
    again.save_npz(folder / "b.npz")

    assert (folder / "a.npz").read_bytes() == (folder / "b.npz").read_bytes()
    assert list(fields) == list(again.fields)
    for name, array in data.fields.items():
        np.testing.assert_array_equal(array, again.fields[name])
    np.testing.assert_array_equal([0, 2, 1], again.split)


def test_a_save_that_fails_leaves_no_trace(span, folder):
    (folder / "taken").mkdir()

    with pytest.raises(OSError, match="folder"):
        make_dataset({"x": X}, None, span, "f").save_npz(folder / "taken")

    assert [path.name for path in folder.iterdir()] == ["taken"]
