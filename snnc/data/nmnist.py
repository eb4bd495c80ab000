"""N-MNIST in its own layout: `Train/CLASS/*.bin` and `Test/CLASS/*.bin`, five bytes an event.

Source: Orchard et al. 2015, "Converting static image datasets to spiking neuromorphic datasets using saccades",
Frontiers in Neuroscience 9:437. An event is column, row, then one bit of polarity and 23 bits of time in us, big-endian.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from snnc.data.binning import Recording, bin_recordings
from snnc.data.class_folders import Member, list_classes
from snnc.data.files import LoadContext, check_bytes, find_folder, unreadable
from snnc.data.record import DataSet, Part, join_parts, make_dataset

SENSOR = (2, 34, 34)
CLASSES = 10
MAX_FILE_BYTES = 10_000_000  # two million events; a digit has some thousands
_FOLDERS: dict[Part, str] = {"train": "Train", "test": "Test"}


def load_nmnist(context: LoadContext, path: str, limit: int | None) -> DataSet:
    """Return `events` [samples, steps, 2, height, width] and `label`, samples of all classes in turn.

    Raises:
        CompileError: E0604 or E0605 for files that are not there or not in this layout.
    """
    parts = {part: _load_part(context, f"{path}/{name}", limit) for part, name in _FOLDERS.items()}
    return join_parts(parts, context.span, path)


def _load_part(context: LoadContext, path: str, limit: int | None) -> DataSet:
    binning = context.binning
    assert binning is not None  # whoever resolved the line has seen to it
    shape = binning.shape(SENSOR)
    assert not isinstance(shape, str), shape
    names = tuple(str(digit) for digit in range(CLASSES))
    members = list_classes(context, find_folder(context, path), path, (".bin",), names)[:limit]
    check_bytes(len(members) * binning.steps * math.prod(shape), context.span, path)
    counts = bin_recordings(_recordings(context, members), len(members), SENSOR, binning, context.span)
    label = np.array([member.label for member in members], np.int32)
    return make_dataset({"events": counts, "label": label}, None, context.span, path)


def _recordings(context: LoadContext, members: list[Member]) -> Iterator[Recording]:
    for member in members:
        try:
            size = member.file.stat().st_size
            if size % 5 or size > MAX_FILE_BYTES:
                raise ValueError(
                    f"it has {size} bytes, and whole events of 5 bytes are expected, {MAX_FILE_BYTES} at most"
                )
            column, row, high, middle, low = np.fromfile(member.file, np.uint8).reshape(-1, 5).T.astype(np.int64)
        except (OSError, ValueError, MemoryError) as error:
            raise unreadable(context.span, member.name, error) from error
        times = ((high & 0x7F) << 16 | middle << 8 | low) / 1e3
        yield Recording(f"`{member.name}`", times, (high >> 7, row, column))
