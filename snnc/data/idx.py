"""IDX files, the format of MNIST and its kin: images and labels in two files, plain or compressed by gzip.

Source: http://yann.lecun.com/exdb/mnist: two zero bytes, a type code, the number of axes, each length as a big-endian
32-bit integer, then the values.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from io import BufferedIOBase
from pathlib import Path

import numpy as np

from snnc.data.files import LoadContext, check_bytes, find_file, unreadable
from snnc.data.record import DataSet, join_parts, make_dataset
from snnc.diagnostics import Code, fail
from snnc.source import Span

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_DAMAGE = (OSError, EOFError, ValueError, MemoryError, zlib.error, struct.error)


def load_idx(
    context: LoadContext, images: str, labels: str, test_images: str | None, test_labels: str | None
) -> DataSet:
    """Return `image` [n, ...] as stored and `label`; the second pair of files, if given, is the test split."""
    train = _load_pair(context, images, labels)
    if test_images is None and test_labels is None:
        return train
    if test_images is None or test_labels is None:
        raise fail(
            Code.BAD_SETTING,
            context.span,
            "`test_images` and `test_labels` belong together, and one is missing",
            help="give both files, or neither",
        )
    return join_parts({"train": train, "test": _load_pair(context, test_images, test_labels)}, context.span, images)


def _load_pair(context: LoadContext, images: str, labels: str) -> DataSet:
    image = read_idx(find_file(context, images), images, context.span)
    if image.ndim < 2:
        raise fail(
            Code.BAD_DATA,
            context.span,
            f"`{images}` has 1 axis, so it holds no images",
            help="give the file of images first and the file of labels second",
        )
    label = read_idx(find_file(context, labels), labels, context.span)
    return make_dataset({"image": image, "label": label}, None, context.span, images)


def read_idx(file: Path, name: str, span: Span) -> np.ndarray:
    """Return the array of one file, in its big-endian type.

    Raises:
        CompileError: E0605 if it is no IDX file, is cut short or too long, or declares too much.
    """
    try:
        with _open(file) as stream:
            magic = stream.read(4)
            if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPES or not 1 <= magic[3] <= 8:
                raise ValueError(f"its first bytes are {magic.hex(' ')}, which is not the start of an IDX file")
            shape = struct.unpack(f">{magic[3]}I", stream.read(4 * magic[3]))
            dtype = np.dtype(_TYPES[magic[2]])
            size = math.prod(shape) * dtype.itemsize
            check_bytes(size, span, name)
            data = stream.read(size + 1)
            if len(data) != size:
                found = "more than that" if len(data) > size else str(len(data))
                raise ValueError(f"it declares shape {shape}, {size} bytes, and holds {found}")
    except _DAMAGE as error:
        raise unreadable(span, name, error) from error
    return np.frombuffer(data, dtype).reshape(shape)


def _open(file: Path) -> BufferedIOBase:
    """Open for reading; a compressed file is known by its first bytes, whatever its name."""
    stream = file.open("rb")
    compressed = stream.read(2) == b"\x1f\x8b"
    stream.seek(0)
    if not compressed:
        return stream
    stream.close()
    return gzip.open(file, "rb")
