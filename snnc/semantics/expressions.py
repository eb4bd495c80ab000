"""Resolves an expression of the syntax: names replaced, units checked and scaled away, functions inlined.

A finding poisons the expression (dimension None), so that one cause gives one error.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

import numpy as np

from snnc.diagnostics import Code, Findings, Label, did_you_mean, fail
from snnc.expr import Apply, Expr, Num, Var, apply, children, size
from snnc.functions import CALLABLE, CONSTANTS, FUNCTIONS
from snnc.semantics.modules import Module, name_span
from snnc.source import Span
from snnc.syntax import nodes
from snnc.units import (
    DIMENSIONS,
    FREQUENCY,
    ONE,
    STEP_UNITS,
    TIME,
    TRAIN_UNITS,
    UNITS,
    Dimension,
    dimension_name,
    unit_name,
)

# The dimension of 0 and inf, which are the same in every unit.
ANY = Dimension(math.inf, math.inf, math.inf)
MAX_SIZE = 20_000  # nodes of one resolved expression, `let` and `fn` replaced
MAX_NESTING = 150  # its levels; what follows walks it by recursion


@dataclass(frozen=True, slots=True)
class Typed:
    """A resolved expression; `dimension` is None after an error that has already been reported."""

    expr: Expr
    dimension: Dimension | None


POISON = Typed(Num(0.0), None)
Lookup = Callable[[nodes.Name], Typed | None]


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


def resolve(expr: nodes.Expr, scope: Scope) -> Typed:
    """Return `expr` resolved in `scope`; findings go to `scope.findings`."""
    try:
        typed = _resolve(expr, scope)
    except RecursionError:
        raise fail(
            Code.TOO_LARGE, expr.span, "definitions are nested too deeply here",
            help="write fewer of them in terms of each other",
        ) from None  # fmt: skip
    if typed.dimension is not None and (size(typed.expr) > MAX_SIZE or depth(typed.expr) > MAX_NESTING):
        scope.findings.add(
            Code.TOO_LARGE, expr.span, "this expression becomes too large when its `let`s are replaced",
            help="keep intermediate values in states, or simplify",
        )  # fmt: skip
        return POISON
    return typed


def depth(expr: Expr) -> int:
    """Return the number of levels of an expression.

    >>> depth(Apply("neg", (Var("x"),)))
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


def expect(typed: Typed, dimension: Dimension | None, span: Span, findings: Findings, what: str) -> bool:
    """Report a `UNIT_MISMATCH` unless `typed` fits; return whether it does."""
    if dimension is None or typed.dimension is None or typed.dimension in (dimension, ANY) or dimension == ANY:
        return True
    found, wanted = dimension_name(typed.dimension), dimension_name(dimension)
    findings.add(
        Code.UNIT_MISMATCH,
        span,
        f"{what} is {wanted}, but this is {found}",
        note=found,
        help=_unit_help(typed.dimension, dimension, span.text),
    )
    return False


_LITERAL = re.compile(r"(-?\s*[0-9.]+(?:[eE][+-]?[0-9]+)?)(?:\s*[A-Za-z]+)?")


def _unit_help(found: Dimension, wanted: Dimension, text: str) -> str:
    """Say how `text` of the unit `found` comes to the unit `wanted`."""
    unit = "Hz" if wanted == FREQUENCY else unit_name(wanted)
    literal = _LITERAL.fullmatch(text)
    if literal is not None:
        number = literal[1]
        if wanted == ONE:
            return f"write a number without a unit, as in `{number}`"
        verb = "give it a unit" if found == ONE else f"write {dimension_name(wanted)}"
        return f"{verb}, as in `{number} {unit}`" if unit.isalpha() else f"write a quantity in {unit}"
    if wanted == ONE:
        return "divide by a quantity of the same unit to get a plain number"
    if found == wanted * TIME:
        return "divide by a time, such as a time constant `tau = 10 ms`"
    if found == ONE:
        example = f", as in `1 {unit} * {text if text.isidentifier() else '…'}`" if unit.isalpha() else ""
        return f"multiply by a quantity in {unit}{example}"
    return f"multiply by {dimension_name(wanted / found)}, or check which of the two was meant"


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


def number(expr: nodes.Number, scope: Scope) -> Typed:
    """Resolve a literal; `2 steps` becomes 2·dt."""
    value = expr.value
    if expr.unit is None:
        return Typed(Num(value), ANY if value == 0 else ONE)
    if expr.unit in STEP_UNITS:
        if "dt" not in scope.names:
            scope.findings.add(
                Code.NO_DT, expr.span, f"`{expr.unit}` is known only where `dt` is",
                help="write the time in ms",
            )  # fmt: skip
            return POISON
        return Typed(apply("*", Num(value), scope.names["dt"].expr), TIME)
    if expr.unit in UNITS:
        dimension, factor = UNITS[expr.unit]
        return Typed(Num(scaled(value, factor)), dimension)
    in_recipes = "epochs and updates are units of a recipe's schedules"
    help_text = in_recipes if expr.unit in TRAIN_UNITS else _known_unit(expr.unit)
    scope.findings.add(Code.UNKNOWN_UNIT, expr.span, f"unknown unit `{expr.unit}`", help=help_text)
    return POISON


