"""A step plan as the strings that `model.py.jinja` prints."""

from __future__ import annotations

import hashlib
import textwrap
from dataclasses import dataclass

from snnc import model
from snnc.emit.block_view import Blocks, BlockView, Lines
from snnc.emit.loop_view import LoopView
from snnc.emit.names import class_name, field_name, function_name, identifier, local_name
from snnc.emit.neuron_view import NeuronView, SurrogateView, bound_parameters, neuron_view, surrogate_view
from snnc.emit.parameters import Stored, parameter_texts, stored_buffers, stored_parameters
from snnc.emit.pytext import number_text, strings
from snnc.emit.readouts import network_folds, network_printer, step_outputs
from snnc.emit.sequence_view import network_step_lines, sequence_view
from snnc.emit.state import (
    buffer_update,
    carried_fields,
    kernel_fields,
    next_state,
    start_name,
    state_after_part,
    state_starts,
    step_states,
    uses_keys,
)
from snnc.emit.statement_text import FieldView, LineView, doc_lines, place
from snnc.emit.tensor_text import uses
from snnc.lower.gradients import adjoint_of
from snnc.lower.kernels import Kernels, kernels_of
from snnc.ops.dense import Dense
from snnc.ops.precision import LOW
from snnc.plan import Adjoint, Fire, StepPlan


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
class InputView:
    """One field of `Inputs`."""

    name: str
    comment: str
    type: str


@dataclass(frozen=True, slots=True)
class SignalEntry:
    """One row of SIGNALS."""

    name: str
    unit: str
    shape: str


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
    inputs: tuple[InputView, ...]
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
    blocks: tuple[BlockView, ...]
    step_lines: tuple[LineView, ...]
    step_state: str
    step_outputs: tuple[LineView, ...]
    output_values: str
    parts: bool  # whether sequences are taken in parts, or go on from one to the next
    part_call: str  # a sequence in evaluation
    training_call: str  # in training, in parts
    carried: tuple[FieldView, ...]  # states that go on from batch to batch
    carried_values: str
    first_values: str
    counts: bool  # whether some steps do not count
    checkpoint: str  # "" where sequences are not computed again in parts for their gradient
    activity: tuple[str, ...]  # layers whose spikes are summed over the parts
    part_state: str
    end: str  # the name of the last state, "_" where nothing reads it
    run_lines: tuple[LineView, ...]
    loops: tuple[LoopView, ...]
    readout_lines: tuple[LineView, ...]
    buffer_update: str
    uses_keys: bool
    has_inputs: bool
    first_spikes: bool = False  # whether first spikes are all that is computed


