"""The trainable and the persistent values of a plan: names, shapes, how they start and what they stand for."""

from __future__ import annotations

import math
from dataclasses import dataclass

from snnc import model
from snnc.emit.names import identifier, stream_number
from snnc.emit.pytext import number_text, python_text
from snnc.emit.statement_text import chain_text, place
from snnc.expr import Expr, Var, substitute
from snnc.ops.initialisers import INITIALISERS
from snnc.plan import StepPlan
from snnc.semantics.parameters import centre, parameter_values
from snnc.units import unit_name

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Stored:
    """One array of `Params` or `Buffers`.

    `name` is the author's dotted name; `initial` the text that makes its first (raw) value from `key`; `value` the text
    that turns the raw array `{raw}` into the author's number ("" for a plain array); `clip` its bounds for `via clip`.
    """

    name: str
    field: str
    shape: Shape
    comment: str
    initial: str
    value: str = ""
    clip: tuple[float, float] | None = None
    decays: bool = False  # whether weight decay acts on it: weights of operations only


def stored_parameters(plan: StepPlan) -> tuple[Stored, ...]:
    """Return the fields of `Params`: weights of operations and trainable parameters of neurons, in text order."""
    found: list[Stored] = []
    for node in plan.network.nodes:
        if isinstance(node, model.OpNode):
            for weight in node.op.weights():
                name = f"{node.name}.{weight.name}"
                unit = unit_name(weight.dimension)
                options = "".join(f", {k}={number_text(v)}" for k, v in weight.init.options)
                runtime = INITIALISERS[weight.init.name].runtime
                key = f"stream(key, {stream_number(name)})"
                initial = f"{runtime}({key}, {weight.shape!r}{options})"
                comment = f"{chain_text(node)}, {list(weight.shape)}{'' if unit == '1' else ' ' + unit}"
                found.append(
                    Stored(
                        name, identifier(name), weight.shape, f"{comment}  ({place(node.span)})", initial, decays=True
                    )
                )
        elif isinstance(node, model.Layer):
            dt = plan.network.dt
            found += [_trainable(node, param, dt) for param in node.neuron.params if param.trainable]
    return tuple(found)


def _trainable(layer: model.Layer, param: model.Param, dt: float) -> Stored:
    """A trainable parameter in its raw space; learning speed does not depend on the unit (language.md, section 2)."""
    name = f"{layer.name}.{param.name}"
    shape = layer.shape if param.per == "neuron" else ()
    interval = param.interval or model.Interval(-math.inf, math.inf)
    values = parameter_values(layer.neuron.params, dt)
    if isinstance(param.value, model.Drawn):
        start = _draw(param.value, name, shape, values)
        if math.isfinite(interval.low) or math.isfinite(interval.high):
            start = f"clamp_inside({start}, {number_text(interval.low)}, {number_text(interval.high)})"
        middle = centre(param.value, values)
    else:
        middle = values[param.name]
        start = number_text(middle)
    value, inverse, clip = _bijector(interval, middle)
    raw = inverse.replace("{value}", start)
    initial = raw if isinstance(param.value, model.Drawn) else f"jnp.full({shape!r}, {raw})"
    formula = value.replace("{raw}", "raw") if value else "as it is"
    unit = unit_name(param.dimension)
    comment = f"{layer.name}.{param.name} = {formula}, {unit}  ({place(param.span)})"
    return Stored(name, identifier(name), shape, comment, initial, value, clip)


def _draw(drawn: model.Drawn, name: str, shape: Shape, values: dict[str, float]) -> str:
    """Return the text of a draw, keyed by the parameter's name."""
    args = ", ".join(python_text(a, lambda n: number_text(values[n])) for a in drawn.args)
    return f"draw_{drawn.name}(stream(key, {stream_number(name)}), {shape!r}, {args})"


def _bijector(interval: model.Interval, centre: float) -> tuple[str, str, tuple[float, float] | None]:
    """Return the texts value({raw}) and raw({value}), and the bounds to clip to."""
    low, high = interval.low, interval.high
    bounded_below, bounded_above = math.isfinite(low), math.isfinite(high)
    if interval.via == "clip" or not (bounded_below or bounded_above or interval.via == "exp"):
        scale = abs(centre) or 1.0
        clip = (low / scale, high / scale) if interval.via == "clip" else None
        if scale == 1.0:
            return "", "{value}", clip
        text = number_text(scale)
        return f"{text} * {{raw}}", f"{{value}} / {text}", clip
    if bounded_below and bounded_above:
        ends = f"{number_text(low)}, {number_text(high)}"
        return f"between({{raw}}, {ends})", f"between_raw({{value}}, {ends})", None
    if bounded_above:
        ends = f"{number_text(high)}, {number_text(high - centre)}"
        return f"below({{raw}}, {ends})", f"below_raw({{value}}, {ends})", None
    base = low if bounded_below else 0.0
    stem = "above_exp" if interval.via == "exp" else "above"
    ends = f"{number_text(base)}, {number_text(centre - base)}"
    return f"{stem}({{raw}}, {ends})", f"{stem}_raw({{value}}, {ends})", None


def stored_buffers(plan: StepPlan) -> tuple[Stored, ...]:
    """Return the fields of `Buffers`: drawn parameters that are not trained, and carried states."""
    found: list[Stored] = []
    for layer in plan.network.layers:
        values = parameter_values(layer.neuron.params, plan.network.dt)
        for param in layer.neuron.params:
            if param.trainable or not isinstance(param.value, model.Drawn):
                continue
            name = f"{layer.name}.{param.name}"
            shape = layer.shape if param.per == "neuron" else ()
            start = _draw(param.value, name, shape, values)
            if param.interval is not None:
                ends = f"{number_text(param.interval.low)}, {number_text(param.interval.high)}"
                start = f"clamp_inside({start}, {ends})"
            comment = f"{name}, {unit_name(param.dimension)}  ({place(param.span)})"
            found.append(Stored(name, identifier(name), shape, comment, start))
        for slot in plan.body(layer.name).slots:
            if slot.carry:
                name = f"{layer.name}.{slot.name}"
                comment = f"{name} at the start of a sample, {slot.unit}"
                found.append(Stored(name, identifier(name), layer.shape, comment, _carried(layer, slot.init, values)))
    return tuple(found)


def _carried(layer: model.Layer, init: Expr | model.Drawn, values: dict[str, float]) -> str:
    assert not isinstance(init, model.Drawn)
    return f"jnp.full({layer.shape!r}, {python_text(init, lambda n: number_text(values[n]))})"


def parameter_texts(layer: model.Layer, names: tuple[str, ...], dt: float) -> dict[str, str]:
    """Return, for each parameter in `names`, the text of its value in terms of `params` and `buffers`."""
    exprs: dict[str, Expr] = {}
    texts: dict[str, str] = {}
    for param in layer.neuron.params:
        full = f"{layer.name}.{param.name}"
        if param.trainable:
            stored = _trainable(layer, param, dt)
            raw = f"params.{stored.field}"
            exprs[param.name] = Var(stored.value.replace("{raw}", raw) if stored.value else raw)
        elif isinstance(param.value, model.Drawn):
            exprs[param.name] = Var(f"buffers.{identifier(full)}")
        else:
            exprs[param.name] = substitute(param.value, exprs)
        texts[param.name] = python_text(exprs[param.name], lambda n: "DT" if n == "dt" else n)
    return {name: texts[name] for name in names}
