"""Derivatives of resolved expressions: what an argument of each function adds to a cotangent.

At kinks the rules are those of JAX (ties of `min` and `max` share, |x| has slope 1 at 0), so that a derived adjoint equals
JAX's gradient of the same step everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from snnc.expr import Apply, Expr, Num, Var, apply
from snnc.functions import is_smooth

ZERO = Num(0.0)
ONE = Num(1.0)
HALF = Num(0.5)


class NotDerivableError(Exception):
    """The expression holds a function without a rule here; `reason` says which."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def contributions(expr: Expr, cotangent: Expr) -> Iterator[tuple[str, Expr]]:
    """Yield (variable, what the `cotangent` of `expr` adds to the variable's), one for each path.

    Raises:
        NotDerivableError: a function without a rule.
    """
    yield from _walk(expr, cotangent, ())


def _walk(expr: Expr, g: Expr, guards: tuple[tuple[Expr, bool], ...]) -> Iterator[tuple[str, Expr]]:
    """`guards` are the tests of branches above whose derivative may be no number where they are not taken."""
    if g == ZERO:
        return
    match expr:
        case Num():
            return
        case Var(name):
            for test, taken in reversed(guards):
                g = apply_where(test, g, ZERO) if taken else apply_where(test, ZERO, g)
            yield name, g
        case Apply("if", (test, then, other)) if not (is_smooth(then) and is_smooth(other)):
            yield from _walk(then, g, (*guards, (test, True)))
            yield from _walk(other, g, (*guards, (test, False)))
        case Apply(fn, args):
            rule = RULES.get(fn)
            if rule is None:
                raise NotDerivableError(f"`{fn}` has no derivative rule")
            for argument, share in zip(args, rule(expr, g), strict=True):
                yield from _walk(argument, share, guards)


def apply_where(test: Expr, then: Expr, other: Expr) -> Expr:
    """Build `where`, equal branches folded."""
    return then if then == other else Apply("where", (test, then, other))


def _plus(expr: Apply, g: Expr) -> tuple[Expr, ...]:
    return g, g


def _minus(expr: Apply, g: Expr) -> tuple[Expr, ...]:
    return g, negative(g)


def _times(expr: Apply, g: Expr) -> tuple[Expr, ...]:
    a, b = expr.args
    return product(b, g), product(a, g)


def _over(expr: Apply, g: Expr) -> tuple[Expr, ...]:
    a, b = expr.args
    share = apply("/", g, b)
    return share, negative(product(apply("/", a, b), share))


def _power(expr: Apply, g: Expr) -> tuple[Expr, ...]:
    base, exponent = expr.args
    if isinstance(exponent, Num):
        less = Num(exponent.value - 1.0)
        slope: Expr = ONE if less == ZERO else base if less == ONE else Apply("^", (base, less))
        return product(product(exponent, slope), g), ZERO
    by_base = product(exponent, Apply("^", (base, apply("-", exponent, ONE))))
    safe = Apply("where", (Apply("==", (base, ZERO)), ONE, base))
    return product(by_base, g), product(product(Apply("log", (safe,)), expr), g)


def _modulo(expr: Apply, g: Expr) -> tuple[Expr, ...]:
    a, b = expr.args
    return g, negative(product(Apply("floor", (apply("/", a, b),)), g))


def _share(larger: bool) -> Callable[[Apply, Expr], tuple[Expr, ...]]:
    """The rule of `max` and `min`: all to the winner, half to each on a tie."""

    def rule(expr: Apply, g: Expr) -> tuple[Expr, ...]:
        a, b = expr.args
        wins = ">" if larger else "<"
        half = product(HALF, g)

        def of(own: Expr, other: Expr) -> Expr:
            tie = apply_where(Apply("==", (own, other)), half, ZERO)
            return apply_where(Apply(wins, (own, other)), g, tie)

        return of(a, b), of(b, a)

    return rule


def _clip(expr: Apply, g: Expr) -> tuple[Expr, ...]:
    """clip(x, low, high) = min(max(x, low), high)."""
    x, low, high = expr.args
    raised = Apply("max", (x, low))
    to_raised, to_high = _share(larger=False)(Apply("min", (raised, high)), g)
    return *_share(larger=True)(raised, to_raised), to_high


