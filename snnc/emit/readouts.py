"""Readouts as text: over whole sequences, and as accumulators that advance step by step."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from snnc import model
from snnc.diagnostics import Code, fail
from snnc.emit.names import field_name, identifier
from snnc.emit.node_lines import signal_text
from snnc.emit.parameters import parameter_texts
from snnc.emit.statement_text import LineView
from snnc.emit.tensor_text import FoldUse, Spell, TensorPrinter, folds_of
from snnc.expr import Apply
from snnc.ops.tensor_functions import TENSOR_FUNCTIONS
from snnc.semantics.tensors import signal_names


def network_folds(network: model.Network) -> tuple[FoldUse, ...]:
    printer = network_printer(network, step=False)
    found: list[FoldUse] = []
    for output in network.outputs:
        found += folds_of(f"{identifier(output.name)}_fold", output.value, printer)
    return tuple(found)


def fold_slots(fold: FoldUse) -> list[str]:
    function = TENSOR_FUNCTIONS[fold.expr.fn].fold
    assert function is not None
    return [fold.name if len(function.slots) == 1 else f"{fold.name}_{slot}" for slot in function.slots]


def network_printer(
    network: model.Network,
    *,
    step: bool,
    folds: tuple[FoldUse, ...] = (),
    steps: int | None = None,
    burn_in: int = 0,
    counts: str = "",
    timed: bool = False,
    values: Mapping[Apply, str] = MappingProxyType({}),
) -> TensorPrinter:
    """Return a printer of outputs, in a `step` or over sequences; `counts` is the text of the steps that count.

    `values` has the text of readouts that are known otherwise.
    """
    types = dict(signal_names(network).values())
    types |= {f"output:{o.name}": o.type for o in network.outputs}
    values = dict(values)
    for fold in folds:
        function = TENSOR_FUNCTIONS[fold.expr.fn].fold
        assert function is not None
        names = dict(zip(function.slots, fold_slots(fold), strict=True))
        values[fold.expr] = function.value.format(**names, count=_count(fold, steps, burn_in), dt="DT", n="state.n")
    spell = _local_spelling(network) if step else signals_spelling(network)
    time = "((state.n + 1) * DT)" if step else "(DT * jnp.arange(1, steps + 1))[:]"
    return TensorPrinter(spell, types, values, time, counts, timed)


def signals_spelling(network: model.Network) -> Spell:
    """Return how variables of tensor expressions are spelled where `signals`, `outputs` and `x` are at hand."""

    def spell(var: str) -> str:
        kind, _, name = var.partition(":")
        match kind:
            case "signal":
                signal = model.signal_of(name)
                part = f"{signal.name}_pre" if signal.pre else signal.name
                return f"signals.{field_name(signal.node)}.{field_name(part)}"
            case "op":
                return f"signals.{field_name(name)}"
            case "input":
                return f"x.{field_name(name)}"
            case "output":
                return identifier(name)
            case "weight":
                return weight_text(network, name)
            case _:
                return f'fields["{name}"]'

    return spell


def weight_text(network: model.Network, name: str) -> str:
    """Return the text of a weight or of a trainable parameter in the author's units."""
    node, _, param = name.rpartition(".")
    layer = next((layer for layer in network.layers if layer.name == node), None)
    if layer is None:
        return f"params.{identifier(name)}"
    return parameter_texts(layer, (param,), network.dt)[param]


def _local_spelling(network: model.Network) -> Spell:
    whole = signals_spelling(network)

    def spell(var: str) -> str:
        kind, _, name = var.partition(":")
        if kind == "signal":
            return signal_text(model.signal_of(name), network, {})
        return identifier(name) if kind == "op" else whole(var)

    return spell


def step_outputs(
    network: model.Network, folds: tuple[FoldUse, ...], printer: TensorPrinter, steps: int | None, burn_in: int
) -> list[LineView]:
    """Advance the accumulators of the readouts, then print the outputs so far; the first `burn_in` steps do not count."""
    lines: list[LineView] = []
    for fold in folds:
        function = TENSOR_FUNCTIONS[fold.expr.fn].fold
        assert function is not None
        names = dict(zip(function.slots, fold_slots(fold), strict=True))
        operand, *others = [_bracket(printer.text(arg)) for arg in fold.expr.args]
        olds = {slot: f"state.{name}" for slot, name in names.items()}
        window = _inside_window(fold, steps, burn_in)
        for name, update in zip(names.values(), function.update, strict=True):
            text = update.format(
                **olds, x=operand, y="".join(others), n="state.n", count=_count(fold, steps, burn_in), dt="DT"
            )
            if window:
                text = f"jnp.where({window}, {text}, state.{name})"
            lines.append(LineView("" if lines else "the readouts so far", f"{name} = {text}"))
    for output in network.outputs:
        lines.append(LineView("", f"{identifier(output.name)} = {printer.text(output.value)}"))
    return lines


def _bracket(text: str) -> str:
    return text if all(c.isalnum() or c in "._[]" for c in text) else f"({text})"


def _limits(expr: Apply, steps: int | None, burn_in: int) -> tuple[int, int | None]:
    if expr.attr("last") is not None:
        if steps is None:
            raise fail(
                Code.NOT_YET, expr.span, "not supported yet: a window `last` where no recipe says how long a sample is",
                help="use `from = …`, or name a recipe whose data has a `duration`",
            )  # fmt: skip
        return max(burn_in, steps - int(float(expr.attr("last") or 0))), None
    stop = expr.attr("stop")
    return max(burn_in, int(float(expr.attr("start") or 0))), None if stop is None else int(float(stop))


def _inside_window(fold: FoldUse, steps: int | None, burn_in: int) -> str:
    start, stop = _limits(fold.expr, steps, burn_in)
    tests = [f"(state.n >= {start})"] if start else []
    tests += [f"(state.n < {stop})"] if stop is not None else []
    return " & ".join(tests)


def _count(fold: FoldUse, steps: int | None, burn_in: int) -> str:
    """Steps of the window up to and with this one."""
    expr = fold.expr
    start, stop = _limits(expr, steps, burn_in)
    if start == 0 and stop is None and expr.attr("last") is None and expr.attr("start") is None:
        return "(state.n + 1)"
    upper = "state.n + 1" if stop is None else f"jnp.minimum(state.n + 1, {stop})"
    return f"({upper} - {start})"
