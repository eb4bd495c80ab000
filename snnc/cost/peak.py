"""The peak of the temporary memory of one training step, of a whole sequence or of one taken in parts."""

from __future__ import annotations

from dataclasses import replace

from snnc.cost.encoding import draw_mask, encode, is_encoded
from snnc.cost.program import Program, update_bytes, weight_bytes
from snnc.cost.tape import curved
from snnc.cost.timeline import SCRATCH, Peak, Timeline
from snnc.cost.wiring import Case, part_state_bytes, parts_of, signals_in
from snnc.ops.memory import Dropout


def step_peak(case: Case) -> Peak:
    """Return the peak of the temporary memory of one training step."""
    parts = parts_of(case)
    return Program(case).run() if parts is None else _peak_in_parts(case, *parts)


def _peak_in_parts(case: Case, length: int, count: int) -> Peak:
    """The peak with checkpoints: what spans all parts, and the peak within one part, forward or computed again.

    Gradients of weights are sums over the parts, so they begin as zeros too, and no weight is copied.
    """
    part = replace(case, steps=length)
    line = Timeline()
    network = case.plan.network
    states = line.from_start("states between the parts", count * part_state_bytes(case))
    spiking = [n for n in network.layers if n.neuron.spikes]
    activity = line.from_start("activity of each part", sum(2 * count * case.one_step(n.name) for n in spiking))
    weights = [n for n in network.operations if n.op.weights()]
    sums = [line.from_start(f"gradient of {n.name}, summed", weight_bytes(n)) for n in weights]
    read = signals_in((*case.objective(), *case.metrics(in_parts=True)))
    joined = {s: line.from_start(f"{s.node}.{s.name}", case.over_time(s.node)) for s in read}
    inputs = [encode(node, case, line) for node in network.inputs if is_encoded(node, case)]
    inputs += [draw_mask(node, case, line) for node in network.operations if isinstance(node.op, Dropout)]
    forward, again = Program(part, "forward").run(), Program(part, "again").run()
    labels = {f"a part forward: {forward.step}": forward, f"a part again: {again.step}": again}
    forward_step, again_step = labels
    line.step(forward_step, (states, activity, *joined.values()), {}, forward.bytes)
    line.step("loss", (activity, *joined.values()), {})
    given = {f"d {s.node}.{s.name}": case.over_time(s.node) for s in signals_in(case.objective())}
    line.step("derivative of the loss", [joined[s] for s in curved(case.objective())], given)
    line.step(again_step, (states, *inputs, *given), {}, again.bytes)
    for k, node in enumerate(weights):
        line.step(f"norm and update of {node.name}", sums[k:], {}, update_bytes(node, case))
    return _opened(line.peak(), labels)


def _opened(peak: Peak, inner: dict[str, Peak]) -> Peak:
    """The peak with the arrays of the part that it lies in, instead of their sum."""
    if peak.step not in inner:
        return peak
    outer = [one for one in peak.alive if one[0] != SCRATCH]
    return replace(peak, alive=tuple(sorted((*outer, *inner[peak.step].alive), key=lambda one: -one[1])))
