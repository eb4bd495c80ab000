"""Resolved expressions: numbers in the coherent scale, variables, applications. Units are already checked.

Operators, functions and the few primitives of the step are all `Apply`; `snnc.functions` says what each means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from snnc.source import NOWHERE, Span


@dataclass(frozen=True, slots=True)
class Num:
    value: float


@dataclass(frozen=True, slots=True)
class Var:
    name: str


@dataclass(frozen=True, slots=True)
class Apply:
    """`fn` applied to `args`. `attrs` are static options (a fold's window, a surrogate's name)."""

    fn: str
    args: tuple[Expr, ...]
    attrs: tuple[tuple[str, float | str], ...] = ()
    span: Span = field(default=NOWHERE, compare=False, repr=False)

    def attr(self, key: str) -> float | str | None:
        return dict(self.attrs).get(key)


Expr = Num | Var | Apply


def apply(fn: str, *args: Expr, span: Span = NOWHERE) -> Expr:
    """Build an application, folding the arithmetic identities that cost nothing to read.

    >>> apply("*", Num(1.0), Var("x"))
    Var(name='x')
    """
    match fn, args:
        case "+", (Num(0.0), other) | (other, Num(0.0)):
            return other
        case "-", (other, Num(0.0)):
            return other
        case "*", (Num(1.0), other) | (other, Num(1.0)):
            return other
        case "*", (Num(0.0), _) | (_, Num(0.0)):
            return Num(0.0)
        case "/", (other, Num(1.0)):
            return other
        case "/", (Num(0.0), divisor) if divisor != Num(0.0):
            return Num(0.0)
        case "neg", (Num(value),):
            return Num(-value)
        case "neg", (Apply("neg", (inner,)),):
            return inner
        case "+", (left, Apply("neg", (right,))):
            return Apply("-", (left, right), span=span)
    return Apply(fn, args, span=span)


def children(expr: Expr) -> tuple[Expr, ...]:
    return expr.args if isinstance(expr, Apply) else ()


def walk(expr: Expr) -> Iterator[Expr]:
    """Yield `expr` and everything below it, parents first."""
    stack = [expr]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(children(node)))


def variables(expr: Expr) -> tuple[str, ...]:
    """Return the names that `expr` reads, each once, in order of appearance."""
    return tuple(dict.fromkeys(node.name for node in walk(expr) if isinstance(node, Var)))


def rewrite(expr: Expr, rule: Callable[[Expr], Expr]) -> Expr:
    """Apply `rule` to every node, children first; unchanged nodes are kept."""
    if isinstance(expr, Apply):
        args = tuple(rewrite(arg, rule) for arg in expr.args)
        if any(new is not old for new, old in zip(args, expr.args, strict=True)):
            rebuilt = Apply(expr.fn, args, expr.attrs, expr.span)
            expr = rebuilt if expr.attrs else apply(expr.fn, *args, span=expr.span)
    return rule(expr)


def substitute(expr: Expr, values: Mapping[str, Expr]) -> Expr:
    """Replace variables by expressions.

    >>> substitute(Apply("+", (Var("x"), Var("y"))), {"x": Num(2.0)})
    Apply(fn='+', args=(Num(value=2.0), Var(name='y')), attrs=())
    """

    def rule(node: Expr) -> Expr:
        return values.get(node.name, node) if isinstance(node, Var) else node

    return rewrite(expr, rule)


def size(expr: Expr) -> int:
    return sum(1 for _ in walk(expr))
