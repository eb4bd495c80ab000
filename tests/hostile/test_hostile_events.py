"""Poisoned files of events: each is a finding, nothing outside is read, and nothing is taken for a length that a file claims."""

import io
import resource
import struct

import event_files
import h5py
import numpy as np
import pytest

from snnc.data.binning import Binning
from snnc.data.files import LoadContext
from snnc.data.hdf5_lengths import check_lengths
from snnc.data.sources import SOURCES
from snnc.diagnostics import CompileError
from snnc.source import Source, Span

SPAN = Span(Source("m.snn", "data d = source()"), 9, 17)
TIMES = [np.array([0.1, 0.2], np.float16)] * 4
UNITS = [np.array([3, 699], np.uint16)] * 4
LABEL = np.arange(4) % 2


def refusal(folder, source, binning, **arguments):
    """Return what is said of the data."""
    with pytest.raises(CompileError) as caught:
        SOURCES[source].load(LoadContext(SPAN, folder, None, binning), arguments)
    (finding,) = caught.value.diagnostics
    assert finding.code.value == "E0605"
    assert finding.help
    return finding.message


def stored(path, times=TIMES, units=UNITS, label=LABEL):
    event_files.write_arrays(h5py, path, times, units, label)


def of_other(name, values):
    """Write a good file, in which the array `name` is `values`."""

    def write(path):
        stored(path)
        with h5py.File(path, "a") as file:
            del file[name]
            file[name] = values

    return write


def linked(link):
    def write(path):
        stored(path)
        event_files.write_hdf5(path.parent.parent / "secret.h5", 4, 2)
        with h5py.File(path, "a") as file:
            del file["labels"]
            file["labels"] = link

    return write


def outside(path):
    stored(path)
    (path.parent.parent / "secret").write_bytes(bytes(64))
    with h5py.File(path, "a") as file:
        del file["labels"]
        file.create_dataset("labels", (4,), "i8", external=[(str(path.parent.parent / "secret"), 0, 64)])


def virtual(path):
    stored(path)
    layout = h5py.VirtualLayout((4,), "i8")
    layout[:] = h5py.VirtualSource(str(path.parent.parent / "secret.h5"), "labels", (4,))
    with h5py.File(path, "a") as file:
        del file["labels"]
        file.create_virtual_dataset("labels", layout)


def huge_count(path):
    with h5py.File(path, "w") as file:
        for name, kind in (("spikes/times", np.float16), ("spikes/units", np.uint16)):
            file.create_dataset(name, (2**40,), h5py.vlen_dtype(kind), chunks=(64,))
        file.create_dataset("labels", (2**40,), np.uint8, chunks=(64,))


def huge_piece(path):
    stored(path)
    with h5py.File(path, "a") as file:
        del file["labels"]
        file.create_dataset("labels", (4,), "i8", maxshape=(None,), chunks=(2**28,))


def cut(path):
    stored(path)
    path.write_bytes(path.read_bytes()[:-700])


HDF5 = {
    "text": (lambda path: path.write_text("not HDF5"), "file signature not found"),
    "cut": (cut, "truncated file"),
    "no-labels": (lambda path: h5py.File(path, "w").create_group("spikes/x"), "it has no `spikes/times`; found `x`"),
    "group": (of_other("spikes", np.zeros(3)), "its `spikes` is no group"),
    "dense": (of_other("spikes/times", np.zeros((4, 3))), "its `spikes/times` has shape (4, 3)"),
    "plain": (of_other("spikes/times", np.zeros(4)), "has the type `float64`: one list of numbers for each sample"),
    "text-labels": (of_other("labels", [b"a"] * 4), "not numbers"),
    "negative-labels": (of_other("labels", [-1] * 4), "must hold class numbers"),
    "short": (lambda path: stored(path, label=LABEL[:3]), "`spikes/times` has 4, `spikes/units` has 4, `labels` has 3"),
    "unequal": (lambda path: stored(path, units=[u[:1] for u in UNITS]), "sample 0 has 2 times and 1 units"),
    "unit-700": (lambda path: stored(path, units=[u + 1 for u in UNITS]), "place 700, and the sensor has 700"),
    "nan": (lambda path: stored(path, times=[t * np.float16("nan") for t in TIMES]), "sample 0 of `a.h5` has an event at nan ms"),
    "negative-time": (lambda path: stored(path, times=[-t for t in TIMES]), "has an event at -99.9756 ms"),
    "soft-link": (linked(h5py.SoftLink("/spikes/units")), "its `labels` is a link, and links are not followed"),
    "external-link": (linked(h5py.ExternalLink("../secret.h5", "/labels")), "its `labels` is a link"),
    "external-values": (outside, "the values of `labels` lie in other files"),
    "virtual": (virtual, "the values of `labels` lie in other files"),
    "huge-count": (huge_count, "declares"),
    "huge-piece": (huge_piece, "its `labels` is stored in pieces of more than 256 MiB"),
}  # fmt: skip


