"""Prints the nodes of a network: over whole sequences, inside the time loop of a cycle, and in a single step."""

from __future__ import annotations

from collections.abc import Mapping

from snnc import model
from snnc.emit.names import field_name, function_name, identifier, stream_number
from snnc.emit.neuron_view import LineView, chain_text, place
from snnc.lower.schedule import sources_of
from snnc.ops.memory import Delay, Dropout
from snnc.plan import Group, StepPlan

Active = model.Layer | model.OpNode


def signal_text(signal: model.Signal, network: model.Network, local: Mapping[model.Signal, str]) -> str:
    """Return the text of a signal where nodes are local variables."""
    if signal in local:
        return local[signal]
    node = network.node(signal.node)
    if isinstance(node, model.Input):
        return f"x.{field_name(node.name)}"
    if isinstance(node, model.OpNode):
        return identifier(node.name)
    name = f"{signal.name}_pre" if signal.pre else signal.name
    return f"{identifier(node.name)}.{field_name(name)}"


def weight_texts(node: model.OpNode) -> dict[str, str]:
    """Return where the weights of an operation are found."""
    texts = {w.name: f"params.{identifier(f'{node.name}.{w.name}')}" for w in node.op.weights()}
    if isinstance(node.op, Dropout):
        texts["mask"] = f"state.{identifier(node.name)}"
    return texts


def step_lines(
    nodes: tuple[Active, ...],
    plan: StepPlan,
    local: Mapping[model.Signal, str],
    states: Mapping[str, str],
    step_number: str,
) -> list[LineView]:
    """Print one step of `nodes`, in order; `states` says where the state of a layer or a delay is read.

    Each layer h leaves its next state in `h_state` and its signals in `h`; each delay d leaves its ring in `d_ring`.
    """
    lines: list[LineView] = []
    late: list[LineView] = []
    for node in nodes:
        name = identifier(node.name)
        if isinstance(node, model.Layer):
            body = plan.body(node.name)
            ports = [_port_text(signals, plan.network, local) for _, signals in _in_order(node, body.ports)]
            if body.random:
                shape = repr(node.shape)
                ports.append(f"uniform_draws(state.key, {stream_number(node.name)}, {step_number}, {shape})")
            call = ", ".join([f"c.{field_name(node.name)}", states[node.name], *ports])
            comment = f"{node.name}: {node.neuron.name}  ({place(node.span)})"
            lines.append(LineView(comment, f"{name}_state, {name} = {function_name(body.name)}_step({call})"))
        elif isinstance(node.op, Delay) and node.op.steps > 0:
            ring = states[node.name]
            source = signal_text(node.sources[0], plan.network, local)
            lines.append(LineView(_comment(node), f"{name} = {ring}[0]"))
            late.append(LineView("", f"{name}_ring = jnp.concatenate([{ring}[1:], {source}[None]])"))
        else:
            lines.append(_operation(node, plan, local))
    return lines + late


def _operation(node: model.OpNode, plan: StepPlan, local: Mapping[model.Signal, str]) -> LineView:
    source = signal_text(node.sources[0], plan.network, local)
    if isinstance(node.op, Delay):  # of 0 steps
        return LineView(_comment(node), f"{identifier(node.name)} = {source}")
    return LineView(_comment(node), f"{identifier(node.name)} = {node.op.text(source, weight_texts(node))}")


def _comment(node: model.OpNode) -> str:
    return f"{chain_text(node)}  ({place(node.span)})"


def _in_order(layer: model.Layer, ports: tuple[str, ...]) -> list[tuple[str, tuple[model.Signal, ...]]]:
    edges = dict(layer.ports)
    return [(port, edges[port]) for port in ports]


def _port_text(signals: tuple[model.Signal, ...], network: model.Network, local: Mapping[model.Signal, str]) -> str:
    """The edges of one port add up in text order."""
    return " + ".join(signal_text(signal, network, local) for signal in signals)


def sequence_lines(plan: StepPlan, truncate: int | None, kept: frozenset[str]) -> list[LineView]:
    """Print the whole network over a sequence, group by group.

    `kept` are operations whose result is read from outside (by a readout).
    """
    lines: list[LineView] = []
    for number, group in enumerate(plan.groups, 1):
        first = group.nodes[0]
        if group.loop or (isinstance(first, model.Layer) and plan.body(first.name).random):
            lines += _loop_lines(group, plan, truncate, number, kept)
        elif isinstance(first, model.Layer):
            lines.append(_layer_line(first, plan, truncate))
        elif isinstance(first.op, Delay) and first.op.steps > 0:
            lines.append(_delay_line(first, plan, truncate))
        else:
            lines.append(_operation(first, plan, {}))
    return lines


