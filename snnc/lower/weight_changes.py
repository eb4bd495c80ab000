"""Takes the change of a weight apart into products of what exists per pre and per post.

The mean over a batch of such a product is one matrix product, where the change itself would be an array for each sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from snnc.expr import Apply, Expr, Num, Var, apply
from snnc.semantics.plasticity import WEIGHT
from snnc.semantics.plasticity_kinds import kind_of

MAX_PRODUCTS = 16


@dataclass(frozen=True, slots=True)
class Product:
    """`sign` times the product of these; `scale` is the same for all samples, `whole` fits nothing else."""

    sign: int
    scale: tuple[Expr, ...] = ()  # fixed and weight
    pre: tuple[Expr, ...] = ()  # pre and sample
    post: tuple[Expr, ...] = ()
    whole: tuple[Expr, ...] = ()  # synapse


def change_of(value: Expr) -> Expr:
    """Return what is added to `w` where it becomes `value`.

    >>> change_of(Apply("-", (Var("w"), Var("y"))))
    Apply(fn='neg', args=(Var(name='y'),), attrs=())
    """
    match value:
        case Var("w"):
            return Num(0.0)
        case Apply("+", (left, right)) if _leads(left):
            return apply("+", change_of(left), right)
        case Apply("-", (left, right)) if _leads(left):
            rest = change_of(left)
            return apply("neg", right) if rest == Num(0.0) else apply("-", rest, right)
    return apply("-", value, Var(WEIGHT))


def _leads(expr: Expr) -> bool:
    """Whether `expr` is `w` plus and minus something."""
    return expr == Var(WEIGHT) or (isinstance(expr, Apply) and expr.fn in ("+", "-") and _leads(expr.args[0]))


def products(change: Expr, kinds: Mapping[str, str]) -> tuple[Product, ...]:
    """Return products whose sum is `change`; what cannot be taken apart stays whole."""
    found = _products(change, kinds)
    if len(found) > MAX_PRODUCTS or any(p.whole for p in found):
        return (_single(change, kinds),)
    return found


def _products(expr: Expr, kinds: Mapping[str, str]) -> tuple[Product, ...]:
    if expr == Num(0.0):
        return ()
    match expr:
        case Apply("neg", (inner,)):
            return tuple(_turned(p) for p in _products(inner, kinds))
        case Apply("*", (left, right)):
            firsts, seconds = _products(left, kinds), _products(right, kinds)
            return tuple(_joined(a, b) for a in firsts for b in seconds)
        case Apply("/", (left, right)):
            over = _single(apply("/", Num(1.0), right), kinds) if _simple(right, kinds) else None
            if over is not None:
                return tuple(_joined(a, over) for a in _products(left, kinds))
        case Apply("+" | "-" as fn, (left, right)) if not _simple(expr, kinds):
            seconds = _products(right, kinds)
            return (*_products(left, kinds), *(seconds if fn == "+" else map(_turned, seconds)))
    return (_single(expr, kinds),)


def _simple(expr: Expr, kinds: Mapping[str, str]) -> bool:
    return kind_of(expr, kinds) != "synapse"


def _single(expr: Expr, kinds: Mapping[str, str]) -> Product:
    if expr == Num(1.0):
        return Product(1)
    match kind_of(expr, kinds):
        case "fixed" | "weight":
            return Product(1, scale=(expr,))
        case "pre" | "sample":
            return Product(1, pre=(expr,))
        case "post":
            return Product(1, post=(expr,))
    return Product(1, whole=(expr,))


def _turned(p: Product) -> Product:
    return Product(-p.sign, p.scale, p.pre, p.post, p.whole)


def _joined(a: Product, b: Product) -> Product:
    return Product(a.sign * b.sign, a.scale + b.scale, a.pre + b.pre, a.post + b.post, a.whole + b.whole)
