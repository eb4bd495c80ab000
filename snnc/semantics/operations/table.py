"""All operations by the name that authors write, and those that are still to come."""

from __future__ import annotations

from types import MappingProxyType

from snnc.semantics.operations.delays import build_delay
from snnc.semantics.operations.elementwise import (
    build_add,
    build_and,
    build_concat,
    build_dropout,
    build_flatten,
    build_iand,
    build_relu,
    build_scale,
    shape_of_concat,
    shape_of_flatten,
    shape_of_join,
)
from snnc.semantics.operations.products import build_bias, build_dense, shape_of_dense
from snnc.semantics.operations.spec import Argument, OpSpec, unchanged

# Operations of the language that are not built yet; each is refused by name.
NOT_YET = (
    "conv", "depthwise", "avg_pool", "sum_pool", "max_pool", "upsample", "norm", "embedding", "sparse", "one_to_one",
    "inhibit", "qcfs", "attention",
)  # fmt: skip

MANY = 1000  # sources of one operation

_DENSE = (
    Argument("size", "count"),
    Argument("bias", "flag"),
    *(Argument(name) for name in ("init", "w", "b", "delay", "sigma", "learn")),
)

_ALL = (
    OpSpec("dense", _DENSE, shape_of_dense, build_dense, carries_unit=True),
    OpSpec("bias", (Argument("init"),), unchanged, build_bias, keeps_shape=True),
    OpSpec("scale", (Argument("factor"),), unchanged, build_scale, keeps_shape=True),
    OpSpec("relu", (), unchanged, build_relu, keeps_shape=True),
    OpSpec("flatten", (), shape_of_flatten, build_flatten),
    OpSpec("delay", (Argument("time"), Argument("max")), unchanged, build_delay, keeps_shape=True),
    OpSpec("dropout", (Argument("rate"),), unchanged, build_dropout, keeps_shape=True),
    OpSpec("add", (), shape_of_join, build_add, keeps_shape=True, least=2, most=MANY),
    OpSpec("and", (), shape_of_join, build_and, keeps_shape=True, least=2, most=2),
    OpSpec("iand", (), shape_of_join, build_iand, keeps_shape=True, least=2, most=2),
    OpSpec("concat", (), shape_of_concat, build_concat, least=2, most=MANY),
)

OPERATIONS = MappingProxyType({spec.name: spec for spec in _ALL})
