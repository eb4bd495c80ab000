"""What every operator and function of an expression means: its NumPy value, its JAX text, its rule for dimensions.

The NumPy column is the oracle's; the text column is what emitted code says. `where`, `reset`, `emit` and `choose` are the
primitives of the step (language.md, "One step, normatively", 6 and 7).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from snnc.expr import Apply, Expr, Num


def exprel(z: Any) -> Any:
    """Return (exp(z) - 1) / z, and 1 at 0: accurate at every z, by its Taylor series below 0.3.

    >>> float(exprel(0.0)), round(float(exprel(1.0)), 6)
    (1.0, 1.718282)
    """
    z = np.asarray(z)
    near = np.abs(z) < 0.3
    safe = np.where(near, 1.0, z)
    series = np.ones_like(z, dtype=np.result_type(z, np.float32))
    for order in range(13, 1, -1):
        series = 1.0 + z / order * series
    return np.where(near, series, np.expm1(safe) / safe)


def exprel_slope(z: Any) -> Any:
    """Return the derivative of `exprel`, by its Taylor series below 0.3.

    >>> float(exprel_slope(0.0)), round(float(exprel_slope(1.0)), 6)
    (0.5, 1.0)
    """
    z = np.asarray(z)
    near = np.abs(z) < 0.3
    safe = np.where(near, 1.0, z)
    series = np.ones_like(z, dtype=np.result_type(z, np.float32))
    for j in range(12, -1, -1):
        series = 1.0 + z * ((j + 2) / ((j + 1) * (j + 3))) * series
    return np.where(near, 0.5 * series, (np.exp(safe) - np.expm1(safe) / safe) / safe)


def logistic(x: Any) -> Any:
    return 0.5 * (1.0 + np.tanh(0.5 * np.asarray(x)))


def softplus(x: Any) -> Any:
    return np.logaddexp(x, 0.0)


def round_half_up(x: Any) -> Any:
    return np.floor(np.asarray(x) + 0.5)


@dataclass(frozen=True, slots=True)
class Function:
    """`rule` names how dimensions go through: "same" (all alike, result alike), "plain" (plain number to plain number),
    "compare" (alike to truth), "product", "quotient", "power", "root", "logic", "keep" (one argument, its own dimension)."""

    arity: int
    rule: str
    value: Callable[..., Any]
    text: str  # {0}, {1} … stand for the arguments; infix operators are spelled by the printer


FUNCTIONS: dict[str, Function] = {
    "+": Function(2, "same", lambda a, b: a + b, ""),
    "-": Function(2, "same", lambda a, b: a - b, ""),
    "*": Function(2, "product", lambda a, b: a * b, ""),
    "/": Function(2, "quotient", lambda a, b: a / b, ""),
    "%": Function(2, "same", np.mod, ""),
    "^": Function(2, "power", lambda a, b: a**b, ""),
    "neg": Function(1, "keep", lambda a: -a, ""),
    ">": Function(2, "compare", lambda a, b: a > b, ""),
    ">=": Function(2, "compare", lambda a, b: a >= b, ""),
    "<": Function(2, "compare", lambda a, b: a < b, ""),
    "<=": Function(2, "compare", lambda a, b: a <= b, ""),
    "==": Function(2, "compare", lambda a, b: a == b, ""),
    "!=": Function(2, "compare", lambda a, b: a != b, ""),
    "and": Function(2, "logic", np.logical_and, ""),
    "or": Function(2, "logic", np.logical_or, ""),
    "not": Function(1, "logic", np.logical_not, ""),
    "exp": Function(1, "plain", np.exp, "jnp.exp({0})"),
    "log": Function(1, "plain", np.log, "jnp.log({0})"),
    "sqrt": Function(1, "root", np.sqrt, "jnp.sqrt({0})"),
    "abs": Function(1, "keep", np.abs, "jnp.abs({0})"),
    "min": Function(2, "same", np.minimum, "jnp.minimum({0}, {1})"),
    "max": Function(2, "same", np.maximum, "jnp.maximum({0}, {1})"),
    "sin": Function(1, "plain", np.sin, "jnp.sin({0})"),
    "cos": Function(1, "plain", np.cos, "jnp.cos({0})"),
    "floor": Function(1, "plain", np.floor, "jnp.floor({0})"),
    "round": Function(1, "plain", round_half_up, "jnp.floor({0} + 0.5)"),
    "sign": Function(1, "sign", np.sign, "jnp.sign({0})"),
    "tanh": Function(1, "plain", np.tanh, "jnp.tanh({0})"),
    "logistic": Function(1, "plain", logistic, "jax.nn.sigmoid({0})"),
    "softplus": Function(1, "plain", softplus, "jax.nn.softplus({0})"),
    "relu": Function(1, "keep", lambda a: np.maximum(a, 0), "jax.nn.relu({0})"),
    "exprel": Function(1, "plain", exprel, "exprel({0})"),
    "clip": Function(3, "same", lambda a, lo, hi: np.clip(a, lo, hi), "jnp.clip({0}, {1}, {2})"),
    "detach": Function(1, "keep", lambda a: a, "lax.stop_gradient({0})"),
    # primitives of the step; they have no spelling in the language
    "if": Function(3, "if", lambda c, a, b: np.where(c, a, b), "jnp.where({0}, {1}, {2})"),
    "where": Function(3, "if", lambda c, a, b: np.where(c, a, b), "jnp.where({0}, {1}, {2})"),
    "reset": Function(3, "if", lambda s, after, before: np.where(s > 0, after, before), "reset({0}, {1}, {2})"),
    "exprel_slope": Function(1, "plain", exprel_slope, "exprel_slope({0})"),
    "emit": Function(2, "keep", lambda s, e: np.where(s > 0, e, 0.0), "emit({0}, {1})"),
    "sample": Function(2, "plain", lambda p, chance: (chance < p).astype(p.dtype), "sample({0}, {1})"),
}

# What authors may call, by name.
CALLABLE = (
    "exp", "log", "sqrt", "abs", "sin", "cos", "min", "max", "floor", "round", "sign", "tanh", "logistic", "softplus", "relu",
    "exprel", "clip", "detach",
)  # fmt: skip
CONSTANTS = {"pi": math.pi, "inf": math.inf}

# Functions that are finite, with finite derivatives, wherever their arguments are.
_SMOOTH = {"+", "-", "*", "neg", "min", "max", "abs", "floor", "round", "sin",
           "cos", "sign", "tanh", "logistic", "softplus", "clip",
           ">", ">=", "<", "<=", "==", "!=", "and", "or", "not", "detach", "relu", "where"}  # fmt: skip


def is_smooth(expr: Expr) -> bool:
    """Whether value and derivative are finite for finite arguments."""
    match expr:
        case Apply("/", (left, Num(value))):
            return value != 0 and is_smooth(left)
        case Apply("^", (left, Num(value))):
            return value == int(value) and value >= 1 and is_smooth(left)
        case Apply(fn, args):
            return fn in _SMOOTH and all(is_smooth(arg) for arg in args)
        case _:
            return True
