"""A step plan as the strings that `model.py.jinja` prints."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from snnc import model
from snnc.diagnostics import Code, fail
from snnc.emit.names import field_name, function_name, identifier, local_name, stream_number
from snnc.emit.neuron_view import (
    FieldView,
    LineView,
    NeuronView,
    SurrogateView,
    bound_parameters,
    doc_lines,
    draws_states,
    neuron_view,
    place,
    surrogate_view,
)
from snnc.emit.node_lines import sequence_lines, signal_text, step_lines, weight_texts
from snnc.emit.parameters import Stored, parameter_texts, stored_buffers, stored_parameters
from snnc.emit.pytext import number_text
from snnc.emit.tensor_text import FoldUse, Spell, TensorPrinter, folds_of, uses
from snnc.expr import Apply
from snnc.ops.memory import Delay, Dropout
from snnc.ops.tensor_functions import TENSOR_FUNCTIONS
from snnc.plan import Fire, StepPlan
from snnc.semantics.tensors import signal_names


@dataclass(frozen=True, slots=True)
class StoredView:
    """One field of `Params` or `Buffers`."""

    name: str
    field: str
    comment: str
    initial: str
    value: str  # the author's number, "" where the array itself is it
    clip_low: str
    clip_high: str


@dataclass(frozen=True, slots=True)
class SignalEntry:
    """One row of SIGNALS."""

    name: str
    unit: str
    shape: str


@dataclass(frozen=True, slots=True)
class FoldView:
    """One accumulator of a readout."""

    field: str
    initial: str
    comment: str


@dataclass(frozen=True, slots=True)
class ModelView:
    """All that `model.py.jinja` may mention."""

    model: str
    source: str
    model_hash: str
    doc: tuple[str, ...]
    schedule: tuple[str, ...]
    dt: str
    steps: str
    params: tuple[StoredView, ...]
    clipped: tuple[StoredView, ...]
    constrained: tuple[StoredView, ...]
    buffers: tuple[StoredView, ...]
    inputs: tuple[FieldView, ...]
    surrogates: tuple[SurrogateView, ...]
    neurons: tuple[NeuronView, ...]
    constants: tuple[FieldView, ...]  # layer, class
    constant_lines: tuple[LineView, ...]
    states: tuple[FieldView, ...]
    start_lines: tuple[LineView, ...]
    state_values: str
    signals: tuple[FieldView, ...]
    signal_values: str
    input_table: tuple[SignalEntry, ...]
    signal_table: tuple[SignalEntry, ...]
    spiking: str
    outputs: tuple[FieldView, ...]
    batch: str
    step_lines: tuple[LineView, ...]
    step_state: str
    step_outputs: tuple[LineView, ...]
    output_values: str
    run_lines: tuple[LineView, ...]
    readout_lines: tuple[LineView, ...]
    buffer_update: str
    uses_keys: bool
    uses_time: bool
    has_inputs: bool


def model_view(
    plan: StepPlan, source: str, steps: int | None, truncate: int | None, extra_ops: frozenset[str]
) -> ModelView:
    """Return the view of a network; `extra_ops` are operations that losses or metrics read."""
    network = plan.network
    kept = extra_ops | frozenset(uses(tuple(o.value for o in network.outputs), "op:"))
    params, buffers = stored_parameters(plan), stored_buffers(plan)
    folds = _folds(network)
    readouts = _printer(network, step=False)
    streaming = _printer(network, step=True, folds=folds, steps=steps)
    names = [node.name for node in plan.order if isinstance(node, model.OpNode) and node.name in kept]
    starts, state_fields = _starts(plan, folds)
    surrogates = {
        f.surrogate.function.name: f.surrogate.function
        for body in plan.types
        for f in body.statements
        if isinstance(f, Fire) and f.surrogate is not None
    }
    run_lines = sequence_lines(plan, truncate, frozenset(kept))
    return ModelView(
        model=network.name,
        source=source,
        model_hash=structure_hash(plan, params),
        doc=doc_lines(network.doc),
        schedule=_schedule(plan),
        dt=number_text(network.dt),
        steps=repr(steps),
        params=tuple(_stored(p) for p in params),
        clipped=tuple(_stored(p) for p in params if p.clip is not None),
        constrained=tuple(_stored(p) for p in params if not p.decays),
        buffers=tuple(_stored(b) for b in buffers),
        inputs=tuple(_input(i) for i in network.inputs),
        surrogates=tuple(surrogate_view(f) for f in surrogates.values()),
        neurons=tuple(neuron_view(body) for body in plan.types),
        constants=tuple(FieldView(field_name(name), neuron_view(body).name) for name, body in plan.bodies),
        constant_lines=_constants(plan),
        states=state_fields,
        start_lines=starts,
        state_values=", ".join(f"{f.name}={_local_state(f.name)}" for f in state_fields),
        signals=tuple(_signal_fields(plan, names)),
        signal_values=", ".join(f"{field_name(n)}={identifier(n)}" for n in _signal_nodes(plan, names)),
        input_table=tuple(SignalEntry(i.name, i.kind, repr(i.shape)) for i in network.inputs),
        signal_table=_signal_table(plan),
        spiking=_strings([layer.name for layer in network.layers if layer.neuron.spikes]),
        outputs=tuple(FieldView(field_name(o.name), _axes(o.type)) for o in network.outputs),
        batch=f"x.{field_name(network.inputs[0].name)}" if network.inputs else "",
        step_lines=tuple(step_lines(plan.order, plan, {}, _step_states(plan), "state.n")),
        step_state=", ".join(f"{f.name}={_next_state(f.name, plan, folds)}" for f in state_fields),
        step_outputs=tuple(_step_outputs(network, folds, streaming, steps)),
        output_values=", ".join(f"{field_name(o.name)}={identifier(o.name)}" for o in network.outputs),
        run_lines=tuple(run_lines),
        readout_lines=tuple(
            LineView(f"output {o.name}  ({place(o.span)})", f"{identifier(o.name)} = {readouts.text(o.value)}")
            for o in network.outputs
        ),
        buffer_update=_buffer_update(plan),
        uses_keys=_uses_keys(plan),
        uses_time=any("time" in uses((o.value,), "") for o in network.outputs),
        has_inputs=bool(network.inputs),
    )


def _stored(stored: Stored) -> StoredView:
    low, high = stored.clip or (0.0, 0.0)
    value = stored.value.replace("{raw}", f"params.{stored.field}") or f"params.{stored.field}"
    return StoredView(
        stored.name, stored.field, stored.comment, stored.initial, value, number_text(low), number_text(high)
    )


def structure_hash(plan: StepPlan, params: tuple[Stored, ...]) -> str:
    """Return a short hash of what weights must fit: layers, their neurons, and the shape of every trained array."""
    network = plan.network
    parts = [network.name, repr(network.dt)]
    for node in network.nodes:
        kind = node.neuron.name if isinstance(node, model.Layer) else type(node).__name__
        parts.append(f"{node.name}:{kind}:{node.shape}")
    parts += [f"{p.name}:{p.shape}:{p.value}" for p in params]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _strings(names: list[str]) -> str:
    quoted = ", ".join(f'"{name}"' for name in names)
    return f"({quoted},)" if len(names) == 1 else f"({quoted})"


def _axes(type_: model.TensorType) -> str:
    sizes = [*(["T"] if type_.time else []), *(["B"] if type_.batch else []), *map(str, type_.shape)]
    return f"[{', '.join(sizes)}]"


def _input(node: model.Input) -> FieldView:
    sizes = ", ".join(["T", "B", *map(str, node.shape)])
    return FieldView(field_name(node.name), f"{node.kind} [{sizes}]  ({place(node.span)})")


def _schedule(plan: StepPlan) -> tuple[str, ...]:
    """Say what is computed where."""
    outside, loops = [], []
    for group in plan.groups:
        names = [n.name for n in group.nodes]
        if group.loop:
            loops.append(f"{', '.join(names)} (one loop, for they wait for each other)")
        elif isinstance(group.nodes[0], model.Layer):
            body = plan.body(names[0])
            loops.append(f"{names[0]} ({group.nodes[0].neuron.name}, {body.method})")
        else:
            outside.append(names[0])
    lines = [f"over all steps at once: {', '.join(outside)}"] if outside else []
    return (*lines, *(f"time loop: {text}" for text in loops))


def _constants(plan: StepPlan) -> tuple[LineView, ...]:
    lines = []
    for layer in plan.network.layers:
        body = plan.body(layer.name)
        texts = parameter_texts(layer, bound_parameters(body), plan.network.dt)
        args = ", ".join(f"{local_name(name)}={text}" for name, text in texts.items())
        lines.append(LineView("", f"{field_name(layer.name)}={function_name(body.name)}({args}),"))
    return tuple(lines)


# ---- state ---------------------------------------------------------------------


def _folds(network: model.Network) -> tuple[FoldUse, ...]:
    printer = _printer(network, step=False)
    found: list[FoldUse] = []
    for output in network.outputs:
        found += folds_of(f"{identifier(output.name)}_fold", output.value, printer)
    return tuple(found)


def _slots(fold: FoldUse) -> list[str]:
    function = TENSOR_FUNCTIONS[fold.expr.fn].fold
    assert function is not None
    return [fold.name if len(function.slots) == 1 else f"{fold.name}_{slot}" for slot in function.slots]


def _starts(plan: StepPlan, folds: tuple[FoldUse, ...]) -> tuple[tuple[LineView, ...], tuple[FieldView, ...]]:
    """Return the lines of `init_state` and the fields of `State`."""
    lines: list[LineView] = []
    fields: list[FieldView] = []
    for node in plan.network.nodes:
        name = identifier(node.name)
        if isinstance(node, model.Layer):
            body = plan.body(node.name)
            view = neuron_view(body)
            args = [f"c.{field_name(node.name)}", f"(batch, {', '.join(map(str, node.shape))})"]
            if draws_states(body):
                args += ["keys", str(stream_number(node.name))]
            text = f"{view.function}_start({', '.join(args)})"
            carried = [slot.name for slot in body.slots if slot.carry]
            if carried:
                values = ", ".join(
                    f"{field_name(s)}=jnp.broadcast_to(buffers.{identifier(f'{node.name}.{s}')}, "
                    f"(batch, {', '.join(map(str, node.shape))}))"
                    for s in carried
                )
                text += f"._replace({values})"
            fields.append(FieldView(field_name(node.name), f"{view.name}State"))
            lines.append(LineView("", f"{_local_state(field_name(node.name))} = {text}"))
        elif isinstance(node, model.OpNode) and isinstance(node.op, Delay) and node.op.steps > 0:
            shape = ", ".join(map(str, (node.op.steps, "batch", *node.shape)))
            value = _initial_value(node.sources[0], plan)
            start = f"jnp.zeros(({shape}))" if value is None else f"jnp.broadcast_to({value}, ({shape}))"
            fields.append(FieldView(name, f"Array  # the last {node.op.steps} steps  ({place(node.span)})"))
            lines.append(LineView("", f"{_local_state(name)} = {start}"))
        elif isinstance(node, model.OpNode) and isinstance(node.op, Dropout):
            fields.append(FieldView(name, f"Array  # one mask a sample  ({place(node.span)})"))
            mask = f"dropout_mask(keys, {stream_number(node.name)}, {node.op.rate!r}, {node.shape!r}, train)"
            lines.append(LineView("", f"{_local_state(name)} = {mask}"))
    for fold in folds:
        function = TENSOR_FUNCTIONS[fold.expr.fn].fold
        assert function is not None
        shape = ", ".join(map(str, ("batch", *fold.type.shape)))
        like = f"jnp.zeros(({shape}{',' if not fold.type.shape else ''}))"
        for slot, init in zip(_slots(fold), function.init, strict=True):
            fields.append(FieldView(slot, f"Array  # {fold.expr.fn} so far"))
            lines.append(LineView("", f"{_local_state(slot)} = {init.format(like=like)}"))
    if _uses_state_key(plan):
        fields.append(FieldView("key", "Array  # one key a sample"))
        lines.append(LineView("", f"{_local_state('key')} = keys"))
    fields.append(FieldView("n", "Array  # steps done"))
    lines.append(LineView("", f"{_local_state('n')} = jnp.zeros((), jnp.int32)"))
    return tuple(lines), tuple(fields)


def _local_state(name: str) -> str:
    return f"{name}_start"


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
        return None if zero else f"{_local_state(field_name(node.name))}.{field_name(slot.name)}"
    before = _initial_value(node.sources[0], plan)
    if before is None and not any(w.name == "b" for w in node.op.weights()):
        return None
    if isinstance(node.op, Delay):
        return before
    shape = ", ".join(map(str, ("batch", *node.in_shapes[0])))
    text = before or f"jnp.zeros(({shape}))"
    weights = weight_texts(node)
    if isinstance(node.op, Dropout):
        weights = {"mask": _local_state(identifier(node.name))}
    return node.op.text(text, weights)


def _step_states(plan: StepPlan) -> dict[str, str]:
    names = {layer.name: f"state.{field_name(layer.name)}" for layer in plan.network.layers}
    return names | {op.name: f"state.{identifier(op.name)}" for op in plan.network.operations}


def _next_state(field: str, plan: StepPlan, folds: tuple[FoldUse, ...]) -> str:
    """Return the text of a field of the next state."""
    for layer in plan.network.layers:
        if field_name(layer.name) == field:
            return f"{identifier(layer.name)}_state"
    for op in plan.network.operations:
        if identifier(op.name) == field:
            return f"{field}_ring" if isinstance(op.op, Delay) else f"state.{field}"
    if any(field in _slots(fold) for fold in folds):
        return field
    return "state.n + 1" if field == "n" else f"state.{field}"


def _uses_state_key(plan: StepPlan) -> bool:
    return any(body.random for _, body in plan.bodies)


def _uses_keys(plan: StepPlan) -> bool:
    drawn = any(draws_states(body) for _, body in plan.bodies)
    return drawn or _uses_state_key(plan) or any(isinstance(o.op, Dropout) for o in plan.network.operations)


def _buffer_update(plan: StepPlan) -> str:
    """Carried states go on from the mean over the batch, without gradient."""
    parts = []
    for layer in plan.network.layers:
        for slot in plan.body(layer.name).slots:
            if slot.carry:
                value = f"{identifier(layer.name)}_state.{field_name(slot.name)}"
                name = identifier(f"{layer.name}.{slot.name}")
                parts.append(f"{name}=carried({value}, weight)")
    return ", ".join(parts)


# ---- signals and outputs -----------------------------------------------------------


def _signal_nodes(plan: StepPlan, ops: list[str]) -> list[str]:
    return [*(layer.name for layer in plan.network.layers), *ops]


def _signal_fields(plan: StepPlan, ops: list[str]) -> list[FieldView]:
    fields = [FieldView(field_name(n), f"{neuron_view(b).name}Signals") for n, b in plan.bodies]
    return fields + [FieldView(field_name(name), "Array") for name in ops]


def _signal_table(plan: StepPlan) -> tuple[SignalEntry, ...]:
    entries = []
    for layer in plan.network.layers:
        for published in plan.body(layer.name).published:
            entries.append(SignalEntry(f"{layer.name}.{published.name}", published.unit, repr(layer.shape)))
    return tuple(entries)


def _printer(
    network: model.Network, *, step: bool, folds: tuple[FoldUse, ...] = (), steps: int | None = None
) -> TensorPrinter:
    types = {var: type_ for var, type_ in signal_names(network).values()}
    types |= {f"output:{o.name}": o.type for o in network.outputs}
    values = {}
    for fold in folds:
        function = TENSOR_FUNCTIONS[fold.expr.fn].fold
        assert function is not None
        names = dict(zip(function.slots, _slots(fold), strict=True))
        values[fold.expr] = function.value.format(**names, count=_count(fold, steps), dt="DT", n="state.n")
    spell = _local_spelling(network) if step else signals_spelling(network)
    time = "((state.n + 1) * DT)" if step else "(DT * jnp.arange(1, steps + 1))[:]"
    return TensorPrinter(spell, types, values, time)


def signals_spelling(network: model.Network) -> Spell:
    """Return how variables of tensor expressions are spelled where `signals`, `outputs` and `x` are at hand."""

    def spell(var: str) -> str:
        kind, _, name = var.partition(":")
        match kind:
            case "signal":
                layer, _, rest = name.partition(".")
                return f"signals.{field_name(layer)}.{field_name(rest.replace('.', '_'))}"
            case "op":
                return f"signals.{field_name(name)}"
            case "input":
                return f"x.{field_name(name)}"
            case "output":
                return identifier(name)
            case "weight":
                return weight_text(network, name)
            case _:
                return f'fields["{name}"]'

    return spell


def weight_text(network: model.Network, name: str) -> str:
    """Return the text of a weight or of a trainable parameter in the author's units."""
    node, _, param = name.rpartition(".")
    layer = next((layer for layer in network.layers if layer.name == node), None)
    if layer is None:
        return f"params.{identifier(name)}"
    return parameter_texts(layer, (param,), network.dt)[param]


