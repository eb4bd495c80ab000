"""Event lists hold exactly the spikes that they were made of, and are made only where they are short."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnc.data.event_lists import EventLists, event_lists


def spikes_of(units, rows, steps, batch, count):
    """The two sequences [T, B, n] that both kinds of lists say."""
    by_unit = np.zeros((steps, batch, count + 1), int)
    np.add.at(by_unit, (np.arange(steps)[:, None, None], np.arange(batch)[None, :, None], units.astype(int)), 1)
    by_row = np.zeros((steps * batch + 1, count), int)
    np.add.at(by_row, (rows, np.arange(count)[:, None]), 1)
    return by_unit[..., :-1], by_row[:-1].reshape(steps, batch, count)


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 6), st.sampled_from([0.0, 0.1, 0.7, 1.0]))
def test_both_kinds_of_lists_say_the_spikes_of_a_batch(seed, steps, batch, density):
    rng = np.random.default_rng(seed)
    spikes = (rng.random((7, steps, 5)) < density).astype(rng.choice(["u1", "f4", "i8"]))

    lists = event_lists(spikes, batch, np.inf)
    sample = rng.permutation(7)[:batch]
    units, rows = lists.of_batch(sample, np.ones(batch))

    wanted = np.moveaxis(spikes[sample], 1, 0)
    for found in spikes_of(units, rows, steps, batch, 5):
        np.testing.assert_array_equal(wanted, found)
    assert (len(lists), lists.density) == (7, pytest.approx(spikes.mean()))
    assert (units.shape[-1] % 8, rows.shape[-1] % 8) == (0, 0)


def test_samples_that_fill_up_a_batch_have_units_and_no_rows():
    spikes = np.ones((3, 2, 4), np.uint8)

    units, rows = event_lists(spikes, 3, np.inf).of_batch(np.array([2, 2, 2]), np.array([1.0, 0.0, 0.0]))
    by_unit, by_row = spikes_of(units, rows, 2, 3, 4)

    assert by_unit.all()
    np.testing.assert_array_equal(by_row[:, 0], 1)
    np.testing.assert_array_equal(by_row[:, 1:], 0)


def test_features_of_several_axes_become_one():
    spikes = np.zeros((2, 3, 4, 5), np.uint8)
    spikes[1, 2, 3, 4] = 1

    lists = event_lists(spikes, 1, np.inf)

    assert lists.counts.shape == (2, 20)
    assert lists.of_batch(np.array([1]), np.ones(1))[0][2, 0, 0] == 19


@pytest.mark.parametrize("value", [2.0, -1.0, 0.5])
def test_values_other_than_0_and_1_stay_an_array(value):
    spikes = np.zeros((2, 3, 40))
    spikes[1, 1, 1] = value

    assert event_lists(spikes, 2, np.inf) is spikes


@pytest.mark.parametrize(
    ("share", "kind"), [(0.19, np.ndarray), (0.2, EventLists)], ids=["longer than allowed", "as long as allowed"]
)
def test_lists_may_be_as_long_as_a_share(share, kind):
    spikes = np.zeros((6, 10, 40), np.uint8)
    spikes[0, 0, :7] = 1  # a list of 7, rounded up to 8 of 40

    assert isinstance(event_lists(spikes, 4, share), kind)


def test_a_unit_that_spikes_in_most_steps_is_too_long_a_list():
    spikes = np.zeros((6, 100, 400), np.uint8)
    spikes[:, :90, 3] = 1

    assert event_lists(spikes, 4, 0.5) is spikes