def model_view(
    plan: StepPlan,
    source: str,
    steps: int | None,
    truncate: int | None,
    extra_ops: frozenset[str],
    half: bool,
    checkpoint: int | None,
    in_kernels: tuple[model.Signal, ...] | None,
    events: frozenset[str],
    carry: bool = False,
    burn_in: int = 0,
    counts: bool = False,
    learning: tuple[str, ...] = (),
    remembered: tuple[Stored, ...] = (),
) -> ModelView:
    """Return the view of a network; `extra_ops` are operations that losses or metrics read.

    With `half` the margins that gradients need are kept in 16 bits; `checkpoint` is the length of the parts in which
    `run` takes a sequence in training (0: about the root of the steps). With `in_kernels`, the signals that losses and
    metrics read, layers run in kernels where they can. Inputs in `events` may come as event lists. With `carry` states go
    on from batch to batch; the first `burn_in` steps get no gradient; with `counts` some steps do not count.
    `learning` are lines about the rule.
    """
    network = plan.network
    kept = extra_ops | frozenset(uses(tuple(o.value for o in network.outputs), "op:"))
    params, buffers = stored_parameters(plan), (*stored_buffers(plan), *remembered)
    folds = network_folds(network)
    readouts = network_printer(network, step=False, counts="counting" if counts else "", timed=plan.timed)
    streaming = network_printer(network, step=True, folds=folds, steps=steps, burn_in=burn_in)
    names = [node.name for node in plan.order if isinstance(node, model.OpNode) and node.name in kept]
    starts, state_fields = state_starts(plan, folds)
    surrogates = {
        f.surrogate.function.name: f.surrogate.function
        for body in plan.types
        for f in body.statements
        if isinstance(f, Fire) and f.surrogate is not None
    }
    adjoints = {body.name: adjoint_of(body, plan, half) for body in plan.types}
    kernels = {} if in_kernels is None else kernels_of(plan, adjoints, in_kernels)
    ends = checkpoint is not None or carry or burn_in > 0
    carried = carried_fields(plan, state_fields) if carry else ()
    blocks = _blocks(plan, adjoints, truncate, ends)
    sequence = sequence_view(plan, adjoints, truncate, frozenset(kept), ends, kernels, blocks, events=events)
    return ModelView(
        model=network.name,
        source=source,
        model_hash=structure_hash(plan, params),
        doc=doc_lines(network.doc),
        schedule=(
            *_parts(checkpoint),
            *_schedule(plan, adjoints, kernels, blocks.shared(plan)),
            *_lists(plan, events),
            *_rounded(plan),
            *learning,
        ),
        dt=number_text(network.dt),
        steps=repr(steps),
        params=tuple(_stored(p) for p in params),
        clipped=tuple(_stored(p) for p in params if p.clip is not None),
        constrained=tuple(_stored(p) for p in params if p.of_neuron),
        buffers=tuple(_stored(b) for b in buffers),
        inputs=tuple(_input(i, i.name in events) for i in network.inputs),
        surrogates=tuple(surrogate_view(f) for f in surrogates.values()),
        neurons=tuple(neuron_view(body, _derived(adjoints[body.name])) for body in plan.types),
        constants=tuple(FieldView(field_name(name), class_name(body.name)) for name, body in plan.bodies),
        constant_lines=_constants(plan),
        states=state_fields,
        start_lines=starts,
        state_values=", ".join(f"{f.name}={start_name(f.name)}" for f in state_fields),
        signals=tuple(_signal_fields(plan, names)),
        signal_values=", ".join(f"{field_name(n)}={identifier(n)}" for n in _signal_nodes(plan, names)),
        input_table=tuple(SignalEntry(i.name, i.kind, repr(i.shape)) for i in network.inputs),
        signal_table=_signal_table(plan),
        spiking=strings([layer.name for layer in network.layers if layer.neuron.spikes]),
        outputs=tuple(FieldView(field_name(o.name), _axes(o.type)) for o in network.outputs),
        batch=f"x.{field_name(network.inputs[0].name)}" if network.inputs else "",
        step_lines=tuple(network_step_lines(plan, step_states(plan), kept, blocks)),
        blocks=tuple(blocks.views.values()),
        step_state=", ".join(f"{f.name}={next_state(f.name, plan, folds)}" for f in state_fields),
        step_outputs=tuple(step_outputs(network, folds, streaming, steps, burn_in)),
        output_values=", ".join(f"{field_name(o.name)}={identifier(o.name)}" for o in network.outputs),
        checkpoint="" if checkpoint is None else repr(checkpoint),
        parts=ends,
        part_call="part(state, x, steps)",
        training_call=_training_call(plan, checkpoint, burn_in),
        carried=carried,
        carried_values=", ".join(f"{f.name}=end.{f.name}" for f in carried),
        first_values=", ".join(f"{f.name}=state.{f.name}" for f in carried),
        counts=counts,
        activity=_spiking(network) if checkpoint is not None and not counts else (),
        part_state=", ".join(f"{f.name}={state_after_part(f.name, plan, folds)}" for f in state_fields),
        end="end" if carry or buffer_update(plan, parts=True) else "_",
        run_lines=sequence.lines,
        loops=sequence.loops,
        readout_lines=tuple(
            LineView(f"output {o.name}  ({place(o.span)})", f"{identifier(o.name)} = {readouts.text(o.value)}")
            for o in network.outputs
        ),
        buffer_update=buffer_update(plan, ends),
        uses_keys=uses_keys(plan),
        has_inputs=bool(network.inputs),
    )


def _blocks(plan: StepPlan, adjoints: dict[str, Adjoint | str], truncate: int | None, parts: bool) -> Blocks:
    """Return the blocks of a file, to be filled by those who print it."""
    ends = parts or any(slot.carry for body in plan.types for slot in body.slots)

    def run(part: StepPlan, kept: frozenset[str], name: str) -> Lines:
        view = sequence_view(part, adjoints, truncate, kept, ends, {}, blocks, f"{name}_")
        return Lines(view.lines, view.loops)

    def step(part: StepPlan, kept: frozenset[str], name: str) -> Lines:
        return Lines(tuple(network_step_lines(part, step_states(part), kept, blocks)))

    taken = {f"{class_name(body.name)}{part}" for body in plan.types for part in ("State", "Signals", "Kept")}
    taken |= {"run_part", "run_batch", "TrainState"}
    blocks = Blocks(run, step, ends, frozenset(taken))
    return blocks


def _training_call(plan: StepPlan, checkpoint: int | None, burn_in: int) -> str:
    """Return how `run` takes a sequence in training, "" where as in evaluation."""
    if not burn_in:
        return "" if checkpoint is None else f"in_parts(part, state, x, steps, {checkpoint})"
    rest = "part" if checkpoint is None else f"partial(in_parts, part, length={checkpoint})"
    kernels = kernel_fields(plan)
    kept = f", {strings(list(kernels))}" if kernels else ""
    return f"after_burn_in(part, {rest}, state, x, steps, BURN_IN{kept})"


def _derived(adjoint: Adjoint | str) -> Adjoint | None:
    return None if isinstance(adjoint, str) else adjoint


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


def _axes(type_: model.TensorType) -> str:
    sizes = [*(["T"] if type_.time else []), *(["B"] if type_.batch else []), *map(str, type_.shape)]
    return f"[{', '.join(sizes)}]"


