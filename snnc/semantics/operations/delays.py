"""`delay(time)`, and how times become steps."""

from __future__ import annotations

from snnc.diagnostics import Code
from snnc.limits import MAX_DELAY
from snnc.ops.memory import Delay
from snnc.semantics.constants import constant
from snnc.semantics.expressions import resolve_as
from snnc.semantics.operations.spec import Build
from snnc.semantics.scope import Scope
from snnc.source import Span
from snnc.units import TIME


def build_delay(build: Build) -> Delay | None:
    """Build `delay(time)`."""
    bound, dt, scope = build.bound, build.dt, build.scope
    arg = bound.get("time")
    if arg is not None and (arg.drawn or arg.mods):
        scope.findings.add(
            Code.NOT_YET, arg.span, "not supported yet: delays that are drawn or trainable",
            help="give one fixed time, as in `delay(3 ms)`",
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


def steps_of(time: float, dt: float, span: Span, scope: Scope, what: str) -> int:
    """Round a time to whole steps by floor(x + 1/2), with a warning that shows both values where they differ."""
    steps = int(time / dt + 0.5)
    if abs(time / dt - steps) > 1e-6:
        scope.findings.add(
            Code.ROUNDED_TO_STEP, span, f"{what} of {time:g} ms is no multiple of dt = {dt:g} ms: {steps * dt:g} ms is used",
            help="choose a multiple of `dt`",
        )  # fmt: skip
    return steps
