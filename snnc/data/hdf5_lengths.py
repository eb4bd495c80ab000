"""How long the lists of an HDF5 array say they are, from the stored references and before any list is read.

The library believes these lengths and takes memory for them. The lists themselves lie in the file uncompressed, so that
all of them together cannot be longer than the file.

Source: "HDF5 File Format Specification Version 3.0", III.E (global heap): a reference is a length (32 bits), an address
and an index, little-endian.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

MAX_CHUNK = 2**28  # bytes of one stored piece of an array: a piece is unpacked whole


def check_lengths(h5py: ModuleType, array: Any, file: Path) -> None:
    """Raise ValueError if the lists of `array` [samples] declare more bytes than `file` has, or are stored in a rare way."""
    name, size = array.name.lstrip("/"), file.stat().st_size
    declared = _total_length(h5py, array, file, size) * h5py.check_vlen_dtype(array.dtype).itemsize
    if declared > size:
        raise ValueError(f"the lists of `{name}` declare {declared} bytes, and the file has {size}")


def _total_length(h5py: ModuleType, array: Any, file: Path, size: int) -> int:
    name, width, count = array.name.lstrip("/"), array.id.get_type().get_size(), len(array)
    described = array.id.get_create_plist()
    layout = described.get_layout()
    if layout == h5py.h5d.CONTIGUOUS:
        offset = array.id.get_offset()
        if offset is None:  # nothing was ever written: all lists are empty
            return 0
        if offset + width * count > size or array.file.userblock_size:
            raise ValueError(f"`{name}` reaches beyond the end of the file")
        with file.open("rb") as stream:
            stream.seek(offset)
            return _sum_lengths(stream.read(width * count), width)
    if layout != h5py.h5d.CHUNKED:
        raise ValueError(f"`{name}` is stored inside its own description, which is not read")
    if array.chunks[0] * width > MAX_CHUNK:
        raise ValueError(f"its `{name}` is stored in pieces of more than {MAX_CHUNK >> 20} MiB")
    pieces: list[Any] = []
    array.id.chunk_iter(pieces.append)  # asking for each by its number would walk the list anew each time
    total = 0
    for info in pieces:
        if info.byte_offset + info.size > size:
            raise ValueError(f"`{name}` reaches beyond the end of the file")
        skipped, content = array.id.read_direct_chunk(info.chunk_offset)
        total += _sum_lengths(_unpack(h5py, described, skipped, content, array.chunks[0] * width, name), width)
    return total


def _sum_lengths(content: bytes, width: int) -> int:
    rows = np.frombuffer(content, np.uint8, len(content) // width * width).reshape(-1, width)
    return int(np.ascontiguousarray(rows[:, :4]).view("<u4").sum(dtype=np.int64))


def _unpack(h5py: ModuleType, described: Any, skipped: int, content: bytes, size: int, name: str) -> bytes:
    """Undo the filters of one piece that unpacks to `size` bytes."""
    for place in reversed(range(described.get_nfilters())):
        kind, _, values, _ = described.get_filter(place)
        if skipped & (1 << place):
            continue
        if kind == h5py.h5z.FILTER_DEFLATE:
            try:
                content = zlib.decompressobj().decompress(content, size)
            except zlib.error as error:
                raise ValueError(f"`{name}` is damaged: {error}") from error
        elif kind == h5py.h5z.FILTER_SHUFFLE and values and values[0] > 0 and len(content) % values[0] == 0:
            content = np.frombuffer(content, np.uint8).reshape(values[0], -1).T.tobytes()
        elif kind == h5py.h5z.FILTER_FLETCHER32:
            content = content[:-4]
        else:
            raise ValueError(f"`{name}` is packed by filter {kind}, and only deflate, shuffle and fletcher32 are read")
    return content