def _branch(expr: Apply, g: Expr) -> tuple[Expr, ...]:
    test = expr.args[0]
    return ZERO, apply_where(test, g, ZERO), apply_where(test, ZERO, g)


def _reset(expr: Apply, g: Expr) -> tuple[Expr, ...]:
    """(1 - S) d_before + S d_after + (after - before) dS."""
    spike, after, before = expr.args
    fired = Apply(">", (spike, ZERO))
    jump = difference(after, before)
    return product(jump, g), apply_where(fired, g, ZERO), apply_where(fired, ZERO, g)


def _emit(expr: Apply, g: Expr) -> tuple[Expr, ...]:
    """dS + S d_value."""
    spike, _ = expr.args
    return g, product(spike, g)


def _unary(slope: Callable[[Expr, Apply], Expr]) -> Callable[[Apply, Expr], tuple[Expr, ...]]:
    def rule(expr: Apply, g: Expr) -> tuple[Expr, ...]:
        return (product(slope(expr.args[0], expr), g),)

    return rule


def _none(expr: Apply, g: Expr) -> tuple[Expr, ...]:
    return tuple(ZERO for _ in expr.args)


def product(a: Expr, b: Expr) -> Expr:
    """Build a b; factors 1, 0 and -1 are folded."""
    for one, other in ((a, b), (b, a)):
        if one == Num(-1.0):
            return negative(other)
        if isinstance(one, Apply) and one.fn == "neg":
            return negative(product(one.args[0], other))
    return apply("*", a, b)


def negative(a: Expr) -> Expr:
    return ZERO if a == ZERO else apply("neg", a)


def difference(a: Expr, b: Expr) -> Expr:
    """Build a - b; what they have in common is left out.

    >>> difference(Apply("-", (Var("v"), Var("theta"))), Var("v"))
    Apply(fn='neg', args=(Var(name='theta'),), attrs=())
    """
    if a == b:
        return ZERO
    match a:
        case Apply("-", (first, second)) if first == b:
            return negative(second)
        case Apply("+", (first, second)) if first == b:
            return second
        case Apply("+", (first, second)) if second == b:
            return first
    return negative(b) if a == ZERO else apply("-", a, b)


def added(a: Expr, b: Expr) -> Expr:
    """Build a + b, a negative summand as a difference."""
    if b == ZERO:
        return a
    if a == ZERO:
        return b
    match b:
        case Apply("neg", (inner,)):
            return apply("-", a, inner)
    return apply("+", a, b)


RULES: dict[str, Callable[[Apply, Expr], tuple[Expr, ...]]] = {
    "+": _plus,
    "-": _minus,
    "*": _times,
    "/": _over,
    "^": _power,
    "%": _modulo,
    "neg": _unary(lambda x, y: Num(-1.0)),
    "exp": _unary(lambda x, y: y),
    "log": _unary(lambda x, y: apply("/", ONE, x)),
    "sqrt": _unary(lambda x, y: apply("/", HALF, y)),
    "abs": _unary(lambda x, y: Apply("where", (Apply(">=", (x, ZERO)), ONE, Num(-1.0)))),
    "min": _share(larger=False),
    "max": _share(larger=True),
    "sin": _unary(lambda x, y: Apply("cos", (x,))),
    "cos": _unary(lambda x, y: apply("neg", Apply("sin", (x,)))),
    "tanh": _unary(lambda x, y: apply("-", ONE, product(y, y))),
    "logistic": _unary(lambda x, y: product(y, apply("-", ONE, y))),
    "softplus": _unary(lambda x, y: Apply("logistic", (x,))),
    "relu": _unary(lambda x, y: Apply("where", (Apply(">", (x, ZERO)), ONE, ZERO))),
    "exprel": _unary(lambda x, y: Apply("exprel_slope", (x,))),
    "clip": _clip,
    "if": _branch,
    "where": _branch,
    "reset": _reset,
    "emit": _emit,
    "sample": lambda expr, g: (g, ZERO),
    **dict.fromkeys((">", ">=", "<", "<=", "==", "!=", "and", "or", "not", "floor", "round", "sign", "detach"), _none),
}
