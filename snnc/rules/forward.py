"""Which networks and recipes a rule fits that learns while the network runs: a refusal names the term that does not hold."""

from __future__ import annotations

from snnc import model
from snnc.diagnostics import Code, Findings, Label
from snnc.expr import substitute, variables
from snnc.lower.traces import Jacobian, is_fixed
from snnc.ops.dense import Dense
from snnc.ops.memory import Delay
from snnc.plan import StepPlan
from snnc.rules.eprop import check_step_loss
from snnc.rules.losses import step_loss
from snnc.rules.paths import is_spiking, readers
from snnc.rules.synapses import Synapses, jacobian_of, synapses_of, way_of
from snnc.source import Span


def check_forward(plan: StepPlan, recipe: model.Recipe, findings: Findings) -> None:
    """Collect what forbids a rule that learns while the network runs."""
    rule, network = recipe.rule, plan.network
    before = len(findings.errors)
    if rule.name != "eprop":
        check_step_loss(network, recipe, findings)
    _check_settings(network, recipe, findings)
    _check_operations(network, rule, findings)
    for layer in network.layers:
        _check_layer(plan, layer, recipe, findings)
    if len(findings.errors) > before:
        return
    for synapses in synapses_of(plan, rule):
        if rule.name == "ottt":
            _check_leak(plan, synapses, rule, findings)
        if synapses.coupled:
            _check_coupling(plan, synapses, rule, findings)
    if rule.name == "decolle":
        read_layer(plan, recipe, findings)
    if rule.name == "eprop":
        _check_filters(plan, recipe, findings)


def _later(what: str, rule: model.Rule, span: Span, findings: Findings, help: str) -> None:
    findings.add(Code.NOT_YET, span, f"not supported yet: {what} with `{rule.name}` while the network runs", help=help)


def _check_settings(network: model.Network, recipe: model.Recipe, findings: Findings) -> None:
    rule = recipe.rule
    over_time = {f"output:{o.name}" for o in network.outputs if o.type.time}
    if recipe.in_parts or recipe.counts_steps:
        _later(
            "`length`, `carry` and `burn_in`", rule, rule.span, findings, "take the setting out, or learn by `bptt()`"
        )
    if rule.get("update") == "step" and recipe.steps is None:
        _later(
            "`update = step` where no recipe says how long a sample is",
            rule,
            rule.span,
            findings,
            "give the data a `duration`",
        )
    if recipe.precision != "f32":
        _later(f"`precision = {recipe.precision}`", rule, rule.span, findings, "take the line out")
    if recipe.sparse_input == "on":
        _later("event lists", rule, rule.span, findings, "take `sparse_input = on` out")
    for penalty in recipe.penalties:
        _later("a penalty", rule, penalty.span, findings, "take it out, or learn by `bptt()` or `eprop()`")
    for metric in recipe.metrics:
        read = variables(metric.value)
        if any(name.startswith(("signal:", "op:")) or name in over_time for name in read):
            _later(
                "a metric that reads signals over all steps",
                rule,
                metric.span,
                findings,
                "measure an output: `output y = …`",
            )


def _check_operations(network: model.Network, rule: model.Rule, findings: Findings) -> None:
    for node in network.operations:
        op = node.op
        ends = list(readers(network, node.name))
        if not op.transposable or (not op.weights() and op.buffers()):
            _later(f"`{op.kind}`", rule, node.span, findings, "learn by `bptt()`, or take it out")
        elif op.weights() and (
            type(op) is not Dense or op.bias or node.shares or len(node.shape) != 1 or len(node.in_shapes[0]) != 1
        ):
            what = (
                "a bias"
                if isinstance(op, Dense) and op.bias
                else f"the weights of `{op.kind}`"
                if op.kind != "dense"
                else "shared or stacked weights"
            )
            _later(what, rule, node.span, findings, "use `dense()` between flat layers: `flatten()` joins axes")
        elif op.weights() and not _plain_way(network, node):
            _later("a `dense` that feeds something else than one port, at once or through a `delay`", rule, node.span, findings,
                   "let each `dense` end in one layer")  # fmt: skip
        elif not ends and op.weights():
            _later("a `dense` that no layer reads", rule, node.span, findings, "let it end in a layer")


def _plain_way(network: model.Network, node: model.OpNode) -> bool:
    ends = list(readers(network, node.name))
    while len(ends) == 1 and isinstance(ends[0], model.OpNode) and isinstance(ends[0].op, Delay):
        ends = list(readers(network, ends[0].name))
    if len(ends) != 1 or not isinstance(ends[0], model.Layer):
        return False
    return sum(s.node == node.name for _, signals in ends[0].ports for s in signals) <= 1


