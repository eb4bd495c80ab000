"""Which layers can run through all steps in one kernel of a GPU, and which signals such a kernel must write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from snnc import model
from snnc.lower.schedule import read_inside
from snnc.plan import Adjoint, Body, Group, Kernel, Pullback, StepPlan

Kernels = Mapping[str, tuple[str, ...] | str]  # of each layer: the signals that its kernel writes, or why it has none


def chosen_kernel(kernel: Kernel) -> Literal["scan", "pallas"]:
    """Return what `auto` stands for: the scan, for the kernels have not been measured against it on a GPU yet.

    >>> chosen_kernel("auto"), chosen_kernel("pallas")
    ('scan', 'pallas')
    """
    return "pallas" if kernel == "pallas" else "scan"


def kernels_of(
    plan: StepPlan, adjoints: Mapping[str, Adjoint | str], read: tuple[model.Signal, ...]
) -> dict[str, tuple[str, ...] | str]:
    """Return for each layer the signals that its kernel writes, or why it has none; `read` is read by losses and metrics."""
    wanted = {*read, *read_inside(plan.network)}
    found: dict[str, tuple[str, ...] | str] = {}
    for group in plan.groups:
        for node in group.nodes:
            if isinstance(node, model.Layer):
                body = plan.body(node.name)
                found[node.name] = _refusal(group, body, adjoints[body.name]) or _written(node, body, wanted)
    return found


def _refusal(group: Group, body: Body, adjoint: Adjoint | str) -> str:
    """Return why a layer runs in no kernel, empty if it can."""
    if group.loop:
        return "its input waits for its own spikes"
    if body.random:
        return "it draws noise"
    if isinstance(adjoint, str):
        return "its gradient is by JAX"
    pulled = [s.integrate.method for s in adjoint.transposed if isinstance(s, Pullback)]
    return f"the gradient of {pulled[0]} goes through JAX" if pulled else ""


def _written(layer: model.Layer, body: Body, wanted: set[model.Signal]) -> tuple[str, ...]:
    """Return the published signals that something reads; spikes are always read, by the firing rates."""
    names = {f"{s.name}.pre" if s.pre else s.name for s in wanted if s.node == layer.name} | {"spike"}
    return tuple(p.name for p in body.published if p.name in names)
