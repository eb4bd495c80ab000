"""Prints readouts, losses and metrics: over whole sequences, and as folds of one step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from snnc.diagnostics import Code, fail
from snnc.emit.pytext import number_text, python_text
from snnc.expr import Apply, Expr, Num, Var, variables, walk
from snnc.model import TensorType
from snnc.ops.tensor_functions import TENSOR_FUNCTIONS

WINDOW = ("start", "stop", "last")
# What a function of a sequence x becomes where only some steps count, {c}; {rest} are its further arguments.
COUNTED = {
    "max_over_time": "max_of_counted({x}, {c})",
    "mean_over_time": "mean_over_time(evened({x}, {c}))",
    "sum_over_time": "sum_over_time(counted({x}, {c}))",
    "last_over_time": "sum_over_time(counted({x}, final_steps({c}, 1)))",
    "count": "spike_count(counted({x}, {c}))",
    "first_spike_time": "first_counted_spike_time({x}, {c}, {rest})",
    "count_mse": "count_mse(counted({x}, {c}), {rest})",
    "van_rossum": "van_rossum_of_counted({x}, {b}, {c}, {rest})",
    "mean": "mean_of_all(evened({x}, {c}), {rest})",
    "sum": "sum_per_sample(counted({x}, {c}), {rest})",
    "l1": "l1(evened({x}, {c}), {rest})",
    "l2": "l1(evened({x}**2, {c}), {rest})",
    "activity": "activity(counted({x}, {c}), {rest})",
    "rate_upper": "rate_upper(evened({x}, {c}), {rest})",
    "rate_lower": "rate_lower(evened({x}, {c}), {rest})",
    "rate_target": "rate_target(evened({x}, {c}), {rest})",
    "rate": "firing_rate(evened({x}, {c}), {rest})",
}
BY_TIME = {"first_spike_time": "first_spike_moment"}  # what reads the times of spikes, where they stand for them
Spell = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class FoldUse:
    """One readout of an output in its streaming form; `name` is the stem of its slots in `State`."""

    name: str
    expr: Apply
    type: TensorType  # of the operand


@dataclass(frozen=True, slots=True)
class TensorPrinter:
    """Prints tensor expressions. `spell` names variables, `types` gives theirs, `folds` replaces readouts.

    `counts` is the text of the steps that count, "" where all do. With `timed` spikes stand for their times.
    """

    spell: Spell
    types: Mapping[str, TensorType]
    folds: Mapping[Apply, str]
    time: str  # the text of `time`: an array [T] or a number
    counts: str = ""
    timed: bool = False
    responses: str = ""  # what units answered in training

    def type_of(self, expr: Expr) -> TensorType:
        """Return the axes of an expression that has already been checked."""
        plain = TensorType(False, False, (), self.types["time"].dimension)
        match expr:
            case Num():
                return plain
            case Var(name):
                return self.types[name]
            case Apply(fn, args) if fn in TENSOR_FUNCTIONS:
                found = TENSOR_FUNCTIONS[fn].check(tuple(self.checked(a) for a in args))
                return found if isinstance(found, TensorType) else self._loose(args)
            case Apply(_, args):
                return self._loose(args)

    def _loose(self, args: tuple[Expr, ...]) -> TensorType:
        kinds = [self.type_of(arg) for arg in args]
        shape = max((k.shape for k in kinds), key=len, default=())
        return TensorType(any(k.time for k in kinds), any(k.batch for k in kinds), shape, kinds[0].dimension)

    def checked(self, expr: Expr) -> TensorType:
        return self.type_of(expr)

    def text(self, expr: Expr) -> str:
        """Return `expr` as Python."""
        return self._print(expr, len(self.type_of(expr).shape))

    def _print(self, expr: Expr, rank: int) -> str:
        """Print `expr` so that it broadcasts against `rank` feature axes."""
        if isinstance(expr, Apply) and expr in self.folds:
            return self._widen(self.folds[expr], self.type_of(expr), rank)
        match expr:
            case Num(value):
                return number_text(value)
            case Var("time"):
                return self._time(rank)
            case Var(name):
                return self._widen(self.spell(name), self.type_of(expr), rank)
            case Apply(fn, args) if fn in TENSOR_FUNCTIONS:
                return self._widen(self._function(expr, args), self.type_of(expr), rank)
            case Apply(fn, args):
                inner = {f"arg{i}": self._print(a, rank) for i, a in enumerate(args)}
                parts: list[Expr] = []
                for i, arg in enumerate(args):
                    # keep arithmetic visible to the printer, so that it sets the fewest brackets
                    parts.append(arg if _is_arithmetic(arg) else Var(f"arg{i}"))
                if any(_is_arithmetic(a) for a in args):
                    return self._arithmetic(expr, rank)
                return python_text(Apply(fn, tuple(parts)), lambda n: inner[n])

    def _arithmetic(self, expr: Expr, rank: int) -> str:
        leaves: dict[str, str] = {}

        def lift(node: Expr) -> Expr:
            if isinstance(node, Apply) and node.fn not in TENSOR_FUNCTIONS and node not in self.folds:
                return Apply(node.fn, tuple(lift(a) for a in node.args), node.attrs)
            if isinstance(node, Num):
                return node
            name = f"leaf{len(leaves)}"
            leaves[name] = self._print(node, rank)
            return Var(name)

        return python_text(lift(expr), lambda n: leaves[n])

    def _time(self, rank: int) -> str:
        if not self.time.endswith("]"):
            return self.time
        return f"{self.time[:-1]}{', None' * (1 + rank)}]"

    def _widen(self, text: str, type_: TensorType, rank: int) -> str:
        if type_.shape or rank == 0 or not (type_.batch or type_.time):
            return text
        return f"{text}[..., {', '.join(['None'] * rank)}]"

    def _function(self, expr: Apply, args: tuple[Expr, ...]) -> str:
        function = TENSOR_FUNCTIONS[expr.fn]
        texts = [self.text(arg) for arg in args]
        options = dict(expr.attrs)
        first = self.type_of(args[0])
        if self.counts and first.time and expr.fn in COUNTED:
            return self._counted(expr, texts, first)
        if function.fold is not None and any(key in options for key in WINDOW):
            texts = [f"{_bracket(text)}[{_window(options)}]" for text in texts]
        runtime = BY_TIME.get(expr.fn, function.runtime) if self.timed else function.runtime
        return f"{runtime}({', '.join([*texts, *self._named(expr, first)])})"

    def _named(self, expr: Apply, first: TensorType) -> list[str]:
        named = [f"{key}={_option(value)}" for key, value in expr.attrs if key not in WINDOW]
        axis = str((1 if first.time else 0) if first.batch else None)
        extras = {"dt": "DT", "weight": "weight", "batch_axis": axis, "responses": self.responses}
        return [*named, *(f"{extra}={extras[extra]}" for extra in TENSOR_FUNCTIONS[expr.fn].extras)]

    def _counted(self, expr: Apply, texts: list[str], first: TensorType) -> str:
        """Print a function of a sequence of which only some steps count."""
        if not first.batch:
            raise fail(
                Code.NOT_YET, expr.span,
                f"not supported yet: `{expr.fn}` of what is the same for all samples, in a recipe with `length` or `burn_in`",
                help="give it a signal of a layer",
            )  # fmt: skip
        options, counts = dict(expr.attrs), self.counts
        if "last" in options:
            counts = f"final_steps({counts}, {int(float(options['last']))})"
        elif "start" in options or "stop" in options:
            bounds = [str(int(float(options.get("start", 0))))]
            bounds += [str(int(float(options["stop"])))] if "stop" in options else []
            counts = f"within({counts}, {', '.join(bounds)})"
        rest = [*texts[1:], *self._named(expr, first)] if expr.fn != "van_rossum" else self._named(expr, first)
        form = COUNTED[expr.fn]
        x = _bracket(texts[0]) if "{x}*" in form else texts[0]
        return form.format(x=x, b=texts[-1], c=counts, rest=", ".join(rest))


def _is_arithmetic(expr: Expr) -> bool:
    return isinstance(expr, Apply) and expr.fn not in TENSOR_FUNCTIONS


def _bracket(text: str) -> str:
    return text if all(c.isalnum() or c in "._" for c in text) else f"({text})"


def _option(value: float | str) -> str:
    return number_text(value) if isinstance(value, float | int) else repr(value)


def _window(options: Mapping[str, float | str]) -> str:
    if "last" in options:
        return f"-{int(float(options['last']))}:"
    start = int(float(options["start"])) if "start" in options else ""
    stop = int(float(options["stop"])) if "stop" in options else ""
    return f"{start}:{stop}"


def folds_of(name: str, expr: Expr, printer: TensorPrinter) -> tuple[FoldUse, ...]:
    """Return the readouts inside an output, each once."""
    found: dict[Apply, FoldUse] = {}
    for node in walk(expr):
        if isinstance(node, Apply) and node.fn in TENSOR_FUNCTIONS and TENSOR_FUNCTIONS[node.fn].fold is not None:
            stem = name if not found else f"{name}{len(found) + 1}"
            found.setdefault(node, FoldUse(stem, node, printer.type_of(node.args[0])))
    return tuple(found.values())


def uses(exprs: tuple[Expr, ...], prefix: str) -> tuple[str, ...]:
    """Return what follows `prefix` in the names of variables that any of `exprs` reads."""
    names = dict.fromkeys(v for expr in exprs for v in variables(expr) if v.startswith(prefix))
    return tuple(name.removeprefix(prefix) for name in names)
