"""What a rule holds that learns while the network runs: traces of its synapses, whatever the number of steps."""

from __future__ import annotations

from math import prod

from snnc.cost.arrays import parameters, state_bytes
from snnc.cost.tape import Entry
from snnc.cost.timeline import Peak
from snnc.cost.wiring import NUMBER, Case
from snnc.rules.synapses import synapses_of

UNSURE = "the temporary arrays of a rule that learns while the network runs"


def traces(case: Case) -> tuple[Entry, ...]:
    """Return the traces of each weight for a batch."""
    assert case.recipe is not None
    rule, found = case.recipe.rule, []
    for synapses in synapses_of(case.plan, rule):
        counts = {slot: prod(synapses.shape(slot)) for slot in synapses.slots}
        if synapses.coupled or synapses.filtered:
            counts["spike"] = prod(synapses.own)
        if synapses.late:
            counts["source, late"] = synapses.late * synapses.own[-2]
        found += [Entry(synapses.node.name, what, count * case.batch * NUMBER) for what, count in counts.items()]
    return tuple(found)


def forward_peak(case: Case) -> Peak:
    """Return about what one update holds: traces and gradients before and after a step, and the states."""
    held = {f"traces of {e.owner} ({e.what})": 2 * e.bytes for e in traces(case)}
    held["gradients"] = 2 * NUMBER * sum(prod(a.shape) for a in parameters(case.plan))
    held["states"] = 2 * case.batch * state_bytes(case.plan)
    alive = tuple(sorted(held.items(), key=lambda item: -item[1]))
    return Peak("a step", sum(held.values()), alive)
