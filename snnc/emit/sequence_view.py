"""Prints a network over whole sequences, group by group: products at once, one time loop a layer or a cycle."""

from __future__ import annotations

from dataclasses import dataclass

from snnc import model
from snnc.emit.loop_view import GroupLoop, LoopView
from snnc.emit.node_lines import delay_line, is_ring, layer_line, operation_line
from snnc.emit.statement_text import LineView
from snnc.lower.kernels import Kernels
from snnc.lower.schedule import sources_of
from snnc.plan import Adjoint, StepPlan


@dataclass(frozen=True, slots=True)
class SequenceView:
    """The lines of `run`, and the functions of the time loops that several nodes share."""

    lines: tuple[LineView, ...]
    loops: tuple[LoopView, ...]


def sequence_view(
    plan: StepPlan,
    adjoints: dict[str, Adjoint | str],
    truncate: int | None,
    kept: frozenset[str],
    ends: bool,
    kernels: Kernels,
) -> SequenceView:
    """Return the network over a sequence; `kept` are operations whose result is read from outside (by a readout).

    With `ends` the last states get their names. `kernels` is empty where no layer shall run in one.
    """
    lines: list[LineView] = []
    loops: list[LoopView] = []
    for number, group in enumerate(plan.groups, 1):
        first = group.nodes[0]
        if group.loop or (isinstance(first, model.Layer) and plan.body(first.name).random):
            members = {node.name for node in group.nodes}
            read = {s.node for node in plan.order if node.name not in members for s in sources_of(node)}
            loop = GroupLoop(group, plan, adjoints, number, kept | read)
            loops.append(loop.view())
            lines.append(loop.call(truncate, ends))
        elif isinstance(first, model.Layer):
            derived = not isinstance(adjoints[plan.body(first.name).name], str)
            written = kernels.get(first.name)
            written = None if isinstance(written, str) else written
            lines.append(layer_line(first, plan, truncate, derived, ends, written))
        elif is_ring(first):
            lines.append(delay_line(first, plan, truncate, ends))
        else:
            lines.append(operation_line(first, plan, {}))
    return SequenceView(tuple(lines), tuple(loops))
