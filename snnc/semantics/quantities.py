"""Numbers with units: their value in the coherent scale, and the findings where units do not fit."""

from __future__ import annotations

import math
import re
from difflib import get_close_matches

from snnc.diagnostics import Code, Findings, Label, did_you_mean
from snnc.expr import Num, apply
from snnc.semantics.scope import ANY, POISON, Scope, Typed
from snnc.source import Span
from snnc.syntax import nodes
from snnc.units import (
    DIMENSIONS,
    FREQUENCY,
    ONE,
    STEP_UNITS,
    TIME,
    TRAIN_UNITS,
    UNITS,
    Dimension,
    dimension_name,
    unit_name,
)


# The dimension of 0 and inf, which are the same in every unit.
def expect(
    typed: Typed, dimension: Dimension | None, span: Span, findings: Findings, what: str, other: Span | None = None
) -> bool:
    """Report a `UNIT_MISMATCH` unless `typed` fits; return whether it does. `other` is the side that asks for the unit."""
    if dimension is None or typed.dimension is None or typed.dimension in (dimension, ANY) or dimension == ANY:
        return True
    found, wanted = dimension_name(typed.dimension), dimension_name(dimension)
    findings.add(
        Code.UNIT_MISMATCH,
        span,
        f"{what} is {wanted}, but this is {found}",
        note=found,
        help=unit_help(typed.dimension, dimension, span.text),
        labels=() if other is None else (Label(other, wanted),),
    )
    return False


_LITERAL = re.compile(r"(-?\s*[0-9.]+(?:[eE][+-]?[0-9]+)?)(?:\s*[A-Za-z]+)?")


def unit_help(found: Dimension, wanted: Dimension, text: str) -> str:
    """Say how `text` of the unit `found` comes to the unit `wanted`."""
    unit = "Hz" if wanted == FREQUENCY else unit_name(wanted)
    literal = _LITERAL.fullmatch(text)
    if literal is not None:
        number = literal[1]
        if wanted == ONE:
            return f"write a number without a unit, as in `{number}`"
        verb = "give it a unit" if found == ONE else f"write {dimension_name(wanted)}"
        return f"{verb}, as in `{number} {unit}`" if unit.isalpha() else f"write a quantity in {unit}"
    if wanted == ONE:
        return "divide by a quantity of the same unit to get a plain number"
    if found == wanted * TIME:
        return "divide by a time, such as a time constant `tau = 10 ms`"
    if found == ONE:
        example = f", as in `1 {unit} * {text if text.isidentifier() else '…'}`" if unit.isalpha() else ""
        return f"multiply by a quantity in {unit}{example}"
    return f"multiply by {dimension_name(wanted / found)}, or check which of the two was meant"


def number(expr: nodes.Number, scope: Scope) -> Typed:
    """Resolve a literal; `2 steps` becomes 2·dt."""
    value = expr.value
    if expr.unit is None:
        return Typed(Num(value), ANY if value == 0 else ONE)
    if expr.unit in STEP_UNITS:
        if "dt" not in scope.names:
            scope.findings.add(
                Code.NO_DT, expr.span, f"`{expr.unit}` is known only where `dt` is",
                help="write the time in ms",
            )  # fmt: skip
            return POISON
        return Typed(apply("*", Num(value), scope.names["dt"].expr), TIME)
    if expr.unit in UNITS:
        dimension, factor = UNITS[expr.unit]
        return Typed(Num(scaled(value, factor)), dimension)
    in_recipes = "epochs and updates are units of a recipe's schedules"
    help_text = in_recipes if expr.unit in TRAIN_UNITS else _known_unit(expr.unit)
    scope.findings.add(Code.UNKNOWN_UNIT, expr.span, f"unknown unit `{expr.unit}`", help=help_text)
    return POISON


# How Brian2 and NESTML spell the stems of units, and people who write them out.
_STEMS = (
    ("seconds", "s"), ("second", "s"), ("sec", "s"), ("volts", "V"), ("volt", "V"), ("amperes", "A"), ("ampere", "A"),
    ("amp", "A"), ("siemens", "S"), ("farad", "F"), ("ohm", "Ohm"), ("hertz", "Hz"), ("hz", "Hz"), ("milli", "m"),
    ("micro", "u"), ("nano", "n"), ("pico", "p"), ("kilo", "k"), ("mega", "M"), ("giga", "G"),
)  # fmt: skip


def _known_unit(word: str) -> str:
    """Return help for a unit that does not exist.

    >>> _known_unit("msecond"), _known_unit("millivolt")
    ('did you mean `ms`?', 'did you mean `mV`?')
    """
    short = word.lower()
    for long, symbol in _STEMS:
        short = short.replace(long, symbol)
    for candidate in (short, next((unit for unit in UNITS if unit.lower() == word.lower()), "")):
        if candidate in UNITS:
            return f"did you mean `{candidate}`?"
    close = get_close_matches(word, [*UNITS, *STEP_UNITS], n=1, cutoff=0.7)
    if close:
        return f"did you mean `{close[0]}`?"
    return "units are `s V A Hz S F Ohm C` with a prefix `f p n u m k M G` or none, `min`, and `steps` of dt"


def scaled(value: float, factor: float) -> float:
    """Multiply by a power of ten without the rounding that 1e-3 would bring.

    >>> scaled(-70.6, 1.0), scaled(0.1, 1e-3), scaled(0.5, 1000.0)
    (-70.6, 0.0001, 500.0)
    """
    if factor == 0 or math.isinf(value):
        return value
    return value / round(1 / factor) if factor < 1 else value * factor


def declared_dimension(type_: nodes.Type | None, findings: Findings) -> Dimension | None:
    """Return the dimension that a type annotation names; None without one."""
    if type_ is None:
        return None
    if type_.name not in DIMENSIONS:
        findings.add(
            Code.UNKNOWN_NAME, type_.span, f"unknown type `{type_.name}`", help=did_you_mean(type_.name, DIMENSIONS)
        )
        return None
    return DIMENSIONS[type_.name]
