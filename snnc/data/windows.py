"""Cuts sequences into windows of one length; each becomes a sample of its own, in the split of its sequence."""

from __future__ import annotations

import numpy as np

from snnc.data.files import check_bytes
from snnc.data.record import DataSet
from snnc.diagnostics import Code, fail
from snnc.source import Span


def cut_windows(data: DataSet, length: int, stride: int, span: Span, origin: str) -> DataSet:
    """Return the windows of `length` steps that begin every `stride` steps, those of a sequence one after another.

    Every field whose second axis is as long as the sequences is cut, so a label for each step too; the others are
    repeated. Steps after the last whole window are left out.

    Raises:
        CompileError: E0605 if no field is a sequence, or the sequences are shorter than a window.
    """
    steps = next((a.shape[1] for name, a in data.fields.items() if a.ndim > 2 and name != "label"), None)
    if steps is None or steps < length:
        found = "has no field of sequences" if steps is None else f"has sequences of {steps} steps"
        raise fail(
            Code.BAD_DATA,
            span,
            f"`{origin}` {found}, and `window` cuts {length} steps out of each",
            help="store sequences as [samples, steps, …] of at least one window, or take `window` out",
        )
    starts = np.arange(0, steps - length + 1, stride)
    timed = {name for name, array in data.fields.items() if array.ndim > 1 and array.shape[1] == steps}
    sizes = [array.nbytes // steps * length if name in timed else array.nbytes for name, array in data.fields.items()]
    check_bytes(sum(sizes) * len(starts), span, origin)
    fields = {
        name: _cut(array, starts, length) if name in timed else np.repeat(array, len(starts), axis=0)
        for name, array in data.fields.items()
    }
    return DataSet(fields, None if data.split is None else np.repeat(data.split, len(starts)))


def _cut(array: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
    """Return [N W, length, ...] from [N, T, ...] and W starts."""
    windows = np.stack([array[:, start : start + length] for start in starts], axis=1)
    return windows.reshape(-1, *windows.shape[2:])
