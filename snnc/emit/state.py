"""The state of an emitted network as text: how it starts and what becomes of it in a step."""

from __future__ import annotations

from snnc import model
from snnc.emit.names import class_name, field_name, function_name, identifier, stream_number
from snnc.emit.neuron_view import draws_states
from snnc.emit.node_lines import is_ring, weight_texts
from snnc.emit.parameters import delay_text
from snnc.emit.pytext import number_text
from snnc.emit.readouts import fold_slots
from snnc.emit.statement_text import FieldView, LineView, place
from snnc.emit.tensor_text import FoldUse
from snnc.ops.delays import DelayedDense, WithTimes
from snnc.ops.memory import Delay, Dropout
from snnc.ops.norms import BatchNorm, LayerNorm
from snnc.ops.tensor_functions import TENSOR_FUNCTIONS
from snnc.plan import StepPlan


def state_starts(plan: StepPlan, folds: tuple[FoldUse, ...]) -> tuple[tuple[LineView, ...], tuple[FieldView, ...]]:
    """Return the lines of `init_state` and the fields of `State`."""
    lines: list[LineView] = []
    fields: list[FieldView] = []
    for node in plan.network.nodes:
        name = identifier(node.name)
        if isinstance(node, model.Layer):
            body = plan.body(node.name)
            args = [f"c.{field_name(node.name)}", f"(batch, {', '.join(map(str, node.shape))})"]
            if draws_states(body):
                args += ["keys", str(stream_number(node.name))]
            text = f"{function_name(body.name)}_start({', '.join(args)})"
            carried = [slot.name for slot in body.slots if slot.carry]
            if carried:
                values = ", ".join(
                    f"{field_name(s)}=jnp.broadcast_to(buffers.{identifier(f'{node.name}.{s}')}, "
                    f"(batch, {', '.join(map(str, node.shape))}))"
                    for s in carried
                )
                text += f"._replace({values})"
            fields.append(FieldView(field_name(node.name), f"{class_name(body.name)}State"))
            lines.append(LineView("", f"{start_name(field_name(node.name))} = {text}"))
        elif isinstance(node, model.OpNode) and is_ring(node):
            held = node.op.held()
            shape = ", ".join(map(str, (held, "batch", *node.in_shapes[0])))
            value = _initial_value(node.sources[0], plan)
            start = f"jnp.zeros(({shape}))" if value is None else f"jnp.broadcast_to({value}, ({shape}))"
            fields.append(FieldView(name, f"Array  # the last {held} steps  ({place(node.span)})"))
            lines.append(LineView("", f"{start_name(name)} = {start}"))
            if isinstance(node.op, WithTimes) and node.op.has_kernel:
                fields.append(
                    FieldView(f"{name}_kernel", f"Array  # how much each of these steps counts  ({place(node.span)})")
                )
                lines.append(LineView("", f"{start_name(f'{name}_kernel')} = {_kernel(node, node.op)}"))
        elif isinstance(node, model.OpNode) and isinstance(node.op, Dropout):
            fields.append(FieldView(name, f"Array  # one mask a sample  ({place(node.span)})"))
            mask = f"dropout_mask(keys, {stream_number(node.name)}, {node.op.rate!r}, {node.shape!r}, train)"
            lines.append(LineView("", f"{start_name(name)} = {mask}"))
    for fold in folds:
        function = TENSOR_FUNCTIONS[fold.expr.fn].fold
        assert function is not None
        shape = ", ".join(map(str, ("batch", *fold.type.shape)))
        like = f"jnp.zeros(({shape}{',' if not fold.type.shape else ''}))"
        for slot, init in zip(fold_slots(fold), function.init, strict=True):
            fields.append(FieldView(slot, f"Array  # {fold.expr.fn} so far"))
            lines.append(LineView("", f"{start_name(slot)} = {init.format(like=like)}"))
    if _uses_state_key(plan):
        fields.append(FieldView("key", "Array  # one key a sample"))
        lines.append(LineView("", f"{start_name('key')} = keys"))
    fields.append(FieldView("n", "Array  # steps done"))
    lines.append(LineView("", f"{start_name('n')} = jnp.zeros((), jnp.int32)"))
    return tuple(lines), tuple(fields)


def _kernel(node: model.OpNode, op: WithTimes) -> str:
    """Return the text of the weights of past steps, of a product times those of its synapses."""
    times, delay = op.times, delay_text(node, op.times)
    ends = f"{times.first}, {times.last}"
    product = isinstance(op, DelayedDense)
    weight = weight_texts(node)["w"] if product else ""
    if not times.trainable:
        taps = f"one_tap({delay}, {ends}, {weight}.dtype)"
    elif times.sigma is None:
        taps = f"linear_taps({delay}, {ends}, train)"
    else:
        width = f"buffers.{identifier(f'{node.name}.sigma')}" if times.schedule else number_text(times.sigma.start)
        taps = f"gaussian_taps({delay}, {ends}, {width}, train)"
    return f"{taps} * {weight}" if product else taps


