"""A recipe as the strings that `training.py.jinja` prints."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from snnc import model
from snnc.emit.event_rule import event_share
from snnc.emit.first_spikes import bump_lines, first_spike_texts
from snnc.emit.names import field_name, identifier, stream_number
from snnc.emit.parameters import Stored, stored_parameters
from snnc.emit.pytext import number_text, strings
from snnc.emit.readouts import signals_spelling
from snnc.emit.responses import ResponsesView, responses_view, with_responses
from snnc.emit.state import carried_fields, state_starts
from snnc.emit.statement_text import LineView, one_line, place
from snnc.emit.tensor_text import TensorPrinter, uses
from snnc.ops.delays import WithTimes
from snnc.ops.encoders import ENCODERS, TRANSFORMS
from snnc.plan import StepPlan
from snnc.semantics.fields import expects_time
from snnc.semantics.tensors import signal_names


@dataclass(frozen=True, slots=True)
class TermView:
    """One commented line of `objective`."""

    comment: str
    code: str


@dataclass(frozen=True, slots=True)
class MetricView:
    """One entry of the metrics."""

    name: str
    code: str


@dataclass(frozen=True, slots=True)
class TrainingView:
    """All that `training.py.jinja` may mention besides the model."""

    recipe: str
    data: str
    encode_lines: tuple[str, ...]
    input_values: str
    reads_outputs: bool
    output_lines: tuple[str, ...]
    terms: tuple[TermView, ...]
    total: str
    metrics: tuple[MetricView, ...]
    learning_metrics: tuple[MetricView, ...]  # of a rule that learns while the network runs
    optimizer_text: str
    optimizer_lines: tuple[str, ...]
    run_stream: int
    params_stream: int
    buffers_stream: int
    constants: tuple[str, ...]
    schedules: tuple[str, ...]  # buffers that a training changes, as arguments of `_replace`
    events: bool
    events_measured: bool
    has_loss: bool
    responses: tuple[ResponsesView, ...]
    gradient: bool  # whether the rule of the recipe takes gradients
    carry: bool  # whether states go on from batch to batch
    first_values: str
    bumps: tuple[LineView, ...]  # what makes weights into silent neurons larger
    end: str  # of a presentation
    counts: str  # the text of the steps that count, "" where all do


def training_view(plan: StepPlan, recipe: model.Recipe, events: tuple[model.Input, ...]) -> TrainingView:
    """Return the view of a recipe for its network; the inputs in `events` may come as event lists."""
    network = plan.network
    printer = recipe_printer(plan, recipe)
    terms = (*((recipe.loss,) if recipe.has_loss else ()), *recipe.penalties)
    every = (*terms, *recipe.metrics)
    read = uses(tuple(t.value for t in every), "output:")
    optimizer = recipe.optimizer
    return TrainingView(
        recipe=recipe.name,
        data=_docstring(recipe.data.span.text),
        encode_lines=_encode_lines(network, recipe, events),
        input_values=", ".join(f"{field_name(i.name)}={identifier(i.name)}" for i in network.inputs),
        reads_outputs=bool(read),
        output_lines=tuple(f"{identifier(name)} = outputs.{field_name(name)}" for name in read),
        terms=tuple(_term(term, printer) for term in terms),
        total=" + ".join(term.name for term in terms),
        metrics=_metrics(network, recipe, printer),
        learning_metrics=_metrics(network, recipe, printer, learning=True),
        optimizer_text=_docstring(_optimizer_text(optimizer, recipe)),
        optimizer_lines=_optimizer_lines(optimizer, recipe, stored_parameters(plan)),
        run_stream=stream_number("run"),
        params_stream=stream_number("params"),
        buffers_stream=stream_number("buffers"),
        constants=(
            f'RECIPE = "{recipe.name}"',
            f"EPOCHS = {recipe.epochs}",
            f"BATCH = {recipe.batch}",
            f"SEED = {recipe.seed}",
            f"SELECT: str | None = {_quoted(recipe.select.metric if recipe.select else None)}",
            *((f"BURN_IN = {recipe.burn_in}  # steps of a sample that do not count",) if recipe.counts_steps else ()),
            f"SELECT_MAX = {recipe.select.largest if recipe.select else True}",
            f"START: str | None = {_quoted(recipe.start)}",
            "# fields with a time axis, which comes first in a batch",
            f"TIMED: tuple[str, ...] = {strings(_timed(network, recipe))}",
            *_event_shares(network, recipe, events),
            *_bumps(recipe),
        ),
        schedules=_schedules(network),
        events=bool(events),
        events_measured=recipe.sparse_input == "auto",
        has_loss=recipe.has_loss,
        responses=responses_view(recipe, printer),
        gradient=recipe.rule.name != "none",
        carry=recipe.carry,
        first_values=", ".join(f"{f.name}=state.{f.name}" for f in carried_fields(plan, state_starts(plan, ())[1])),
        bumps=bump_lines(network, recipe),
        end=f"DT * {recipe.steps}",
        counts=_counts(recipe),
    )


def _schedules(network: model.Network) -> tuple[str, ...]:
    """The widths of kernels of delays fall from epoch to epoch."""
    found = []
    for node in network.operations:
        sigma = node.op.times.schedule if isinstance(node.op, WithTimes) else None
        if sigma is not None:
            share = "share" if sigma.over == 1 else f"share / {number_text(sigma.over)}"
            value = f"exponential_between({number_text(sigma.start)}, {number_text(sigma.end)}, {share})"
            found.append(f"{identifier(f'{node.name}.sigma')}={value}")
    return tuple(found)


def _bumps(recipe: model.Recipe) -> tuple[str, ...]:
    bump, quiet = recipe.rule.get("bump"), recipe.rule.get("quiet")
    if not bump:
        return ()
    return (
        f"BUMP = {_value(bump)}  # of weights into silent neurons, in each update",
        f"QUIET = {_value(quiet)}  # share of samples in which a neuron that no output reads may be silent",
    )


def _counts(recipe: model.Recipe) -> str:
    if not recipe.counts_steps:
        return ""
    length = f', fields["{recipe.length}"]' if recipe.length is not None else ""
    return f"counted_steps(steps, BURN_IN{length})"


def _quoted(text: str | None) -> str:
    return "None" if text is None else f'"{text}"'


def _docstring(text: str) -> str:
    cleaned = one_line(text).replace("\\", "\\\\").replace('"', "'")
    return cleaned if len(cleaned) <= 80 else cleaned[:77] + "..."


def recipe_printer(plan: StepPlan, recipe: model.Recipe) -> TensorPrinter:
    network = plan.network
    types = dict(signal_names(network).values())
    types |= {f"output:{o.name}": o.type for o in network.outputs}
    types |= {f"field:{name}": type_ for name, type_ in recipe.fields}
    whole = signals_spelling(network)

    def spell(var: str) -> str:
        kind, _, name = var.partition(":")
        if kind == "field" and name != "label":
            return f'jnp.asarray(fields["{name}"], float)'
        return whole(var)

    counts = "counting" if recipe.counts_steps else ""
    known = first_spike_texts(network) if recipe.rule.name == "ttfs" else {}
    return TensorPrinter(spell, types, known, "(DT * jnp.arange(1, steps + 1))[:]", counts, plan.timed)


def _encode_lines(network: model.Network, recipe: model.Recipe, events: tuple[model.Input, ...]) -> tuple[str, ...]:
    data = recipe.data
    lines: list[str] = []
    with_time = _timed(network, recipe)
    for node in network.inputs:
        name, timed = identifier(node.name), node.name in with_time
        if node in events:
            lines += [f'{name} = batch["{node.name}"]', f"if not isinstance({name}, Events):"]
            lines.append(f"    {name} = jnp.asarray({name}, float)")
            lines += [f"    {name} = flatten_features({name}, lead=2)" for _ in data.transforms]
            continue
        lines.append(f'{name} = jnp.asarray(batch["{node.name}"], float)')
        for transform in data.transforms:
            spec = TRANSFORMS[transform.name]
            options = "".join(f", {k}={_value(v)}" for k, v in transform.args)
            extras = "".join(f", {e}={2 if timed else 1}" for e in spec.extras)
            lines.append(f"{name} = {spec.runtime}({name}{options}{extras})")
        if data.encoder is None:
            axes = (
                "[None, :, None]" if any(f.name == node.name and f.shape == () for f in data.fields or ()) else "[None]"
            )
            lines += [] if timed else [f"{name} = {name}{axes}"]
            continue
        encoder = ENCODERS[data.encoder.name]
        arguments = dict(data.encoder.args)
        options = "".join(f", {k}={_value(arguments[k])}" for k in encoder.arguments)
        stream = stream_number(f"{node.name}.{encoder.name}")
        key = f"per_sample(stream(key, {stream}), batch['sample'])"
        steps = f"{name}.shape[0]" if encoder.steps is None else str(recipe.steps)
        lines.append(f"{name} = {encoder.runtime}({name}, {key}, steps={steps}, dt=DT{options})")
    return tuple(lines)


def _event_shares(network: model.Network, recipe: model.Recipe, events: tuple[model.Input, ...]) -> tuple[str, ...]:
    """Say for each input in `events` how long its lists may be."""
    shares = [f'"{node.name}": {number_text(event_share(node, network, recipe))}' for node in events]
    if not shares:
        return ()
    comment = "# spikes are read as lists of events no longer than these shares of what they stand for"
    return (comment, f"EVENT_SHARES = {{{', '.join(shares)}}}")


def _timed(network: model.Network, recipe: model.Recipe) -> list[str]:
    """Return the fields of a batch that have a time axis: those of inputs under the input's name, then others."""
    known = {f.name: f for f in recipe.data.fields or ()}
    others = [f for f in known.values() if f.name not in ("label", recipe.length)]
    names = []
    for node in network.inputs:
        field = known.get(node.name) or (others[0] if len(others) == 1 else None)
        if expects_time(network, recipe.data) if field is None else field.time:
            names.append(node.name)
    only = len(network.inputs) == 1 and len(others) == 1
    names += [f.name for f in others if f.time and f.name not in names and not only]
    return names + [
        name for name, type_ in recipe.fields if type_.time and name not in names and not (only and name in known)
    ]


