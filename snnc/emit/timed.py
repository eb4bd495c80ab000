"""Where spikes stand for their times: what an edge carries beside its values, so that a gradient by spike times can come back.

A product of spikes leaves two arrays: the jumps that it causes, and their shift in time, which is 0 and only has a cotangent.
"""

from __future__ import annotations

import re

from snnc import model
from snnc.emit.names import identifier
from snnc.emit.node_lines import is_ring, operation_comment, ports_of, signal_text, weight_texts
from snnc.emit.statement_text import LineView
from snnc.ops.delays import WithTimes
from snnc.ops.memory import Delay
from snnc.plan import StepPlan

SPIKES = "spikes"  # the cotangent of the array is the derivative by the times of spikes
MOVED = "moved"  # the array has its shift in time beside it


def carries(signal: model.Signal, plan: StepPlan) -> str:
    """Return SPIKES or MOVED where spikes of a layer are behind a signal and stand for their times, else ""."""
    if not plan.timed:
        return ""
    node = plan.network.node(signal.node)
    match node:
        case model.Layer():
            return SPIKES if signal.name == "spike" else ""
        case model.Input():
            return ""
    before = {carries(source, plan) for source in node.sources}
    if MOVED in before or (SPIKES in before and node.op.weights()):
        return MOVED
    return SPIKES if SPIKES in before else ""


def moved_line(node: model.OpNode, plan: StepPlan, ends: bool) -> LineView:
    """Print an operation on spikes over a sequence, from where its weights make jumps of them."""
    source = signal_text(node.sources[0], plan.network, {})
    name = identifier(node.name)
    found = weight_texts(node)
    weights = {w.name: w.name for w in node.op.weights()}
    texts = found | weights
    if isinstance(node.op, WithTimes):
        text = node.op.sequence_text("over_time(x, steps)", f"state.{name}", texts, None, ends)
    elif isinstance(node.op, Delay):
        text = f"delayed(over_time(x, steps), state.{name})" if node.op.steps else "x"
    else:
        text = node.op.text(("x",), texts)
    formals = ", ".join(["x", *weights])
    whole = re.fullmatch(rf"(\w+)\({re.escape(formals)}\)", text)
    function = whole[1] if whole else f"lambda {formals}: {text}"
    values = "".join(f", {found[w]}" for w in weights)
    lines = f"{name} = moved({function}, {source}{values})"
    if ends and is_ring(node):
        jumps = f"{source}.jump" if carries(node.sources[0], plan) == MOVED else source
        lines += f"\n    {name}_ring = last_values(over_time({jumps}, steps), state.{name})"
    return LineView(operation_comment(node), lines)


def arrival(signal: model.Signal, plan: StepPlan) -> tuple[str, str]:
    """Return the texts of what arrives by an edge over a sequence: the jumps, and their shift ("" where there is none)."""
    text = signal_text(signal, plan.network, {})
    match carries(signal, plan):
        case "moved":
            return f"{text}.jump", f"{text}.shift"
        case "spikes":
            return f"lax.stop_gradient({text})", f"shift_of({text})"
    return text, ""


def port_arrays(layer: model.Layer, plan: StepPlan) -> list[str]:
    """Return the texts of what the time loop of a layer reads: its ports, then the shifts of those that have some."""
    body = plan.body(layer.name)
    drifting = {drift.port for drift in body.drifts}
    ports, shifts = [], []
    for port, signals in ports_of(layer, body.ports):
        arrivals = [arrival(signal, plan) for signal in signals]
        ports.append(" + ".join(jump for jump, _ in arrivals))
        if port in drifting:
            shifts.append(" + ".join(shift for _, shift in arrivals if shift) or f"jnp.zeros_like({ports[-1]})")
    return ports + shifts
