"""Events of files to counts by step: the rule of the step, the layouts, folders of arrays, windows."""

import event_files
import numpy as np
import pytest

from snnc.data.binning import Binning, Recording, bin_recordings
from snnc.data.files import LoadContext
from snnc.data.record import DataSet
from snnc.data.sources import SOURCES
from snnc.data.windows import cut_windows
from snnc.diagnostics import CompileError


@pytest.fixture
def load_binned(folder, span):
    def call(source, binning=None, **arguments):
        return SOURCES[source].load(LoadContext(span, folder, None, binning), arguments)

    return call


def binned(times, places, sensor, binning, span):
    recording = Recording("it", np.asarray(times, float), tuple(np.asarray(axis) for axis in places))
    return bin_recordings(iter([recording]), 1, sensor, binning, span)[0]


@pytest.mark.parametrize(
    ("time", "step"), [(0.0, 0), (1.0, 0), (2.0, 0), (2.001, 0), (2.1, 1), (4.0, 1), (5.0, 2), (19.9, 9), (20.0, 9)]
)
def test_an_event_falls_into_the_step_that_ends_at_or_after_it(time, step, span):
    counts = binned([time], [[0]], (1,), Binning(10, 2.0), span)

    assert np.flatnonzero(counts[:, 0]).tolist() == [step]


def test_later_events_are_left_out(span):
    assert binned([20.1, 1e300], [[0, 0]], (1,), Binning(10, 2.0), span).sum() == 0


def test_units_are_joined_and_counted(span):
    places = [[0, 4, 5, 699]]

    counts = binned([1.0] * 4, places, (700,), Binning(3, 1.0, channels=140), span)
    binary = binned([1.0] * 4, places, (700,), Binning(3, 1.0, channels=140, binary=True), span)

    assert counts[0, [0, 1, 139]].tolist() == [2, 1, 1]
    assert binary[0, [0, 1, 139]].tolist() == [1, 1, 1]


def test_pixels_are_joined(span):
    counts = binned([1.0] * 3, [[0, 1, 1], [0, 3, 127], [127, 4, 126]], (2, 128, 128), Binning(1, 1.0, size=32), span)

    assert counts.shape == (1, 2, 32, 32)
    assert (counts[0, 0, 0, 31], counts[0, 1, 0, 1], counts[0, 1, 31, 31]) == (1, 1, 1)


def test_counts_beyond_a_byte_are_kept(span):
    counts = binned(np.full(300, 0.5), [np.zeros(300, int)], (2,), Binning(2, 1.0), span)

    assert (counts.dtype, counts[0, 0]) == (np.uint16, 300)


