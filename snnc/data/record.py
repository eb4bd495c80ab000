"""The data set record: named arrays with the samples first, and which split each sample belongs to.

`make_dataset` is the only way in: what it returns holds plain, finite numbers of one length, from whatever file.
"""

from __future__ import annotations

import errno
import os
import re
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np

from snnc.data.plain import class_numbers, plain_numbers
from snnc.diagnostics import Code, fail
from snnc.source import Span

Part = Literal["train", "val", "test"]
PART_CODES: Mapping[Part, int] = MappingProxyType({"train": 0, "val": 1, "test": 2})

RESERVED_FIELDS = ("sample", "weight", "split")  # the first two are added to every batch, `split` holds the codes
_FIELD_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """What is known of a field before any sample exists.

    `shape` is that of one sample; with `time`, its first axis is the time step. `classes` is given for kind `class`.
    Kind `events` has the shape of the sensor, until `bin` makes `spikes` of it.
    """

    name: str
    shape: tuple[int, ...]
    time: bool
    kind: Literal["real", "spikes", "class", "events"]
    classes: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class DataSet:
    """Fields by name, all [samples, ...] and read-only; `split` has the code of `PART_CODES` for each sample.

    Without `split` every sample is for training. The field `label`, where there is one, is int32 [samples], >= 0.
    """

    fields: Mapping[str, np.ndarray]
    split: np.ndarray | None

    def __post_init__(self) -> None:
        fields = {name: _read_only(array) for name, array in self.fields.items()}
        object.__setattr__(self, "fields", MappingProxyType(fields))
        if self.split is not None:
            object.__setattr__(self, "split", _read_only(self.split))

    @property
    def size(self) -> int:
        return len(next(iter(self.fields.values())))

    def part(self, name: Part) -> dict[str, np.ndarray]:
        """Return the samples of one split, in the order of the set; arrays of length 0 where it has none."""
        if self.split is None:
            return {key: array if name == "train" else array[:0] for key, array in self.fields.items()}
        chosen = self.split == PART_CODES[name]
        return {key: array[chosen] for key, array in self.fields.items()}

    def save_npz(self, path: Path) -> None:
        """Write the fields and `split`; `path` is replaced as a whole, and equal sets give equal bytes.

        Raises:
            OSError: if the file cannot be written; `path` is then as it was.
        """
        arrays = {**self.fields, **({} if self.split is None else {"split": self.split})}
        place = Path(os.path.realpath(path))  # what a link leads to is replaced, and not the link
        if place.exists() and not place.is_file():
            raise OSError(errno.EINVAL, "it is a folder, a pipe or a device, and only files are written", str(path))
        unfinished = place.with_name(f".{place.name}.{os.getpid()}.tmp")
        try:
            with unfinished.open("wb") as file:
                # Not np.savez: it takes `file` and `allow_pickle` as its own arguments, which are also names of fields.
                with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                    for name, array in arrays.items():
                        with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                            np.lib.format.write_array(member, array, allow_pickle=False)
                file.flush()
                os.fsync(file.fileno())
            os.replace(unfinished, place)
        except OSError as error:  # a full disk does not say which file it stopped
            raise OSError(error.errno, error.strerror or str(error), str(path)) from error
        finally:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)


def make_dataset(fields: Mapping[str, np.ndarray], split: np.ndarray | None, span: Span, origin: str) -> DataSet:
    """Return the checked record; floats become float32, booleans uint8, 64-bit integers and `label` int32.

    `origin` is what messages call the data: a file or a source.

    Raises:
        CompileError: E0605 at `span` for the first field that is no such array.
    """
    if not fields:
        raise fail(Code.BAD_DATA, span, f"`{origin}` holds no fields", help="store at least one array of samples")
    checked: dict[str, np.ndarray] = {}
    for name, array in fields.items():
        _check_name(name, span, origin)
        place = f"field `{name}` of `{origin}`"
        checked[name] = (class_numbers if name == "label" else plain_numbers)(array, span, place)
    first, count = next((name, len(array)) for name, array in checked.items())
    for name, array in checked.items():
        if len(array) != count:
            raise fail(
                Code.BAD_DATA,
                span,
                f"fields of `{origin}` differ in length: `{first}` has {count} samples, `{name}` has {len(array)}",
                help="the first axis of every field counts the samples; store one row for each sample",
            )
    return DataSet(checked, None if split is None else _codes(split, count, span, origin))


def join_parts(parts: Mapping[Part, DataSet], span: Span, origin: str) -> DataSet:
    """Return one set whose splits are `parts`, sets with the same fields.

    Raises:
        CompileError: E0605 if the samples of two parts differ in shape.
    """
    (first, start), *others = parts.items()
    for name, array in start.fields.items():
        for part, data in others:
            if data.fields[name].shape[1:] != array.shape[1:]:
                raise fail(
                    Code.BAD_DATA,
                    span,
                    f"samples of `{origin}` differ in shape: `{name}` is {array.shape[1:]} in {first} "
                    f"and {data.fields[name].shape[1:]} in {part}",
                    help="store the samples of every split in one shape",
                )
    fields = {name: np.concatenate([data.fields[name] for data in parts.values()]) for name in start.fields}
    split = np.repeat([PART_CODES[part] for part in parts], [data.size for data in parts.values()])
    return make_dataset(fields, split, span, origin)


def _check_name(name: str, span: Span, origin: str) -> None:
    if not _FIELD_NAME.fullmatch(name):
        raise fail(
            Code.BAD_DATA,
            span,
            f"field {name[:40]!r} of `{origin}` is not a name",
            help="rename it: a letter, then letters, digits and `_`",
        )
    if name in RESERVED_FIELDS:
        raise fail(
            Code.BAD_DATA,
            span,
            f"field `{name}` of `{origin}` has a reserved name",
            help=f"rename it: {', '.join(f'`{word}`' for word in RESERVED_FIELDS)} have a meaning in every batch",
        )


def _codes(split: np.ndarray, count: int, span: Span, origin: str) -> np.ndarray:
    good = split.dtype.kind in "iu" and split.shape == (count,) and bool(np.isin(split, (0, 1, 2)).all())
    if not good or not (split == PART_CODES["train"]).any():
        raise fail(
            Code.BAD_DATA,
            span,
            f"`split` of `{origin}` is not one code for each of the {count} samples, some of them for training",
            help="store integers of shape [samples]: 0 train, 1 val, 2 test",
        )
    return split.astype(np.uint8)


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view
