"""`delay(time)` and `dense` with a delay per synapse, and how times become steps."""

from __future__ import annotations

from dataclasses import fields
from math import prod

from snnc.diagnostics import Code
from snnc.limits import MAX_DELAY
from snnc.ops.delays import DelayedDense, UnitDelays
from snnc.ops.dense import Dense
from snnc.ops.memory import Delay
from snnc.semantics.constants import constant
from snnc.semantics.expressions import resolve_as
from snnc.semantics.operations.delay_times import OF_TRAINED, is_spread, read_times, word_of_per
from snnc.semantics.operations.spec import Build
from snnc.semantics.scope import Scope
from snnc.source import Span
from snnc.syntax import nodes
from snnc.units import TIME


def build_delay(build: Build) -> Delay | UnitDelays | None:
    """Build `delay(time)`: one fixed time, or delays that are drawn or trained, one for the layer or each unit."""
    bound, dt, scope = build.bound, build.dt, build.scope
    arg = bound.get("time")
    if arg is not None and is_spread(arg):
        return _build_units(build, arg)
    for other in (*(bound[name] for name in ("max", *OF_TRAINED) if name in bound), *(arg.mods if arg else ())):
        scope.findings.add(
            Code.UNKNOWN_ARGUMENT, other.span, "this belongs to delays that are drawn or trained, and this one is fixed",
            help="take it out, or draw the delay: `delay(time ~ uniform(0 ms, 60 ms) per neuron)`",
        )  # fmt: skip
        return None
    node = build.required("time")
    time = constant(resolve_as(node, TIME, scope, "a delay"), {"dt": dt})
    if time is None or not time >= 0:
        scope.findings.add(
            Code.BAD_VALUE, node.span, "a delay is a fixed time of at least 0", help="as in `delay(3 ms)`"
        )
        return None
    if time > MAX_DELAY * dt:
        scope.findings.add(
            Code.BAD_VALUE, node.span, f"this delay is {time / dt:.3g} steps long, and at most {MAX_DELAY:.0e} are held",
            help="every step of a delay is kept in memory; is the unit the one that was meant?",
        )  # fmt: skip
        return None
    return Delay(steps_of(time, dt, node.span, scope, "this delay"))


def _build_units(build: Build, arg: nodes.Arg) -> UnitDelays | None:
    word, mod = word_of_per(arg)
    if word not in ("layer", "neuron"):
        span = arg.span if mod is None else mod.span
        build.scope.findings.add(
            Code.WRONG_KIND, span, f"`delay` delays whole units, and this asks for one delay per {word}",
            help="write `per neuron`" if word != "synapse" else "give it to the product: `dense(delay ~ … per synapse)`",
        )  # fmt: skip
        return None
    shape = build.in_shapes[0]
    times = read_times(build, arg, shape if word == "neuron" else (), prod(shape))
    return None if times is None else UnitDelays(times)


def with_delays(build: Build, dense: Dense) -> Dense | None:
    """Return a product as it is, or with the delays of its synapses if it has any."""
    arg = build.bound.get("delay")
    if arg is None:
        for name in ("max", *OF_TRAINED):
            if name in build.bound:
                build.scope.findings.add(
                    Code.UNKNOWN_ARGUMENT, build.bound[name].span, f"`{name}` belongs to a delay, and this product has none",
                    help="add one: `dense(delay ~ uniform(0 ms, 25 ms) per synapse trainable)`",
                )  # fmt: skip
        return dense
    word, _ = word_of_per(arg)
    if word != "synapse" or not is_spread(arg):
        build.scope.findings.add(
            Code.WRONG_KIND, arg.span, "a delay of `dense` is drawn or trained, and each synapse has its own",
            help="write `delay ~ uniform(0 ms, 25 ms) per synapse`; for all synapses alike, or one for each unit, put "
            "`delay(…)` before or after `dense`",
        )  # fmt: skip
        return None
    shape = (dense.fan_in, dense.size)
    times = read_times(build, arg, shape, prod(shape))
    if times is None:
        return None
    own = {f.name: getattr(dense, f.name) for f in fields(dense) if f.name != "memory"}
    return DelayedDense(**own, times=times)


def steps_of(time: float, dt: float, span: Span, scope: Scope, what: str) -> int:
    """Round a time to whole steps by floor(x + 1/2), with a warning that shows both values where they differ."""
    steps = int(time / dt + 0.5)
    if abs(time / dt - steps) > 1e-6:
        scope.findings.add(
            Code.ROUNDED_TO_STEP, span, f"{what} of {time:g} ms is no multiple of dt = {dt:g} ms: {steps * dt:g} ms is used",
            help="choose a multiple of `dt`",
        )  # fmt: skip
    return steps
