"""What every operation of a chain has to say: its weights, its shapes both ways, its emitted text and its NumPy meaning.

An operation is written once for a sequence and for a step: texts and values act on the trailing (feature) axes only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from snnc.units import Dimension

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Init:
    """A resolved initialiser: its name in `INITIALISERS` and its options in the coherent scale."""

    name: str
    options: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Weight:
    """A trainable array of an operation, called `PATH.name`."""

    name: str
    shape: Shape
    init: Init
    dimension: Dimension


class Operation(Protocol):
    """One operation with its arguments resolved."""

    @property
    def kind(self) -> str:
        """The name authors call it by."""
        ...

    @property
    def memory(self) -> str:
        """ "" for a function of this step alone; "delay" or "dropout" for one that keeps something in `State`."""
        ...

    def weights(self) -> tuple[Weight, ...]: ...

    def text(self, x: str, weights: Mapping[str, str]) -> str:
        """The emitted expression for input text `x`; `weights` maps weight names to texts."""
        ...

    def value(self, x: Any, weights: Mapping[str, Any]) -> Any:
        """The NumPy meaning on an array with any leading axes."""
        ...

    def transposed(self, d: str, x: str, weights: Mapping[str, str], shape: Shape) -> str:
        """The cotangent of the input `x` of trailing `shape`, from the cotangent `d` of the result."""
        ...

    def gradients(self, d: str, x: str) -> tuple[tuple[str, str], ...]:
        """The gradient of each weight from whole sequences of cotangents `d` and inputs `x`."""
        ...

    @property
    def keeps_input(self) -> bool:
        """Whether `transposed` reads `x`."""
        ...
