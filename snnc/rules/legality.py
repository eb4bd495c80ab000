"""Asks whether the rule of a recipe fits its network: a refusal names the term of the theory that does not hold."""

from __future__ import annotations

from collections.abc import Callable

from snnc import model
from snnc.diagnostics import Code, Findings
from snnc.lower.schedule import lower_network
from snnc.plan import StepPlan
from snnc.rules.eprop import check_eprop, with_feedback
from snnc.rules.eventprop import check_eventprop, plan_by_time
from snnc.rules.first_spikes import check_first_spikes
from snnc.rules.forward import check_forward
from snnc.rules.plasticity import check_plasticity
from snnc.rules.synapses import FORWARD, learns_forward

Check = Callable[[StepPlan, model.Recipe, Findings], None]
# by the name of the rule; one that is missing fits every model
CHECKS: dict[str, Check] = {
    "eprop": check_eprop, "eventprop": check_eventprop, "ttfs": check_first_spikes, **dict.fromkeys(FORWARD, check_forward)
}  # fmt: skip


def check_located(network: model.Network, recipe: model.Recipe | None, findings: Findings) -> None:
    """Refuse located events where no rule computes them."""
    if network.located and (recipe is None or recipe.rule.name != "ttfs"):
        findings.add(
            Code.NOT_YET, network.span, "not supported yet: `events = located` with another rule than `ttfs`",
            help="spikes act on the grid of `dt` (`events = grid`, the default)",
        )  # fmt: skip


def check_rule(network: model.Network, recipe: model.Recipe, findings: Findings) -> None:
    """Collect what forbids the recipe's rule for this network."""
    check_plasticity(network, recipe, findings)
    check_located(network, recipe, findings)
    check = CHECKS.get(recipe.rule.name)
    if check is not None:
        plan = lower_network(network)
        check(plan, recipe, findings)
        if recipe.rule.name == "eprop" and learns_forward(recipe.rule) and not findings.errors:
            check_forward(plan, recipe, findings)


def as_learned(network: model.Network, rule: model.Rule) -> model.Network:
    """Return the network as the gradient of the rule sees it: the same numbers forward."""
    if rule.name == "eprop":
        return with_feedback(network, str(rule.get("feedback")))
    return network


def lower_for(network: model.Network, recipe: model.Recipe | None, read: tuple[model.Signal, ...] = ()) -> StepPlan:
    """Return the step plan of a network with what the rule of its recipe needs; `read` are signals that others read."""
    plan = lower_network(network, read)
    if recipe is not None and recipe.rule.name == "eventprop":
        return plan_by_time(plan, recipe)
    return plan