@pytest.mark.parametrize("case", HDF5)
def test_a_poisoned_hdf5_file_is_a_finding(tmp_path, case):
    write, said = HDF5[case]
    folder = tmp_path / "project"
    folder.mkdir()
    write(folder / "a.h5")

    assert said in refusal(folder, "events", Binning(10, 100.0, channels=70), path="a.h5")


@pytest.mark.parametrize("options", [{}, {"chunks": (3,)}, {"chunks": (2,), "compression": "gzip", "shuffle": True}])
def test_a_list_that_claims_to_be_long_is_refused_before_memory_is_taken(tmp_path, options):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        array = file.create_dataset("times", (4,), h5py.vlen_dtype(np.float16), **options)
        for row in range(4):
            array[row] = np.zeros(1237, np.float16)
    with h5py.File(path) as file:
        check_lengths(h5py, file["times"], path)

    claimed = path.read_bytes()
    if "compression" not in options:
        claimed = claimed.replace(struct.pack("<I", 1237), struct.pack("<I", 2**31))
        path.write_bytes(claimed)
        with h5py.File(path) as file, pytest.raises(ValueError, match=r"the lists of `times` declare \d{10,} bytes"):
            check_lengths(h5py, file["times"], path)


def test_changed_bytes_of_an_hdf5_file_are_findings_or_other_numbers(tmp_path):
    stored(tmp_path / "good.h5")
    good, rng, codes = (tmp_path / "good.h5").read_bytes(), np.random.default_rng(0), set()
    for _ in range(60):
        content = bytearray(good)
        for place in rng.integers(0, len(good), rng.choice([1, 3, 20])):
            content[place] = rng.choice([0, 255, rng.integers(256)])
        (tmp_path / "a.h5").write_bytes(content)
        try:
            SOURCES["events"].load(LoadContext(SPAN, tmp_path, None, Binning(10, 100.0, channels=70)), {"path": "a.h5"})
        except CompileError as error:
            codes.add(error.diagnostics[0].code.value)

    assert codes == {"E0605"}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 4 << 20  # KiB


PACKET = event_files.packet([1], [2], [3], [1])
FIELDS = struct.Struct("<hhiiiiii")


def head(**changed):
    """A packet head with one field changed, and an event."""
    values = {
        "kind": 1,
        "source": 1,
        "size": 8,
        "stamp": 4,
        "overflow": 0,
        "capacity": 1,
        "number": 1,
        "valid": 1,
    } | changed
    return FIELDS.pack(*values.values()) + PACKET[FIELDS.size :]


AEDAT = {
    "text": (b"not AEDAT", "it begins with b'not AEDAT' and not with `#!AER-DAT3.1`"),
    "old": (b"#!AER-DAT2.0\r\n", "it begins with b'#!AER-DAT2.0'"),
    "no-end": (b"#!AER-DAT3.1\r\n# a\r\n" + PACKET, "its head does not end with `#!END-HEADER`"),
    "long-head": (b"#!AER-DAT3.1\r\n#" + b"a" * 70_000, "its head has no end within 65536 bytes"),
    "cut-head": (event_files.HEAD + PACKET[:20], "it ends within the head of the packet"),
    "cut-events": (event_files.HEAD + PACKET[:-1], "declares 8 bytes, and 7 follow"),
    "huge": (event_files.HEAD + head(capacity=2**31 - 1, number=2**31 - 1), "declares 17179869176 bytes, and 8 follow"),
    "negative": (event_files.HEAD + head(number=-1), "declares -1 of 1 events of 8 bytes"),
    "no-size": (event_files.HEAD + head(size=0), "declares 1 of 1 events of 0 bytes"),
    "backwards": (event_files.HEAD + head(overflow=-1), "declares 1 of 1 events"),
    "wide": (event_files.HEAD + head(size=4, capacity=2, number=2), "have 4 bytes, and 8 are read"),
    "time": (event_files.HEAD + event_files.packet([-5], [2], [3], [1]), "has a negative time stamp"),
    "pixel": (event_files.HEAD + event_files.packet([1_000_001], [200], [3], [1]), "place 200, and the sensor has 128"),
}  # fmt: skip


