"""Prints resolved expressions as Python for JAX (and as plain text for `explain`), with the fewest brackets."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from snnc.emit.names import local_name, surrogate_name
from snnc.expr import Apply, Expr, Num, Var, variables
from snnc.functions import FUNCTIONS, is_smooth

# How tightly an operator binds in Python; atoms and calls bind tightest.
_BINDS = {
    "==": 1, "!=": 1, ">": 1, ">=": 1, "<": 1, "<=": 1, "or": 2, "and": 3, "+": 5, "-": 5, "*": 6, "/": 6, "%": 6,
    "neg": 7, "not": 7, "^": 8,
}  # fmt: skip
_SPELLED = {"^": "**", "or": "|", "and": "&"}
_ATOM = 9

Names = Callable[[str], str]


def number_text(value: float) -> str:
    """Return a float literal.

    >>> number_text(2.0), number_text(float("inf")), number_text(-0.5)
    ('2.0', 'jnp.inf', '-0.5')
    """
    if value == math.pi:
        return "jnp.pi"
    if math.isinf(value):
        return "jnp.inf" if value > 0 else "-jnp.inf"
    return "jnp.nan" if math.isnan(value) else repr(float(value))


def python_text(expr: Expr, name: Names = lambda n: n) -> str:
    """Return `expr` as Python; `name` spells its variables.

    >>> python_text(Apply("*", (Apply("+", (Var("a"), Num(1.0))), Var("b"))))
    '(a + 1.0) * b'
    """
    return _print(expr, name)[0]


def _print(expr: Expr, name: Names) -> tuple[str, int]:
    match expr:
        case Num(value):
            return number_text(value), _ATOM if value >= 0 else _BINDS["neg"]
        case Var(text):
            return name(text), _ATOM
        case Apply("if", (test, then, other)):
            return _branches(test, then, other, name), _ATOM
        case Apply("neg", (inner,)):
            return "-" + _inside(inner, name, _BINDS["neg"]), _BINDS["neg"]
        case Apply("not", (inner,)):
            return "~" + _inside(inner, name, _ATOM), _BINDS["not"]
        case Apply("surrogate", args):
            return f"{surrogate_name(str(expr.attr('name')))}({', '.join(python_text(a, name) for a in args)})", _ATOM
        case Apply("expm", args):
            n = int(float(expr.attr("n") or 0))
            return f"flow_matrix({n}, {', '.join(python_text(a, name) for a in args)})", _ATOM
        case Apply("entry", (table,)):
            row, column = (int(float(expr.attr(k) or 0)) for k in ("row", "column"))
            return f"{python_text(table, name)}[..., {row}, {column}]", _ATOM
        case Apply("and" | "or" as fn, (left, right)):
            joined = f" {_SPELLED[fn]} ".join(_inside(side, name, _ATOM) for side in (left, right))
            return f"({joined})", _ATOM
        case Apply(fn, (left, right)) if fn in _BINDS:
            binds = _BINDS[fn]
            # ** binds to the right; the others to the left; comparisons to neither side
            low, high = (binds + 1, binds) if fn == "^" else (binds, binds + 1)
            if binds == 1:
                low = high = 2
            exponent = fn == "^" and isinstance(right, Num) and right.value == int(right.value)
            second = str(int(right.value)) if exponent and isinstance(right, Num) else _inside(right, name, high)
            text = f"{_inside(left, name, low)} {_SPELLED.get(fn, fn)} {second}"
            return text, binds
        case Apply(fn, args):
            return FUNCTIONS[fn].text.format(*(python_text(arg, name) for arg in args)), _ATOM


def _inside(expr: Expr, name: Names, binds: int) -> str:
    text, own = _print(expr, name)
    return text if own >= binds else f"({text})"


def _branches(test: Expr, then: Expr, other: Expr, name: Names) -> str:
    """A branch that could yield a NaN gradient where it is not taken is kept behind `choose`."""
    condition = python_text(test, name)
    if is_smooth(then) and is_smooth(other):
        return f"jnp.where({condition}, {python_text(then, name)}, {python_text(other, name)})"
    names = tuple(dict.fromkeys([*variables(then), *variables(other)]))
    local = {n: local_name(n) for n in names}
    formals = ", ".join(local.values())
    first, second = (python_text(e, lambda n: local[n]) for e in (then, other))
    values = ", ".join(name(n) for n in names)
    return f"choose({condition}, lambda {formals}: {first}, lambda {formals}: {second}, {values})"


def strings(names: Iterable[str]) -> str:
    """Return a tuple of strings.

    >>> strings(["h"]), strings([])
    ('("h",)', '()')
    """
    quoted = [f'"{name}"' for name in names]
    return f"({quoted[0]},)" if len(quoted) == 1 else f"({', '.join(quoted)})"
