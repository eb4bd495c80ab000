"""Prints the nodes of a network, over whole sequences and in a single step."""

from __future__ import annotations

from collections.abc import Mapping

from snnc import model
from snnc.emit.names import field_name, function_name, identifier, stream_number
from snnc.emit.statement_text import LineView, chain_text, place
from snnc.lower.gradients import state_by_ports
from snnc.ops.delays import WithTimes
from snnc.ops.dense import Dense
from snnc.ops.memory import Delay, Dropout
from snnc.ops.norms import BatchNorm, values_of_a_channel
from snnc.ops.operation import Buffer, Weight
from snnc.plan import Adjoint, StepPlan

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


def source_text(node: model.OpNode, k: int, network: model.Network, local: Mapping[model.Signal, str]) -> str:
    """Return the text of the k-th source of an operation; a cut one passes no gradient."""
    text = signal_text(node.sources[k], network, local)
    return f"lax.stop_gradient({text})" if node.cut else text


def weight_texts(node: model.OpNode, step: str = "") -> dict[str, str]:
    """Return where the weights of an operation are found, and its buffers; those of each step at `step`, or for all steps."""

    def at(part: Weight | Buffer, record: str) -> str:
        text = f"{record}.{identifier(node.path(part.name))}"
        if not part.by_step:
            return text
        return f"{text}[{step}]" if step else f"over_steps({text}, steps)"

    texts = {w.name: at(w, "params") for w in node.op.weights()} | {b.name: at(b, "buffers") for b in node.op.buffers()}
    if isinstance(node.op, Dropout):
        texts["mask"] = f"state.{identifier(node.name)}"
    if isinstance(node.op, WithTimes):
        texts["kernel"] = f"state.{identifier(node.name)}_kernel"
        texts["delay"] = f"buffers.{identifier(f'{node.name}.delay')}"
    return texts


def step_lines(
    nodes: tuple[Active, ...],
    plan: StepPlan,
    local: Mapping[model.Signal, str],
    states: Mapping[str, str],
    step_number: str,
    keep: bool = False,
) -> tuple[list[LineView], list[LineView]]:
    """Print one step of `nodes`, in order, and what comes after all nodes; `states` says where states are read.

    Each layer h leaves its next state in `h_state`, its signals in `h` and, with `keep`, what its gradient reads in
    `h_kept`; each delay d leaves its ring in `d_ring`.
    """
    lines: list[LineView] = []
    late: list[LineView] = []
    for node in nodes:
        name = identifier(node.name)
        if isinstance(node, model.Layer):
            body = plan.body(node.name)
            ports = [_port_text(signals, plan.network, local) for _, signals in ports_of(node, body.ports)]
            if body.random:
                shape = repr(node.shape)
                ports.append(f"uniform_draws(state.key, {stream_number(node.name)}, {step_number}, {shape})")
            call = ", ".join([f"c.{field_name(node.name)}", states[node.name], *ports])
            comment = f"{node.name}: {node.neuron.name}  ({place(node.span)})"
            kept = f"{name}_kept" if keep else "_"
            lines.append(LineView(comment, f"{name}_state, {name}, {kept} = {function_name(body.name)}_step({call})"))
        elif is_ring(node):
            ring = states[node.name]
            source = source_text(node, 0, plan.network, local)
            value = f"{ring}[0]"
            if isinstance(node.op, WithTimes):
                window = ring if node.op.times.first else f"jnp.concatenate([{ring}, {source}[None]])"
                value = node.op.step_text(window, weight_texts(node))
            lines.append(LineView(operation_comment(node), f"{name} = {value}"))
            one = node.op.held() == 1
            late.append(
                LineView(
                    "",
                    f"{name}_ring = "
                    + (f"{source}[None]" if one else f"jnp.concatenate([{ring}[1:], {source}[None]])"),
                )
            )
        else:
            lines.append(operation_line(node, plan, local, step_number))
    return lines, late


def is_ring(node: Active) -> bool:
    """Whether a node keeps the last steps of its source."""
    return isinstance(node, model.OpNode) and node.op.held() > 0


def operation_line(node: model.OpNode, plan: StepPlan, local: Mapping[model.Signal, str], step: str = "") -> LineView:
    """Print an operation without memory, the same for a step, of number `step`, and for a sequence."""
    sources = tuple(source_text(node, k, plan.network, local) for k in range(len(node.sources)))
    if isinstance(node.op, Delay):  # of 0 steps
        return LineView(operation_comment(node), f"{identifier(node.name)} = {sources[0]}")
    text = (node.op.text if step else node.op.text_over_time)(sources, weight_texts(node, step))
    return LineView(operation_comment(node), f"{identifier(node.name)} = {text}")


