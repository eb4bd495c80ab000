"""e-prop (Bellec et al. 2020): which models it fits, and the network as its gradient sees it.

The gradient of a synapse is the product of its eligibility trace, which looks at its own neuron alone, and a learning signal
that comes from the readouts alone: no gradient passes from one spiking layer to another.
"""

from __future__ import annotations

from dataclasses import replace

from snnc import model
from snnc.diagnostics import Code, Findings, Label
from snnc.expr import Apply, Var, variables
from snnc.ops.dense import Dense
from snnc.ops.norms import BatchNorm, LayerNorm
from snnc.plan import StepPlan
from snnc.rules.losses import step_loss
from snnc.rules.paths import chain_from, is_spiking, leaving, readers, targets


def with_feedback(network: model.Network, feedback: str) -> model.Network:
    """Return the network whose gradient is that of e-prop; `feedback` is symmetric, random or adaptive."""
    cut: set[str] = set()
    fed: set[str] = set()
    for layer in filter(is_spiking, network.layers):
        for node in leaving(network, layer):
            if any(is_spiking(target) for target in targets(network, node)):
                cut.add(node.name)
            else:
                fed |= {n.name for n in chain_from(network, node) if isinstance(n.op, Dense)}
    return replace(network, nodes=tuple(_seen_by_rule(n, cut, fed, feedback) for n in network.nodes))


def _seen_by_rule(node: model.Node, cut: set[str], fed: set[str], feedback: str) -> model.Node:
    if not isinstance(node, model.OpNode):
        return node
    if node.name in fed and feedback != "symmetric" and isinstance(node.op, Dense):
        return replace(node, op=replace(node.op, feedback=feedback))
    return replace(node, cut=True) if node.name in cut else node


def check_eprop(plan: StepPlan, recipe: model.Recipe, findings: Findings) -> None:
    """Collect what in the network or the loss forbids e-prop."""
    network = plan.network
    check_step_loss(network, recipe, findings)
    if recipe.rule.get("update") == "step" and not recipe.rule.get("online"):
        findings.add(
            Code.ILLEGAL_RULE, recipe.rule.span, "`update = step` needs the gradient of each step at once",
            help="write `eprop(online = true, update = step)`",
        )  # fmt: skip
    for node in network.operations:
        if isinstance(node.op, BatchNorm | LayerNorm):
            findings.add(
                Code.ILLEGAL_RULE, node.span,
                f"`{recipe.rule.name}` needs traces that look at one neuron alone, and `norm` couples those that it joins",
                help="take the norm out, or learn by `bptt()`",
            )  # fmt: skip
    for layer in network.layers:
        if is_spiking(layer):
            _check_resets(layer, recipe.rule, findings)
            _check_ways(network, layer, recipe.rule, findings)
        else:
            check_readout(layer, plan, recipe.rule, findings)


def check_step_loss(network: model.Network, recipe: model.Recipe, findings: Findings) -> None:
    """Refuse a loss that is no sum over steps of a function of one step."""
    found = step_loss(recipe, network)
    if isinstance(found, str):
        findings.add(
            Code.ILLEGAL_RULE, recipe.loss.span,
            f"`{recipe.rule.name}` needs a loss that adds up step by step, and `{found}` takes all steps together",
            help="compare the signal of each step, as in `loss = cross_entropy(out.v, label)`: their mean counts",
            labels=(Label(recipe.rule.span, "the rule"),),
        )  # fmt: skip


def _check_resets(layer: model.Layer, rule: model.Rule, findings: Findings) -> None:
    """A reset that lowers a state must be detached, one that raises it must not (language.md, step 6)."""
    for spike in layer.neuron.spikes:
        for update in spike.resets:
            raises = (
                isinstance(update.value, Apply) and update.value.fn == "+" and Var(update.target) in update.value.args
            )
            if raises == (update.target in layer.neuron.detached):
                findings.add(
                    Code.ILLEGAL_RULE, layer.span,
                    f"`{rule.name}` needs the reset of `{update.target}` {'with' if raises else 'without'} its gradient: "
                    f"`{update.span.text.strip()}`",
                    help="write `detach reset` with the states that a spike lowers"
                    f"{'' if raises else f', `{update.target}` among them'}",
                    labels=(Label(update.span, "this reset"),),
                )  # fmt: skip


def _check_ways(network: model.Network, layer: model.Layer, rule: model.Rule, findings: Findings) -> None:
    direct = [node for node in readers(network, layer.name) if isinstance(node, model.Layer)]
    for reader in direct:
        if is_spiking(reader):
            findings.add(
                Code.ILLEGAL_RULE, reader.span,
                f"`{rule.name}` passes no gradient between spiking layers, and `{layer.name}` feeds `{reader.name}` "
                "without an operation",
                help="let its spikes go through `dense()` or `one_to_one()`",
            )  # fmt: skip
    ways = [(node, targets(network, node)) for node in leaving(network, layer)]
    to_readout = [node for node, ends in ways if ends and not any(is_spiking(end) for end in ends)]
    for node, ends in ways:
        kinds = {is_spiking(end) for end in ends}
        if len(kinds) > 1:
            findings.add(
                Code.ILLEGAL_RULE, node.span,
                f"`{node.name}` feeds a readout and a spiking layer, and `{rule.name}` passes a gradient to the first alone",
                help="give each its own operation",
            )  # fmt: skip
    if not to_readout and not direct:
        findings.add(
            Code.ILLEGAL_RULE, layer.span,
            f"`{rule.name}` sends the error from the readouts straight to each layer, and none reads `{layer.name}`",
            help=f"add an edge to the readout, such as `{layer.name} -> dense() -> out`",
        )  # fmt: skip


def check_readout(layer: model.Layer, plan: StepPlan, rule: model.Rule, findings: Findings) -> None:
    """Refuse a readout that is no leaky integrator: one state, linear, with a constant leak."""
    neuron, body = layer.neuron, plan.body(layer.name)
    states = [slot.name for slot in body.slots if not slot.hidden]
    reason = ""
    if len(states) != 1:
        reason = f"it has {len(states)} states"
    elif neuron.step or body.method != "exact":
        reason = "its equation is not linear" if neuron.equations else "it has no equation"
    elif any(
        states[0] in variables(jump.value) and jump.value != Var(states[0]) and not _adds(jump.value, states[0])
        for jump in (*neuron.start_jumps, *neuron.end_jumps)
    ):
        reason = "a jump scales its state"
    if reason:
        findings.add(
            Code.ILLEGAL_RULE, layer.span,
            f"`{rule.name}` needs leaky integrators as readouts, and `{layer.name}` is none: {reason}",
            help="use `LI` from `std.neurons`",
        )  # fmt: skip


def _adds(value: object, state: str) -> bool:
    return isinstance(value, Apply) and value.fn in ("+", "-") and value.args[0] == Var(state)
