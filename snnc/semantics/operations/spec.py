"""How an operation is written: its arguments, how many sources it takes, its shape rule and its builder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from snnc import model
from snnc.diagnostics import Code
from snnc.ops.operation import Operation, Shape
from snnc.semantics.scope import Scope
from snnc.syntax import nodes
from snnc.units import Dimension


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of an operation.

    `kind` says what it may be: "count" (a whole number from 1), "whole" (from 0), "counts" and "wholes" (one such number, or
    a list with one for each axis; or one of `words`), "number", "flag", "word" (one of `words`), or "" where the builder
    reads the expression.
    """

    name: str
    kind: str = ""
    default: Any = None
    words: tuple[str, ...] = ()


Options = Mapping[str, Any]  # the arguments with a kind, resolved before shapes are known; None where not given


@dataclass(frozen=True, slots=True)
class Build:
    """All that a builder may look at. `weight` is the dimension of a weight, `result` that of the result."""

    instance: nodes.Instance
    bound: dict[str, nodes.Arg]
    options: Options
    sources: tuple[model.Signal, ...]
    in_shapes: tuple[Shape, ...]
    shape: Shape
    weight: Dimension
    result: Dimension
    dt: float
    scope: Scope

    def required(self, name: str) -> nodes.Expr:
        """Return the expression of an argument that must be given; a finding if it is not."""
        if name in self.bound:
            return self.bound[name].value
        self.scope.findings.add(
            Code.MISSING_ARGUMENT, self.instance.span, f"`{self.instance.func.text}` needs the argument `{name}`",
            help=f"write `{self.instance.func.text}({name} = …)`",
        )  # fmt: skip
        return nodes.Number("0", span=self.instance.span)


@dataclass(frozen=True, slots=True)
class OpSpec:
    """One operation of the language.

    `shape` gives the result's shape from those of the sources, None while it does not follow from them, or says in words what is
    wrong. `carries_unit`: its weights take the unit that the port asks for. `most` is the largest number of sources.
    """

    name: str
    arguments: tuple[Argument, ...]
    shape: Callable[[tuple[Shape, ...], Options], Shape | str | None]
    build: Callable[[Build], Operation | None]
    keeps_shape: bool = False
    carries_unit: bool = False
    fits: str = "`flatten()` joins axes, `dense()` changes sizes"  # what helps where shapes do not fit
    least: int = 1
    most: int = 1

    @property
    def argument_names(self) -> tuple[str, ...]:
        return tuple(argument.name for argument in self.arguments)


def unchanged(shapes: tuple[Shape, ...], options: Options) -> Shape:
    """The shape rule of an operation that works on each number by itself."""
    return shapes[0]
