"""The trainable and the persistent values of a plan: names, shapes, how they start and what they stand for."""

from __future__ import annotations

import math
from dataclasses import dataclass

from snnc import model
from snnc.emit.names import identifier, stream_number
from snnc.emit.pytext import number_text, python_text
from snnc.emit.statement_text import chain_text, place
from snnc.expr import Expr, Var, substitute
from snnc.ops.delay_times import DelayTimes
from snnc.ops.delays import WithTimes
from snnc.ops.initialisers import INITIALISERS
from snnc.ops.operation import Init
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
    decays: bool = False  # whether weight decay acts on it: weights of operations, but for those of norms
    of_neuron: bool = False  # or a delay: shown in the author's unit


def stored_parameters(plan: StepPlan) -> tuple[Stored, ...]:
    """Return the fields of `Params`: weights and delays of operations, trainable parameters of neurons, in text order."""
    found: list[Stored] = []
    for node in plan.network.nodes:
        if isinstance(node, model.OpNode):
            for weight in node.own_weights:
                name = f"{node.name}.{weight.name}"
                unit = unit_name(weight.dimension)
                initial, limits = _drawn_text(weight.init, name, weight.shape), weight.init.limits
                comment = f"{chain_text(node)}, {list(weight.shape)}{'' if unit == '1' else ' ' + unit}"
                found.append(
                    Stored(
                        name,
                        identifier(name),
                        weight.shape,
                        f"{comment}  ({place(node.span)})",
                        initial,
                        clip=limits,
                        decays=weight.decays,
                    )
                )
            if isinstance(node.op, WithTimes) and node.op.times.trainable:
                found.append(_trained_delays(node, node.op.times))
        elif isinstance(node, model.Layer):
            dt = plan.network.dt
            found += [_trainable(node, param, dt) for param in node.neuron.params if param.trainable]
    return tuple(found)


def _drawn_text(init: Init, name: str, shape: Shape) -> str:
    """Return the text of an array as it is drawn first, keyed by its name."""
    options = "".join(f", {k}={number_text(v)}" for k, v in init.options)
    drawn = f"{INITIALISERS[init.name].runtime}(stream(key, {stream_number(name)}), {shape!r}{options})"
    if init.limits is None:
        return drawn
    return f"jnp.clip({drawn}, {number_text(init.limits[0])}, {number_text(init.limits[1])})"


def _trainable(layer: model.Layer, param: model.Param, dt: float) -> Stored:
    """A trainable parameter in its raw space; learning speed does not depend on the unit (language.md, section 2)."""
    name = f"{layer.name}.{param.name}"
    shape = param.shape_in(layer.shape)
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
    return Stored(name, identifier(name), shape, comment, initial, value, clip, of_neuron=True)


def _trained_delays(node: model.OpNode, times: DelayTimes) -> Stored:
    """Trainable delays in their raw space, in ms when they are read."""
    name = f"{node.name}.delay"
    interval = model.Interval(times.low, times.high, times.via)
    value, inverse, clip = _bijector(interval, times.centre)
    initial = inverse.replace("{value}", _delays_at_first(node, times))
    formula = value.replace("{raw}", "raw") if value else "as it is"
    comment = f"{name} = {formula}, {list(times.shape)} ms  ({place(node.span)})"
    return Stored(name, identifier(name), times.shape, comment, initial, value, clip, of_neuron=True)


def _delays_at_first(node: model.OpNode, times: DelayTimes) -> str:
    """Return the text of the delays as they begin, in ms, inside their interval."""
    start = ", ".join(number_text(a) for a in times.start)
    if not times.draw:
        return f"jnp.full({times.shape!r}, {start})"
    key = f"stream(key, {stream_number(f'{node.name}.delay')})"
    draw = f"draw_{times.draw}({key}, {times.shape!r}, {start})"
    return f"clamp_inside({draw}, {number_text(times.low)}, {number_text(times.high)})" if times.trainable else draw


def _fixed_delays(node: model.OpNode, times: DelayTimes, dt: float) -> Stored:
    name = f"{node.name}.delay"
    start = f"rounded_delay({_delays_at_first(node, times)}, {number_text(dt)}, {times.first}, {times.last})"
    return Stored(
        name, identifier(name), times.shape, f"{name}, {list(times.shape)} steps  ({place(node.span)})", start
    )


def _width(node: model.OpNode, start: float) -> Stored:
    name = f"{node.name}.sigma"
    comment = f"{name}, the width of its kernel in steps  ({place(node.span)})"
    return Stored(name, identifier(name), (), comment, f"jnp.full((), {number_text(start)})")


def delay_text(node: model.OpNode, times: DelayTimes) -> str:
    """Return the text of the delays of a node in steps: whole ones from `buffers`, trained ones from `params`."""
    if not times.trainable:
        return f"buffers.{identifier(f'{node.name}.delay')}"
    stored = _trained_delays(node, times)
    raw = f"params.{stored.field}"
    return f"{stored.value.replace('{raw}', raw) if stored.value else raw} / DT"


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
    """Return the fields of `Buffers`: statistics of norms, drawn values that are not trained, and carried states."""
    found: list[Stored] = []
    for node in plan.network.operations:
        for buffer in node.op.buffers():
            name = f"{node.name}.{buffer.name}"
            unit = unit_name(buffer.dimension)
            what = "" if buffer.text or buffer.init else ", running"
            size = f"{list(buffer.shape)}{'' if unit == '1' else ' ' + unit}"
            comment = f"{name}{what}, {size}  ({place(node.span)})"
            start = (
                buffer.text.format(stream=stream_number(name))
                or f"jnp.full({buffer.shape!r}, {number_text(buffer.start)})"
                if buffer.init is None
                else _drawn_text(buffer.init, name, buffer.shape)
            )
            found.append(Stored(name, identifier(name), buffer.shape, comment, start))
        if isinstance(node.op, WithTimes):
            times = node.op.times
            if not times.trainable:
                found.append(_fixed_delays(node, times, plan.network.dt))
            if times.schedule is not None:
                found.append(_width(node, times.schedule.start))
    for layer in plan.network.layers:
        values = parameter_values(layer.neuron.params, plan.network.dt)
        for param in layer.neuron.params:
            if param.trainable or not isinstance(param.value, model.Drawn):
                continue
            name = f"{layer.name}.{param.name}"
            shape = param.shape_in(layer.shape)
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