def _check_layer(plan: StepPlan, layer: model.Layer, recipe: model.Recipe, findings: Findings) -> None:
    rule, rows = recipe.rule, jacobian_of(plan, layer)
    if isinstance(rows, str):
        findings.add(
            Code.ILLEGAL_RULE, layer.span, f"`{rule.name}` needs the Jacobian of `{layer.name}` in closed form: {rows}",
            help="write equations that the exact solver or Euler takes, or learn by `bptt()`",
        )  # fmt: skip
    for state in layer.neuron.states:
        if state.carry:
            _later(f"the carried `{layer.name}.{state.name}`", rule, layer.span, findings, "leave `carry` out")
    for param in layer.neuron.params:
        if param.trainable:
            _later(f"the trainable `{layer.name}.{param.name}`", rule, layer.span, findings, "hold it at one value")


def _check_leak(plan: StepPlan, synapses: Synapses, rule: model.Rule, findings: Findings) -> None:
    """`ottt` keeps one trace for each source: one state with a constant leak."""
    layer, rows = synapses.layer, jacobian_of(plan, synapses.layer)
    assert isinstance(rows, Jacobian)
    states = [slot for slot in plan.body(layer.name).slots if not slot.hidden]
    reason = ""
    if len(states) != 1:
        reason = f"has a second state, `{states[1].name}`"
    elif synapses.shared != synapses.slots:
        slot = states[0].name
        entry = rows.states.get((slot, slot))
        leak = entry is None or is_fixed(entry, rows.again)
        reason = (
            f"has a leak of `{slot}` of its own for each neuron"
            if leak
            else f"has no constant leak of `{slot}`: its reset changes what is left of it"
        )
    if reason:
        updates = [u for s in layer.neuron.spikes for u in s.resets]
        place = states[1] if len(states) > 1 else None
        span = next((s.span for s in layer.neuron.states if place is not None and s.name == place.name), None)
        label = (
            Label(span, "this state") if span is not None else Label(updates[0].span, "this reset") if updates else None
        )
        findings.add(
            Code.ILLEGAL_RULE, layer.span,
            f"`ottt` needs one leaky state with a constant leak, and `{layer.name}` ({layer.neuron.name}) {reason}",
            help="use `LIF` of `std.neurons` with a detached subtractive reset, or `ostl`, which keeps a trace for each synapse",
            labels=() if label is None else (label,),
        )  # fmt: skip


def _check_coupling(plan: StepPlan, synapses: Synapses, rule: model.Rule, findings: Findings) -> None:
    """Recurrent weights of `ostl` and `d_rtrl` couple over one step."""
    node = plan.network.node(synapses.recurrent)
    assert isinstance(node, model.OpNode)
    source = plan.network.node(node.sources[0].node)
    before = source.op.held() if isinstance(source, model.OpNode) else 0
    if before + way_of(plan.network, node)[3] != 1:
        _later("recurrence over more than one step", rule, node.span, findings, "write `delay(1 step)`")


def _check_filters(plan: StepPlan, recipe: model.Recipe, findings: Findings) -> None:
    """Readouts that differ in their leak would need a filtered trace each, and a loss of spikes one without a filter."""
    rule = recipe.rule
    spiking = {layer.name for layer in plan.network.layers if is_spiking(layer)}
    outputs = {f"output:{o.name}": o.value for o in plan.network.outputs}
    read = variables(substitute(recipe.loss.value, outputs))
    if any(name.startswith("signal:") and model.signal_of(name).node in spiking for name in read):
        _later(
            "a loss that reads spiking layers", rule, recipe.loss.span, findings, "read a readout, or take `online` out"
        )
    leaks = {plan.body(layer.name).coefficients for layer in plan.network.layers if not is_spiking(layer)}
    values = {
        tuple((p.name, p.value) for p in layer.neuron.params) for layer in plan.network.layers if not is_spiking(layer)
    }
    if len(leaks) > 1 or len(values) > 1:
        _later("readouts with leaks that differ", rule, rule.span, findings, "give all readouts one time constant")


def read_layer(plan: StepPlan, recipe: model.Recipe, findings: Findings) -> model.Signal | None:
    """Return the one signal that the loss of `decolle` reads; each layer's local readout stands in for it."""
    loss = step_loss(recipe, plan.network)
    assert not isinstance(loss, str)
    read = [model.signal_of(name) for name in variables(loss.value) if name.startswith("signal:")]
    if len(read) == 1 and len(plan.network.node(read[0].node).shape) == 1:
        return read[0]
    findings.add(
        Code.ILLEGAL_RULE, recipe.loss.span,
        f"`decolle` gives each layer a readout in place of the one that the loss reads, and it reads {len(read)}",
        help="write a loss of one signal, such as `cross_entropy(out.v, label)`",
    )  # fmt: skip
    return None