def _local_spelling(network: model.Network) -> Spell:
    whole = signals_spelling(network)

    def spell(var: str) -> str:
        kind, _, name = var.partition(":")
        if kind == "signal":
            layer, _, rest = name.partition(".")
            pre = rest.endswith(".pre")
            return signal_text(model.Signal(layer, rest.removesuffix(".pre"), pre), network, {})
        return identifier(name) if kind == "op" else whole(var)

    return spell


def _step_outputs(
    network: model.Network, folds: tuple[FoldUse, ...], printer: TensorPrinter, steps: int | None
) -> list[LineView]:
    """Advance the accumulators of the readouts, then print the outputs so far."""
    lines: list[LineView] = []
    for fold in folds:
        function = TENSOR_FUNCTIONS[fold.expr.fn].fold
        assert function is not None
        names = dict(zip(function.slots, _slots(fold), strict=True))
        operand = printer.text(fold.expr.args[0])
        olds = {slot: f"state.{name}" for slot, name in names.items()}
        window = _inside_window(fold, steps, network)
        for name, update in zip(names.values(), function.update, strict=True):
            text = update.format(**olds, x=_bracket(operand), n="state.n", count=_count(fold, steps), dt="DT")
            if window:
                text = f"jnp.where({window}, {text}, state.{name})"
            lines.append(LineView("" if lines else "the readouts so far", f"{name} = {text}"))
    for output in network.outputs:
        lines.append(LineView("", f"{identifier(output.name)} = {printer.text(output.value)}"))
    return lines


