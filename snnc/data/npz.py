"""NumPy archives: arrays by name, or the Keras layout `x_train y_train x_test y_test`. Nothing is ever unpickled."""

from __future__ import annotations

import math
import zipfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from snnc.data.files import LoadContext, check_bytes, find_file, unreadable
from snnc.data.record import PART_CODES, DataSet, Part, join_parts, make_dataset
from snnc.diagnostics import Code, fail
from snnc.source import Span

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    MemoryError,
    zlib.error,
    zipfile.BadZipFile,
    RuntimeError,  # encrypted; its child NotImplementedError: a compression we lack
)


def load_npz(context: LoadContext, path: str) -> DataSet:
    """Return the arrays of an archive as fields; `y` or `labels` is called `label`, `split` deals the samples out.

    `x_train` and its kin become the fields `x` and `label` with that split.
    """
    arrays = read_arrays(find_file(context, path), path, context.span)
    if "x_train" in arrays:
        return _join_keras(arrays, context.span, path)
    aliases = [name for name in ("y", "labels") if name in arrays]
    if "label" not in arrays and len(aliases) == 1:
        arrays = {"label" if name == aliases[0] else name: array for name, array in arrays.items()}
    split = arrays.pop("split", None)
    return make_dataset(arrays, split, context.span, path)


def read_arrays(file: Path, name: str, span: Span) -> dict[str, np.ndarray]:
    """Return the arrays of an archive, in its order.

    Raises:
        CompileError: E0605 if it is no archive of plain arrays, is damaged, or declares too much.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            check_bytes(sum(member.file_size for member in members), span, name)
            return {
                member.filename.removesuffix(".npy"): _read_member(archive, member, span, name) for member in members
            }
    except _DAMAGE as error:
        raise unreadable(span, name, error) from error


def read_npy(file: Path, name: str, span: Span) -> np.ndarray:
    """Return the array of one .npy file.

    Raises:
        CompileError: E0605 if it is no plain array, is damaged, or declares too much.
    """
    try:
        size = file.stat().st_size
        check_bytes(size, span, name)
        with file.open("rb") as stream:
            _check_array(stream, size, f"`{name}`", span)
            stream.seek(0)
            array: np.ndarray = np.lib.format.read_array(stream, allow_pickle=False)
    except _DAMAGE as error:
        raise unreadable(span, name, error) from error
    return array


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, span: Span, name: str) -> np.ndarray:
    """Return one array, after its header has been found harmless."""
    place = f"`{member.filename[:40]}` of `{name}`"
    if not member.filename.endswith(".npy"):
        raise ValueError(f"{place} is not an array")
    with archive.open(member) as stream:
        _check_array(stream, member.file_size, place, span)
    with archive.open(member) as stream:
        array: np.ndarray = np.lib.format.read_array(stream, allow_pickle=False)
    return array


def _check_array(stream: IO[bytes], size: int, place: str, span: Span) -> None:
    """Find the header of an array of `size` bytes harmless, or raise."""
    shape, dtype = _read_header(stream, place)
    if dtype.hasobject:
        raise fail(
            Code.BAD_DATA,
            span,
            f"{place} holds Python objects (a pickle), which are never read",
            help="store arrays of numbers: lists of unequal length become objects, so pad them",
        )
    if min(shape, default=0) < 0 or stream.tell() + math.prod(shape) * dtype.itemsize != size:
        raise ValueError(f"{place} declares shape {shape} of `{dtype}` but holds {size} bytes")


def _read_header(stream: IO[bytes], place: str) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(stream)
    read_header = _HEADERS.get(version)
    if read_header is None:
        raise ValueError(f"{place} has an array format {version} that holds no plain numbers")
    try:
        shape, _, dtype = read_header(stream)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError, OverflowError) as error:
        raise ValueError(f"the description of {place} is damaged") from error  # NumPy's own words advise to trust it
    return shape, dtype


def _join_keras(arrays: dict[str, np.ndarray], span: Span, name: str) -> DataSet:
    """Return `x` and `label` from `x_train`, `y_train` and so on; the labels are for every part or for none."""
    parts: tuple[Part, ...] = tuple(part for part in PART_CODES if f"x_{part}" in arrays)
    letters = {"x": "x", "y": "label"} if "y_train" in arrays else {"x": "x"}
    expected = {f"{letter}_{part}" for part in parts for letter in letters}
    if expected != set(arrays):
        wrong = sorted(expected ^ set(arrays))
        raise fail(
            Code.BAD_DATA,
            span,
            f"`{name}` has `x_train`, but {', '.join(f'`{word[:40]}`' for word in wrong)} does not fit or is missing",
            help="store `x_train y_train x_test y_test`, if you like `x_val y_val` too, and nothing else",
        )
    checked: dict[Part, DataSet] = {}
    for part in parts:
        fields = {field: arrays[f"{letter}_{part}"] for letter, field in letters.items()}
        checked[part] = make_dataset(fields, None, span, f"{name}, {part}")
    return join_parts(checked, span, name)
