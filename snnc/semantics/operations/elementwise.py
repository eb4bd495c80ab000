"""`scale`, `relu`, `flatten`, `dropout`, and the joins of several sources."""

from __future__ import annotations

from snnc.diagnostics import Code
from snnc.ops.connections import Inhibit
from snnc.ops.elementwise import Flatten, Relu, Scale, flatten_shape
from snnc.ops.joins import Add, And, Concat, Iand, concat_shape, same_shape
from snnc.ops.memory import Dropout
from snnc.ops.operation import Shape
from snnc.semantics.constants import constant
from snnc.semantics.expressions import resolve, resolve_as
from snnc.semantics.operations.spec import Build, Options
from snnc.semantics.scope import Scope
from snnc.syntax import nodes
from snnc.units import ONE, Dimension


def build_scale(build: Build) -> Scale | None:
    found = fixed_factor(build, "factor")
    return None if found is None else Scale(*found)


def build_inhibit(build: Build) -> Inhibit | None:
    found = fixed_factor(build, "others")
    return None if found is None else Inhibit(*found)


def fixed_factor(build: Build, name: str) -> tuple[float, Dimension] | None:
    """Return the quantity that an argument fixes, with its dimension."""
    typed = resolve(build.required(name), build.scope)
    factor = constant(typed.expr, {"dt": build.dt})
    return None if factor is None or typed.dimension is None else (factor, typed.dimension)


def scale_dimension(bound: dict[str, nodes.Arg], scope: Scope) -> Dimension:
    """Return the dimension of the factor of a `scale` or an `inhibit`."""
    factor = bound.get("factor") or bound.get("others")
    if factor is None:
        return ONE
    typed = resolve(factor.value, scope)
    return typed.dimension or ONE


def build_relu(build: Build) -> Relu:
    return Relu()


def build_flatten(build: Build) -> Flatten:
    return Flatten(len(build.in_shapes[0]), build.shape[-1])


def shape_of_flatten(shapes: tuple[Shape, ...], options: Options) -> Shape:
    return flatten_shape(shapes[0])


def build_dropout(build: Build) -> Dropout | None:
    node = build.required("rate")
    rate = constant(resolve_as(node, ONE, build.scope, "the rate of `dropout`"))
    if rate is None or not 0 <= rate < 1:
        build.scope.findings.add(
            Code.BAD_VALUE, node.span, "the rate of `dropout` is a number from 0 up to, not including, 1",
            help="it is the fraction of units that are silenced, as in `dropout(0.2)`",
        )  # fmt: skip
        return None
    return Dropout(rate)


def build_add(build: Build) -> Add:
    return Add()


def build_and(build: Build) -> And:
    return And()


def build_iand(build: Build) -> Iand:
    return Iand()


def build_concat(build: Build) -> Concat:
    return Concat(len(build.shape))


def shape_of_join(shapes: tuple[Shape, ...], options: Options) -> Shape | str:
    return same_shape(shapes)


def shape_of_concat(shapes: tuple[Shape, ...], options: Options) -> Shape | str:
    return concat_shape(shapes)
