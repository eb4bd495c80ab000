"""Splits are exact in size, stratified, disjoint, repeatable, and the test set does not depend on `val`."""

import inspect

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from snnc.data.splits import split_samples

LABEL = np.random.default_rng(1).integers(0, 7, 1000)
FRACTION = st.floats(0, 0.45)


@given(st.integers(1, 300), FRACTION, FRACTION, st.integers(0, 5))
def test_splits_have_the_sizes_asked_for(count, val, test, seed):
    split = split_samples(None, count, val, test, seed)

    wanted_test = round(count * test)
    assert split.dtype == np.uint8
    assert (wanted_test, min(round(count * val), count - wanted_test)) == ((split == 2).sum(), (split == 1).sum())


@given(FRACTION, FRACTION, st.integers(0, 5))
def test_each_class_keeps_its_share(val, test, seed):
    split = split_samples(LABEL, len(LABEL), val, test, seed)

    for label in range(7):
        of_class = split[label == LABEL]
        assert abs((of_class == 2).sum() - test * len(of_class)) <= 1.5
        assert abs((of_class == 1).sum() - val * len(of_class)) <= 3


@given(FRACTION, FRACTION, FRACTION, st.integers(0, 5))
def test_the_test_set_is_the_same_for_every_val(val, other_val, test, seed):
    split = split_samples(LABEL, len(LABEL), val, test, seed)
    other = split_samples(LABEL, len(LABEL), other_val, test, seed)

    np.testing.assert_array_equal(split == 2, other == 2)


def test_a_seed_gives_one_split_and_another_seed_another():
    split = split_samples(LABEL, 1000, 0.1, 0.2, 3)

    np.testing.assert_array_equal(split, split_samples(LABEL, 1000, 0.1, 0.2, 3))
    assert (split != split_samples(LABEL, 1000, 0.1, 0.2, 4)).any()


def test_labels_that_are_no_integers_are_not_stratified():
    split = split_samples(LABEL.astype(float), 1000, 0.1, 0.2, 3)

    np.testing.assert_array_equal(split, split_samples(None, 1000, 0.1, 0.2, 3))


def test_the_text_of_the_function_stands_alone():
    namespace = {"np": np}
    exec(inspect.getsource(split_samples), namespace)

    np.testing.assert_array_equal(
        split_samples(LABEL, 1000, 0.1, 0.2, 3), namespace["split_samples"](LABEL, 1000, 0.1, 0.2, 3)
    )
