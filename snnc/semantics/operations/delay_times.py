"""Reads delays that are drawn or trained: `delay(time ~ uniform(0 ms, 60 ms) per neuron trainable, max = 60 ms)`."""

from __future__ import annotations

import math

from snnc.diagnostics import Code
from snnc.limits import MAX_DELAY, MAX_UNITS
from snnc.ops.delay_times import DelayTimes, Sigma
from snnc.ops.operation import Shape
from snnc.semantics.arguments import bind_arguments
from snnc.semantics.constants import constant
from snnc.semantics.expressions import resolve, resolve_as
from snnc.semantics.operations.spec import Build
from snnc.semantics.parameters import resolve_drawn
from snnc.semantics.quantities import expect
from snnc.semantics.scope import ANY, Typed
from snnc.syntax import nodes
from snnc.units import ONE, TIME

OF_TRAINED = ("sigma", "kernel")  # arguments that only trainable delays have
_NEAR = 1e-9  # of a step: what the rounding of ms may leave

_SIGMA = (nodes.Formal("start"), nodes.Formal("end"), nodes.Formal("over", None, nodes.Number("0.25")))
LAST_SIGMA = 0.5  # in steps, where nothing is said (Hammouamri et al. 2024)


def is_spread(arg: nodes.Arg) -> bool:
    """Whether an argument gives more than one fixed time."""
    return arg.drawn or any(mod.kind == "trainable" for mod in arg.mods)


def read_times(build: Build, arg: nodes.Arg, shape: Shape, sizes: int) -> DelayTimes | None:
    """Return the delays of `shape` that `arg` describes, None after a finding; `sizes` numbers are kept for each step."""
    before = len(build.scope.findings.errors)
    mods = {mod.kind: mod for mod in arg.mods}
    if "carry" in mods:
        _refuse(build, mods["carry"], Code.WRONG_KIND, "a delay cannot be `carry`", "only states carry over samples")
    trainable = "trainable" in mods
    draw, start = _start(build, arg)
    interval = _interval(build, mods["in"]) if "in" in mods else None
    via = _via(build, mods["trainable"]) if trainable else "auto"
    upper = interval[1] if interval is not None else start[1] if draw == "uniform" else math.inf
    high = _time(build, build.bound["max"].value, "`max`") if "max" in build.bound else upper
    if len(build.scope.findings.errors) > before or high is None:
        return None
    if math.isinf(high):
        _refuse(
            build, arg, Code.MISSING_ARGUMENT, "nothing says how long this delay can become, and so how much of the past to keep",
            "add `max = 60 ms`, or an interval: `in (0 ms, 60 ms)`",
        )  # fmt: skip
        return None
    low = interval[0] if interval is not None else start[0] if draw == "uniform" and not trainable else 0.0
    ends = (low, min(interval[1], high) if interval is not None and trainable else high)
    _check_ends(build, arg, draw, start, interval, high, trainable)
    first, last = _steps(ends, build.dt, trainable)
    sigma = _sigma(build, last, trainable)
    if last < 1 or last > MAX_DELAY:
        _refuse(
            build, arg, Code.BAD_VALUE, f"the longest delay is {high / build.dt:.3g} steps of dt = {build.dt:g} ms",
            "below one step nothing is delayed" if last < 1
            else f"at most {MAX_DELAY:.0e} are held, for each is kept in memory; is the unit the one that was meant?",
        )  # fmt: skip
    elif sizes * (last - first + 1) > MAX_UNITS:
        _refuse(
            build, arg, Code.TOO_BIG, f"these delays take {sizes * (last - first + 1):.3g} numbers, one for each step that they "
            f"can be long, and more than {MAX_UNITS:.3g} cannot be held", "make `max` or the layers smaller",
        )  # fmt: skip
    if len(build.scope.findings.errors) > before:
        return None
    kernel = build.options["kernel"] or "gaussian"
    return DelayTimes(shape, draw, start, *ends, via, trainable, kernel, sigma, first, last)


def _refuse(build: Build, node: nodes.Node, code: Code, message: str, help: str) -> None:
    build.scope.findings.add(code, node.span, message, help=help)


def _time(build: Build, node: nodes.Expr, what: str) -> float | None:
    """Return a fixed time in ms; a finding if it is none."""
    value = constant(resolve_as(node, TIME, build.scope, what), {"dt": build.dt})
    if value is None or math.isnan(value):
        _refuse(build, node, Code.BAD_VALUE, f"{what} is a fixed time", "as in `60 ms`")
        return None
    return value


def _start(build: Build, arg: nodes.Arg) -> tuple[str, tuple[float, ...]]:
    """Return the name of the distribution that delays begin from, and its arguments in ms."""
    if not arg.drawn:
        value = _time(build, arg.value, "a delay")
        return "", (value or 0.0,)
    drawn, dimension = resolve_drawn(arg.value, build.scope, "this delay")
    if dimension is not None and dimension != ANY:
        expect(Typed(drawn.args[0], dimension), TIME, arg.value.span, build.scope.findings, "a delay")
    values = [constant(expr, {"dt": build.dt}) for expr in drawn.args]
    known = tuple(value for value in values if value is not None)
    if len(known) < len(values):
        _refuse(build, arg.value, Code.BAD_STAGE, "a delay is drawn by fixed numbers", "write numbers")
        return drawn.name, (0.0, 1.0)
    if drawn.name == "uniform" and not known[0] < known[1]:
        _refuse(build, arg.value, Code.BAD_VALUE, "there is no number in this range", "write the smaller end first")
    return drawn.name, known


