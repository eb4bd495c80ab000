"""Resolves an expression of the syntax: names replaced, units checked and scaled away, functions inlined.

A finding poisons the expression (dimension None), so that one cause gives one error.
"""

from __future__ import annotations

import math

from snnc.diagnostics import Code, Label, did_you_mean, fail
from snnc.expr import Apply, Expr, Num, apply, children, size
from snnc.functions import CALLABLE, CONSTANTS, FUNCTIONS
from snnc.limits import MAX_EXPRESSION, MAX_NESTING
from snnc.semantics.arguments import bind_arguments
from snnc.semantics.circles import draw_circle
from snnc.semantics.modules import Module, name_span
from snnc.semantics.quantities import declared_dimension, expect, number, unit_help
from snnc.semantics.scope import ANY, POISON, Scope, Typed
from snnc.syntax import nodes
from snnc.units import (
    ONE,
    Dimension,
    dimension_name,
)

# The dimension of 0 and inf, which are the same in every unit.


def resolve(expr: nodes.Expr, scope: Scope) -> Typed:
    """Return `expr` resolved in `scope`; findings go to `scope.findings`."""
    try:
        typed = _resolve(expr, scope)
    except RecursionError:
        raise fail(
            Code.TOO_LARGE, expr.span, "definitions are nested too deeply here",
            help="write fewer of them in terms of each other",
        ) from None  # fmt: skip
    if typed.dimension is not None and (size(typed.expr) > MAX_EXPRESSION or depth(typed.expr) > MAX_NESTING):
        scope.findings.add(
            Code.TOO_LARGE, expr.span, "this expression becomes too large when its `let`s are replaced",
            help="keep intermediate values in states, or simplify",
        )  # fmt: skip
        return POISON
    return typed


def depth(expr: Expr) -> int:
    """Return the number of levels of an expression.

    >>> depth(Apply("neg", (Num(1.0),)))
    2
    """
    levels, row = 0, [expr]
    while row:
        levels, row = levels + 1, [child for node in row for child in children(node)]
    return levels


def resolve_as(expr: nodes.Expr, dimension: Dimension | None, scope: Scope, what: str) -> Expr:
    """Resolve `expr` and check that it has `dimension` (None: anything)."""
    typed = resolve(expr, scope)
    expect(typed, dimension, expr.span, scope.findings, what)
    return typed.expr


def _resolve(expr: nodes.Expr, scope: Scope) -> Typed:
    match expr:
        case nodes.Number():
            return number(expr, scope)
        case nodes.Name():
            return _name(expr, scope)
        case nodes.Unary("-", operand):
            inner = _resolve(operand, scope)
            return Typed(apply("neg", inner.expr, span=expr.span), inner.dimension)
        case nodes.Unary(_, operand):
            return Typed(apply("not", _resolve(operand, scope).expr, span=expr.span), ONE)
        case nodes.Binary(op, left, right):
            return _binary(expr, op, _resolve(left, scope), _resolve(right, scope), scope)
        case nodes.Compare(op, left, right):
            return _joined(expr, op, left, right, _resolve(left, scope), _resolve(right, scope), scope, truth=True)
        case nodes.Cond(then, test, other):
            chosen = _joined(expr, "if … else", then, other, _resolve(then, scope), _resolve(other, scope), scope)
            if chosen.dimension is None or not isinstance(chosen.expr, Apply):
                return chosen
            first, second = chosen.expr.args
            return Typed(Apply("if", (_resolve(test, scope).expr, first, second), span=expr.span), chosen.dimension)
        case nodes.Call():
            return _call(expr, scope)
        case nodes.Bool(value):
            return Typed(Num(float(value)), ONE)
        case nodes.String() | nodes.ListExpr() | nodes.Index():
            scope.findings.add(
                Code.WRONG_KIND, expr.span, f"a {_KINDS[type(expr)]} cannot stand in an expression",
                help="write a number, a name or a function here",
            )  # fmt: skip
            return POISON


_KINDS = {nodes.String: "string", nodes.ListExpr: "list", nodes.Index: "bracket"}


