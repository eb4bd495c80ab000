"""What `bin` and `window` take; both are done once, when the data are loaded."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from snnc.ops.options import Choice, Option
from snnc.units import ONE, TIME


@dataclass(frozen=True, slots=True)
class Preparation:
    """A step of a `data` line that is done at loading, before transforms and encoders."""

    name: str
    options: tuple[Option | Choice, ...]
    doc: str


_PREPARATIONS = (
    Preparation(
        "bin",
        (
            Option("duration", TIME, None, "length of a sample; later events are left out"),
            Option("channels", ONE, None, "join the units of a line to so many", optional=True),
            Option("size", ONE, None, "join the pixels of an image to size x size", optional=True),
            Choice("values", ("counts", "binary"), "counts", "how many events a step has, or whether it has one"),
        ),
        "events, counted by step of the network: [steps, units] or [steps, 2, height, width]",
    ),
    Preparation(
        "window",
        (
            Option("length", TIME, None, "of a window"),
            Option("stride", TIME, None, "from the start of one window to the next; without it, `length`", optional=True),
        ),
        "each sequence cut into windows, each a sample of its own",
    ),
)  # fmt: skip

PREPARATIONS = MappingProxyType({preparation.name: preparation for preparation in _PREPARATIONS})