def _interval(build: Build, mod: nodes.Mod) -> tuple[float, float] | None:
    low, high = (_time(build, bound, "the end of an interval of delays") for bound in mod.args)
    if low is None or high is None:
        return None
    if not low < high:
        _refuse(build, mod, Code.BAD_VALUE, "there is no number in this interval", "write the smaller end first")
    return low, high


def _via(build: Build, mod: nodes.Mod) -> str:
    if not mod.args:
        return "auto"
    word = mod.args[0].text if isinstance(mod.args[0], nodes.Name) else "?"
    if word not in ("exp", "clip"):
        _refuse(build, mod.args[0], Code.UNKNOWN_NAME, f"unknown way `{word}`", "`via exp` or `via clip`")
    if word == "exp":
        _refuse(
            build, mod.args[0], Code.BAD_VALUE, "`via exp` has no upper end, and a delay needs one",
            "leave it out, or write `via clip`",
        )  # fmt: skip
    return word


def _check_ends(
    build: Build,
    arg: nodes.Arg,
    draw: str,
    start: tuple[float, ...],
    interval: tuple[float, float] | None,
    high: float,
    trainable: bool,
) -> None:
    """Report delays that begin outside of where they may be."""
    low = 0.0 if interval is None else interval[0]
    if low < 0 or (draw == "uniform" and start[0] < 0) or (not draw and start[0] < 0):
        _refuse(build, arg, Code.BAD_VALUE, "a delay is at least 0", "begin the range at `0 ms`")
        return
    if interval is not None and math.isfinite(interval[1]) and interval[1] > high:
        _refuse(
            build, build.bound["max"], Code.BAD_VALUE, f"delays go up to {interval[1]:g} ms, and `max` is {high:g} ms",
            f"write `max = {interval[1]:g} ms`, or leave it out",
        )  # fmt: skip
        return
    ends = (low, high) if interval is None else (low, min(interval[1], high))
    least, most = (start[0], start[1]) if draw == "uniform" else (start[0], start[0])
    if least < ends[0] or most > ends[1] or (not draw and trainable and not ends[0] < most < ends[1]):
        range_ = f"between {least:g} and {most:g} ms" if least < most else f"at {most:g} ms"
        _refuse(
            build, arg, Code.OUT_OF_INTERVAL, f"delays begin {range_}, and must lie in ({ends[0]:g}, {ends[1]:g}) ms",
            f"raise `max` to {most:g} ms or more" if most > ends[1] else "change the interval, or the start",
        )  # fmt: skip


def _steps(ends: tuple[float, float], dt: float, trainable: bool) -> tuple[int, int]:
    """Return the shortest and the longest delay in steps that can come up."""
    low, high = (min(end / dt, 2.0 * MAX_DELAY) for end in ends)
    if trainable:
        return math.floor(low + _NEAR), math.ceil(high - _NEAR)
    return math.floor(low + 0.5), math.floor(high + 0.5)


def _sigma(build: Build, last: int, trainable: bool) -> Sigma | None:
    """Return the width of the kernel, from half of the longest delay where nothing is said."""
    bound = build.bound
    for name in OF_TRAINED:
        if name in bound and not trainable:
            _refuse(
                build, bound[name], Code.UNKNOWN_ARGUMENT, f"`{name}` belongs to trainable delays, and these are fixed",
                "take it out, or write `trainable` after the delay",
            )  # fmt: skip
            return None
    if not trainable:
        return None
    if build.options["kernel"] == "linear":
        if "sigma" in bound:
            _refuse(
                build, bound["sigma"], Code.UNKNOWN_ARGUMENT, "a linear kernel has no width `sigma`",
                "take it out, or write `kernel = gaussian`",
            )  # fmt: skip
        return None
    if "sigma" not in bound:
        return Sigma(max(last / 2, LAST_SIGMA), LAST_SIGMA, 0.25)
    node = bound["sigma"].value
    if not isinstance(node, nodes.Call) or node.func.text != "exponential":
        width = _width(build, node)
        return Sigma(width, width, 1.0)
    given = bind_arguments(node, _SIGMA, build.scope, "`exponential`")
    if given is None:
        return None
    over = constant(resolve_as(given["over"], ONE, build.scope, "`over`"))
    if over is None or not 0 < over <= 1:
        _refuse(
            build, given["over"], Code.BAD_VALUE, "`over` is the share of the epochs in which `sigma` falls",
            "write a number above 0 and up to 1, as in `0.25`",
        )  # fmt: skip
        return None
    return Sigma(_width(build, given["start"]), _width(build, given["end"]), over)


def _width(build: Build, node: nodes.Expr) -> float:
    """Return a width in steps, given as a number of steps or as a time."""
    typed = resolve(node, build.scope)
    if typed.dimension is None:
        return 1.0
    value = constant(typed.expr, {"dt": build.dt})
    if typed.dimension == TIME and value is not None:
        value /= build.dt
    elif not expect(typed, ONE, node.span, build.scope.findings, "`sigma`"):
        return 1.0
    if value is None or not 0 < value < math.inf:
        _refuse(
            build, node, Code.BAD_VALUE, "`sigma` is a width above 0, in steps or as a time",
            "as in `sigma = exponential(12.5, 0.5)`, from 12.5 steps down to half a step",
        )  # fmt: skip
        return 1.0
    return value


def word_of_per(arg: nodes.Arg) -> tuple[str, nodes.Mod | None]:
    """Return what each delay belongs to, `layer` where nothing is said."""
    mod = next((mod for mod in arg.mods if mod.kind == "per"), None)
    return ((mod.word or "layer") if mod is not None else "layer"), mod