def _name(expr: nodes.Name, scope: Scope) -> Typed:
    if expr.text in scope.names:
        return scope.names[expr.text]
    if expr.text in CONSTANTS:
        value = CONSTANTS[expr.text]
        return Typed(Num(value), ANY if math.isinf(value) else ONE)
    const = scope.module.find_kind(expr, nodes.Const)
    if const is not None:
        item, home = const
        if item.name in scope.inside:
            _report_circle(scope.inside[scope.inside.index(item.name) :], home, scope)
            return POISON
        if item.span not in scope.constants:
            inside = (*scope.inside, item.name)
            inner = Scope({}, home, scope.findings, f"in constant `{item.name}`", inside, constants=scope.constants)
            scope.constants[item.span] = resolve(item.value, inner)
        return scope.constants[item.span]
    if scope.module.find(expr) is not None:
        scope.findings.add(
            Code.WRONG_KIND, expr.span, f"`{expr.text}` is no value that can be used {scope.where}",
            help="a function is called with brackets; neurons and networks stand in chains",
        )  # fmt: skip
        return POISON
    members = [n for n in scope.names if n.startswith(f"{expr.parts[0]}.") and not n.endswith(".pre")]
    if len(expr.parts) > 1 and members:
        signals = [n.split(".", 1)[1] for n in members]
        guess = did_you_mean(".".join(expr.parts[1:]), signals)
        listed = "it has " + ", ".join(f"`{n}`" for n in members)
        scope.findings.add(
            Code.UNKNOWN_NAME, expr.span, f"`{expr.parts[0]}` has no signal `{'.'.join(expr.parts[1:])}` {scope.where}",
            help=f"{guess} {listed}" if guess and guess.startswith("did") else listed,
        )  # fmt: skip
        return POISON
    known = [*scope.names, *CONSTANTS, *(n for n, (i, _) in scope.module.names.items() if isinstance(i, nodes.Const))]
    scope.findings.add(
        Code.UNKNOWN_NAME, expr.span, f"unknown name `{expr.text}` {scope.where}", help=_declared(expr.text, known, scope),
        cause=f"{expr.parts[0]} {scope.where}",
    )  # fmt: skip
    return POISON


def _declared(name: str, known: list[str], scope: Scope) -> str | None:
    """Return what to do about an unknown name: the near one, or how a neuron declares it."""
    guess = did_you_mean(name, known)
    if guess and guess.startswith("known") and scope.where.startswith("in neuron") and "." not in name:
        return f"declare it, as in `param {name} = …`; {guess}"
    return guess


def _report_circle(names: tuple[str, ...], home: Module, scope: Scope) -> None:
    """Report constants that are defined by each other, once, at the first of them."""
    first = min(range(len(names)), key=lambda k: home.own[names[k]].span.start)
    circle = [(name, name_span(home.own[name])) for name in names[first:] + names[:first]]
    listed = ", ".join(f"`{name}`" for name, _ in circle)
    message = f"{listed} is defined by itself" if len(circle) == 1 else f"{listed} are defined by each other"
    help = f"give {'it' if len(circle) == 1 else 'one of them'} a number\n{draw_circle(circle)}"
    scope.findings.add(Code.CYCLE, circle[0][1], message, help=help)


def _binary(expr: nodes.Binary, op: str, left: Typed, right: Typed, scope: Scope) -> Typed:
    if op in ("+", "-", "%"):
        return _joined(expr, op, expr.left, expr.right, left, right, scope)
    if left.dimension is None or right.dimension is None:
        return POISON
    if op in ("and", "or"):
        return Typed(apply(op, left.expr, right.expr, span=expr.span), ONE)
    if op == "^":
        return _power(expr, left, right, scope)
    value = apply(op, left.expr, right.expr, span=expr.span)
    if ANY in (left.dimension, right.dimension):
        other = right.dimension if left.dimension == ANY else left.dimension
        if other == ANY or op == "*" or left.dimension == ANY:
            return Typed(value, ANY)
        return Typed(value, ONE if other == ONE else ANY)
    combined = left.dimension * right.dimension if op == "*" else left.dimension / right.dimension
    return Typed(value, combined)


def _joined(
    expr: nodes.Expr,
    op: str,
    left_node: nodes.Expr,
    right_node: nodes.Expr,
    left: Typed,
    right: Typed,
    scope: Scope,
    *,
    truth: bool = False,
) -> Typed:
    """Join two values that must have one dimension."""
    if left.dimension is None or right.dimension is None:
        return POISON
    if left.dimension != right.dimension and ANY not in (left.dimension, right.dimension):
        first, second = dimension_name(left.dimension), dimension_name(right.dimension)
        scope.findings.add(
            Code.UNIT_MISMATCH,
            right_node.span,
            f"`{op}` joins {first} and {second}",
            note=second,
            labels=(Label(left_node.span, first),),
            help=unit_help(right.dimension, left.dimension, right_node.span.text),
        )
        return POISON
    dimension = right.dimension if left.dimension == ANY else left.dimension
    return Typed(apply(op, left.expr, right.expr, span=expr.span), ONE if truth else dimension)


def _power(expr: nodes.Binary, left: Typed, right: Typed, scope: Scope) -> Typed:
    assert left.dimension is not None
    expect(right, ONE, expr.right.span, scope.findings, "an exponent")
    if left.dimension not in (ONE, ANY) and not isinstance(right.expr, Num):
        scope.findings.add(
            Code.NOT_DIMENSIONLESS, expr.left.span,
            f"{dimension_name(left.dimension)} can be raised to a written number only",
            help="divide the base by its unit first",
        )  # fmt: skip
        return POISON
    dimension = left.dimension
    if isinstance(right.expr, Num) and dimension != ANY:
        dimension = dimension.power(right.expr.value)
    return Typed(apply("^", left.expr, right.expr, span=expr.span), dimension)


