"""Constant keyword options of tensor functions, initialisers and encoders, and what may be wrong with their values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from snnc.units import Dimension

OptionValue = float | bool | str
Options = Mapping[str, OptionValue]
Refuse = Callable[[Options], str | None]  # what is wrong with the values, in words


@dataclass(frozen=True, slots=True)
class Option:
    """A number, passed on as a float in the coherent scale. Without `default` it must be given, unless `optional`."""

    name: str
    dimension: Dimension
    default: float | None
    doc: str = ""
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words, or `true`/`false` where `words` is empty."""

    name: str
    words: tuple[str, ...]
    default: str | bool
    doc: str = ""


def accept(options: Options) -> None:
    """Find nothing wrong."""


def number(options: Options, name: str) -> float:
    """Return the value of a numeric option."""
    value = options[name]
    assert not isinstance(value, str), (name, value)
    return float(value)


def positive(*names: str) -> Refuse:
    """Return a check that each of `names` is above 0.

    >>> positive("tau")({"tau": 0.0})
    '`tau` must be positive'
    """

    def refuse(options: Options) -> str | None:
        return next((f"`{name}` must be positive" for name in names if not number(options, name) > 0), None)

    return refuse


def not_negative(*names: str) -> Refuse:
    """Return a check that each of `names` is at least 0.

    >>> not_negative("bound")({"bound": -1.0})
    '`bound` must not be negative'
    """

    def refuse(options: Options) -> str | None:
        return next((f"`{name}` must not be negative" for name in names if not number(options, name) >= 0), None)

    return refuse
