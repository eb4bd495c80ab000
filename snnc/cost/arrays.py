"""The arrays that live from step to step: parameters, the optimiser's moments, one sample's state, and a batch."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import prod

from snnc import model
from snnc.cost.wiring import NUMBER, Case
from snnc.emit.parameters import stored_buffers, stored_parameters
from snnc.ops.encoders import ENCODERS
from snnc.ops.memory import Dropout
from snnc.plan import StepPlan

# Numbers that each optimiser keeps for a parameter.
MOMENTS = {"sgd": 0, "momentum": 1, "adam": 2, "adamw": 2, "adamax": 2, "rmsprop": 1, "lion": 1}


@dataclass(frozen=True, slots=True)
class Array:
    """A named array of 4-byte numbers."""

    name: str
    shape: tuple[int, ...]

    @property
    def bytes(self) -> int:
        return NUMBER * prod(self.shape)


def parameters(plan: StepPlan) -> tuple[Array, ...]:
    return tuple(Array(stored.name, stored.shape) for stored in stored_parameters(plan))


def buffers(plan: StepPlan) -> tuple[Array, ...]:
    return tuple(Array(stored.name, stored.shape) for stored in stored_buffers(plan))


def optimizer_bytes(plan: StepPlan, recipe: model.Recipe) -> int:
    """The moments of all parameters that are not frozen; a few counters are left out."""
    method = recipe.optimizer
    moments = MOMENTS[method.name] + (method.name == "rmsprop" and dict(method.options)["momentum"] > 0)
    trained = [p for p in parameters(plan) if not any(fnmatchcase(p.name, f) for f in recipe.freeze)]
    return moments * sum(p.bytes for p in trained)


def state_bytes(plan: StepPlan) -> int:
    """One sample's states, delay lines and dropout masks."""
    numbers = 0
    for node in plan.network.nodes:
        if isinstance(node, model.Layer):
            numbers += prod(node.shape) * len(plan.body(node.name).slots)
        elif isinstance(node, model.OpNode) and node.op.held():
            numbers += node.op.held() * prod(node.in_shapes[0])
        elif isinstance(node, model.OpNode) and isinstance(node.op, Dropout):
            numbers += prod(node.shape)
    return NUMBER * numbers


def batch_bytes(case: Case) -> int:
    """The fields of one batch, with each sample's number and weight."""
    numbers = 2
    data = None if case.recipe is None else case.recipe.data
    fields = {} if data is None else {f.name: f for f in data.fields or ()}
    others = [f for f in fields.values() if f.name != "label"]
    for node in case.plan.network.inputs:
        field = fields.get(node.name) or (others[0] if len(others) == 1 else None)
        if field is not None and field.shape is not None:
            numbers += prod(field.shape) if field.time is False else case.steps * prod(field.shape[1:])
        else:
            encoder = None if data is None or data.encoder is None else ENCODERS[data.encoder.name]
            numbers += prod(node.shape) * (1 if encoder is not None and encoder.steps is not None else case.steps)
    if "label" in fields:
        numbers += case.steps if fields["label"].time else 1
    numbers += case.recipe is not None and case.recipe.length is not None
    return NUMBER * case.batch * numbers
