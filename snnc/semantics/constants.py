"""Evaluates resolved expressions that are known without running anything."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from snnc.expr import Apply, Expr, Num, Var
from snnc.functions import FUNCTIONS


# The dimension of 0 and inf, which are the same in every unit.
def constant(expr: Expr, values: Mapping[str, float] | None = None) -> float | None:
    """Evaluate an expression that reads only `values`; None if it reads anything else.

    >>> constant(Apply("*", (Num(2.0), Var("dt"))), {"dt": 0.5})
    1.0
    """
    match expr:
        case Num(value):
            return value
        case Var(name):
            return None if values is None else values.get(name)
        case Apply(fn, args):
            evaluated = [constant(arg, values) for arg in args]
            if any(value is None for value in evaluated) or fn not in FUNCTIONS:
                return None
            try:
                with np.errstate(all="ignore"):
                    return float(FUNCTIONS[fn].value(*evaluated))
            except (ArithmeticError, ValueError, TypeError):  # a TypeError: a root that is complex
                return math.nan
