"""Resolves a `train` section: what it trains, on what, by which rule, and what it measures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from snnc import model
from snnc.diagnostics import Code, Findings, Label, did_you_mean
from snnc.expr import Apply, Num, Var, variables, walk
from snnc.ops.tensor_function import SCALAR
from snnc.semantics.data_sets import Pipeline, resolve_data
from snnc.semantics.event_inputs import read_sparse_input
from snnc.semantics.fields import match_fields, needs_encoder
from snnc.semantics.modules import Module, name_span
from snnc.semantics.operations.binding import whole
from snnc.semantics.optimizers import default_optimizer, resolve_optimizer
from snnc.semantics.precision import read_precision
from snnc.semantics.recipe_settings import (
    check_groups,
    read_freeze,
    read_select,
    read_start,
)
from snnc.semantics.rules import read_rule
from snnc.semantics.scope import Scope
from snnc.semantics.sequence_settings import check_sequences, read_sequences
from snnc.semantics.tensors import Tensors, resolve_tensor, signal_names, tensor_type
from snnc.syntax import nodes
from snnc.syntax.walk import parts
from snnc.units import ONE

SETTINGS = (
    "epochs",
    "batch",
    "seed",
    "learn",
    "loss",
    "optimizer",
    "select",
    "freeze",
    "start",
    "precision",
    "sparse_input",
    "length",
    "carry",
    "burn_in",
)

FieldLoader = Callable[[model.DataSet], tuple[model.Field, ...] | None]


def resolve_recipe(
    item: nodes.Train, home: Module, network: model.Network, findings: Findings, load_fields: FieldLoader
) -> model.Recipe | None:
    """Return the recipe of `item` for `network`; None after a finding.

    `load_fields` reads the fields of a data file, where an expression names one that cannot be known otherwise.
    """
    scope = Scope({}, home, findings, f"in recipe `{item.name}`")
    settings = _settings(item, findings)
    found = home.find(item.data)
    if found is None or not isinstance(found[0], nodes.Data):
        known = [n for n, (i, _) in home.names.items() if isinstance(i, nodes.Data)]
        findings.add(
            Code.UNKNOWN_NAME,
            item.data.span,
            f"unknown data set `{item.data.text}`",
            help=did_you_mean(item.data.text, known)
            or "declare it, as in `data d = digits(val = 0.1) -> hold(duration = 25 ms)`",
        )
        return None
    pipeline = resolve_data(found[0], found[1], network.dt, findings)
    optimizer = resolve_optimizer(settings["optimizer"], scope) if "optimizer" in settings else default_optimizer()
    rule = read_rule(item, settings, scope, network, findings)
    truncate, checkpoint = _steps_of(rule)
    if rule.name == "none" and "optimizer" in settings:
        findings.add(
            Code.BAD_SETTING, settings["optimizer"].span, "`learn = none()` takes no gradient, so that an optimiser is idle",
            help="take `optimizer` out, or choose a rule such as `bptt()`",
        )  # fmt: skip
    freeze = (*read_freeze(settings, network, findings), *(f"{edge.node}.w" for edge in network.plastic))
    start = read_start(item, settings, home, findings)
    precision = read_precision(settings, findings)
    sequences = read_sequences(settings, scope, network, findings)
    check_groups(optimizer, item, network, findings)
    numbers = _numbers(settings, scope)
    if pipeline is None:
        return None
    before = len(findings.errors)
    steps = _check_inputs(network, pipeline, item, sequences.length, findings)
    check_sequences(sequences, settings, pipeline.data, steps, findings)
    if len(findings.errors) > before:
        return None
    tensors = _tensors(item, home, network, pipeline, steps, findings, load_fields)
    loss = _loss(item, settings, rule, tensors, findings)
    penalties = tuple(
        term
        for k, part in enumerate([p for p in item.body if isinstance(p, nodes.Penalty)], 1)
        if (term := _term(f"penalty_{k}", part.value, tensors)) is not None
    )
    metrics = tuple(
        term for part in item.body if isinstance(part, nodes.Metric) and (term := _metric(part, tensors)) is not None
    )
    _check_terms(tensors, network, pipeline.data, (loss, *penalties, *metrics))
    _check_assigned(rule, metrics, findings)
    select = read_select(settings, metrics, pipeline, findings)
    if findings.errors or loss is None:
        return None
    terms = (loss, *penalties, *metrics)
    in_parts = checkpoint is not None or sequences.carry or sequences.burn_in > 0
    sparse_input = read_sparse_input(settings, network, pipeline.data, terms, in_parts, precision, findings)
    return model.Recipe(
        name=item.name,
        network=network.name,
        data=pipeline.data,
        epochs=numbers["epochs"],
        batch=numbers["batch"],
        seed=numbers["seed"],
        rule=rule,
        truncate=truncate,
        checkpoint=checkpoint,
        precision=precision,
        sparse_input=sparse_input,
        loss=loss,
        penalties=penalties,
        metrics=metrics,
        optimizer=optimizer,
        select=select,
        freeze=freeze,
        start=start,
        steps=steps,
        doc=item.doc,
        span=name_span(item),
        length=sequences.length,
        carry=sequences.carry,
        burn_in=sequences.burn_in,
        fields=_used_fields(tensors, terms),
    )


def _steps_of(rule: model.Rule) -> tuple[int | None, int | None]:
    """Return after how many steps a gradient is cut, and how many steps a checkpointed part has (0: chosen)."""
    cut, part = rule.get("steps"), rule.get("checkpoint")
    part = {"auto": 0, "off": None}.get(part) if isinstance(part, str) else part
    return None if cut is None else int(cut), None if part is None else int(part)


def _used_fields(tensors: Tensors, terms: tuple[model.Term, ...]) -> tuple[tuple[str, model.TensorType], ...]:
    used = {name for term in terms for name in variables(term.value)}
    fields = [(v.removeprefix("field:"), t) for v, t in tensors.names.values() if v.startswith("field:") and v in used]
    return tuple(fields)


def _numbers(settings: dict[str, nodes.Expr], scope: Scope) -> dict[str, int]:
    numbers = {}
    for key, default, low in (("epochs", 10, 1), ("batch", 128, 1), ("seed", 0, 0)):
        value = whole(settings[key], scope, f"`{key}`", low) if key in settings else default
        numbers[key] = default if value is None else value
    return numbers


def _settings(item: nodes.Train, findings: Findings) -> dict[str, nodes.Expr]:
    settings: dict[str, nodes.Expr] = {}
    for part in item.body:
        if not isinstance(part, nodes.Setting):
            continue
        name = part.path.text
        if name not in SETTINGS:
            findings.add(
                Code.UNKNOWN_NAME,
                part.path.span,
                f"a recipe has no setting `{name}`",
                help=did_you_mean(name, SETTINGS),
            )
        elif name in settings:
            findings.add(
                Code.DUPLICATE_NAME, part.span, f"`{name}` is set twice", help="keep one of the two",
                labels=(Label(settings[name].span, "first set here"),),
            )  # fmt: skip
        else:
            settings[name] = part.value
    return settings


def _check_inputs(
    network: model.Network, pipeline: Pipeline, item: nodes.Train, length: str | None, findings: Findings
) -> int | None:
    """Match every input with a field, as far as fields are known; return the steps of a presentation."""
    data = pipeline.data
    if data.fields is None:
        if data.encoder is None and data.source.name in ("csv", "idx") and network.layers:
            needs_encoder(data, network.inputs[0].name if network.inputs else "?", findings)
        return pipeline.steps
    _, steps = match_fields(network, data, data.fields, item.data.span, findings, length)
    return steps if steps is not None else pipeline.steps


def _tensors(
    item: nodes.Train,
    home: Module,
    network: model.Network,
    pipeline: Pipeline,
    steps: int | None,
    findings: Findings,
    load_fields: FieldLoader,
) -> Tensors:
    names = dict(signal_names(network))
    names.update({o.name: (f"output:{o.name}", o.type) for o in network.outputs})
    fields = pipeline.data.fields
    if fields is None and (_unknown_names(item, names) or _label_beside_steps(item, names)):
        fields = load_fields(pipeline.data)
    if fields is None:
        fields = (model.Field("label", (), False, "class", None), *_guessed_fields(item, names))
    for field in fields:
        shape = field.shape or ()
        if field.name not in names:
            type_ = model.TensorType(field.time, True, shape[1:] if field.time else shape, ONE, field.kind)
            names[field.name] = (f"field:{field.name}", type_)
    return Tensors(names, home, findings, network.dt, steps, f"in recipe `{item.name}`")


def _guessed_fields(item: nodes.Train, names: dict[str, tuple[str, model.TensorType]]) -> tuple[model.Field, ...]:
    """Take a field of a file that is not here to have the shape of what it is compared with in the same call."""
    fields: dict[str, model.Field] = {}
    for expr in _tensor_expressions(item):
        for call in (e for e in parts(expr) if isinstance(e, nodes.Call)):
            used = [arg.value.text for arg in call.args if isinstance(arg.value, nodes.Name)]
            known = next((names[name][1] for name in used if name in names), None)
            for name in used:
                if known is not None and name not in names and name != "label":
                    shape = (1, *known.shape) if known.time else known.shape
                    fields[name] = model.Field(name, shape, known.time, known.kind, None)
    return tuple(fields.values())


def _unknown_names(item: nodes.Train, names: dict[str, tuple[str, model.TensorType]]) -> bool:
    """Whether a loss or metric names something that is neither of the network nor `label`."""
    found = [e.text for expr in _tensor_expressions(item) for e in parts(expr) if isinstance(e, nodes.Name)]
    return any(name not in names and name not in ("label", "pi", "inf", "dt") for name in found)


def _label_beside_steps(item: nodes.Train, names: dict[str, tuple[str, model.TensorType]]) -> bool:
    """Whether `label` is compared with something over time, so that each step may have its own."""
    for expr in _tensor_expressions(item):
        for call in (e for e in parts(expr) if isinstance(e, nodes.Call)):
            used = [e.text for arg in call.args for e in parts(arg.value) if isinstance(e, nodes.Name)]
            if "label" in used and any(names[name][1].time for name in used if name in names):
                return True
    return False


def _tensor_expressions(item: nodes.Train) -> list[nodes.Expr]:
    found = []
    for part in item.body:
        if isinstance(part, nodes.Penalty | nodes.Metric) or (
            isinstance(part, nodes.Setting) and part.path.text == "loss"
        ):
            found.append(part.value)
    return found


# ---- what the data says about the objective --------------------------------------------------------------


def _check_terms(
    tensors: Tensors, network: model.Network, data: model.DataSet, terms: tuple[model.Term | None, ...]
) -> None:
    """Check that there is a logit for each class, and that no window begins after the end of a sample."""
    classes = next((f.classes for f in data.fields or () if f.name == "label"), None)
    found = [node for term in terms if term is not None for node in walk(term.value)]
    outputs = {f"output:{o.name}": o for o in network.outputs}
    used = [outputs[node.name] for node in found if isinstance(node, Var) and node.name in outputs]
    for node in (n for n in found if isinstance(n, Apply)):
        if classes is None or len(node.args) != 2 or node.args[1] != Var("field:label"):
            continue
        type_ = tensor_type(node.args[0], tensors, node.span)
        if type_ is not None and type_.shape and type_.shape[-1] < classes:
            source = outputs.get(node.args[0].name) if isinstance(node.args[0], Var) else None
            tensors.findings.add(
                Code.SHAPE_MISMATCH, node.span,
                f"`{node.fn}` gets {type_.shape[-1]} values a sample, but `{data.name}` has {classes} classes",
                help=f"make the layer that it reads of size [{classes}]",
                labels=() if source is None else (Label(source.span, "read here"),),
            )  # fmt: skip
    if tensors.steps is None:
        return
    for part in (*found, *(n for output in used for n in walk(output.value))):
        start = part.attr("start") if isinstance(part, Apply) else None
        if isinstance(part, Apply) and isinstance(start, float) and start >= tensors.steps:
            tensors.findings.add(
                Code.BAD_VALUE, part.span,
                f"this window begins at {start * tensors.dt:g} ms, and a sample lasts {tensors.steps * tensors.dt:g} ms",
                help=f"begin it earlier, or make the samples of `{data.name}` longer",
            )  # fmt: skip


def _check_assigned(rule: model.Rule, metrics: tuple[model.Term, ...], findings: Findings) -> None:
    for term in metrics:
        calls = [n for n in walk(term.value) if isinstance(n, Apply) and n.fn == "assigned_accuracy"]
        if calls and (rule.name != "none" or len(calls) > 1):
            findings.add(
                Code.NOT_YET, term.span, "not supported yet: `assigned_accuracy` beside gradients, or twice in a metric",
                help="it is for `learn = none()`; a readout that is trained has `accuracy`",
            )  # fmt: skip


# ---- loss, penalties, metrics -----------------------------------------------------


def _loss(
    item: nodes.Train, settings: dict[str, nodes.Expr], rule: model.Rule, tensors: Tensors, findings: Findings
) -> model.Term | None:
    if "loss" not in settings and rule.name == "none":
        return model.Term("loss", Num(0.0), SCALAR, "", name_span(item))
    if "loss" not in settings:
        findings.add(
            Code.MISSING_ARGUMENT, name_span(item), f"recipe `{item.name}` has no loss",
            help="add a line such as `loss = cross_entropy(logits, label)`",
        )  # fmt: skip
        return None
    return _term("loss", settings["loss"], tensors)


def _term(name: str, expr: nodes.Expr, tensors: Tensors) -> model.Term | None:
    """A summand of the objective: one number a sample, or one number."""
    before = len(tensors.findings.errors)
    value, type_ = resolve_tensor(expr, tensors)
    if len(tensors.findings.errors) > before:
        return None
    if type_.shape:
        tensors.findings.add(
            Code.SHAPE_MISMATCH,
            expr.span,
            f"this has {list(type_.shape)} values, and an objective is one number a sample",
            help="wrap it: `mean(…)`",
        )
        return None
    if type_.time:  # a value for every step counts by its mean over them
        value, type_ = Apply("mean_over_time", (value,), (), expr.span), replace(type_, time=False)
    return model.Term(name, value, type_, expr.span.text, expr.span)


def _metric(part: nodes.Metric, tensors: Tensors) -> model.Term | None:
    before = len(tensors.findings.errors)
    value, type_ = resolve_tensor(part.value, tensors)
    if len(tensors.findings.errors) > before:
        return None
    reserved = part.name in ("loss",) or part.name.startswith(("rate.", "silent.", "grad_norm."))
    if reserved or type_.time or (type_.shape and type_.batch):
        tensors.findings.add(
            Code.RESERVED_NAME if reserved else Code.SHAPE_MISMATCH, part.span,
            f"`{part.name}` is measured anyway" if reserved
            else f"a metric is one number a sample, and this is {'one for every step' if type_.time else list(type_.shape)}",
            help="choose another name" if reserved
            else "reduce the steps first, by `mean_over_time(…)` or another readout" if type_.time
            else "wrap it: `mean(…)`",
        )  # fmt: skip
        return None
    return model.Term(part.name, value, type_, part.value.span.text, part.span)
