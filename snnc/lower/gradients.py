"""Which gradients a plan needs, and the adjoint of each neuron type."""

from __future__ import annotations

from snnc import model
from snnc.expr import Var, variables
from snnc.lower.adjoint import NotDerivableError, derive_adjoint
from snnc.plan import NEXT, OUT, Adjoint, Body, StepPlan


def learned_constants(body: Body, plan: StepPlan) -> tuple[str, ...]:
    """Return the constants of a body that depend on a trainable parameter of one of its layers."""
    neurons = [plan_layer.neuron for plan_layer in plan.network.layers if plan.body(plan_layer.name) == body]
    found = {p.name for neuron in neurons for p in neuron.params if p.trainable}
    grows = True
    while grows:
        more = {a.target for a in body.coefficients if found & set(variables(a.value))}
        by_value = {
            p.name
            for n in neurons
            for p in n.params
            if not isinstance(p.value, model.Drawn) and found & set(variables(p.value))
        }
        grows = not (more | by_value) <= found
        found |= more | by_value
    return tuple(name for name in body.constants if name in found)


def adjoint_of(body: Body, plan: StepPlan, half: bool) -> Adjoint | str:
    """Return the adjoint of a neuron type, or the reason why JAX's own gradient is used instead.

    With `half` it keeps margins in 16 bits.
    """
    try:
        return derive_adjoint(body, learned_constants(body, plan), half)
    except NotDerivableError as error:
        return error.reason


def state_by_ports(body: Body, adjoint: Adjoint) -> bool:
    """Return whether the cotangents of the state before a step are computed from those of the ports and constants only."""
    ports = dict(adjoint.ports)
    given = {e.name for p in body.ports if isinstance(e := ports.get(p), Var) and not e.name.startswith((NEXT, OUT))}
    read = {v for _, e in adjoint.slots for v in variables(e)}
    whole = len(given) == len(body.ports) > 0 and len(adjoint.slots) == len(body.slots)
    return whole and not adjoint.shifts and bool(read & given) and read <= given | {*body.constants, "dt"}
