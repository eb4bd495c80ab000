"""Says in words how the rule of a recipe makes its gradient: in the head of the emitted file and in `snnc explain`."""

from __future__ import annotations

import textwrap

from snnc import model
from snnc.ops.dense import Dense
from snnc.plan import StepPlan
from snnc.rules.synapses import learns_forward

FORMS = {
    "eprop": "e-prop (Bellec et al. 2020)",
    "ottt": "OTTT (Xiao et al. 2022)",
    "ostl": "OSTL (Bohnstingl et al. 2020)",
    "d_rtrl": "D-RTRL (Wang et al. 2026)",
    "decolle": "DECOLLE (Kaiser et al. 2020)",
}


def learning_words(plan: StepPlan, recipe: model.Recipe | None) -> tuple[str, ...]:
    """Return lines about a rule that learns while the network runs, or that cuts gradients; none for others."""
    if recipe is None or recipe.rule.name not in FORMS:
        return ()
    rule = recipe.rule
    if learns_forward(rule):
        when = "in each step" if rule.get("update") == "step" else "after each batch"
        found = [f"in updates, {FORMS[rule.name]}, forward in time: traces of each synapse; weights change {when}"]
    else:
        found = [f"in updates, {FORMS[rule.name]}, backward over the batch, with the gradient of its traces"]
    cut = [node.name for node in plan.network.operations if node.cut]
    if cut:
        found.append(f"spikes pass no gradient through {', '.join(cut)}")
    fed = [n for n in plan.network.operations if isinstance(n.op, Dense) and n.op.feedback]
    found += [
        f"the error passes {n.name} through a matrix of its own, {n.op.feedback}"
        for n in fed
        if isinstance(n.op, Dense)
    ]
    return tuple(part for line in found for part in textwrap.wrap(line, 84, subsequent_indent="    "))
