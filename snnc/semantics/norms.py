"""What norms ask of the network and the recipe around them: no circle, whole sequences, a known number of steps."""

from __future__ import annotations

from dataclasses import replace

from snnc import model
from snnc.diagnostics import Code, Findings, Label, fail
from snnc.ops.norms import BY_STEP, BatchNorm, LayerNorm
from snnc.semantics.circles import draw_circle


def check_norms(network: model.Network, findings: Findings) -> None:
    """Report each norm that reads, over any delay, what depends on it: its statistics take all steps at once."""
    before: dict[str, tuple[str, ...]] = {}
    for node in network.nodes:
        if isinstance(node, model.Layer):
            before[node.name] = tuple(s.node for _, signals in node.ports for s in signals)
        else:
            before[node.name] = tuple(s.node for s in node.sources) if isinstance(node, model.OpNode) else ()
    for node in network.operations:
        if not isinstance(node.op, BatchNorm | LayerNorm):
            continue
        circle = _circle(node.name, before)
        if circle:
            drawn = draw_circle([(name.rsplit(".", 1)[-1], network.node(name).span) for name in circle])
            findings.add(
                Code.NEEDS_WHOLE_SEQUENCE, node.span,
                "this norm stands in a circle, where no step is known before the one it follows from",
                help="its mean and variance are taken over whole sequences: normalise what flows into the circle from outside"
                f"\n{drawn}",
            )  # fmt: skip


def _circle(start: str, before: dict[str, tuple[str, ...]]) -> list[str]:
    """Return the shortest way from a node along its readers back to it; [] if there is none."""
    after: dict[str, list[str]] = {name: [] for name in before}
    for name, sources in before.items():
        for source in sources:
            after[source].append(name)
    came: dict[str, str] = {}
    queue = [start]
    for name in queue:
        for reader in after[name]:
            if reader == start:
                way = [name]
                while way[-1] != start:
                    way.append(came[way[-1]])
                return way[::-1]
            if reader not in came:
                came[reader] = name
                queue.append(reader)
    return []


def settle_norms(network: model.Network, recipe: model.Recipe | None, findings: Findings) -> model.Network:
    """Return the network with the steps of its norms, which the recipe's presentation gives where the author does not.

    Findings for a norm whose steps nothing gives or that has too few, and for one whose batch a recipe takes in parts.
    """
    nodes = tuple(_settled(node, recipe, findings) for node in network.nodes)
    return network if nodes == network.nodes else replace(network, nodes=nodes)


def _settled(node: model.Node, recipe: model.Recipe | None, findings: Findings) -> model.Node:
    if not isinstance(node, model.OpNode) or not isinstance(node.op, BatchNorm):
        return node
    if recipe is not None and recipe.length is not None:
        findings.add(
            Code.NEEDS_WHOLE_SEQUENCE, node.span,
            "this norm takes its statistics over all steps, and with `length` some of them are padding",
            help="use `norm(kind = layer)`, which looks at one step alone",
            labels=(Label(recipe.span, "the recipe"),),
        )  # fmt: skip
    elif recipe is not None and recipe.in_parts:
        findings.add(
            Code.NEEDS_WHOLE_SEQUENCE, node.span,
            "this norm takes its statistics over all steps, and the recipe takes a sequence in parts",
            help="leave out `checkpoint`, `carry` and `burn_in`, or use `norm(kind = layer)`, which looks at one step alone",
            labels=(Label(recipe.span, "the recipe"),),
        )  # fmt: skip
    if node.op.variant not in BY_STEP:
        return node
    known = None if recipe is None else recipe.steps
    steps = node.op.steps or known
    if steps is None:
        findings.add(
            Code.UNKNOWN_SHAPE, node.span,
            f"`norm(kind = {node.op.variant})` holds values for each step, and nothing says how many steps a sample has",
            help=f"write it, as in `norm(kind = {node.op.variant}, steps = 25)`, or add a recipe whose data has a `duration`",
        )  # fmt: skip
        return node
    if known is not None and steps != known:
        findings.add(
            Code.SHAPE_MISMATCH, node.span, f"this norm holds values for {steps} steps, and a sample of the recipe has {known}",
            help="leave out `steps`: the recipe gives it",
        )  # fmt: skip
    return replace(node, op=replace(node.op, steps=steps))


def check_steps(network: model.Network, steps: int, training: bool) -> None:
    """Raise E0401 where sequences have more steps than a norm holds values for, in `training` also where they have fewer."""
    for node in network.operations:
        held = node.op.steps if isinstance(node.op, BatchNorm) and node.op.variant in BY_STEP else None
        if held is not None and (steps > held or (training and steps != held)):
            raise fail(
                Code.SHAPE_MISMATCH, node.span, f"this norm holds values for {held} steps, and a sample has {steps}",
                help="give samples of its length" + (f", or write `steps = {steps}` here" if training else ""),
            )  # fmt: skip