def _value(value: model.Value) -> str:
    if isinstance(value, bool | str):
        return repr(value)
    assert isinstance(value, int | float), value
    return number_text(float(value))


def _scalar(term: model.Term, printer: TensorPrinter) -> str:
    text = printer.text(term.value)
    return f"sample_mean({text}, weight)" if term.type.batch else text


def _term(term: model.Term, printer: TensorPrinter) -> TermView:
    what = "loss = " if term.name == "loss" else "penalty "
    return TermView(f"{what}{one_line(term.text)}  ({place(term.span)})", f"{term.name} = {_scalar(term, printer)}")


def _metrics(
    network: model.Network, recipe: model.Recipe, printer: TensorPrinter, learning: bool = False
) -> tuple[MetricView, ...]:
    """Return the metrics beside the loss; with `learning` the spikes of layers are known by their totals alone."""
    metrics = [MetricView(term.name, term.name) for term in recipe.penalties]
    metrics += [MetricView(term.name, _scalar(term, with_responses(printer, term))) for term in recipe.metrics]
    for layer in network.layers:
        if layer.neuron.spikes:
            spike = f"signals.{field_name(layer.name)}.spike"
            rate, silent = f"firing_rate({spike}, weight=weight, dt=DT)", f"silent_fraction({spike}, weight)"
            if recipe.rule.name == "ttfs":
                first, end = f"signals.{field_name(layer.name)}.first", f"DT * {recipe.steps}"
                rate, silent = f"rate_of_firsts({first}, weight, {end})", f"silent_of_firsts({first}, weight, {end})"
            elif recipe.counts_steps:
                rate = f"firing_rate(evened({spike}, counting), weight=weight, dt=DT)"
                silent = f"silent_fraction(counted({spike}, counting), weight)"
            elif recipe.checkpoint is not None or learning:
                name = identifier(layer.name)
                total = f'end.totals["{name}"]' if learning else f"signals.activity.{name}"
                rate, silent = f"rate_of_total({total}[0], weight, steps, DT)", f"silent_of_total({total}[1], weight)"
            metrics += [MetricView(f"rate.{layer.name}", rate), MetricView(f"silent.{layer.name}", silent)]
    return tuple(metrics)


