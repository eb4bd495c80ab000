"""Events of any sensor, counted by steps and places: the one rule by which times become sequences.

An event of time t falls into step max(0, ceil(t / dt) - 1), as everywhere in the language; one at or after the end of
the last step is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from snnc.diagnostics import Code, CompileError, fail
from snnc.source import Span

ROUNDING = 1e-3  # of a step: a time this little above a border counts as at the border, as in encoders


@dataclass(frozen=True, slots=True)
class Binning:
    """`steps` of `dt` ms; places joined to `channels` of a line, or to `size` x `size` of an image; 0 or 1 if `binary`."""

    steps: int
    dt: float
    channels: int | None = None
    size: int | None = None
    binary: bool = False

    def shape(self, sensor: tuple[int, ...]) -> tuple[int, ...] | str:
        """Return the shape of one step for a sensor of that shape, or what is wrong with the options.

        >>> Binning(10, 1.0, channels=140).shape((700,)), Binning(10, 1.0, size=32).shape((2, 128, 128))
        ((140,), (2, 32, 32))
        >>> Binning(10, 1.0, size=32).shape((700,))
        '`size` is for events of an image, and these have 700 units on a line: give `channels`'
        """
        if len(sensor) == 1:
            if self.size is not None:
                return f"`size` is for events of an image, and these have {sensor[0]} units on a line: give `channels`"
            if self.channels is not None and self.channels > sensor[0]:
                return f"`channels` is {self.channels}, and there are {sensor[0]} units to join"
            return (self.channels or sensor[0],)
        kinds, height, width = sensor
        if self.channels is not None:
            return (
                f"`channels` is for events of units on a line, and these are of {height} x {width} pixels: give `size`"
            )
        if self.size is not None and self.size > min(height, width):
            return f"`size` is {self.size}, and images have {height} x {width} pixels"
        return (kinds, self.size or height, self.size or width)


@dataclass(frozen=True, slots=True)
class Recording:
    """The events of one sample: `times` in ms from its start, [k], and their place on each axis of the sensor, [k] each."""

    name: str  # what messages call it
    times: np.ndarray
    places: tuple[np.ndarray, ...]


def bin_recordings(
    recordings: Iterator[Recording], count: int, sensor: tuple[int, ...], binning: Binning, span: Span
) -> np.ndarray:
    """Return the counts of events [count, steps, ...], in the smallest unsigned type that holds them.

    `check_bytes` must have passed `count` samples of one byte a place.

    Raises:
        CompileError: E0605 for a time that is negative or no number, and for a place outside of `sensor`.
    """
    shape = binning.shape(sensor)
    assert not isinstance(shape, str), shape
    result = np.zeros((count, binning.steps, *shape), np.uint8)
    size = int(np.prod(result.shape[1:]))
    for row, recording in enumerate(recordings):
        _check(recording, sensor, span)
        with np.errstate(over="ignore"):  # what overflows lies after the end
            step = np.maximum(np.ceil(recording.times.astype(np.float64) / binning.dt - ROUNDING) - 1, 0)
        kept = step < binning.steps
        index = step[kept].astype(np.int64)
        for place, whole, joined in zip(recording.places, sensor, shape, strict=True):
            index = index * joined + place[kept].astype(np.int64) * joined // whole
        counts = np.bincount(index, minlength=size)
        if binning.binary:
            counts = np.minimum(counts, 1)
        result = result.astype(np.promote_types(result.dtype, np.min_scalar_type(counts.max())), copy=False)
        result[row] = counts.reshape(result.shape[1:])
    return result


def _check(recording: Recording, sensor: tuple[int, ...], span: Span) -> None:
    wrong_time = ~((recording.times >= 0) & np.isfinite(recording.times))
    if wrong_time.any():
        found = recording.times[np.argmax(wrong_time)]
        raise _bad(span, f"{recording.name} has an event at {found:g} ms", "times count from the start of a sample")
    for place, whole in zip(recording.places, sensor, strict=True):
        outside = (place < 0) | (place >= whole)
        if outside.any():
            message = f"{recording.name} has an event at place {place[np.argmax(outside)]}, and the sensor has {whole}"
            help = "places are numbered from 0; if the file has more, say how many, as in `units = 700`"
            raise _bad(span, message, help)


def _bad(span: Span, message: str, help: str) -> CompileError:
    return fail(Code.BAD_DATA, span, message, help=help)


def binning_of(arguments: Mapping[str, object]) -> Binning:
    """Return the binning that the resolved arguments of `bin` stand for."""
    channels, size = arguments["channels"], arguments["size"]
    steps, dt = arguments["steps"], arguments["dt"]
    assert isinstance(steps, int)
    assert isinstance(dt, float | int)
    assert channels is None or isinstance(channels, int)
    assert size is None or isinstance(size, int)
    return Binning(steps, float(dt), channels, size, arguments["values"] == "binary")
