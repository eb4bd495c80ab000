"""What a source may be given, and the check of what it was given: nothing after it meets a value of a wrong kind."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from snnc.diagnostics import Code, did_you_mean, fail
from snnc.source import Span

Kind = Literal[
    "path", "path_or_none", "int", "int_or_none", "float", "seed", "fraction_or_none", "split_or_none", "column"
]  # fmt: skip
REQUIRED: Final = object()
_MAX_COUNT = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument, by name or in its position; `default` is `REQUIRED` where there is none.

    `minimum` and `maximum` bound the kinds `int`, `int_or_none`, `float` and `seed`. A `column` is a name or a number. A
    `split` is a fraction of the samples or a further file.
    """

    name: str
    kind: Kind
    default: object = REQUIRED
    minimum: float = 1
    maximum: float = _MAX_COUNT


def check_arguments(
    source: str, signature: tuple[Argument, ...], given: Mapping[str, object], span: Span
) -> dict[str, Any]:
    """Return every argument of `signature` with its value, `given` or default.

    Raises:
        CompileError: E0204 unknown name, E0205 missing one, E0607 value of a wrong kind or out of its bounds.
    """
    names = [argument.name for argument in signature]
    for name in given:
        if name not in names:
            message = f"`{source}` has no argument `{name}`"
            raise fail(Code.UNKNOWN_ARGUMENT, span, message, help=did_you_mean(name, names))
    values: dict[str, Any] = {}
    for argument in signature:
        value = given.get(argument.name, argument.default)
        if value is REQUIRED:
            message = f"`{source}` needs its argument `{argument.name}`"
            raise fail(Code.MISSING_ARGUMENT, span, message, help=f"its arguments are {', '.join(names)}")
        values[argument.name] = _check(source, argument, value, span)
    return values


def _check(source: str, argument: Argument, value: object, span: Span) -> object:
    low, high = argument.minimum, argument.maximum
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
    whole = int(number) if number is not None and math.isfinite(number) and number == int(number) else None
    if value is None and argument.kind.endswith("_or_none"):
        return None
    match argument.kind:
        case "path" | "path_or_none":
            if isinstance(value, str):
                return value
            wanted = "the name of a file in quotes"
        case "int" | "int_or_none" | "seed":
            if whole is not None and low <= whole <= high:
                return whole
            wanted = f"a whole number from {low:.0f} to {high:.0f}"
        case "float":
            if number is not None and low <= number <= high:
                return float(number)
            wanted = f"a number from {low:g} to {high:g}"
        case "fraction_or_none":
            if number is not None and 0 <= number < 1:
                return float(number)
            wanted = "a fraction, at least 0 and below 1"
        case "split_or_none":
            if isinstance(value, str) or (number is not None and 0 <= number < 1):
                return value if isinstance(value, str) else float(number or 0.0)
            wanted = "a fraction, at least 0 and below 1, or the name of a further file in quotes"
        case "column":
            if isinstance(value, str):
                return value
            if whole is not None:
                return whole
            wanted = "the name or the number of a column"
    shown = f'"{value[:40]}"' if isinstance(value, str) else f"{value}"
    raise fail(Code.BAD_SETTING, span, f"`{argument.name}` of `{source}` is {shown}", help=f"give {wanted}")