@pytest.mark.parametrize("case", AEDAT)
def test_a_poisoned_aedat_file_is_a_finding(tmp_path, case):
    content, said = AEDAT[case]
    event_files.write_dvs_gesture(tmp_path / "D", recordings=(1, 1), trials=1)
    (tmp_path / "D" / "user01_natural.aedat").write_bytes(content)

    assert said in refusal(tmp_path, "dvs_gesture", Binning(10, 50.0, size=32), path="D")


ROWS = "class,startTime_usec,endTime_usec\n"
LISTS = {
    "upward": ("trials_to_train.txt", "../../etc/passwd\n", "it lists '../../etc/passwd', and names of files"),
    "long": ("trials_to_train.txt", "a" * 1_000_001, "it has 1000001 bytes, and a list of at most 1000000 is expected"),
    "bytes": ("trials_to_train.txt", "\udcff", "can't decode"),
    "head": ("user01_natural_labels.csv", "a,b\n", "its first line is 'a,b' and not `class,startTime_usec,endTime_usec`"),
    "empty": ("user01_natural_labels.csv", "", "its first line is '' and not"),
    "cells": ("user01_natural_labels.csv", f"{ROWS}1,2\n", "line 2 is '1,2', and three whole numbers"),
    "digits": ("user01_natural_labels.csv", f"{ROWS}1,2,{'9' * 5000}\n", "line 2 is '1,2,999"),
    "class": ("user01_natural_labels.csv", f"{ROWS}12,2,3\n", "class 12 from 2 to 3 us"),
    "order": ("user01_natural_labels.csv", f"{ROWS}1,3,2\n", "class 1 from 3 to 2 us"),
}  # fmt: skip


@pytest.mark.parametrize("case", LISTS)
def test_a_poisoned_list_of_trials_is_a_finding(tmp_path, case):
    name, text, said = LISTS[case]
    event_files.write_dvs_gesture(tmp_path / "D", recordings=(1, 1), trials=1)
    (tmp_path / "D" / name).write_bytes(text.encode("utf-8", "surrogateescape"))

    assert said in refusal(tmp_path, "dvs_gesture", Binning(10, 50.0, size=32), path="D")


def test_a_bin_file_of_half_an_event_is_a_finding(tmp_path):
    event_files.write_nmnist(tmp_path / "N", each=1)
    (tmp_path / "N" / "Train" / "3" / "00000.bin").write_bytes(bytes(7))

    said = refusal(tmp_path, "nmnist", Binning(10, 30.0, size=17), path="N")
    assert (
        said
        == "`N/Train/3/00000.bin` cannot be read: it has 7 bytes, and whole events of 5 bytes are expected, 10000000 at most"
    )


def test_a_link_in_a_folder_of_classes_may_not_lead_out(tmp_path):
    event_files.write_nmnist(tmp_path / "project" / "N", each=1)
    (tmp_path / "secret.bin").write_bytes(bytes(5))
    (tmp_path / "project" / "N" / "Train" / "3" / "x.bin").symlink_to(tmp_path / "secret.bin")

    said = refusal(tmp_path / "project", "nmnist", Binning(10, 30.0, size=17), path="N")
    assert said == "`x.bin` of `N/Train` is a link that leads out of the folder"


def test_a_pickle_in_a_folder_is_refused(tmp_path):
    (tmp_path / "F" / "a").mkdir(parents=True)
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.array([{}], object), allow_pickle=True)
    (tmp_path / "F" / "a" / "x.npy").write_bytes(stream.getvalue())

    assert "holds Python objects (a pickle), which are never read" in refusal(tmp_path, "folder", None, path="F")