def _bracket(text: str) -> str:
    return text if all(c.isalnum() or c in "._[]" for c in text) else f"({text})"


def _limits(expr: Apply, steps: int | None) -> tuple[int, int | None]:
    if expr.attr("last") is not None:
        if steps is None:
            raise fail(
                Code.NOT_YET, expr.span, "not supported yet: a window `last` where no recipe says how long a sample is",
                help="use `from = …`, or name a recipe whose data has a `duration`",
            )  # fmt: skip
        return max(0, steps - int(float(expr.attr("last") or 0))), None
    stop = expr.attr("stop")
    return int(float(expr.attr("start") or 0)), None if stop is None else int(float(stop))


def _inside_window(fold: FoldUse, steps: int | None, network: model.Network) -> str:
    start, stop = _limits(fold.expr, steps)
    tests = [f"(state.n >= {start})"] if start else []
    tests += [f"(state.n < {stop})"] if stop is not None else []
    return " & ".join(tests)


def _count(fold: FoldUse, steps: int | None) -> str:
    """Steps of the window up to and with this one."""
    expr = fold.expr
    if expr.attr("last") is None and expr.attr("start") is None and expr.attr("stop") is None:
        return "(state.n + 1)"
    start, stop = _limits(expr, steps)
    upper = "state.n + 1" if stop is None else f"jnp.minimum(state.n + 1, {stop})"
    return f"({upper} - {start})"
