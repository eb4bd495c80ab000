"""Asks whether the rule of a recipe fits its network: a refusal names the term of the theory that does not hold."""

from __future__ import annotations

from collections.abc import Callable

from snnc import model
from snnc.diagnostics import Findings
from snnc.lower.schedule import lower_network
from snnc.plan import StepPlan

Check = Callable[[StepPlan, model.Recipe, Findings], None]
CHECKS: dict[str, Check] = {}  # by the name of the rule; one that is missing fits every model


def check_rule(network: model.Network, recipe: model.Recipe, findings: Findings) -> None:
    """Collect what forbids the recipe's rule for this network."""
    check = CHECKS.get(recipe.rule.name)
    if check is not None:
        check(lower_network(network), recipe, findings)
