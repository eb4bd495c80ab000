"""What a source may be given, and the fractions `val` and `test` that all but yinyang share."""

import numpy as np
import pytest

from snnc.data.sources import SOURCES


def test_fractions_are_stratified_and_repeat(load):
    data = load("digits", val=0.1, test=0.25, seed=7)

    assert np.bincount(data.split).tolist() == [1168, 180, 449]
    assert np.abs(np.bincount(data.part("test")["label"]) - data.size * 0.025).max() < 3
    np.testing.assert_array_equal(data.split, load("digits", val=0.1, test=0.25, seed=7.0).split)
    np.testing.assert_array_equal(data.split == 2, load("digits", test=0.25, seed=7).split == 2)


def test_fraction_zero_is_no_split(load):
    assert load("digits", val=0.0, test=0).split is None


@pytest.mark.parametrize(
    ("source", "given", "finding"),
    [
        ("digits", {"vall": 0.1}, ("E0204", "`digits` has no argument `vall`", "did you mean `val`?")),
        ("idx", {"images": "a"}, ("E0205", "`idx` needs its argument `labels`", None)),
        ("digits", {"val": 1.0}, ("E0607", "`val` of `digits` is 1.0", "give a fraction, at least 0 and below 1")),
        ("digits", {"val": "x.npz"}, ("E0607", '`val` of `digits` is "x.npz"', None)),
        ("digits", {"val": float("nan")}, ("E0607", "`val` of `digits` is nan", None)),
        ("digits", {"val": True}, ("E0607", "`val` of `digits` is True", None)),
        ("digits", {"seed": 0.5}, ("E0607", "`seed` of `digits` is 0.5", "give a whole number from 0 to 4294967295")),
        ("digits", {"seed": float("inf")}, ("E0607", "`seed` of `digits` is inf", None)),
        ("yinyang", {"seed": 1}, ("E0607", "`seed` of `yinyang` is 1", "give a whole number from 2 to 4294967295")),
        ("yinyang", {"train": None}, ("E0607", "`train` of `yinyang` is None", None)),
        ("randman", {"alpha": 0}, ("E0607", "`alpha` of `randman` is 0", "give a number from 0.1 to 100")),
        ("npz", {"path": 3}, ("E0607", "`path` of `npz` is 3", "give the name of a file in quotes")),
        ("csv", {"path": "a", "label": 0.5}, ("E0607", "`label` of `csv` is 0.5", None)),
        (
            "digits",
            {"val": 0.6, "test": 0.5},
            ("E0607", "`val = 0.6`, `test = 0.5` of 1797 samples leaves none for train", None),
        ),
        ("digits", {"val": 1e-6}, ("E0607", "`val = 1e-06` of 1797 samples leaves none for val", None)),
    ],
)
def test_wrong_arguments_are_refused(refuse, source, given, finding):
    code, message, help = refuse(source, **given)

    assert finding[:2] == (code, message)
    assert finding[2] in (None, help)


def test_the_table_is_whole():
    files = ["npz", "idx", "csv", "folder", "events", "shd", "ssc", "dvs_gesture", "nmnist"]
    assert list(SOURCES) == ["digits", "yinyang", "randman", "cue_accumulation", "xor", "reward_task", *files]
    for name, spec in SOURCES.items():
        assert (name, True) == (spec.name, bool(spec.doc))
        assert len(spec.signature) == len({argument.name for argument in spec.signature})
    assert [SOURCES[name].describe({"path": "a"}) for name in ("npz", "idx", "csv")] == [None] * 3