def test_an_hdf5_file_becomes_counts(load_binned, folder):
    times, units, label = event_files.write_hdf5(folder / "a.h5", 6, 3)

    data = load_binned("events", Binning(100, 10.0, channels=140), path="a.h5")

    expected = np.zeros((100, 140))
    np.add.at(expected, (np.maximum(np.ceil(times[4].astype(float) * 100 - 1e-3).astype(int) - 1, 0), units[4] // 5), 1)
    np.testing.assert_array_equal(data.fields["spikes"][4], expected)
    assert data.fields["label"].tolist() == label.tolist()


def test_further_files_fractions_and_a_limit(load_binned, folder):
    event_files.write_hdf5(folder / "a.h5", 20, 2)
    event_files.write_hdf5(folder / "b.h5", 9, 2, seed=1)

    data = load_binned("events", Binning(5, 200.0, channels=7), path="a.h5", test="b.h5", val=0.25, limit=8)

    assert np.bincount(data.split).tolist() == [6, 2, 8]


def test_the_folders_of_the_heidelberg_sets(load_binned, folder):
    event_files.write_shd(folder / "SHD")
    event_files.write_ssc(folder / "SSC", 35)

    shd = load_binned("shd", Binning(5, 200.0, channels=7), path="SHD")
    ssc = load_binned("ssc", Binning(5, 200.0, channels=7), path="SSC")

    assert np.bincount(shd.split).tolist() == [40, 0, 20]
    assert np.bincount(ssc.split).tolist() == [35, 35, 35]


def test_dvs_gesture_in_its_own_layout(load_binned, folder):
    event_files.write_dvs_gesture(folder / "Dvs", recordings=(2, 1))

    data = load_binned("dvs_gesture", Binning(10, 50.0, size=32), path="Dvs")

    counts, label = data.fields["events"], data.fields["label"]
    assert np.bincount(data.split).tolist() == [22, 0, 11]
    assert counts.shape == (33, 10, 2, 32, 32)
    assert counts.sum(axis=(1, 2, 3, 4)).tolist() == [400] * 33  # each trial has its own events, and all of them
    rows = (counts.sum(axis=(1, 2, 4)) @ np.arange(32)) / 400
    np.testing.assert_allclose(rows, (label * 11 + 3.5) / 4, atol=0.5)


def test_time_stamps_go_on_after_an_overflow(folder, span):
    from snnc.data.aedat import read_aedat

    content = event_files.HEAD + event_files.packet([2**31 - 1], [1], [2], [0])
    (folder / "a.aedat").write_bytes(content + event_files.packet([5, 6], [3, 127], [4, 126], [1, 1], overflow=1))

    events = read_aedat(folder / "a.aedat", "a.aedat", span)

    assert events.times.tolist() == [2**31 - 1, 2**31 + 5, 2**31 + 6]
    assert [axis.tolist() for axis in events.places(np.ones(3, bool))] == [[0, 1, 1], [2, 4, 126], [1, 3, 127]]


def test_events_that_are_marked_invalid_are_skipped(folder, span):
    from snnc.data.aedat import read_aedat

    (folder / "a.aedat").write_bytes(event_files.HEAD + event_files.packet([5], [1], [2], [0], valid=0))

    assert len(read_aedat(folder / "a.aedat", "a.aedat", span).times) == 0


def test_nmnist_in_its_own_layout(load_binned, folder):
    event_files.write_nmnist(folder / "N")

    data = load_binned("nmnist", Binning(30, 10.0, size=17), path="N", limit=20)

    assert data.fields["label"][:12].tolist() == [*range(10), 0, 1]  # classes in turn, so that a limit keeps all
    assert data.fields["events"].shape == (40, 30, 2, 17, 17)
    assert data.fields["events"].sum(axis=(1, 2, 3, 4)).tolist() == [100] * 40


def write_arrays(folder, names, shape=(5, 3)):
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".npy"):
            np.save(folder / name, np.full(shape, number, np.float32))
        else:
            np.savez(folder / name, np.full(shape, number, np.float32))


def test_a_folder_of_arrays(load_binned, folder):
    write_arrays(folder, ["gsc/yes/a.npy", "gsc/yes/b.npz", "gsc/no/a.npy", "gsc/no/c.npy"])

    data = load_binned("folder", path="gsc")

    assert data.fields["x"][:, 0, 0].tolist() == [2, 0, 3, 1]
    assert data.fields["label"].tolist() == [0, 1, 0, 1]


def test_a_folder_with_splits(load_binned, folder):
    write_arrays(folder, ["gsc/train/no/a.npy", "gsc/train/yes/a.npy", "gsc/test/no/a.npy", "gsc/test/yes/a.npy"])

    assert load_binned("folder", path="gsc").split.tolist() == [0, 0, 2, 2]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], "`gsc` has no folders inside, so no classes"),
        (["gsc/a/x.npy", "gsc/b/x.txt.npz.old"], "`gsc/b` has no file that ends with `.npy` or `.npz`"),
        (["gsc/train/a/x.npy", "gsc/test/b/x.npy"], "`gsc/test` has the class `b`, which `gsc/train` has not"),
    ],
)
def test_a_folder_of_another_layout_is_told(load_binned, folder, names, said):
    (folder / "gsc").mkdir()
    write_arrays(folder, [name for name in names if not name.endswith("old")])
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)

    with pytest.raises(CompileError) as caught:
        load_binned("folder", path="gsc")

    assert caught.value.diagnostics[0].message == said


def test_arrays_of_two_shapes_are_told(load_binned, folder):
    write_arrays(folder, ["gsc/a/x.npy"])
    write_arrays(folder, ["gsc/b/x.npy"], shape=(6, 3))

    with pytest.raises(CompileError, match=r"`gsc/b/x.npy` is `float32` \(6, 3\), and `gsc/a/x.npy` is"):
        load_binned("folder", path="gsc")


def test_windows_stay_in_the_split_of_their_sequence(span):
    x = np.arange(3 * 7 * 2).reshape(3, 7, 2)
    data = DataSet({"x": x, "label": np.arange(3), "each": x[..., 0]}, np.array([0, 2, 1], np.uint8))

    cut = cut_windows(data, 3, 2, span, "d")

    assert cut.split.tolist() == [0, 0, 0, 2, 2, 2, 1, 1, 1]
    assert cut.fields["label"].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    np.testing.assert_array_equal(cut.fields["x"][4], x[1, 2:5])
    np.testing.assert_array_equal(cut.fields["each"][4], x[1, 2:5, 0])


@pytest.mark.parametrize(
    ("shape", "said"), [((3, 4), "has no field of sequences"), ((3, 4, 2), "has sequences of 4 steps")]
)
def test_what_has_no_window_is_told(span, shape, said):
    with pytest.raises(CompileError, match=f"`d` {said}, and `window` cuts 5 steps out of each"):
        cut_windows(DataSet({"x": np.zeros(shape)}, None), 5, 5, span, "d")