def _input(node: model.Input, events: bool) -> InputView:
    sizes = ", ".join(["T", "B", *map(str, node.shape)])
    lists = ", or their Events" if events else ""
    comment = f"{node.kind} [{sizes}]{lists}  ({place(node.span)})"
    return InputView(field_name(node.name), comment, "Any" if events else "Array")


def _schedule(
    plan: StepPlan, adjoints: dict[str, Adjoint | str], kernels: Kernels, shared: dict[str, list[str]]
) -> tuple[str, ...]:
    """Say what is computed where, and what each time loop keeps for its gradient; of uses that share a block, of the first."""
    again = tuple(f"{use}." for uses in shared.values() for use in uses[1:])
    outside, loops = [], []
    for group in plan.groups:
        names = [n.name for n in group.nodes]
        if names[0].startswith(again):
            continue
        layers = [n.name for n in group.nodes if isinstance(n, model.Layer)]
        if not layers:
            outside.append(names[0])
            continue
        late = any(isinstance(n, model.OpNode) and not n.op.transposable for n in group.nodes)
        reasons = {n: "the delays of its loop differ" if late else adjoints[plan.body(n).name] for n in layers}
        kept = [_kept(name, reason) for name, reason in reasons.items()]
        kept += [_in_kernel(name, kernels[name]) for name in layers if name in kernels]
        if group.loop:
            loops.append((f"{', '.join(names)} (one loop, for they wait for each other)", kept))
        else:
            body = plan.body(names[0])
            loops.append((f"{names[0]} ({body.neuron.name}, {body.method})", kept))
    lines = [f"block {title}, one function for {', '.join(uses)}" for title, uses in shared.items()]
    lines += [f"over all steps at once: {', '.join(outside)}"] if outside else []
    for text, kept in loops:
        lines += [f"time loop: {text}", *(f"    {line}" for line in kept)]
    return tuple(part for line in lines for part in textwrap.wrap(line, 84, subsequent_indent="    ") or [line])


def _lists(plan: StepPlan, events: frozenset[str]) -> tuple[str, ...]:
    names = [node.name for node in plan.network.inputs if node.name in events]
    return (f"as event lists in updates, where they are short: {', '.join(names)}",) if names else ()


def _rounded(plan: StepPlan) -> tuple[str, ...]:
    """Say which products round their factors, and to what."""
    found = [
        (n.name, LOW[n.op.precision])
        for n in plan.network.operations
        if isinstance(n.op, Dense) and n.op.precision in LOW
    ]
    if not found:
        return ()
    dtype = found[0][1].removeprefix("jnp.")
    text = f"factors rounded to {dtype}, sums in float32: {', '.join(name for name, _ in found)}"
    return tuple(textwrap.wrap(text, 84, subsequent_indent="    "))


def _parts(checkpoint: int | None) -> tuple[str, ...]:
    if checkpoint is None:
        return ()
    length = f"{checkpoint} steps" if checkpoint else "about sqrt(T) steps"
    return (f"in training, in parts of {length}, each computed again for its gradient; in a part:",)


def _spiking(network: model.Network) -> tuple[str, ...]:
    return tuple(identifier(layer.name) for layer in network.layers if layer.neuron.spikes)


def _kept(layer: str, adjoint: Adjoint | str) -> str:
    if isinstance(adjoint, str):
        return f"gradient of {layer} by JAX: {adjoint}"
    kept = ", ".join(k.name + (" (1 byte)" if k.truth else " (16 bits)" if k.half else "") for k in adjoint.kept)
    return f"derived gradient of {layer}, keeps {kept or 'nothing'}"


def _in_kernel(layer: str, kernel: tuple[str, ...] | str) -> str:
    if isinstance(kernel, str):
        return f"no kernel for {layer}: {kernel}"
    return f"{layer} on an NVIDIA GPU: one kernel forward and one backward"


def _constants(plan: StepPlan) -> tuple[LineView, ...]:
    lines = []
    for layer in plan.network.layers:
        body = plan.body(layer.name)
        texts = parameter_texts(layer, bound_parameters(body), plan.network.dt)
        args = ", ".join(f"{local_name(name)}={text}" for name, text in texts.items())
        lines.append(LineView("", f"{field_name(layer.name)}={function_name(body.name)}({args}),"))
    return tuple(lines)


def _signal_nodes(plan: StepPlan, ops: list[str]) -> list[str]:
    return [*(layer.name for layer in plan.network.layers), *ops]


def _signal_fields(plan: StepPlan, ops: list[str]) -> list[FieldView]:
    fields = [FieldView(field_name(n), f"{class_name(b.name)}Signals") for n, b in plan.bodies]
    return fields + [FieldView(field_name(name), "Array") for name in ops]


def _signal_table(plan: StepPlan) -> tuple[SignalEntry, ...]:
    entries = []
    for layer in plan.network.layers:
        for published in plan.body(layer.name).published:
            entries.append(SignalEntry(f"{layer.name}.{published.name}", published.unit, repr(layer.shape)))
    return tuple(entries)
