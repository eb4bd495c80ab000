"""All costs of a model together, whether they fit a memory, and what to change where they do not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from snnc.cost.arrays import Array, batch_bytes, buffers, optimizer_bytes, parameters, state_bytes
from snnc.cost.forward import UNSURE, forward_peak, traces
from snnc.cost.peak import step_peak
from snnc.cost.tape import FORWARD_IN_TIME, SCHEDULES, Entry, Schedule, bytes_of, tape
from snnc.cost.timeline import Peak
from snnc.cost.wiring import Case
from snnc.cost.work import Flops, Synapses, flops, synapses
from snnc.cost.working import not_estimated
from snnc.limits import MAX_COUNT
from snnc.rules.synapses import learns_forward


@dataclass(frozen=True, slots=True)
class Cost:
    """What one training step of a model takes, in bytes and operations. `rate` is a share of the steps."""

    case: Case
    rate: float
    memory: int | None
    parameters: tuple[Array, ...]
    buffers: tuple[Array, ...]
    optimizer: int
    batch: int
    state: int
    tapes: tuple[tuple[Schedule, tuple[Entry, ...]], ...]
    peak: Peak
    flops: Flops
    synapses: tuple[Synapses, ...]
    changes: tuple[str, ...]  # each of which makes it fit; empty where it does
    unsure: tuple[str, ...]  # what may make the temporary memory another than is said, by more than 20 %

    @property
    def held(self) -> int:
        """The bytes that live from step to step."""
        return sum(a.bytes for a in (*self.parameters, *self.buffers)) + self.optimizer

    @property
    def total(self) -> int:
        return self.held + self.batch + self.peak.bytes

    @property
    def fits(self) -> bool | None:
        return None if self.memory is None else self.total <= self.memory

    def as_json(self) -> dict[str, Any]:
        """Return everything with exact bytes."""
        return {
            "network": self.case.plan.network.name,
            "recipe": None if self.case.recipe is None else self.case.recipe.name,
            "batch": self.case.batch,
            "steps": self.case.steps,
            "parameters": [{"name": a.name, "shape": list(a.shape), "bytes": a.bytes} for a in self.parameters],
            "parameter_bytes": sum(a.bytes for a in self.parameters),
            "buffer_bytes": sum(a.bytes for a in self.buffers),
            "optimizer_bytes": self.optimizer,
            "batch_bytes": self.batch,
            "state_bytes_per_sample": self.state,
            "tape": {
                schedule: {
                    "bytes": bytes_of(entries),
                    "kept": [{"owner": e.owner, "what": e.what, "bytes": e.bytes} for e in entries],
                }
                for schedule, entries in self.tapes
            },
            "temp_bytes": self.peak.bytes,
            "temp_peak_at": self.peak.step,
            "temp_alive": [{"name": name, "bytes": size} for name, size in self.peak.alive],
            "not_within_20_percent": list(self.unsure),
            "total_bytes": self.total,
            "flops": {
                "forward_products": self.flops.forward_products,
                "forward_elementwise": self.flops.forward_elementwise,
                "backward_products": self.flops.backward_products,
                "backward_elementwise": self.flops.backward_elementwise,
                "total": self.flops.total,
            },
            "rate": self.rate,
            "synaptic_operations": [
                {"name": s.name, "kind": "synop" if s.spiking else "mac", "per_presentation": s.operations}
                for s in self.synapses
            ],
            "memory_bytes": self.memory,
            "fits": self.fits,
            "changes": list(self.changes),
        }


def cost_of(case: Case, rate: float, memory: int | None) -> Cost:
    """Return the cost of one training step; `memory` in bytes, None where it is not known."""
    cost = _counted(case, rate, memory)
    return cost if cost.fits in (None, True) else replace(cost, changes=_changes(case, cost.memory or 0))


def _counted(case: Case, rate: float, memory: int | None) -> Cost:
    peak = _peak(case)
    return Cost(
        case=case,
        rate=rate,
        memory=memory,
        parameters=parameters(case.plan),
        buffers=buffers(case.plan),
        optimizer=0 if case.recipe is None else optimizer_bytes(case.plan, case.recipe),
        batch=batch_bytes(case),
        state=state_bytes(case.plan),
        tapes=((FORWARD_IN_TIME, traces(case)),)
        if _forward(case)
        else tuple((schedule, tape(case, schedule)) for schedule in SCHEDULES),
        peak=peak,
        flops=flops(case),
        synapses=synapses(case, rate),
        changes=(),
        unsure=(UNSURE,) if _forward(case) else not_estimated(case, peak.bytes),
    )


def _forward(case: Case) -> bool:
    return case.recipe is not None and learns_forward(case.recipe.rule)


def _peak(case: Case) -> Peak:
    return forward_peak(case) if _forward(case) else step_peak(case)


def total_bytes(case: Case) -> int:
    """Return the bytes of a training step with all that lives beside it."""
    held = sum(a.bytes for a in (*parameters(case.plan), *buffers(case.plan)))
    held += 0 if case.recipe is None else optimizer_bytes(case.plan, case.recipe)
    return held + batch_bytes(case) + _peak(case).bytes


def _changes(case: Case, memory: int) -> tuple[str, ...]:
    """Return the changes that make a training step fit, the mildest first."""
    found = []
    if case.recipe is not None and case.recipe.precision == "f32" and not _forward(case):
        halved = replace(case, recipe=replace(case.recipe, precision="f16_residual"))
        if total_bytes(halved) <= memory:
            found.append("write `precision = f16_residual` in the recipe")
    if case.recipe is not None and case.recipe.rule.name == "bptt" and case.recipe.checkpoint is None:
        parts = replace(case, recipe=replace(case.recipe, checkpoint=0))
        if total_bytes(parts) <= memory:
            found.append("write `learn = bptt(checkpoint = auto)` in the recipe")
    batch = _largest(case.batch, lambda n: total_bytes(replace(case, batch=n)) <= memory)
    if batch:
        found.append(f"a batch of at most {batch:,}")
    steps = _largest(case.steps, lambda n: total_bytes(replace(case, steps=n)) <= memory)
    if steps:
        found.append(f"samples of at most {steps:,} steps (a larger `dt`, or a shorter duration)")
    return tuple(found) or ("smaller layers: not even a batch of 1 fits",)


def _largest(limit: int, fits: Callable[[int], bool]) -> int:
    """Return the largest number below `limit` that fits, 0 for none.

    >>> _largest(100, lambda n: n * n <= 50)
    7
    """
    low, high = 0, min(limit, MAX_COUNT)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
