"""`sparse`, `one_to_one`, `attention` and `embedding`, and the arguments of `inhibit`."""

from __future__ import annotations

from math import sqrt

from snnc.diagnostics import Code
from snnc.ops.connections import OneToOne, Sparse
from snnc.ops.dense import dense_shape
from snnc.ops.operation import Init, Shape
from snnc.ops.tokens import Attention, Embedding, attention_shape, embedding_shape
from snnc.semantics.constants import constant
from snnc.semantics.expressions import resolve_as
from snnc.semantics.operations.binding import whole
from snnc.semantics.operations.spec import Argument, Build, Options
from snnc.semantics.operations.weights import KAIMING, ZEROS, initialiser
from snnc.syntax import nodes

SPARSE = (
    Argument("size", "count"),
    Argument("density", "number"),
    Argument("fan_in", "count"),
    Argument("listed"),
    Argument("seed", "whole", 0),
    Argument("bias", "flag"),
    *(Argument(name) for name in ("init", "w", "b", "share")),
)
ONE_TO_ONE = (Argument("value"), *(Argument(name) for name in ("init", "w", "share")))
INHIBIT = (Argument("others"),)
ATTENTION = (Argument("heads", "count", 1), Argument("scale", "number", 1.0))
EMBEDDING = (Argument("size", "count"), Argument("count", "count"), Argument("init"), Argument("w"))
ONE_EVERYWHERE = Init("constant", (("value", 1.0),))
NORMAL = Init("normal", (("mean", 0.0), ("std", 1.0)))  # how PyTorch fills `Embedding`


def shape_of_sparse(shapes: tuple[Shape, ...], options: Options) -> Shape | None:
    return dense_shape(shapes[0], options["size"])


def build_sparse(build: Build) -> Sparse | None:
    options, bound, fan_in = build.options, build.bound, build.in_shapes[0][-1]
    size = build.shape[-1]
    given = [name for name in ("density", "fan_in", "listed") if name in bound]
    if len(given) != 1:
        build.scope.findings.add(
            Code.MISSING_ARGUMENT, build.instance.span, "`sparse` needs one of `density`, `fan_in` and `listed`",
            help="as in `sparse(density = 0.1)`, `sparse(fan_in = 20)` or `sparse(listed = [[0, 1], [2, 0]])`",
        )  # fmt: skip
        return None
    density, sources = options["density"], options["fan_in"]
    if density is not None and not 0 < density <= 1:
        _refuse(
            build,
            "density",
            "the density of `sparse` is above 0 and at most 1",
            "it is the share of weights that exist",
        )
        return None
    if sources is not None and sources > fan_in:
        _refuse(build, "fan_in", f"each unit takes {sources} of {fan_in} sources", f"write at most `fan_in = {fan_in}`")
        return None
    pairs = _pairs(build, fan_in, size) if "listed" in bound else ()
    if pairs is None:
        return None
    existing = sources or (density * fan_in if density else len(pairs) / size)
    default = Init(KAIMING.name, (("gain", sqrt(fan_in / existing)),))  # as if the other sources were not there
    return Sparse(
        fan_in, size, initialiser(bound, ("init", "w"), build.weight, default, build.scope),
        bool(options["bias"]) or "b" in bound, initialiser(bound, ("b",), build.result, ZEROS, build.scope),
        build.weight, build.result, density=density, sources=sources, listed=pairs, seed=options["seed"] or 0,
    )  # fmt: skip


def _refuse(build: Build, name: str, message: str, help_text: str) -> None:
    build.scope.findings.add(Code.BAD_VALUE, build.bound[name].value.span, message, help=help_text)


def _pairs(build: Build, sources: int, targets: int) -> tuple[tuple[int, int], ...] | None:
    """Return the connections that are listed as [source, target]; None after a finding."""
    node = build.bound["listed"].value
    pairs: list[tuple[int, int]] = []
    for item in node.items if isinstance(node, nodes.ListExpr) else ():
        if not isinstance(item, nodes.ListExpr) or len(item.items) != 2:
            break
        found = [
            whole(number, build.scope, f"a {what} in `listed`", 0, count - 1)
            for number, what, count in zip(item.items, ("source", "target"), (sources, targets), strict=True)
        ]
        if found[0] is None or found[1] is None:
            return None
        pairs.append((found[0], found[1]))
    else:
        if pairs:
            return tuple(pairs)
    _refuse(
        build, "listed", "`listed` is a list of connections, each [source, target]", "as in `listed = [[0, 1], [2, 0]]`"
    )
    return None


def build_one_to_one(build: Build) -> OneToOne | None:
    default = ONE_EVERYWHERE
    if "value" in build.bound:
        node = build.bound["value"].value
        value = constant(resolve_as(node, build.weight, build.scope, "the weight of `one_to_one`"), {"dt": build.dt})
        if value is None:
            return None
        default = Init("constant", (("value", value),))
    init = initialiser(build.bound, ("init", "w"), build.weight, default, build.scope)
    return OneToOne(build.shape, init, build.weight)


def shape_of_attention(shapes: tuple[Shape, ...], options: Options) -> Shape | str:
    return attention_shape(shapes, options["heads"] or 1)


def build_attention(build: Build) -> Attention | None:
    scale = build.options["scale"]
    return None if scale is None else Attention(build.options["heads"], scale)


def shape_of_embedding(shapes: tuple[Shape, ...], options: Options) -> Shape | str | None:
    if options["size"] is None or options["count"] is None:
        return "it needs the length of a row and the number of rows, as in `embedding(16, count = 100)`"
    return embedding_shape(shapes[0], options["size"])


def build_embedding(build: Build) -> Embedding:
    init = initialiser(build.bound, ("init", "w"), build.result, NORMAL, build.scope)
    count, size = build.options["count"], build.options["size"]
    return Embedding(count, size, len(build.shape), init, build.result)
