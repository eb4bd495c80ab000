"""What an expression may mention, and what a resolved one is."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from snnc.diagnostics import Findings
from snnc.expr import Expr, Num
from snnc.semantics.modules import Module
from snnc.source import Span
from snnc.syntax import nodes
from snnc.units import Dimension

# The dimension of 0 and inf, which are the same in every unit.
ANY = Dimension(math.inf, math.inf, math.inf)


@dataclass(frozen=True, slots=True)
class Typed:
    """A resolved expression; `dimension` is None after an error that has already been reported."""

    expr: Expr
    dimension: Dimension | None


POISON = Typed(Num(0.0), None)


@dataclass(frozen=True, slots=True)
class Scope:
    """What an expression may mention. `names` are own names; module constants and functions come from `module`."""

    names: Mapping[str, Typed]
    module: Module
    findings: Findings
    where: str = "here"  # for messages: "in neuron `LIF`"
    inside: tuple[str, ...] = ()  # functions being inlined, against recursion
    call: Callable[[nodes.Call, Scope], Typed | None] | None = None  # further functions, asked first
    functions: tuple[str, ...] = ()  # the names of those
    constants: dict[Span, Typed] = field(default_factory=dict, compare=False)  # resolved already

    def with_names(self, names: Mapping[str, Typed]) -> Scope:
        return replace(self, names={**self.names, **names})
