"""Asks whether the rule of a recipe fits its network: a refusal names the term of the theory that does not hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from snnc import model
from snnc.diagnostics import Code, CompileError, Findings
from snnc.lower.located import with_crossing_times
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
LOCATED = ("eventprop", "ttfs")  # rules by spike times


def check_located(network: model.Network, recipe: model.Recipe | None, findings: Findings) -> None:
    """Collect what keeps spikes from acting inside their steps, where the rule lets them."""
    if not network.located or (recipe is not None and recipe.rule.name == "ttfs"):
        return
    if recipe is not None and recipe.rule.name not in LOCATED:
        findings.add(
            Code.ILLEGAL_RULE, recipe.rule.span,
            f"`{recipe.rule.name}` does not fit: with `events = located` spikes act by their times alone",
            help="write `learn = eventprop()`, or `ttfs()`, or `events = grid`",
        )  # fmt: skip
        return
    try:
        lower_network(network)
    except CompileError as error:
        findings.items += error.diagnostics


def check_rule(network: model.Network, recipe: model.Recipe, findings: Findings) -> None:
    """Collect what forbids the recipe's rule for this network."""
    check_plasticity(network, recipe, findings)
    check_located(network, recipe, findings)
    if network.located and recipe.rule.name not in LOCATED:
        return
    check = CHECKS.get(recipe.rule.name)
    if check is not None:
        plan = lower_network(replace(network, located=False))
        plan = replace(plan, network=replace(plan.network, located=network.located))
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
    if recipe is not None and recipe.rule.name == "ttfs":
        return lower_network(replace(network, located=False), read)
    plan = lower_network(network, read)
    if recipe is not None and recipe.rule.name == "eventprop" and not network.located:
        return plan_by_time(plan, recipe)
    return plan


def with_times(network: model.Network) -> model.Network:
    """Return a located network whose outputs read spike times inside the step; others as they are."""
    if not network.located:
        return network
    return replace(network, outputs=tuple(replace(o, value=with_crossing_times(o.value)) for o in network.outputs))


def with_times_in(recipe: model.Recipe) -> model.Recipe:
    """Return the recipe of a located network with its losses and metrics read as its outputs are."""

    def timed(term: model.Term) -> model.Term:
        return replace(term, value=with_crossing_times(term.value))

    penalties, metrics = (tuple(map(timed, some)) for some in (recipe.penalties, recipe.metrics))
    return replace(recipe, loss=timed(recipe.loss), penalties=penalties, metrics=metrics)
