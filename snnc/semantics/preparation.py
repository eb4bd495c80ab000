"""Resolves `bin` and `window` of a `data` line: times to steps, and the fields that they leave."""

from __future__ import annotations

import math
from dataclasses import replace

from snnc import model
from snnc.data.binning import binning_of
from snnc.diagnostics import Code, Findings
from snnc.limits import MAX_COUNT, MAX_STEPS

Fields = tuple[model.Field, ...] | None


def prepare_fields(
    source: model.Call,
    calls: tuple[model.Call, ...],
    fields: Fields,
    dt: float,
    findings: Findings,
    about_steps: Findings,
) -> tuple[tuple[model.Call, ...], Fields]:
    """Return `calls` with their times in steps of `dt` ms, and the fields after them, None where only a file knows.

    Events must be binned, and nothing else can be. `about_steps` hears what is wrong for this `dt`.
    """
    before = len(findings.errors)
    prepared: list[model.Call] = []
    for call in calls:
        has_events = any(field.kind == "events" for field in fields or ())
        if call.name == "bin" and not has_events:
            what = (
                "these are counted already"
                if any(c.name == "bin" for c in prepared)
                else f"`{source.name}` gives arrays"
            )
            message = f"`bin` counts events by step, and {what}"
            findings.add(Code.BAD_SETTING, call.span, message, help="take it out; arrays have one row for each step")
        elif call.name == "bin":
            call, fields = _bin(call, fields or (), dt, findings, about_steps)
        elif has_events:
            break
        else:
            call, fields = _window(call, fields, dt, findings, about_steps)
        if len(findings.errors) > before:
            return tuple(prepared), fields
        prepared.append(call)
    if any(field.kind == "events" for field in fields or ()):
        findings.add(
            Code.NEEDS_ENCODER, source.span, f"`{source.name}` gives events with times, and a network needs a sequence of steps",
            help="count them by step right after it: `-> bin(duration = 1 s)`",
        )  # fmt: skip
    return tuple(prepared), fields


def check_steps(call: model.Call, steps: int, dt: float, findings: Findings) -> int:
    """Check that a presentation has a step, and not more than can be held."""
    if steps < 1:
        findings.add(
            Code.BAD_VALUE, call.span, f"`{call.name}` makes a sequence shorter than one step of {dt:g} ms",
            help="make it longer, or `dt` smaller",
        )  # fmt: skip
    elif steps > MAX_STEPS:
        findings.add(
            Code.TOO_BIG, call.span, f"`{call.name}` makes {steps:.3g} steps, and more than {MAX_STEPS:.3g} cannot be held",
            help="make it shorter, or `dt` larger",
        )  # fmt: skip
    return steps


def _bin(
    call: model.Call, fields: tuple[model.Field, ...], dt: float, findings: Findings, about_steps: Findings
) -> tuple[model.Call, tuple[model.Field, ...]]:
    steps = check_steps(call, math.floor(call.number("duration") / dt + 0.5), dt, about_steps)
    joined = {name: _count(call, name, findings) for name in ("channels", "size")}
    arguments = {"steps": steps, "dt": dt, **joined, "values": call.get("values")}
    after: list[model.Field] = []
    for field in fields:
        if field.kind == "events":
            assert field.shape is not None
            shape = binning_of(arguments).shape(field.shape)
            if isinstance(shape, str):
                findings.add(Code.BAD_SETTING, call.span, shape, help="leave it out to keep the sensor as it is")
                shape = field.shape
            field = replace(field, shape=(steps, *shape), time=True, kind="spikes")
        after.append(field)
    return replace(call, args=tuple(arguments.items())), tuple(after)


def _count(call: model.Call, name: str, findings: Findings) -> int | None:
    value = call.get(name)
    if value is None:
        return None
    assert isinstance(value, int | float)
    if value != int(value) or not 1 <= value <= MAX_COUNT:
        findings.add(
            Code.BAD_VALUE, call.span, f"`{name}` of `bin` is {value:g}", help="give a whole number, at least 1"
        )
        return None
    return int(value)


def _window(
    call: model.Call, fields: Fields, dt: float, findings: Findings, about_steps: Findings
) -> tuple[model.Call, Fields]:
    length = check_steps(call, math.floor(call.number("length") / dt + 0.5), dt, about_steps)
    given = call.get("stride")
    stride = (
        length if given is None else check_steps(call, math.floor(call.number("stride") / dt + 0.5), dt, about_steps)
    )
    call = replace(call, args=(("length", length), ("stride", stride)))
    timed = [field for field in fields or () if field.time and field.shape]
    if fields is not None and not timed:
        findings.add(
            Code.BAD_SETTING, call.span, "`window` cuts sequences, and these samples have no time axis", help="take it out"
        )  # fmt: skip
    after: list[model.Field] = []
    for field in fields or ():
        if field.time and field.shape:
            if field.shape[0] < length:
                about_steps.add(
                    Code.BAD_VALUE, call.span, f"a window has {length} steps, and `{field.name}` has {field.shape[0]}",
                    help="make the window shorter",
                )  # fmt: skip
            field = replace(field, shape=(length, *field.shape[1:]))
        after.append(field)
    return call, None if fields is None else tuple(after)
