"""AEDAT 3.1 files of event cameras: a text head, then packets of events. Only polarity events are taken.

Source: https://docs.inivation.com/software/software-advanced-usage/file-formats/aedat-3.1.html. Little-endian; the head
of a packet has type, source (16 bits each), size of an event, place of its time stamp, overflow of time stamps,
capacity, number and number of valid events (32 bits each). A polarity event is a word (bit 0 valid, bit 1 polarity, 15
bits y, 15 bits x) and a time stamp in us.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from snnc.data.files import check_bytes, unreadable
from snnc.source import Span

SIDE = 128  # pixels of the DVS128
_HEAD = struct.Struct("<hhiiiiii")
_POLARITY = 1
_MAX_HEAD_BYTES = 65536
_EVENT = np.dtype([("word", "<u4"), ("time", "<i4")])


@dataclass(frozen=True, slots=True, eq=False)
class CameraEvents:
    """The valid polarity events of a file: `times` int64 [k] in us, and the words that hold their places."""

    times: np.ndarray
    words: np.ndarray

    def places(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return polarity, row and column of the events that `chosen` [k] picks."""
        words = self.words[chosen]
        return (words >> 1) & 1, (words >> 2) & 0x7FFF, words >> 17


def read_aedat(file: Path, name: str, span: Span) -> CameraEvents:
    """Return the events of one file, in its order.

    Raises:
        CompileError: E0605 if it is no AEDAT 3.1 file, is cut short, or contradicts itself.
    """
    try:
        check_bytes(3 * file.stat().st_size, span, name)  # the file, its events, and those of a trial
        content = file.read_bytes()
        place = _end_of_head(content)
        times, words = [np.empty(0, np.int64)], [np.empty(0, np.uint32)]
        while place < len(content):
            place, events, overflow = _packet(content, place)
            valid = events[(events["word"] & 1) == 1]
            if (valid["time"] < 0).any():
                raise ValueError(f"the packet that ends at byte {place} has a negative time stamp")
            times.append(valid["time"].astype(np.int64) + (overflow << 31))
            words.append(valid["word"])
    except (OSError, ValueError, MemoryError, struct.error) as error:
        raise unreadable(span, name, error) from error
    return CameraEvents(np.concatenate(times), np.concatenate(words))


def _end_of_head(content: bytes) -> int:
    """Return the place of the first packet, behind the lines that begin with `#`."""
    if not content.startswith(b"#!AER-DAT3.1"):
        raise ValueError(f"it begins with {content[:12]!r} and not with `#!AER-DAT3.1`")
    place, ended = 0, False
    while not ended and content[place : place + 1] == b"#":
        end = content.find(b"\n", place, _MAX_HEAD_BYTES)
        if end < 0:
            raise ValueError(f"its head has no end within {_MAX_HEAD_BYTES} bytes")
        ended = content[place:end].rstrip() == b"#!END-HEADER"
        place = end + 1
    if not ended:
        raise ValueError("its head does not end with `#!END-HEADER`")
    return place


def _packet(content: bytes, place: int) -> tuple[int, np.ndarray, int]:
    """Return where the packet at `place` ends, its polarity events (none of another type), and its overflow."""
    if len(content) - place < _HEAD.size:
        raise ValueError(f"it ends within the head of the packet at byte {place}")
    kind, _, size, stamp, overflow, capacity, number, _ = _HEAD.unpack_from(content, place)
    start = place + _HEAD.size
    if size <= 0 or not 0 <= number <= capacity or overflow < 0:
        raise ValueError(f"the packet at byte {place} declares {number} of {capacity} events of {size} bytes")
    end = start + size * capacity
    if end > len(content):
        raise ValueError(
            f"the packet at byte {place} declares {size * capacity} bytes, and {len(content) - start} follow"
        )
    if kind != _POLARITY:
        return end, np.empty(0, _EVENT), 0
    if size != _EVENT.itemsize or stamp != 4:
        raise ValueError(
            f"the polarity events of the packet at byte {place} have {size} bytes, and {_EVENT.itemsize} are read"
        )
    return end, np.frombuffer(content, _EVENT, number, start), overflow
