"""Goes through an expression of the syntax."""

from __future__ import annotations

from collections.abc import Iterator

from snnc.syntax import nodes


def parts(expr: nodes.Expr) -> Iterator[nodes.Expr]:
    """Yield `expr` and every expression inside it, parents first, in text order; the name of a called function is no part.

    >>> [part.text for part in parts(nodes.Unary("-", nodes.Name(("h", "v")))) if isinstance(part, nodes.Name)]
    ['h.v']
    """
    yield expr
    inner: tuple[nodes.Expr, ...] = ()
    match expr:
        case nodes.Call(_, args):
            inner = tuple(arg.value for arg in args)
        case nodes.Unary(_, operand):
            inner = (operand,)
        case nodes.Binary(_, left, right) | nodes.Compare(_, left, right):
            inner = (left, right)
        case nodes.Cond(then, test, other):
            inner = (then, test, other)
        case nodes.ListExpr(items) | nodes.Index(_, items):
            inner = items
        case nodes.Name() | nodes.Number() | nodes.String() | nodes.Bool():
            pass
    for child in inner:
        yield from parts(child)