def start_name(name: str) -> str:
    """Return the local variable of a state at time 0: no function is named so, while `lif_start` is one of a neuron."""
    return f"{name}_0"


def _initial_value(signal: model.Signal, plan: StepPlan) -> str | None:
    """Return the text of a signal before the first step; None if it is 0."""
    node = plan.network.node(signal.node)
    if isinstance(node, model.Input) or signal.name == "spike":
        return None
    if isinstance(node, model.Layer):
        slot = next((s for s in plan.body(node.name).slots if s.name == signal.name), None)
        if slot is None:
            return None
        zero = slot.init.value == 0.0 if hasattr(slot.init, "value") else False
        return None if zero else f"{start_name(field_name(node.name))}.{field_name(slot.name)}"
    if isinstance(node.op, BatchNorm | LayerNorm):
        return None  # before the first step there is nothing to take statistics of
    before = [_initial_value(source, plan) for source in node.sources]
    if all(text is None for text in before) and not any(w.name == "b" for w in node.op.weights()):
        return None
    if isinstance(node.op, Delay):
        return before[0]
    texts = tuple(
        f"({text})"
        if text
        else f"jnp.zeros((batch, {', '.join(map(str, shape))}))"  # `scale` and `dropout` multiply it
        for text, shape in zip(before, node.in_shapes, strict=True)
    )
    weights = weight_texts(node)
    if isinstance(node.op, Dropout):
        weights = {"mask": start_name(identifier(node.name))}
    return node.op.text(texts, weights)


def step_states(plan: StepPlan) -> dict[str, str]:
    names = {layer.name: f"state.{field_name(layer.name)}" for layer in plan.network.layers}
    return names | {op.name: f"state.{identifier(op.name)}" for op in plan.network.operations}


def next_state(field: str, plan: StepPlan, folds: tuple[FoldUse, ...]) -> str:
    """Return the text of a field of the next state."""
    for layer in plan.network.layers:
        if field_name(layer.name) == field:
            return f"{identifier(layer.name)}_state"
    for op in plan.network.operations:
        if identifier(op.name) == field:
            return f"{field}_ring" if is_ring(op) else f"state.{field}"
    if any(field in fold_slots(fold) for fold in folds):
        return field
    return "state.n + 1" if field == "n" else f"state.{field}"


def state_after_part(field: str, plan: StepPlan, folds: tuple[FoldUse, ...]) -> str:
    """Return the text of a field of the state after several steps; readouts so far are left as they were."""
    if any(field in fold_slots(fold) for fold in folds):
        return f"state.{field}"
    return "state.n + steps" if field == "n" else next_state(field, plan, folds)


def carried_fields(plan: StepPlan, fields: tuple[FieldView, ...]) -> tuple[FieldView, ...]:
    """Return the fields of `State` that a recipe with `carry` takes from batch to batch: those of layers and delays."""
    names = {field_name(layer.name) for layer in plan.network.layers}
    names |= {identifier(node.name) for node in plan.network.operations if is_ring(node)}
    return tuple(f for f in fields if f.name in names)


def kernel_fields(plan: StepPlan) -> tuple[str, ...]:
    """Return the fields of `State` that follow from parameters and do not change: the weights of past steps."""
    nodes = plan.network.operations
    return tuple(
        f"{identifier(n.name)}_kernel" for n in nodes if is_ring(n) and isinstance(n.op, WithTimes) and n.op.has_kernel
    )


def _uses_state_key(plan: StepPlan) -> bool:
    return any(body.random for _, body in plan.bodies)


def uses_keys(plan: StepPlan) -> bool:
    drawn = any(draws_states(body) for _, body in plan.bodies)
    return drawn or _uses_state_key(plan) or any(isinstance(o.op, Dropout) for o in plan.network.operations)


def buffer_update(plan: StepPlan, parts: bool) -> str:
    """Carried states go on from the mean over the batch, without gradient; after `parts`, `end` is the last state."""
    updates = []
    for layer in plan.network.layers:
        for slot in plan.body(layer.name).slots:
            if slot.carry:
                state = f"end.{field_name(layer.name)}" if parts else f"{identifier(layer.name)}_state"
                value = f"{state}.{field_name(slot.name)}"
                name = identifier(f"{layer.name}.{slot.name}")
                updates.append(f"{name}=carried({value}, weight)")
    return ", ".join(updates)
