"""What is made before the first operation of a training step: sequences of fields, and masks of dropout."""

from __future__ import annotations

from snnc import model
from snnc.cost.timeline import Timeline
from snnc.cost.wiring import Case
from snnc.ops.encoders import ENCODERS

_DRAWING = 4  # arrays of 4 bytes a number that are alive while random bits are made


def is_encoded(node: model.Input, case: Case) -> bool:
    """Whether the sequence of an input is an array of its own; a field that is held or a sequence is not copied."""
    data = None if case.recipe is None else case.recipe.data
    scaled = data is not None and any(t.name == "scale" for t in data.transforms)
    return scaled or data is None or (data.encoder is not None and not ENCODERS[data.encoder.name].held)


def encode(node: model.Input, case: Case, line: Timeline) -> str:
    """Add the step that makes a sequence of a field; return its buffer."""
    data = None if case.recipe is None else case.recipe.data
    encoder = None if data is None or data.encoder is None else ENCODERS[data.encoder.name]
    name, size = f"{node.name}, encoded", case.bytes_of(model.Signal(node.name))
    copies = _DRAWING - 1 if encoder is not None and encoder.random else 0
    line.step(f"encoding {node.name}", (), {name: size}, copies * size)
    return name


def draw_mask(node: model.OpNode, case: Case, line: Timeline) -> str:
    """Add the step that draws the mask of a dropout; return its buffer."""
    name, size = f"mask of {node.name}", case.one_step(node.name)
    line.step(f"drawing {node.name}", (), {name: size}, (_DRAWING - 1) * size)
    return name
