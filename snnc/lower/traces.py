"""The Jacobian of one step of a neuron, from its adjoint: what eligibility traces are made of.

For a synapse that feeds port x by weight w, the trace of a state s is ds/dw. It follows its own neuron alone (Bellec et al.
2020, eq. 13; Bohnstingl et al. 2020): trace_s <- sum over s' of (ds/ds') trace_s' + (ds/dx) * what the synapse carries.
"""

from __future__ import annotations

from dataclasses import dataclass

from snnc.expr import Apply, Expr, Num, rewrite, substitute, variables
from snnc.lower.derivatives import ONE, ZERO, added, apply_where, difference, negative, product
from snnc.plan import KEPT, NEXT, OUT, Adjoint, Assign, Body


@dataclass(frozen=True, slots=True)
class Jacobian:
    """Entries that are not 0. A row is the name of a slot after the step, or OUT with that of a signal."""

    states: dict[tuple[str, str], Expr]  # (row, slot before the step)
    ports: dict[tuple[str, str], Expr]  # (row, port)
    again: tuple[Assign, ...]  # values of the step that entries read, computed once more

    def follows(self, row: str) -> tuple[str, ...]:
        """Return the slots whose value before the step acts on a row."""
        return tuple(slot for at, slot in self.states if at == row)


def jacobian(body: Body, adjoint: Adjoint) -> Jacobian | str:
    """Return the Jacobian of a step as expressions of what the adjoint keeps, or why it has none in closed form."""
    if not all(isinstance(statement, Assign) for statement in adjoint.transposed):
        return f"its solver, {body.method}, has no closed form"
    rows = [slot.name for slot in body.slots] + [OUT + signal.name for signal in body.published]
    states: dict[tuple[str, str], Expr] = {}
    ports: dict[tuple[str, str], Expr] = {}
    for row in rows:
        unit: dict[str, Expr] = {NEXT + slot.name: ONE if slot.name == row else ZERO for slot in body.slots}
        unit |= {OUT + s.name: ONE if OUT + s.name == row else ZERO for s in body.published}
        for statement in adjoint.transposed:
            assert isinstance(statement, Assign)
            unit[statement.target] = folded(substitute(statement.value, unit))
        through = dict(adjoint.slots)
        for slot in body.slots:
            # a slot without an entry of its own stays as it is, or nothing reads it
            entry = folded(substitute(through[slot.name], unit)) if slot.name in through else ZERO
            if entry != ZERO:
                states[row, slot.name] = entry
        for port, value in adjoint.ports:
            entry = folded(substitute(value, unit))
            if entry != ZERO:
                ports[row, port] = entry
    return Jacobian(states, ports, adjoint.again)


def folded(expr: Expr) -> Expr:
    """Return an expression without sums with 0 and products with 0 or 1."""

    def rule(node: Expr) -> Expr:
        match node:
            case Apply("+", (a, b)):
                return added(a, b)
            case Apply("-", (a, b)):
                return difference(a, b)
            case Apply("*", (a, b)):
                return ZERO if ZERO in (a, b) else product(a, b)
            case Apply("/", (Num(0.0), _)):
                return ZERO
            case Apply("neg", (a,)):
                return negative(a)
            case Apply("where", (test, a, b)):
                return apply_where(test, a, b)
        return node

    return rewrite(expr, rule)


def is_fixed(expr: Expr, again: tuple[Assign, ...]) -> bool:
    """Whether an entry is the same in every step: it reads nothing of the step."""
    local = {assign.target for assign in again}
    return not any(name.startswith(KEPT) or name in local for name in variables(expr))


def traced(jacobian: Jacobian, port: str, slots: tuple[str, ...]) -> tuple[str, ...]:
    """Return the slots on which a weight into `port` acts, at once or later, in the order of `slots`."""
    found = {row for row, at in jacobian.ports if at == port and not row.startswith(OUT)}
    while True:
        more = {row for row, slot in jacobian.states if slot in found and not row.startswith(OUT)}
        if more <= found:
            return tuple(slot for slot in slots if slot in found)
        found |= more


def acts_as_port(jacobian: Jacobian, port: str, slot: str) -> bool:
    """Whether a state acts on a step as the port does, after its own decay: then its trace after the step says it all."""
    leak = jacobian.states.get((slot, slot), ZERO)
    rows = {row for row, at in jacobian.states if at == slot} | {row for row, at in jacobian.ports if at == port}
    return jacobian.ports.get((slot, port)) == ONE and all(
        jacobian.states.get((row, slot), ZERO)
        in (product(leak, through := jacobian.ports.get((row, port), ZERO)), product(through, leak))
        for row in rows
    )


def shared_traces(jacobian: Jacobian, port: str, slots: tuple[str, ...]) -> tuple[str, ...]:
    """Return the traced slots whose trace is that of the source alone: no neuron of the layer differs from another."""
    shared = {
        slot
        for slot in slots
        if (slot, port) not in jacobian.ports or is_fixed(jacobian.ports[slot, port], jacobian.again)
    }
    while True:
        kept = {
            slot
            for slot in shared
            if all(
                before in shared and is_fixed(entry, jacobian.again)
                for (row, before), entry in jacobian.states.items()
                if row == slot and before in slots
            )
        }
        if kept == shared:
            return tuple(slot for slot in slots if slot in shared)
        shared = kept
