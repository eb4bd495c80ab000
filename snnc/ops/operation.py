"""What every operation of a chain has to say: its weights, its emitted text, its transposition and its NumPy meaning.

An operation is written once for a sequence and for a step: texts and values act on the trailing (feature) axes only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from snnc.units import Dimension

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Init:
    """A resolved initialiser: its name in `INITIALISERS` and its options in the coherent scale.

    Within `limits` the weights are drawn and stay: what a draw or an update takes out of them is moved to the nearer end.
    """

    name: str
    options: tuple[tuple[str, float], ...] = ()
    limits: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Weight:
    """A trainable array of an operation, called `PATH.name`. With `by_step` its first axis runs over the steps of a sample."""

    name: str
    shape: Shape
    init: Init
    dimension: Dimension
    decays: bool = True  # whether weight decay acts on it
    by_step: bool = False


@dataclass(frozen=True, slots=True)
class Buffer:
    """An array of an operation that goes from batch to batch without gradient, called `PATH.name`; it begins as `start`."""

    name: str
    shape: Shape
    start: float
    dimension: Dimension
    by_step: bool = False
    text: str = ""  # what makes it instead, in emitted code; {stream} is the number of its name
    init: Init | None = None  # or how it is drawn


class Operation:
    """One operation with its arguments resolved. Methods take one text, value or shape for each source.

    `kind` is the name that authors call it by. `memory` is "" for a function of this step alone, "delay", "dropout" for one
    that keeps something in `State`. With `transposable` a time loop that holds the operation has a derived gradient.
    """

    kind: str
    memory: str = ""
    transposable: ClassVar[bool] = True
    keeps_input: bool = False  # whether `transposed` reads the sources
    varies: bool = False  # whether its result changes from step to step where its source does not

    def weights(self) -> tuple[Weight, ...]:
        return ()

    def buffers(self) -> tuple[Buffer, ...]:
        return ()

    def held(self) -> int:
        """The past steps of its source that it keeps in `State`."""
        return 0

    def least_delay(self) -> int:
        """By how many steps it reads its source late at least; from 1 on it breaks a circle."""
        return 0

    def text(self, x: tuple[str, ...], weights: Mapping[str, str]) -> str:
        """The emitted expression; `weights` maps weight names to texts."""
        raise AssertionError(f"{self.kind} is emitted by the schedule")

    def text_over_time(self, x: tuple[str, ...], weights: Mapping[str, str]) -> str:
        """The emitted expression for whole sequences."""
        return self.text(x, weights)

    def value(self, x: tuple[Any, ...], weights: Mapping[str, Any]) -> Any:
        """The NumPy meaning on arrays with any leading axes."""
        raise AssertionError(f"{self.kind} is computed by the interpreter")

    def transposed(
        self, d: str, x: tuple[str, ...], weights: Mapping[str, str], shapes: tuple[Shape, ...]
    ) -> tuple[str, ...]:
        """The cotangent of each source, of trailing `shapes`, from the cotangent `d` of the result."""
        raise AssertionError(f"{self.kind} is transposed by JAX or by the schedule")

    def gradients(self, d: str, x: str) -> tuple[tuple[str, str], ...]:
        """The gradient of each weight from whole sequences of cotangents `d` and of the only source `x`."""
        return ()