def batch_norm_line(node: model.OpNode, op: BatchNorm, plan: StepPlan) -> LineView:
    """Print a norm over a sequence: in training by the statistics of the batch, which move the running ones."""
    name, source = identifier(node.name), source_text(node, 0, plan.network, {})
    found = weight_texts(node)
    mean, var = (f"buffers.{identifier(f'{node.name}.{key}')}" for key in ("mean", "var"))
    count = f"real_samples({source}, weight)" + ("" if op.by_step else " * steps")
    space = values_of_a_channel(op.shape)
    count += "" if space == 1 else f" * {space}"
    function = "step_normalised" if op.by_step else "batch_normalised"
    training = (
        f"{name}, {name}_stats = {function}({source}, weight, {op.eps!r})",
        f"buffers = buffers._replace({identifier(f'{node.name}.mean')}=moving_average({mean}, {name}_stats[0], {op.momentum!r}), "
        f"{identifier(f'{node.name}.var')}=moving_average({var}, unbiased({name}_stats[1], {count}), {op.momentum!r}))",
    )
    lines = ["if train:", *(f"    {line}" for line in training), "else:", f"    {name} = {op.plain(source, found)}"]
    scaled = op.scaled(name, found)
    lines += [] if scaled == name else [f"{name} = {scaled}"]
    return LineView(operation_comment(node), "\n    ".join(lines))


def product_line(node: model.OpNode, plan: StepPlan) -> LineView:
    """Print a `dense` over a sequence that may come as event lists."""
    assert isinstance(node.op, Dense)
    source, weights = source_text(node, 0, plan.network, {}), weight_texts(node)
    product = f"(event_dense if isinstance({source}, Events) else dense_over_time)({source}, {weights['w']})"
    bias = f" + {weights['b']}" if node.op.bias else ""
    return LineView(operation_comment(node), f"{identifier(node.name)} = {product}{bias}")


def operation_comment(node: model.OpNode) -> str:
    """Return the chain and the place of an operation."""
    return f"{chain_text(node)}  ({place(node.span)})"


def ports_of(layer: model.Layer, ports: tuple[str, ...]) -> list[tuple[str, tuple[model.Signal, ...]]]:
    """Return the edges of each port, in the order of `ports`."""
    edges = dict(layer.ports)
    return [(port, edges[port]) for port in ports]


def _port_text(signals: tuple[model.Signal, ...], network: model.Network, local: Mapping[model.Signal, str]) -> str:
    """The edges of one port add up in text order."""
    return " + ".join(signal_text(signal, network, local) for signal in signals)


def layer_line(
    layer: model.Layer,
    plan: StepPlan,
    ports: list[str],
    truncate: int | None,
    adjoint: Adjoint | None,
    ends: bool,
    written: tuple[str, ...] | None,
) -> LineView:
    """Print the time loop of one layer over a sequence; with `ends` its last state is kept.

    `ports` are the texts of what arrives. With `written` a kernel runs it and writes these signals. Without an adjoint JAX
    differentiates it.
    """
    body = plan.body(layer.name)
    name = identifier(layer.name)
    function = function_name(body.name)
    args = [f"{function}_step"] + ([] if adjoint is None else [f"{function}_adjoint"])
    args += [f"c.{field_name(layer.name)}", f"state.{field_name(layer.name)}", tuple_text(ports, True), "steps"]
    args += [] if written is None else [tuple_text([f'"{field_name(s.replace(".", "_"))}"' for s in written], True)]
    args += [] if truncate is None else [str(truncate)]
    read_back = adjoint is not None and written is None and state_by_ports(body, adjoint)
    args += [f"before={function}_before"] if read_back else []
    comment = f"{layer.name}: {layer.neuron.name}, time loop  ({place(layer.span)})"
    end = f"{name}_state" if ends or any(slot.carry for slot in body.slots) else "_"
    loop = "fused_loop" if written is not None else "layer_loop_by_jax" if adjoint is None else "layer_loop"
    return LineView(comment, f"{end}, {name} = {loop}({', '.join(args)})")


def delay_line(node: model.OpNode, plan: StepPlan, truncate: int | None, ends: bool) -> LineView:
    """Print a delay over a sequence; with `ends` its last values are kept."""
    source = source_text(node, 0, plan.network, {})
    ring = f"state.{identifier(node.name)}"
    name = identifier(node.name)
    text = f"delayed(over_time({source}, steps), {ring})"
    if truncate is not None:
        text = f"delayed_truncated(over_time({source}, steps), {ring}, {truncate})"
    if isinstance(node.op, WithTimes):
        text = node.op.sequence_text(f"over_time({source}, steps)", ring, weight_texts(node), truncate, ends)
    lines = f"{name} = {text}"
    if ends:
        lines += f"\n    {name}_ring = last_values(over_time({source}, steps), {ring})"
    return LineView(operation_comment(node), lines)


def tuple_text(names: list[str], always: bool = False) -> str:
    """Return names as a tuple; several may go without brackets unless `always`."""
    if len(names) == 1:
        return f"({names[0]},)"
    return f"({', '.join(names)})" if always or len(names) > 1 else "()"
