"""Which gradients a plan needs, and the adjoint of each neuron type."""

from __future__ import annotations

from snnc import model
from snnc.expr import variables
from snnc.lower.adjoint import NotDerivableError, derive_adjoint
from snnc.plan import Adjoint, Body, StepPlan


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
