"""`dense` and `bias`: what holds weights of the size of a layer."""

from __future__ import annotations

from snnc.ops.dense import Dense, dense_shape
from snnc.ops.elementwise import Bias
from snnc.ops.operation import Shape
from snnc.semantics.operations.delays import with_delays
from snnc.semantics.operations.spec import Build, Options
from snnc.semantics.operations.weights import KAIMING, ZEROS, initialiser


def build_dense(build: Build) -> Dense | None:
    bound, scope = build.bound, build.scope
    bias = bool(build.options["bias"]) or "b" in bound
    init = initialiser(bound, ("init", "w"), build.weight, KAIMING, scope)
    bias_init = initialiser(bound, ("b",), build.result, ZEROS, scope)
    dense = Dense(build.in_shapes[0][-1], build.shape[-1], init, bias, bias_init, build.weight, build.result)
    return with_delays(build, dense)


def shape_of_dense(shapes: tuple[Shape, ...], options: Options) -> Shape | None:
    return dense_shape(shapes[0], options["size"])


def build_bias(build: Build) -> Bias:
    init = initialiser(build.bound, ("init",), build.result, ZEROS, build.scope)
    return Bias(build.in_shapes[0][-1], init, build.result)