def _layer_line(layer: model.Layer, plan: StepPlan, truncate: int | None) -> LineView:
    body = plan.body(layer.name)
    ports = [_port_text(signals, plan.network, {}) for _, signals in _in_order(layer, body.ports)]
    name = identifier(layer.name)
    ports_text = f"({', '.join(ports)}{',' if len(ports) == 1 else ''})"
    args = [f"{function_name(body.name)}_step", f"c.{field_name(layer.name)}", f"state.{field_name(layer.name)}"]
    args += [ports_text, "steps"]
    function = "scan_layer"
    if truncate is not None:
        function, args = "scan_layer_truncated", [*args, str(truncate)]
    comment = f"{layer.name}: {layer.neuron.name}, time loop  ({place(layer.span)})"
    end = f"{name}_state" if any(slot.carry for slot in body.slots) else "_"
    return LineView(comment, f"{end}, {name} = {function}({', '.join(args)})")


def _delay_line(node: model.OpNode, plan: StepPlan, truncate: int | None) -> LineView:
    source = signal_text(node.sources[0], plan.network, {})
    ring = f"state.{identifier(node.name)}"
    name = identifier(node.name)
    text = f"delayed(over_time({source}, steps), {ring})"
    if truncate is not None:
        text = f"delayed_truncated(over_time({source}, steps), {ring}, {truncate})"
    return LineView(_comment(node), f"{name} = {text}")


def _loop_lines(
    group: Group, plan: StepPlan, truncate: int | None, number: int, kept: frozenset[str]
) -> list[LineView]:
    """Print the time loop of a cycle: what comes from outside is scanned over, what is read outside is stacked."""
    network = plan.network
    members = {node.name for node in group.nodes}
    outside = tuple(dict.fromkeys(s for node in group.nodes for s in sources_of(node) if s.node not in members))
    local = {s: identifier(f"in_{s.node}_{s.name}" if s.name else f"in_{s.node}") for s in outside}
    random = any(isinstance(n, model.Layer) and plan.body(n.name).random for n in group.nodes)
    counted = truncate is not None or random
    layers = [n for n in group.nodes if isinstance(n, model.Layer)]
    rings = [n for n in group.nodes if isinstance(n, model.OpNode) and isinstance(n.op, Delay) and n.op.steps > 0]
    carried = [f"{identifier(n.name)}_state" for n in layers] + [f"{identifier(n.name)}_ring" for n in rings]
    initial = [f"state.{field_name(n.name)}" for n in layers] + [f"state.{identifier(n.name)}" for n in rings]
    states = {n.name: f"{identifier(n.name)}_state" for n in layers}
    states |= {n.name: f"{identifier(n.name)}_ring" for n in rings}
    read = _read_outside(group, plan, kept)
    inputs = (["n" if random else "_"] if counted else []) + [local[s] for s in outside]
    xs = (["jnp.arange(steps)"] if counted else []) + [
        f"over_time({signal_text(s, network, {})}, steps)" for s in outside
    ]
    loop = f"loop_{number}"
    names = ", ".join(n.name for n in layers)
    why = f"{names}, which wait for each other" if group.loop else f"{names}, which draws noise"
    out = [f"def {loop}(carry: Any, xs: Any) -> Any:", f'    """One step of {why}."""']
    if truncate is not None:
        out.append(f"    carry = truncate(carry, xs[0], {truncate})")
    out.append(f"    {_tuple(carried)} = carry")
    if inputs:
        out.append(f"    {_tuple(inputs)} = xs")
    for line in step_lines(group.nodes, plan, local, states, "n"):
        if line.comment:
            out.append(f"    # {line.comment}")
        out.append(f"    {line.code}")
    out.append(f"    return {_tuple(carried, True)}, {_tuple(read, True)}")
    call = f"lax.scan({loop}, {_tuple(initial, True)}, {_tuple(xs, True)}, length=steps)"
    lines = [LineView("", "\n    ".join(out) + "\n")]
    end = _tuple(carried, True) if any(s.carry for n in layers for s in plan.body(n.name).slots) else "_"
    lines.append(LineView(f"time loop over {names}", f"{end}, {_tuple(read, True)} = {call}"))
    return lines


def _read_outside(group: Group, plan: StepPlan, kept: frozenset[str]) -> list[str]:
    members = {node.name for node in group.nodes}
    wanted = set(kept)
    for node in plan.order:
        if node.name not in members:
            wanted |= {s.node for s in sources_of(node)}
    return [identifier(n.name) for n in group.nodes if isinstance(n, model.Layer) or n.name in wanted]


def _tuple(names: list[str], always: bool = False) -> str:
    if len(names) == 1:
        return f"({names[0]},)"
    return f"({', '.join(names)})" if always or len(names) > 1 else "()"
