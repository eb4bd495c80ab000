"""`norm(kind, …)`: which arguments belong to which kind."""

from __future__ import annotations

from types import MappingProxyType

from snnc.diagnostics import Code
from snnc.ops.norms import ONES, BatchNorm, LayerNorm
from snnc.semantics.constants import constant
from snnc.semantics.expressions import resolve_as
from snnc.semantics.operations.spec import Build
from snnc.semantics.operations.weights import ZEROS, initialiser
from snnc.units import ONE

KINDS = ("batch", "tdbn", "bntt", "tebn", "layer")

# The kinds that each argument belongs to; the others belong to all.
_OWN = MappingProxyType(
    {
        "momentum": ("batch", "tdbn", "bntt", "tebn"),
        "theta": ("tdbn",),
        "alpha": ("tdbn",),
        "steps": ("bntt", "tebn"),
        "beta": ("batch", "tdbn", "tebn", "layer"),
    }
)


def build_norm(build: Build) -> BatchNorm | LayerNorm | None:
    """Build `norm(…)`; the steps of `bntt` and `tebn` may be left to the recipe (`snnc.semantics.norms`)."""
    options, bound, findings = build.options, build.bound, build.scope.findings
    kind = options["kind"]
    for name, kinds in _OWN.items():
        if name in bound and kind not in kinds:
            findings.add(
                Code.UNKNOWN_ARGUMENT, bound[name].span, f"`norm(kind = {kind})` has no `{name}`",
                help=f"it belongs to {' and '.join(f'`{k}`' for k in kinds)}: take it out"
                if len(kinds) < 3 else f"take it out: `{kind}` does without",
            )  # fmt: skip
    for name in ("gamma", "beta"):
        if name in bound and not options["affine"]:
            findings.add(
                Code.UNKNOWN_ARGUMENT, bound[name].span, f"without `affine` there is no `{name}`",
                help=f"take out `{name}` or `affine = false`",
            )  # fmt: skip
    momentum = _number(build, "momentum", 0.1, 1.0)
    eps = _number(build, "eps", 1e-5, float("inf"))
    gain = _gain(build) if kind == "tdbn" else 1.0
    scaled = ONE if kind == "tdbn" else build.result
    gamma = initialiser(bound, ("gamma",), scaled, ONES, build.scope)
    beta = initialiser(bound, ("beta",), build.result, ZEROS, build.scope)
    shape, affine = build.in_shapes[0], bool(options["affine"])
    if kind == "layer":
        return LayerNorm(shape, eps, affine, gamma, beta, build.result)
    source = build.result / build.weight
    return BatchNorm(kind, shape, momentum, eps, affine, gain, gamma, beta, source, build.result, options["steps"])


def _number(build: Build, name: str, default: float, largest: float) -> float:
    """Return an option that is above 0 and at most `largest`."""
    value = build.options[name]
    if value is not None and 0 < value <= largest:
        return float(value)
    if value is not None:
        build.scope.findings.add(
            Code.BAD_VALUE, build.bound[name].span, f"`{name}` of `norm` is above 0"
            + ("" if largest == float("inf") else f" and at most {largest:g}"),
            help=f"leave it out for {default:g}",
        )  # fmt: skip
    return default


def _gain(build: Build) -> float:
    """Return alpha theta, in the unit of the result."""
    theta = 1.0
    if "theta" in build.bound:
        node = build.bound["theta"].value
        found = constant(resolve_as(node, build.result, build.scope, "`theta` of `norm`"), {"dt": build.dt})
        if found is None or not found > 0:
            build.scope.findings.add(
                Code.BAD_VALUE, node.span, "`theta` of `norm` is a fixed threshold above 0",
                help="give the threshold of the layer that follows, as in `norm(tdbn, theta = 1)`",
            )  # fmt: skip
        else:
            theta = found
    alpha = build.options["alpha"]
    if alpha is not None and not alpha > 0:
        build.scope.findings.add(
            Code.BAD_VALUE, build.bound["alpha"].span, "`alpha` of `norm` is above 0",
            help="1, or 1 / sqrt(2) where two branches add up, as Zheng et al. (2021) take it",
        )  # fmt: skip
        return theta
    return theta * float(alpha or 1.0)
