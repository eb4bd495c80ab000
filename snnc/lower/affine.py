"""Splits an expression into a linear part in given names and a rest."""

from __future__ import annotations

from collections.abc import Collection

from snnc.expr import Apply, Expr, Num, Var, apply, variables


class NonLinearError(Exception):
    """Raised with the term that is not linear."""

    def __init__(self, term: Expr) -> None:
        self.term = term
        super().__init__(repr(term))


def affine(expr: Expr, names: Collection[str]) -> tuple[dict[str, Expr], Expr]:
    """Return coefficients and rest with expr = sum of coefficient * name + rest; neither reads `names`.

    >>> affine(Apply("/", (Apply("-", (Var("I"), Var("v"))), Var("tau"))), ["v"])[0]
    {'v': Apply(fn='/', args=(Num(value=-1.0), Var(name='tau')), attrs=())}

    Raises:
        NonLinearError: with the smallest term that is not linear in `names`.
    """
    if not any(name in names for name in variables(expr)):
        return {}, expr
    match expr:
        case Var(name):
            return {name: Num(1.0)}, Num(0.0)
        case Apply("+" | "-" as op, (left, right)):
            first, rest = affine(left, names)
            second, other = affine(right, names)
            coefficients = dict(first)
            for name, value in second.items():
                coefficients[name] = apply(op, coefficients.get(name, Num(0.0)), value)
                if op == "-" and name not in first:
                    coefficients[name] = apply("neg", value)
            return coefficients, apply(op, rest, other) if rest != Num(0.0) or op == "+" else apply("neg", other)
        case Apply("neg", (inner,)):
            coefficients, rest = affine(inner, names)
            return {name: apply("neg", value) for name, value in coefficients.items()}, apply("neg", rest)
        case Apply("*", (left, right)) if not any(name in names for name in variables(left)):
            coefficients, rest = affine(right, names)
            return {n: apply("*", left, value) for n, value in coefficients.items()}, apply("*", left, rest)
        case Apply("*", (left, right)) if not any(name in names for name in variables(right)):
            coefficients, rest = affine(left, names)
            return {n: apply("*", value, right) for n, value in coefficients.items()}, apply("*", rest, right)
        case Apply("/", (left, right)) if not any(name in names for name in variables(right)):
            coefficients, rest = affine(left, names)
            return {n: apply("/", value, right) for n, value in coefficients.items()}, apply("/", rest, right)
        case _:
            raise NonLinearError(expr)
