"""Prints a network over whole sequences, group by group: products at once, one time loop a layer or a cycle."""

from __future__ import annotations

from dataclasses import dataclass

from snnc import model
from snnc.emit.block_view import Blocks, Calls
from snnc.emit.loop_view import GroupLoop, LoopView
from snnc.emit.node_lines import (
    batch_norm_line,
    delay_line,
    is_ring,
    layer_line,
    operation_line,
    product_line,
    step_lines,
)
from snnc.emit.statement_text import LineView
from snnc.emit.timed import MOVED, carries, moved_line, port_arrays
from snnc.lower.blocks import in_order
from snnc.lower.kernels import Kernels
from snnc.lower.schedule import Active, sources_of
from snnc.ops.norms import BatchNorm
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
    blocks: Blocks,
    prefix: str = "",
    events: frozenset[str] = frozenset(),
) -> SequenceView:
    """Return the network over a sequence; `kept` are operations whose result is read from outside (by a readout).

    With `ends` the last states get their names. `kernels` is empty where no layer shall run in one; `prefix` begins the names of
    time loops. Inputs in `events` may come as event lists.
    """
    lines: list[LineView] = []
    loops: list[LoopView] = []
    # blocks pass values only
    calls = Calls(plan, {}) if kernels or plan.timed else blocks.calls(plan, kept)
    groups = {group.nodes[0].name: (number, group) for number, group in enumerate(plan.groups, 1)}
    for unit in in_order([group.nodes for group in plan.groups], calls.uses):
        if isinstance(unit, model.Use):
            lines.append(blocks.call(calls, unit, "run"))
            continue
        first = unit[0]
        number, group = groups[first.name]
        if group.loop or (isinstance(first, model.Layer) and plan.body(first.name).random):
            members = {node.name for node in group.nodes}
            read = {s.node for node in plan.order if node.name not in members for s in sources_of(node)}
            loop = GroupLoop(group, plan, adjoints, f"{prefix}loop_{number}", kept | read)
            loops.append(loop.view())
            lines.append(loop.call(truncate, ends))
        elif isinstance(first, model.Layer):
            found, written = adjoints[plan.body(first.name).name], kernels.get(first.name)
            adjoint = None if isinstance(found, str) else found
            written = None if isinstance(written, str) else written
            lines.append(layer_line(first, plan, port_arrays(first, plan), truncate, adjoint, ends, written))
        elif carries(model.Signal(first.name), plan) == MOVED:
            lines.append(moved_line(first, plan, ends))
        elif is_ring(first):
            lines.append(delay_line(first, plan, truncate, ends))
        elif isinstance(first.op, BatchNorm):
            lines.append(batch_norm_line(first, first.op, plan))
        elif first.sources[0].node in events:
            lines.append(product_line(first, plan))
        else:
            lines.append(operation_line(first, plan, {}))
    return SequenceView(tuple(lines), tuple(loops))


def network_step_lines(plan: StepPlan, states: dict[str, str], kept: frozenset[str], blocks: Blocks) -> list[LineView]:
    """Print one step of a network; `states` says where the state of a layer or a delay is read."""
    calls = blocks.calls(plan, kept)
    lines: list[LineView] = []
    alone: list[Active] = []
    rings: list[LineView] = []
    for unit in (*in_order([(node,) for node in plan.order], calls.uses), None):
        if isinstance(unit, tuple):
            alone += unit
            continue
        now, late = step_lines(tuple(alone), plan, {}, states, "state.n")
        lines, rings, alone = lines + now, rings + late, []
        if unit is not None:
            lines.append(blocks.call(calls, unit, "step"))
    return lines + rings
