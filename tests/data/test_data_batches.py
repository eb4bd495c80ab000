"""Batches have one size; padding repeats the batch's first sample at weight 0."""

import inspect
from collections.abc import Iterator, Mapping

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from snnc.data.batches import iterate_batches, time_first

FIELDS = {"x": np.arange(14.0).reshape(7, 2), "label": np.arange(7)}


def test_a_short_last_batch_is_padded_at_weight_zero():
    *_, last = iterate_batches(FIELDS, 4, np.array([6, 5, 4, 3, 2, 1, 0]))

    np.testing.assert_array_equal([2, 1, 0, 2], last["sample"])
    np.testing.assert_array_equal([1, 1, 1, 0], last["weight"])
    np.testing.assert_array_equal([2, 1, 0, 2], last["label"])
    np.testing.assert_array_equal(FIELDS["x"][[2, 1, 0, 2]], last["x"])
    assert (np.int32, np.float32) == (last["sample"].dtype, last["weight"].dtype)


@given(st.integers(1, 10), st.permutations(range(7)))
def test_every_sample_counts_once_in_the_order_given(batch, order):
    batches = list(iterate_batches(FIELDS, batch, np.array(order)))

    assert all(len(array) == batch for each in batches for array in each.values())
    assert order == [int(s) for each in batches for s in each["sample"][each["weight"] == 1]]
    assert len(order) == sum(each["weight"].sum() for each in batches)


def test_no_samples_give_no_batches():
    assert list(iterate_batches(FIELDS, 4, np.array([], int))) == []


def test_sequences_come_time_first():
    x = np.arange(42.0).reshape(7, 3, 2)
    *_, last = iterate_batches({"x": x, "label": np.arange(7)}, 4, np.array([6, 5, 4, 3, 2, 1, 0]), ("x",))

    np.testing.assert_array_equal(np.moveaxis(x[[2, 1, 0, 2]], 1, 0), last["x"])
    np.testing.assert_array_equal([2, 1, 0, 2], last["label"])


def test_the_texts_of_the_functions_stand_alone():
    namespace = {"np": np, "Iterator": Iterator, "Mapping": Mapping}
    exec(inspect.getsource(iterate_batches), namespace)
    exec(inspect.getsource(time_first), namespace)

    (batch,) = namespace["iterate_batches"](FIELDS, 7, np.arange(7), ("x",))
    np.testing.assert_array_equal(FIELDS["x"].T, batch["x"])
