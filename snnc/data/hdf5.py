"""HDF5 files of events in the layout of the Spiking Heidelberg Digits and Spiking Speech Commands.

`spikes/times` holds for each sample the times of its events in seconds, `spikes/units` the units, both as arrays of
any length; `labels` one class for each sample.

Source: Cramer et al. 2022, "The Heidelberg Spiking Data Sets for the systematic evaluation of spiking neural
networks", IEEE TNNLS 33:2744-2757; files at https://zenkelab.org/resources/spiking-heidelberg-datasets-shd.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np

from snnc.data.binning import Recording, bin_recordings
from snnc.data.files import LoadContext, check_bytes, find_file, unreadable
from snnc.data.hdf5_lengths import MAX_CHUNK, check_lengths
from snnc.data.record import DataSet, Part, join_parts, make_dataset
from snnc.diagnostics import Code, fail

SPEECH_UNITS = 700  # of the cochlea model
MAX_UNITS = 1_000_000
_TOGETHER = 256  # samples read at once
_DAMAGE = (OSError, KeyError, ValueError, TypeError, RuntimeError, MemoryError, OverflowError, AttributeError)


def load_events(context: LoadContext, path: str, units: int, limit: int | None) -> DataSet:
    """Return `spikes` [samples, steps, channels] and `label` of the first `limit` samples of one file.

    Raises:
        CompileError: E0604 or E0605 for a file that is not there or not in this layout, E0614 without `h5py`.
    """
    h5py = _require_h5py(context)
    file = find_file(context, path)
    binning = context.binning
    assert binning is not None  # whoever resolved the line has seen to it
    shape = binning.shape((units,))
    assert not isinstance(shape, str), shape
    try:
        with h5py.File(file, "r") as stored:
            spikes = _own(h5py, stored, "spikes", h5py.Group)
            times, places = (_ragged(h5py, spikes, name, kinds) for name, kinds in (("times", "fiu"), ("units", "iu")))
            labels = _array(h5py, stored, "labels")
            lengths = {"spikes/times": len(times), "spikes/units": len(places), "labels": len(labels)}
            if len(set(lengths.values())) > 1:
                told = ", ".join(f"`{name}` has {length}" for name, length in lengths.items())
                raise ValueError(f"its arrays differ in length: {told}")
            count = len(labels) if limit is None else min(limit, len(labels))
            for array in (times, places):
                check_lengths(h5py, array, file)
            check_bytes(count * (binning.steps * math.prod(shape) + 16), context.span, path)
            counts = bin_recordings(_recordings(times, places, count, path), count, (units,), binning, context.span)
            label = np.asarray(labels[:count])
    except _DAMAGE as error:
        raise unreadable(context.span, path, error) from error
    return make_dataset({"spikes": counts, "label": label}, None, context.span, path)


def load_folder(context: LoadContext, path: str, limit: int | None, files: dict[Part, str]) -> DataSet:
    """Return the splits that lie in one folder, `files` by the split that each holds."""
    parts = {part: load_events(context, f"{path}/{name}", SPEECH_UNITS, limit) for part, name in files.items()}
    return join_parts(parts, context.span, path)


def load_shd(context: LoadContext, path: str, limit: int | None) -> DataSet:
    """Return the Spiking Heidelberg Digits: 20 classes of spoken digits, `shd_train.h5` and `shd_test.h5`."""
    return load_folder(context, path, limit, {"train": "shd_train.h5", "test": "shd_test.h5"})


def load_ssc(context: LoadContext, path: str, limit: int | None) -> DataSet:
    """Return the Spiking Speech Commands: 35 classes, `ssc_train.h5`, `ssc_valid.h5` and `ssc_test.h5`."""
    return load_folder(context, path, limit, {"train": "ssc_train.h5", "val": "ssc_valid.h5", "test": "ssc_test.h5"})


def _require_h5py(context: LoadContext) -> ModuleType:
    try:
        import h5py
    except ImportError as error:
        raise fail(
            Code.MISSING_PACKAGE,
            context.span,
            f"HDF5 files are read by the package `h5py`, which is not installed here ({error})",
            help="install it: `pip install 'snnc[hdf5]'` or `pip install h5py`",
        ) from error
    module: ModuleType = h5py
    return module


def _own(h5py: ModuleType, group: Any, name: str, kind: type) -> Any:
    """Return what lies in `group` itself under `name`: a link could lead to any file of the computer."""
    link = group.get(name, getlink=True)
    place = f"{group.name.rstrip('/')}/{name}".lstrip("/")
    if link is None:
        found = ", ".join(f"`{str(key)[:40]}`" for key, _ in zip(group, range(6), strict=False)) or "nothing"
        raise ValueError(f"it has no `{place}`; found {found}")
    if not isinstance(link, h5py.HardLink):
        raise ValueError(f"its `{place}` is a link, and links are not followed")
    item = group[name]
    if not isinstance(item, kind):
        raise ValueError(f"its `{place}` is no {'group' if kind is h5py.Group else 'array'}")
    return item


def _array(h5py: ModuleType, group: Any, name: str) -> Any:
    """Return an array with one entry for each sample, whose values lie in this file."""
    array = _own(h5py, group, name, h5py.Dataset)
    place = array.name.lstrip("/")
    if array.external or array.is_virtual:
        raise ValueError(f"the values of `{place}` lie in other files, which are not read")
    if array.ndim != 1:
        raise ValueError(f"its `{place}` has shape {array.shape}: one entry for each sample is expected")
    if array.chunks and math.prod(array.chunks) * array.dtype.itemsize > MAX_CHUNK:
        raise ValueError(f"its `{place}` is stored in pieces of more than {MAX_CHUNK >> 20} MiB")
    return array


def _ragged(h5py: ModuleType, group: Any, name: str, kinds: str) -> Any:
    array = _array(h5py, group, name)
    inner = h5py.check_vlen_dtype(array.dtype)
    if inner is None or getattr(inner, "kind", "O") not in kinds:
        raise ValueError(
            f"its `{array.name.lstrip('/')}` has the type `{array.dtype}`: one list of numbers for each sample is expected"
        )
    return array


def _recordings(times: Any, units: Any, count: int, path: str) -> Iterator[Recording]:
    """Yield the first `count` samples, read some at a time."""
    for start in range(0, count, _TOGETHER):
        stop = min(start + _TOGETHER, count)
        for number, when, where in zip(range(start, stop), times[start:stop], units[start:stop], strict=True):
            if np.shape(when) != np.shape(where):
                raise ValueError(f"sample {number} has {len(when)} times and {len(where)} units")
            seconds = np.asarray(when, np.float64)
            yield Recording(f"sample {number} of `{path}`", seconds * 1e3, (np.asarray(where),))
