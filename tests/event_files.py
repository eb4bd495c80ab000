"""Writes small files of events in the layouts of SHD, SSC, DVS-Gesture and N-MNIST; each class has its own places."""

import struct

import numpy as np


def write_hdf5(path, samples, classes, units=700, seed=0, events=120, seconds=0.9):
    """A file as of SHD: half precision times in s, 16-bit units; class c fires in its own range of units."""
    import h5py

    rng = np.random.default_rng(seed)
    label = np.arange(samples) % classes
    width = units // classes
    times = [np.sort(rng.random(events) * seconds).astype(np.float16) for _ in label]
    places = [(c * width + rng.integers(0, width, events)).astype(np.uint16) for c in label]
    write_arrays(h5py, path, times, places, label)
    return times, places, label


def write_arrays(h5py, path, times, places, label):
    with h5py.File(path, "w") as stored:
        spikes = stored.create_group("spikes")
        for name, arrays, kind in (("times", times, np.float16), ("units", places, np.uint16)):
            ragged = spikes.create_dataset(name, (len(arrays),), h5py.vlen_dtype(kind))
            for row, array in enumerate(arrays):
                ragged[row] = array
        stored["labels"] = np.asarray(label, np.uint16)


def write_shd(folder, samples=40, classes=20):
    folder.mkdir(exist_ok=True)
    write_hdf5(folder / "shd_train.h5", samples, classes, events=2000)
    write_hdf5(folder / "shd_test.h5", samples // 2, classes, seed=1, events=2000)


def write_ssc(folder, samples=70):
    folder.mkdir(exist_ok=True)
    for seed, part in enumerate(("train", "valid", "test")):
        write_hdf5(folder / f"ssc_{part}.h5", samples, 35, seed=seed)


HEAD = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#Start-Time: 2016-01-01 00:00:00\r\n#!END-HEADER\r\n"


def packet(time, x, y, polarity, overflow=0, kind=1, valid=1):
    """One packet of AEDAT 3.1: polarity events with their times in us."""
    word = (np.asarray(x, np.uint32) << 17) | (np.asarray(y, np.uint32) << 2) | (np.asarray(polarity, np.uint32) << 1)
    events = np.zeros(len(word), [("word", "<u4"), ("time", "<i4")])
    events["word"], events["time"] = word | np.uint32(valid), time
    return struct.pack("<hhiiiiii", kind, 1, 8, 4, overflow, len(events), len(events), len(events)) + events.tobytes()


def write_dvs_gesture(folder, trials=11, recordings=(3, 1), events=400, seconds=0.5):
    """Recordings of 11 gestures, one after the other; gesture c moves in its own row of pixels."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    number = 0
    for split, count in zip(("train", "test"), recordings, strict=True):
        names = []
        for _ in range(count):
            number += 1
            name = f"user{number:02}_natural"
            names.append(f"{name}.aedat\n")
            rows, content = ["class,startTime_usec,endTime_usec"], HEAD
            for trial in range(trials):
                start = int(1e6 * (1 + trial * (seconds + 0.1)))
                end = start + int(1e6 * seconds)
                gesture = trial % 11
                time = np.sort(rng.integers(start, end, events))
                y = np.minimum(127, gesture * 11 + rng.integers(0, 11, events))
                content += packet(time, rng.integers(0, 128, events), y, rng.integers(0, 2, events))
                content += packet(time[:3], [1, 2, 3], [4, 5, 6], [0, 0, 1], kind=2)  # of another type: skipped
                rows.append(f"{gesture + 1},{start},{end}")
            (folder / f"{name}.aedat").write_bytes(content)
            (folder / f"{name}_labels.csv").write_text("\n".join(rows) + "\n")
        (folder / f"trials_to_{split}.txt").write_text("".join(names))


def write_nmnist(folder, each=3, events=100):
    rng = np.random.default_rng(0)
    for split in ("Train", "Test"):
        for digit in range(10):
            place = folder / split / str(digit)
            place.mkdir(parents=True)
            for number in range(each):
                time = np.sort(rng.integers(0, 300_000, events))
                polarity = rng.integers(0, 2, events)
                row = np.minimum(33, 3 * digit + rng.integers(0, 3, events))
                columns = [rng.integers(0, 34, events), row, polarity << 7 | time >> 16, time >> 8 & 255, time & 255]
                (place / f"{number:05}.bin").write_bytes(np.stack(columns, axis=1).astype(np.uint8).tobytes())
