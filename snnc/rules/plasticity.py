"""Asks whether a recipe can train a network whose edges have rules of their own."""

from __future__ import annotations

from snnc import model
from snnc.diagnostics import Code, Findings
from snnc.ops.norms import BatchNorm

FITTING = ("none", "bptt")


def check_plasticity(network: model.Network, recipe: model.Recipe, findings: Findings) -> None:
    """Collect what forbids a recipe for a network with plastic edges."""
    if not network.plastic:
        return
    edge = network.plastic[0]
    rule = recipe.rule
    if rule.name not in FITTING:
        findings.add(
            Code.ILLEGAL_RULE, rule.span,
            f"`{rule.name}` has no derivation where `{edge.rule.name}` changes `{edge.node}.w` from step to step",
            help="`none()` lets plasticity alone learn; `bptt()` learns all other weights beside it",
        )  # fmt: skip
    settings = {
        "checkpoint": recipe.checkpoint is not None,
        "carry": recipe.carry,
        "burn_in": recipe.burn_in > 0,
        "length": recipe.length is not None,
    }
    for name, given in settings.items():
        if given:
            findings.add(
                Code.NOT_YET, recipe.span, f"not supported yet: `{name}` where weights change from step to step",
                help="take it out",
            )  # fmt: skip
    for node in network.operations:
        if isinstance(node.op, BatchNorm):
            findings.add(
                Code.NOT_YET, node.span, "not supported yet: a norm over the batch where weights change from step to step",
                help="take the norm out, or `learn` of the plastic edge",
            )  # fmt: skip
