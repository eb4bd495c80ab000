"""Resolves surrogates: the definition as an expression of the margin, and a use of it with its arguments."""

from __future__ import annotations

from snnc import model
from snnc.diagnostics import Code, did_you_mean
from snnc.expr import Var
from snnc.semantics.arguments import bind_arguments
from snnc.semantics.expressions import resolve, resolve_as
from snnc.semantics.modules import Module, name_span
from snnc.semantics.scope import Scope, Typed
from snnc.syntax import nodes
from snnc.units import ONE


def resolve_surrogate(value: nodes.Name | nodes.Call, scope: Scope, use: Scope) -> model.SurrogateUse | None:
    """Return the surrogate that `value` names, looked up in the module of `scope`; its arguments may read parameters."""
    name = value if isinstance(value, nodes.Name) else value.func
    found = scope.module.find_kind(name, nodes.Surrogate) or use.module.find_kind(name, nodes.Surrogate)
    if found is None:
        known = [n for n, (item, _) in scope.module.names.items() if isinstance(item, nodes.Surrogate)]
        scope.findings.add(
            Code.UNKNOWN_NAME, name.span, f"unknown surrogate `{name.text}`", help=did_you_mean(name.text, known)
        )
        return None
    item, home = found
    function = surrogate_function(item, home, scope)
    call = value if isinstance(value, nodes.Call) else nodes.Call(name, span=name.span)
    bound = bind_arguments(call, item.formals[1:], scope, f"surrogate `{item.name}`")
    if bound is None:
        return None
    args = []
    for formal in item.formals[1:]:
        node = bound[formal.name]
        inside = Scope({}, home, scope.findings) if node is formal.default else scope
        args.append(resolve_as(node, ONE, inside, f"`{formal.name}` of surrogate `{item.name}`"))
    return model.SurrogateUse(function, tuple(args))


def surrogate_function(item: nodes.Surrogate, home: Module, scope: Scope) -> model.SurrogateFn:
    """Resolve the definition of a surrogate; its margin and its parameters are plain numbers."""
    names = {formal.name: Typed(Var(formal.name), ONE) for formal in item.formals}
    inner = Scope(names, home, scope.findings, f"in surrogate `{item.name}`")
    if not item.formals:
        scope.findings.add(
            Code.MISSING_ARGUMENT, name_span(item), f"surrogate `{item.name}` has no margin",
            help=f"write `surrogate {item.name}(x, …) = …`",
        )  # fmt: skip
    body = resolve(item.body, inner)
    return model.SurrogateFn(item.name, tuple(f.name for f in item.formals), body.expr, item.doc, name_span(item))