# ---- the optimiser -----------------------------------------------------------------


def _optimizer_text(optimizer: model.Optimizer, recipe: model.Recipe) -> str:
    if recipe.rule.name == "none":
        return "None: no gradient is taken."
    return f"{optimizer.name}, learning rate {_schedule_words(optimizer.lr)}."


def _schedule_words(lr: model.Value) -> str:
    if isinstance(lr, model.Call):
        args = ", ".join(
            f"{k} = {v.number('count'):g} {v.name}" if isinstance(v, model.Call) else f"{k} = {v:g}"
            for k, v in lr.args
            if isinstance(v, model.Call | int | float)
        )
        return f"{lr.name}({args})"
    return f"{lr:g}" if isinstance(lr, int | float) else str(lr)


def _optimizer_lines(optimizer: model.Optimizer, recipe: model.Recipe, params: tuple[Stored, ...]) -> tuple[str, ...]:
    """One transformation for each set of parameters that is treated alike."""
    if recipe.rule.name == "none":
        return ("return optax.set_to_zero()",)
    chosen: dict[str, str] = {}  # parameter -> label
    rules: dict[str, str] = {}  # label -> text of its transformation
    for param in params:
        label, text = _rule(optimizer, recipe, param)
        chosen[param.field] = label
        rules[label] = text
    lines: list[str] = []
    if len(rules) <= 1:
        body = next(iter(rules.values()), _method(optimizer, optimizer.lr, 0.0))
    else:
        parts = ", ".join(f'"{label}": {text}' for label, text in rules.items())
        labels = ", ".join(f'{field}="{label}"' for field, label in chosen.items())
        lines.append(f"labels = Params({labels})")
        lines.append(f"rules = {{{parts}}}")
        body = "optax.partition(rules, labels)"
    before = []
    if optimizer.clip_value is not None:
        before.append(f"optax.clip({number_text(optimizer.clip_value)})")
    if optimizer.clip_norm is not None:
        before.append(f"optax.clip_by_global_norm({number_text(optimizer.clip_norm)})")
    whole = f"optax.chain({', '.join([*before, body])})" if before else body
    return (*lines, f"return {whole}")