def _call(expr: nodes.Call, scope: Scope) -> Typed:
    name = expr.func.text
    if scope.call is not None:
        special = scope.call(expr, scope)
        if special is not None:
            return special
    found = scope.module.find(expr.func)
    if found is not None and isinstance(found[0], nodes.Function):
        return _inline(expr, found[0], found[1], scope)
    if found is not None and isinstance(found[0], nodes.Extern):
        scope.findings.add(
            Code.NOT_YET, expr.span, "not supported yet: calling an `extern` from an equation",
            help="write the function in the language with `fn`",
        )  # fmt: skip
        return POISON
    if name not in CALLABLE:
        functions = [n for n, (i, _) in scope.module.names.items() if isinstance(i, nodes.Function)]
        scope.findings.add(
            Code.UNKNOWN_NAME, expr.func.span, f"unknown function `{name}` {scope.where}",
            help=did_you_mean(name, [*(scope.functions or CALLABLE), *functions]),
        )  # fmt: skip
        return POISON
    function = FUNCTIONS[name]
    if any(arg.name is not None for arg in expr.args) or not _right_count(function.arity, expr, name):
        scope.findings.add(
            Code.MISSING_ARGUMENT, expr.span,
            f"`{name}` takes {function.arity} argument{'s' if function.arity > 1 else ''} without names, "
            f"{len(expr.args)} found",
            help=f"write `{name}({', '.join('abc'[: function.arity])})`",
        )  # fmt: skip
        return POISON
    args = [_resolve(arg.value, scope) for arg in expr.args]
    if any(arg.dimension is None for arg in args):
        return POISON
    return _apply_function(expr, name, function.rule, args, scope)


def _right_count(arity: int, expr: nodes.Call, name: str) -> bool:
    return len(expr.args) == arity or (name in ("min", "max") and len(expr.args) > 2)


def _apply_function(expr: nodes.Call, name: str, rule: str, args: list[Typed], scope: Scope) -> Typed:
    value = apply(name, *(a.expr for a in args), span=expr.span)
    if name in ("min", "max") and len(args) > 2:
        value = args[0].expr
        for arg in args[1:]:
            value = apply(name, value, arg.expr, span=expr.span)
    first = args[0].dimension
    assert first is not None
    match rule:
        case "plain":
            for arg, node in zip(args, expr.args, strict=True):
                if not expect(arg, ONE, node.value.span, scope.findings, f"the argument of `{name}`"):
                    return POISON
            return Typed(value, ONE)
        case "root":
            return Typed(value, first if first == ANY else first.power(0.5))
        case "sign":
            return Typed(value, ONE)
        case "keep":
            return Typed(value, first)
        case _:  # "same"
            dimension = next((a.dimension for a in args if a.dimension != ANY), ANY)
            for arg, node in zip(args, expr.args, strict=True):
                if not expect(arg, dimension, node.value.span, scope.findings, f"the other side of `{name}`"):
                    return POISON
            return Typed(value, dimension)


def _inline(expr: nodes.Call, item: nodes.Function, home: Module, scope: Scope) -> Typed:
    """Replace a call of an author's function by its body."""
    if item.name in scope.inside:
        circle = scope.inside[scope.inside.index(item.name) :]
        drawn = draw_circle([(name, name_span(home.own[name])) for name in circle if name in home.own])
        scope.findings.add(
            Code.CYCLE, expr.span, f"`{item.name}` calls itself",
            help=f"a function is replaced by its body, and this one would never end: write it without the call\n{drawn}",
        )  # fmt: skip
        return POISON
    bound = bind_arguments(expr, item.formals, scope, f"`{item.name}`")
    if bound is None:
        return POISON
    names: dict[str, Typed] = {}
    if "dt" in scope.names:
        names["dt"] = scope.names["dt"]
    for formal in item.formals:
        node = bound[formal.name]
        typed = _resolve(node, scope if node is not formal.default else Scope(names, home, scope.findings))
        wanted = declared_dimension(formal.type, scope.findings)
        if not expect(typed, wanted, node.span, scope.findings, f"`{formal.name}` of `{item.name}`"):
            return POISON
        names[formal.name] = typed
    if any(t.dimension is None for t in names.values()):
        return POISON
    inner = Scope(names, home, scope.findings, f"in function `{item.name}`", (*scope.inside, item.name))
    result = resolve(item.body, inner)
    wanted = declared_dimension(item.returns, scope.findings)
    if not expect(result, wanted, item.body.span, scope.findings, f"the value of `{item.name}`"):
        return POISON
    return result
