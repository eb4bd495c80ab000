"""Matches the fields of a data set with the inputs of a network: names, shapes, time axes, encoders."""

from __future__ import annotations

from snnc import model
from snnc.diagnostics import Code, Findings, Label, did_you_mean
from snnc.expr import variables
from snnc.ops.encoders import ENCODERS, TRANSFORMS
from snnc.semantics.data_sets import plain_options
from snnc.source import Span


def expects_time(network: model.Network, data: model.DataSet) -> bool:
    """Whether fields that feed inputs have a time axis: a spiking network without encoder, or an encoder of signals."""
    if data.encoder is None:
        return bool(network.layers)
    return ENCODERS[data.encoder.name].steps is None


def is_held(node: model.Input, network: model.Network) -> bool:
    """Whether an input is read by third factors of plasticity alone, so that one value a sample is held over its steps."""
    sources = [s for layer in network.layers for _, signals in layer.ports for s in signals]
    sources += [s for op in network.operations for s in op.sources]
    factors = [v for edge in network.plastic for f in edge.factors for v in variables(f.value)]
    return f"input:{node.name}" in factors and all(s.node != node.name for s in sources)


def match_fields(
    network: model.Network,
    data: model.DataSet,
    fields: tuple[model.Field, ...],
    where: Span,
    findings: Findings,
    length: str | None = None,
) -> tuple[dict[str, str], int | None]:
    """Return input -> field, and the steps of a presentation where a field has them.

    An input takes the field of its name; one input and one field besides `label` and that of the `length` match without.
    """
    others = [f for f in fields if f.name not in ("label", length)]
    bindings: dict[str, str] = {}
    steps: int | None = None
    for node in network.inputs:
        field = next((f for f in fields if f.name == node.name), None)
        if field is None and len(network.inputs) == 1 and len(others) == 1:
            field = others[0]
        if field is None:
            findings.add(
                Code.UNKNOWN_FIELD,
                where,
                f"input `{node.name}` of `{network.name}` has no field of its name in `{data.name}`",
                help=did_you_mean(node.name, [f.name for f in others]),
            )
            continue
        bindings[node.name] = field.name
        steps = _check_input(node, field, data, network, findings) or steps
    return bindings, steps


def needs_encoder(data: model.DataSet, field: str, findings: Findings) -> None:
    """Report that one value a sample is not yet a sequence."""
    findings.add(
        Code.NEEDS_ENCODER,
        data.span,
        f"`{field}` has one value a sample, and a spiking network needs a sequence",
        help="say how a value becomes one: `-> hold(duration = 25 ms)`, `-> rate(…)` or `-> latency(…)`",
    )


def _check_input(
    node: model.Input, field: model.Field, data: model.DataSet, network: model.Network, findings: Findings
) -> int | None:
    """Carry the field's shape through transforms and encoder to the input; return its steps if it has a time axis."""
    assert field.shape is not None
    if field.time and not field.shape:
        needs_encoder(data, field.name, findings)
        return None
    steps = field.shape[0] if field.time else None
    shape = field.shape[1:] if field.time else field.shape
    for transform in data.transforms:
        shape = TRANSFORMS[transform.name].shape(shape, plain_options(transform))
    kind = field.kind
    if data.encoder is not None:
        encoder = ENCODERS[data.encoder.name]
        if (encoder.steps is None) != field.time:
            message = f"`{encoder.name}` needs a field with{'' if encoder.steps is None else 'out'} a time axis"
            findings.add(
                Code.BAD_SETTING,
                data.encoder.span,
                f"{message}, and `{field.name}` has {'one' if field.time else 'none'}",
                help="take the encoder out" if field.time else "use `hold`, `rate` or `latency`",
            )
            return steps
        encoded = encoder.shape(shape, plain_options(data.encoder))
        if isinstance(encoded, str):
            findings.add(Code.BAD_SETTING, data.encoder.span, encoded, help=encoder.doc)
            return steps
        shape, kind = encoded, encoder.kind
    elif not field.time and is_held(node, network):
        shape = shape or (1,)
    elif not field.time and network.layers:
        needs_encoder(data, field.name, findings)
        return steps
    if shape != node.shape:
        findings.add(
            Code.SHAPE_MISMATCH,
            node.span,
            f"`{node.name}` has shape {list(node.shape)}, but `{data.name}` gives {list(shape)}",
            help=f"write `input {node.name} : {node.kind}[{', '.join(map(str, shape))}]`",
            note=str(list(node.shape)),
            labels=(Label(data.span, str(list(shape))),),
        )
    if node.kind == "spikes" and kind == "real":
        findings.add(
            Code.NEEDS_ENCODER,
            node.span,
            f"`{node.name}` is declared as spikes, but `{data.name}` gives real values",
            help=f"encode by `rate(…)` or `latency(…)`, or write `input {node.name} : real[…]`",
        )
    return steps