def _rule(optimizer: model.Optimizer, recipe: model.Recipe, param: Stored) -> tuple[str, str]:
    """Weight decay acts on weights of operations, never on those of norms and neurons, unless a group says so."""
    if any(fnmatchcase(param.name, pattern) for pattern in recipe.freeze):
        return "frozen", "optax.set_to_zero()"
    lr = optimizer.lr
    decay = optimizer.weight_decay if param.decays else 0.0
    other = "neurons" if param.of_neuron else "norms"
    label = "weights" if param.decays or optimizer.weight_decay == 0 else other
    for k, group in enumerate(optimizer.groups, 1):
        if fnmatchcase(param.name, group.pattern):
            lr = group.lr if group.lr is not None else lr
            decay = group.weight_decay if group.weight_decay is not None else decay
            label = f"group_{k}" if label == "weights" else f"group_{k}_{other}"
    return label, _method(optimizer, lr, decay)


def _method(optimizer: model.Optimizer, lr: model.Value, decay: float) -> str:
    options = dict(optimizer.options)
    rate = schedule_text(lr)
    named = {k: number_text(v) for k, v in options.items()}
    function = optimizer.name
    if optimizer.name in ("adamw", "lion"):
        named["weight_decay"] = number_text(decay)
    if optimizer.name == "momentum":
        function = "sgd"
        named = {"momentum": named["momentum"], "nesterov": repr(bool(options["nesterov"]))}
    text = f"optax.{function}({', '.join([rate, *(f'{k}={v}' for k, v in named.items())])})"
    if decay and optimizer.name not in ("adamw", "lion"):
        return f"optax.chain(optax.add_decayed_weights({number_text(decay)}), {text})"
    return text


def schedule_text(lr: model.Value) -> str:
    """Return a learning rate as a number or an optax schedule over updates."""
    if not isinstance(lr, model.Call):
        assert isinstance(lr, int | float), lr
        return number_text(float(lr))
    peak = number_text(lr.number("lr"))
    total = "epochs * updates_per_epoch"
    match lr.name:
        case "constant":
            return peak
        case "exponential":
            return f"optax.exponential_decay({peak}, {_updates(lr.get('every'))}, {number_text(lr.number('decay'))})"
        case "step":
            every, factor = _updates(lr.get("every")), number_text(lr.number("factor"))
            return f"optax.exponential_decay({peak}, {every}, {factor}, staircase=True)"
        case "cosine":
            end = number_text(lr.number("end"))
            if isinstance(lr.get("warmup"), model.Call):
                warmup = _updates(lr.get("warmup"))
                whole = f"max({total}, {warmup} + 1)"  # a training within its warm-up is all warm-up
                return f"optax.warmup_cosine_decay_schedule(0.0, {peak}, {warmup}, {whole}, {end})"
            alpha = number_text(lr.number("end") / lr.number("lr") if lr.number("lr") else 0.0)
            return f"optax.cosine_decay_schedule({peak}, {total}, {alpha})"
        case "onecycle":
            if isinstance(lr.get("warmup"), model.Call):
                share = f"min({_updates(lr.get('warmup'))} / ({total}), 1.0 - 1.0 / ({total}))"
                return f"optax.cosine_onecycle_schedule({total}, {peak}, {share})"
            return f"optax.cosine_onecycle_schedule({total}, {peak})"
        case "warmup":
            return f"optax.linear_schedule(0.0, {peak}, {_updates(lr.get('over'))})"
    raise AssertionError(lr.name)


def _updates(time: model.Value) -> str:
    assert isinstance(time, model.Call), time
    count = time.number("count")
    if time.name == "updates":
        return repr(round(count))
    return f"round({number_text(count)} * updates_per_epoch)"