# How Brian2 and NESTML spell the stems of units, and people who write them out.
_STEMS = (
    ("seconds", "s"), ("second", "s"), ("sec", "s"), ("volts", "V"), ("volt", "V"), ("amperes", "A"), ("ampere", "A"),
    ("amp", "A"), ("siemens", "S"), ("farad", "F"), ("ohm", "Ohm"), ("hertz", "Hz"), ("hz", "Hz"), ("milli", "m"),
    ("micro", "u"), ("nano", "n"), ("pico", "p"), ("kilo", "k"), ("mega", "M"), ("giga", "G"),
)  # fmt: skip


def _known_unit(word: str) -> str:
    """Return help for a unit that does not exist.

    >>> _known_unit("msecond"), _known_unit("millivolt")
    ('did you mean `ms`?', 'did you mean `mV`?')
    """
    short = word.lower()
    for long, symbol in _STEMS:
        short = short.replace(long, symbol)
    for candidate in (short, next((unit for unit in UNITS if unit.lower() == word.lower()), "")):
        if candidate in UNITS:
            return f"did you mean `{candidate}`?"
    close = get_close_matches(word, [*UNITS, *STEP_UNITS], n=1, cutoff=0.7)
    if close:
        return f"did you mean `{close[0]}`?"
    return "units are `s V A Hz S F Ohm C` with a prefix `f p n u m k M G` or none, `min`, and `steps` of dt"


def scaled(value: float, factor: float) -> float:
    """Multiply by a power of ten without the rounding that 1e-3 would bring.

    >>> scaled(-70.6, 1.0), scaled(0.1, 1e-3), scaled(0.5, 1000.0)
    (-70.6, 0.0001, 500.0)
    """
    if factor == 0 or math.isinf(value):
        return value
    return value / round(1 / factor) if factor < 1 else value * factor


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
        Code.UNKNOWN_NAME, expr.span, f"unknown name `{expr.text}` {scope.where}", help=did_you_mean(expr.text, known)
    )
    return POISON


def _report_circle(names: tuple[str, ...], home: Module, scope: Scope) -> None:
    """Report constants that are defined by each other, once, at the first of them."""
    items = [item for name, item in home.own.items() if name in names]
    listed = ", ".join(f"`{item.name}`" for item in items)
    message = f"{listed} is defined by itself" if len(items) == 1 else f"{listed} are defined by each other"
    scope.findings.add(Code.CYCLE, name_span(items[0]), message, help="give one of them a number")


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
            help=_unit_help(right.dimension, left.dimension, right_node.span.text),
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
        scope.findings.add(
            Code.CYCLE, expr.span, f"`{item.name}` calls itself", help="functions of the language do not recurse"
        )
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
        wanted = _type_dimension(formal.type, scope.findings)
        if not expect(typed, wanted, node.span, scope.findings, f"`{formal.name}` of `{item.name}`"):
            return POISON
        names[formal.name] = typed
    if any(t.dimension is None for t in names.values()):
        return POISON
    inner = Scope(names, home, scope.findings, f"in function `{item.name}`", (*scope.inside, item.name))
    result = resolve(item.body, inner)
    wanted = _type_dimension(item.returns, scope.findings)
    if not expect(result, wanted, item.body.span, scope.findings, f"the value of `{item.name}`"):
        return POISON
    return result


def _type_dimension(type_: nodes.Type | None, findings: Findings) -> Dimension | None:
    if type_ is None:
        return None
    if type_.name not in DIMENSIONS:
        findings.add(
            Code.UNKNOWN_NAME, type_.span, f"unknown type `{type_.name}`", help=did_you_mean(type_.name, DIMENSIONS)
        )
        return None
    return DIMENSIONS[type_.name]


def bind_arguments(
    call: nodes.Call | nodes.Instance, formals: tuple[nodes.Formal, ...], scope: Scope, what: str
) -> dict[str, nodes.Expr] | None:
    """Match arguments with formals by position and name, defaults filled in; None after a finding."""
    bound: dict[str, nodes.Expr] = {}
    known = [formal.name for formal in formals]
    positional = [arg for arg in call.args if arg.name is None]
    ok = True
    if len(positional) > len(formals):
        extra = positional[len(formals)]
        scope.findings.add(
            Code.UNKNOWN_ARGUMENT, extra.span, f"{what} takes {len(formals)} arguments, {len(call.args)} found",
            help=f"its arguments are {', '.join(f'`{k}`' for k in known)}" if known else "it takes none",
        )  # fmt: skip
        return None
    for formal, arg in zip(formals, positional, strict=False):
        bound[formal.name] = arg.value
    for arg in call.args:
        if arg.name is None:
            continue
        if arg.name not in known:
            scope.findings.add(
                Code.UNKNOWN_ARGUMENT, arg.span, f"{what} has no argument `{arg.name}`",
                help=did_you_mean(arg.name, known),
            )  # fmt: skip
            ok = False
        elif arg.name in bound:
            scope.findings.add(
                Code.DUPLICATE_NAME, arg.span, f"argument `{arg.name}` of {what} is given twice",
                help="keep one of the two",
            )  # fmt: skip
            ok = False
        else:
            bound[arg.name] = arg.value
    for formal in formals:
        if formal.name not in bound:
            if formal.default is None:
                scope.findings.add(
                    Code.MISSING_ARGUMENT, call.span, f"{what} needs the argument `{formal.name}`",
                    help=f"write `{formal.name} = …`",
                )  # fmt: skip
                ok = False
            else:
                bound[formal.name] = formal.default
    return bound if ok else None


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
