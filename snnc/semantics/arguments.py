"""Matches the arguments of a call with formals, by position and by name."""

from __future__ import annotations

from snnc.diagnostics import Code, did_you_mean
from snnc.semantics.scope import Scope
from snnc.syntax import nodes


# The dimension of 0 and inf, which are the same in every unit.
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
                help=did_you_mean(arg.name, known) or "it takes none",
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
