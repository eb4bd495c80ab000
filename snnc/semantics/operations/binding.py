"""Matches the arguments of an operation with what it takes, and resolves those that shapes depend on."""

from __future__ import annotations

from typing import Any

from snnc.diagnostics import Code, did_you_mean
from snnc.limits import MAX_COUNT
from snnc.semantics.constants import constant
from snnc.semantics.expressions import resolve, resolve_as
from snnc.semantics.operations.spec import Argument, OpSpec, Options
from snnc.semantics.quantities import expect
from snnc.semantics.scope import Scope
from snnc.syntax import nodes
from snnc.units import ONE


def bind(instance: nodes.Instance, spec: OpSpec, scope: Scope, head: bool = False) -> dict[str, nodes.Arg]:
    """Match the arguments of an operation with its formals; findings for what does not fit.

    At the `head` of a chain the arguments without a name are its sources.
    """
    bound: dict[str, nodes.Arg] = {}
    positional = [] if head else [arg for arg in instance.args if arg.name is None]
    names = spec.argument_names
    if len(positional) > 1 or (positional and not names):
        scope.findings.add(
            Code.UNKNOWN_ARGUMENT, positional[-1].span,
            f"`{spec.name}` takes {'one argument' if names else 'no arguments'} without a name",
            help=_extra_help(spec, positional),
        )  # fmt: skip
    elif positional:
        bound[names[0]] = positional[0]
    for arg in instance.args:
        if arg.name is None:
            continue
        if arg.name not in names:
            scope.findings.add(
                Code.UNKNOWN_ARGUMENT, arg.span, f"`{spec.name}` has no argument `{arg.name}`",
                help=did_you_mean(arg.name, names) or f"it takes none: write `{spec.name}()`",
            )  # fmt: skip
        elif arg.name in bound:
            scope.findings.add(
                Code.DUPLICATE_NAME, arg.span, f"argument `{arg.name}` is given twice", help="keep one of the two"
            )
        else:
            bound[arg.name] = arg
    if instance.shape is not None:
        scope.findings.add(
            Code.WRONG_KIND, instance.span, f"`{spec.name}` takes no square brackets",
            help=f"a size is an argument: `{spec.name}(n)`",
        )  # fmt: skip
    return bound


def _extra_help(spec: OpSpec, positional: list[nodes.Arg]) -> str:
    if not spec.arguments:
        return "take it out"
    if spec.name == "dense" and len(positional) == 2:  # PyTorch's Linear(in, out)
        return f"the number of inputs is inferred: write `dense({positional[1].span.text})`"
    if spec.name == "conv" and len(positional) == 3:  # PyTorch's Conv2d(in, out, kernel)
        size, kernel = (arg.span.text for arg in positional[1:])
        return f"the number of channels that arrive is inferred: write `conv({size}, kernel = {kernel})`"
    others = ", ".join(f"`{a} = …`" for a in spec.argument_names[1:])
    return f"name the others: {others}" if others else "take it out"


def read_options(spec: OpSpec, bound: dict[str, nodes.Arg], scope: Scope) -> Options:
    """Resolve the arguments that have a kind; those not given have their default, those not understood None."""
    return {
        argument.name: _option(spec.name, argument, bound[argument.name], scope)
        if argument.name in bound
        else argument.default
        for argument in spec.arguments
        if argument.kind
    }


def _option(name: str, argument: Argument, arg: nodes.Arg, scope: Scope) -> Any:
    node = arg.value
    what = f"the size of `{name}`" if argument.name == "size" else f"`{argument.name}` of `{name}`"
    if arg.drawn or arg.mods:
        scope.findings.add(Code.WRONG_KIND, arg.span, f"{what} is one fixed value", help=f"write `{argument.name} = …`")
        return argument.default
    match argument.kind:
        case "count" | "whole":
            return whole(node, scope, what, 1 if argument.kind == "count" else 0)
        case "counts" | "wholes":
            if isinstance(node, nodes.Name) and node.text in argument.words:
                return node.text
            items = node.items if isinstance(node, nodes.ListExpr) else (node,)
            sizes = tuple(whole(item, scope, what, 1 if argument.kind == "counts" else 0) for item in items)
            return None if None in sizes or not sizes else sizes
        case "number":
            return constant(resolve_as(node, ONE, scope, what))
        case "flag":
            return flag(arg, scope)
        case "word":
            word = node.text if isinstance(node, nodes.Name) else node.span.text
            if word in argument.words:
                return word
            scope.findings.add(
                Code.UNKNOWN_NAME, node.span, f"{what} has no choice `{word}`", help=did_you_mean(word, argument.words)
            )
            return argument.default
    raise AssertionError(argument.kind)


def whole(node: nodes.Expr, scope: Scope, what: str, low: int = 1, high: int = MAX_COUNT) -> int | None:
    """Evaluate a whole number between `low` and `high`."""
    typed = resolve(node, scope)
    if typed.dimension is None:
        return None
    value = constant(typed.expr) if expect(typed, ONE, node.span, scope.findings, what) else None
    if value is None or value != value or value != int(min(max(value, -1e18), 1e18)) or not low <= value:
        scope.findings.add(
            Code.BAD_VALUE,
            node.span,
            f"{what} is a whole number of at least {low}",
            help=f"write one, as in `{max(low, 10)}`",
        )
        return None
    if value > high:
        scope.findings.add(
            Code.TOO_BIG, node.span, f"{what} is {value:.3g}, and more than {high:.3g} cannot be held",
            help="is this the number that was meant?",
        )  # fmt: skip
        return None
    return int(value)


def flag(arg: nodes.Arg | None, scope: Scope) -> bool:
    """Return what an argument that is `true` or `false` says; false where it is not given."""
    if arg is None:
        return False
    if isinstance(arg.value, nodes.Bool):
        return arg.value.value
    scope.findings.add(Code.WRONG_KIND, arg.value.span, f"`{arg.name}` is `true` or `false`", help="write one of them")
    return False
