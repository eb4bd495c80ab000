"""All operations by the name that authors write, and those that are still to come."""

from __future__ import annotations

from types import MappingProxyType

from snnc.ops.delay_times import KERNELS
from snnc.semantics.operations.connections import (
    ATTENTION,
    EMBEDDING,
    INHIBIT,
    ONE_TO_ONE,
    SPARSE,
    build_attention,
    build_embedding,
    build_one_to_one,
    build_sparse,
    shape_of_attention,
    shape_of_embedding,
    shape_of_sparse,
)
from snnc.semantics.operations.delays import build_delay
from snnc.semantics.operations.elementwise import (
    build_add,
    build_and,
    build_concat,
    build_dropout,
    build_flatten,
    build_iand,
    build_inhibit,
    build_relu,
    build_scale,
    shape_of_concat,
    shape_of_flatten,
    shape_of_join,
)
from snnc.semantics.operations.images import (
    CONV,
    DEPTHWISE,
    POOL,
    RESHAPE,
    UPSAMPLE,
    build_avg_pool,
    build_conv,
    build_depthwise,
    build_max_pool,
    build_reshape,
    build_sum_pool,
    build_transpose,
    build_upsample,
    shape_of_conv,
    shape_of_depthwise,
    shape_of_pool,
    shape_of_reshape,
    shape_of_transpose,
    shape_of_upsample,
)
from snnc.semantics.operations.norms import KINDS, build_norm
from snnc.semantics.operations.products import build_bias, build_dense, shape_of_dense
from snnc.semantics.operations.spec import Argument, OpSpec, unchanged

# Operations of the language that are not built yet; each is refused by name.
NOT_YET = (
    "qcfs",
)  # fmt: skip

MANY = 1000  # sources of one operation

_DENSE = (
    Argument("size", "count"),
    Argument("bias", "flag"),
    *(Argument(name) for name in ("init", "w", "b", "share", "delay", "max", "sigma")),
    Argument("kernel", "word", None, KERNELS),
    Argument("learn"),
)

_DELAY = (Argument("time"), Argument("max"), Argument("sigma"), Argument("kernel", "word", None, KERNELS))

_NORM = (
    Argument("kind", "word", "batch", KINDS),
    Argument("momentum", "number", 0.1),
    Argument("eps", "number", 1e-5),
    Argument("affine", "flag", True),
    Argument("theta"),
    Argument("alpha", "number", 1.0),
    Argument("steps", "count"),
    Argument("gamma"),
    Argument("beta"),
)

_IMAGES = "images are [channels, height, width], as in `input x : spikes[1, 28, 28]`, and sequences [channels, length]"

_ALL = (
    OpSpec("dense", _DENSE, shape_of_dense, build_dense, carries_unit=True),
    OpSpec("sparse", SPARSE, shape_of_sparse, build_sparse, carries_unit=True),
    OpSpec("one_to_one", ONE_TO_ONE, unchanged, build_one_to_one, keeps_shape=True, carries_unit=True),
    OpSpec("inhibit", INHIBIT, unchanged, build_inhibit, keeps_shape=True),
    OpSpec("attention", ATTENTION, shape_of_attention, build_attention, keeps_shape=True, least=3, most=3),
    OpSpec("embedding", EMBEDDING, shape_of_embedding, build_embedding),
    OpSpec("conv", CONV, shape_of_conv, build_conv, carries_unit=True, fits=_IMAGES),
    OpSpec("depthwise", DEPTHWISE, shape_of_depthwise, build_depthwise, carries_unit=True, fits=_IMAGES),
    OpSpec("avg_pool", POOL, shape_of_pool, build_avg_pool, fits=_IMAGES),
    OpSpec("sum_pool", POOL, shape_of_pool, build_sum_pool, fits=_IMAGES),
    OpSpec("max_pool", POOL, shape_of_pool, build_max_pool, fits=_IMAGES),
    OpSpec("reshape", RESHAPE, shape_of_reshape, build_reshape, fits="the number of values stays as it is"),
    OpSpec(
        "transpose", (), shape_of_transpose, build_transpose, fits="it turns [features, tokens] into [tokens, features]"
    ),
    OpSpec("upsample", UPSAMPLE, shape_of_upsample, build_upsample, fits=_IMAGES),
    OpSpec("bias", (Argument("init"),), unchanged, build_bias, keeps_shape=True),
    OpSpec("scale", (Argument("factor"),), unchanged, build_scale, keeps_shape=True),
    OpSpec("relu", (), unchanged, build_relu, keeps_shape=True),
    OpSpec("flatten", (), shape_of_flatten, build_flatten),
    OpSpec("delay", _DELAY, unchanged, build_delay, keeps_shape=True),
    OpSpec("dropout", (Argument("rate"),), unchanged, build_dropout, keeps_shape=True),
    OpSpec("norm", _NORM, unchanged, build_norm, keeps_shape=True, carries_unit=True),
    OpSpec("add", (), shape_of_join, build_add, keeps_shape=True, least=2, most=MANY),
    OpSpec("and", (), shape_of_join, build_and, keeps_shape=True, least=2, most=2),
    OpSpec("iand", (), shape_of_join, build_iand, keeps_shape=True, least=2, most=2),
    OpSpec("concat", (), shape_of_concat, build_concat, least=2, most=MANY),
)

OPERATIONS = MappingProxyType({spec.name: spec for spec in _ALL})
