"""DVS-Gesture in its own layout: recordings `NAME.aedat` with `NAME_labels.csv`, and a list of them for each split.

Source: Amir et al. 2017, "A low power, fully event-based gesture recognition system", CVPR 2017; 11 classes of
gestures, numbered from 1 in the files and from 0 here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from snnc.data.aedat import SIDE, read_aedat
from snnc.data.binning import Recording, bin_recordings
from snnc.data.files import LoadContext, check_bytes, find_file, unreadable
from snnc.data.record import DataSet, Part, join_parts, make_dataset

SENSOR = (2, SIDE, SIDE)  # polarity (0 darker, 1 brighter), rows, columns
CLASSES = 11
MAX_LIST_BYTES = 1_000_000  # of a list of recordings or of labels
_LISTS: dict[Part, str] = {"train": "trials_to_train.txt", "test": "trials_to_test.txt"}
_NAME = re.compile(r"[A-Za-z0-9_-]{1,200}\.aedat")
_DAMAGE = (OSError, ValueError, MemoryError)


@dataclass(frozen=True, slots=True)
class _Trial:
    file: str  # as the text would name it
    label: int
    start: int  # us
    end: int


def load_dvs_gesture(context: LoadContext, path: str, limit: int | None) -> DataSet:
    """Return `events` [trials, steps, 2, height, width] and `label`; the lists of recordings make the splits.

    Raises:
        CompileError: E0604 or E0605 for files that are not there or not in this layout.
    """
    parts: dict[Part, DataSet] = {}
    for part, name in _LISTS.items():
        trials = list(_trials(context, path, name, limit))[:limit]
        parts[part] = _load_trials(context, f"{path}/{name}", trials)
    return join_parts(parts, context.span, path)


def _load_trials(context: LoadContext, name: str, trials: list[_Trial]) -> DataSet:
    binning = context.binning
    assert binning is not None  # whoever resolved the line has seen to it
    shape = binning.shape(SENSOR)
    assert not isinstance(shape, str), shape
    check_bytes(len(trials) * binning.steps * math.prod(shape), context.span, name)
    counts = bin_recordings(_recordings(context, trials), len(trials), SENSOR, binning, context.span)
    label = np.array([trial.label for trial in trials], np.int32)
    return make_dataset({"events": counts, "label": label}, None, context.span, name)


def _trials(context: LoadContext, path: str, name: str, limit: int | None) -> Iterator[_Trial]:
    """Yield the trials of the recordings that a list names, in its order; no more files than `limit` needs."""
    found = 0
    for line in _lines(context, f"{path}/{name}"):
        if limit is not None and found >= limit:
            return
        if not _NAME.fullmatch(line):
            wrong = ValueError(
                f"it lists {line[:60]!r}, and names of files such as `user01_natural.aedat` are expected"
            )
            raise unreadable(context.span, f"{path}/{name}", wrong)
        file = f"{path}/{line}"
        labels = f"{file.removesuffix('.aedat')}_labels.csv"
        head, *rows = _lines(context, labels) or [""]
        if head.replace(" ", "") != "class,startTime_usec,endTime_usec":
            wrong = ValueError(f"its first line is {head[:60]!r} and not `class,startTime_usec,endTime_usec`")
            raise unreadable(context.span, labels, wrong)
        for number, row in enumerate(rows, start=2):
            yield _trial(context, file, labels, number, row)
            found += 1


def _trial(context: LoadContext, file: str, labels: str, number: int, row: str) -> _Trial:
    cells = row.split(",")
    if len(cells) != 3 or not all(re.fullmatch(r"\s*[0-9]{1,18}\s*", cell) for cell in cells):
        wrong = f"line {number} is {row[:60]!r}, and three whole numbers are expected"
    else:
        gesture, start, end = map(int, cells)
        if 1 <= gesture <= CLASSES and start < end:
            return _Trial(file, gesture - 1, start, end)
        wrong = f"line {number} has class {gesture} from {start} to {end} us: a class is 1 to {CLASSES}, and ends after its start"
    raise unreadable(context.span, labels, ValueError(wrong))


def _recordings(context: LoadContext, trials: list[_Trial]) -> Iterator[Recording]:
    """Yield the events of each trial; the trials of one file stand together, so that it is read once."""
    opened = ""
    for number, trial in enumerate(trials):
        if trial.file != opened:
            events, opened = read_aedat(find_file(context, trial.file), trial.file, context.span), trial.file
        own = (events.times >= trial.start) & (events.times < trial.end)
        times = (events.times[own] - trial.start) / 1e3
        name = f"trial {number} ({trial.start} to {trial.end} us of `{trial.file}`)"
        yield Recording(name, times, events.places(own))


def _lines(context: LoadContext, name: str) -> list[str]:
    """Return the lines of a short text file that hold anything."""
    file = find_file(context, name)
    try:
        size = file.stat().st_size
        if size > MAX_LIST_BYTES:
            raise ValueError(f"it has {size} bytes, and a list of at most {MAX_LIST_BYTES} is expected")
        text = file.read_text(encoding="utf-8")
    except _DAMAGE as error:
        raise unreadable(context.span, name, error) from error
    return [line.strip() for line in text.splitlines() if line.strip()]
