"""What plasticity does in a step, for `snnc explain`."""

from __future__ import annotations

from snnc import model
from snnc.emit.pytext import python_text
from snnc.emit.statement_text import place
from snnc.expr import Expr
from snnc.interp import evaluate
from snnc.lower.plasticity import lower_edge
from snnc.semantics.parameters import parameter_values


def explain_plasticity(network: model.Network) -> list[str]:
    """Return the step of the rule of each plastic edge, in its order, with its numbers."""
    lines = ["", "plasticity, after all layers of a step while the network trains"] if network.plastic else []
    for edge in network.plastic:
        body = lower_edge(edge)
        sides = f"pre arrives from {edge.pre.node}, post fires in {edge.post.node}"
        lines.append(f"  {edge.node}.w by {edge.rule.name} ({place(edge.span)}): {sides}")
        values = parameter_values(edge.rule.params, network.dt) | {"dt": network.dt}
        for coefficient in body.coefficients:
            values[coefficient.target] = float(evaluate(coefficient.value, values))
            lines.append(f"    {coefficient.target} = {_plain(coefficient.value)} = {values[coefficient.target]:.6g}")
        for step in body.steps:
            for move in step.moves:
                on = f"on {step.event}: " if step.event else ""
                lines.append(f"    {on}{move.target} <- {_plain(move.value)}")
        if body.rule.clip is not None:
            low, high = (float(evaluate(end, values)) for end in body.rule.clip)
            lines.append(f"    w <- clip(w, {low:g}, {high:g})")
        if body.rule.total is not None:
            total, per = body.rule.total
            lines.append(f"    w <- scaled to sum to {float(evaluate(total, values)):g} per {per}")
    return lines


def _plain(expr: Expr) -> str:
    return python_text(expr).replace("jnp.", "").replace("**", "^")
