"""Reads how a weight begins: `init = orthogonal(0.8)`, `w ~ normal(0, 0.1)`."""

from __future__ import annotations

from snnc.diagnostics import Code, did_you_mean
from snnc.ops.initialisers import INITIALISERS
from snnc.ops.operation import Init
from snnc.semantics.arguments import bind_arguments
from snnc.semantics.constants import constant
from snnc.semantics.expressions import resolve_as
from snnc.semantics.scope import Scope
from snnc.syntax import nodes
from snnc.units import FREQUENCY, ONE, Dimension

KAIMING = Init("kaiming_uniform", (("gain", 1.0),))  # of `dense` and `conv`, as PyTorch fills them
ZEROS = Init("zeros")


def initialiser(
    bound: dict[str, nodes.Arg], keys: tuple[str, ...], dimension: Dimension, default: Init, scope: Scope
) -> Init:
    """Return the initialiser that one of the arguments `keys` names; findings for what does not fit."""
    arg = next((bound[key] for key in keys if key in bound), None)
    if arg is None:
        return default
    value, limits = arg.value, None
    for mod in arg.mods:
        if mod.kind == "in":
            limits = _limits(mod, dimension, scope)
        else:
            scope.findings.add(
                Code.NOT_YET, mod.span, f"not supported yet: `{mod.kind}` on a weight", help="take it out"
            )
    name = value.func if isinstance(value, nodes.Call) else value
    if not isinstance(name, nodes.Name) or name.text not in INITIALISERS:
        word = name.text if isinstance(name, nodes.Name) else value.span.text
        scope.findings.add(
            Code.UNKNOWN_NAME, value.span, f"unknown initialiser `{word}`", help=did_you_mean(word, INITIALISERS)
        )
        return default
    spec = INITIALISERS[name.text]
    formals = tuple(
        nodes.Formal(o.name, None, None if o.default is None else nodes.Number(repr(o.default))) for o in spec.options
    )
    call = value if isinstance(value, nodes.Call) else nodes.Call(name, span=value.span)
    given = bind_arguments(call, formals, scope, f"`{name.text}`")
    if given is None:
        return default
    options: list[tuple[str, float]] = []
    for option, formal in zip(spec.options, formals, strict=True):
        node = given[formal.name]
        if node is formal.default:
            assert option.default is not None
            options.append((option.name, option.default))
            continue
        wanted = {"weight": dimension, "gain": ONE, "frequency": FREQUENCY}[option.unit]
        number = constant(resolve_as(node, wanted, scope, f"`{option.name}` of `{name.text}`"))
        if number is None:
            scope.findings.add(Code.BAD_STAGE, node.span, "an initialiser takes fixed numbers", help="write a number")
            number = 0.0
        options.append((option.name, number))
    wrong = spec.refuse(dict(options))
    if wrong is not None:
        scope.findings.add(Code.BAD_VALUE, value.span, f"`{name.text}`: {wrong}", help=f"`{name.text}` is {spec.doc}")
    held = dict(options).get("value")
    if limits is not None and held is not None and not limits[0] <= held <= limits[1]:
        scope.findings.add(
            Code.OUT_OF_INTERVAL, value.span, "these weights begin outside of their interval",
            help="begin inside, or make the interval wider",
        )  # fmt: skip
    return Init(name.text, tuple(options), limits)


def _limits(mod: nodes.Mod, dimension: Dimension, scope: Scope) -> tuple[float, float] | None:
    """Return the ends between which weights stay; None after a finding."""
    found = [constant(resolve_as(end, dimension, scope, "the interval of a weight")) for end in mod.args]
    low, high = found[0], found[-1]
    if low is None or high is None:
        scope.findings.add(
            Code.BAD_STAGE,
            mod.span,
            "the ends of an interval are fixed numbers",
            help="write numbers, as in `in (0, inf)`",
        )
        return None
    if not low < high:
        scope.findings.add(
            Code.BAD_VALUE, mod.span, "there is no number in this interval", help="write the smaller end first"
        )
        return None
    return low, high
