"""`conv`, `depthwise`, the pools and `upsample`: what works on [channels, *places] with one to three axes of places."""

from __future__ import annotations

from math import prod

from snnc.diagnostics import Code
from snnc.limits import MAX_UNITS, MAX_WINDOW
from snnc.ops.conv import Conv
from snnc.ops.elementwise import Reshape, Transpose
from snnc.ops.operation import Shape
from snnc.ops.pools import MaxPool, SumPool, Upsample
from snnc.ops.windows import Window
from snnc.semantics.operations.spec import Argument, Build, Options
from snnc.semantics.operations.weights import KAIMING, ZEROS, initialiser

SAME = "same"
_PLACED = (
    Argument("kernel", "counts", (3,)),
    Argument("stride", "counts", (1,)),
    Argument("pad", "wholes", (0,), (SAME,)),
    Argument("dilation", "counts", (1,)),
)
_WEIGHTS = (Argument("bias", "flag"), *(Argument(name) for name in ("init", "w", "b", "share")))
CONV = (Argument("size", "count"), *_PLACED, Argument("groups", "count", 1), *_WEIGHTS)
DEPTHWISE = (*_PLACED, Argument("multiplier", "count", 1), *_WEIGHTS)
POOL = (Argument("size", "counts"), Argument("stride", "counts"), Argument("pad", "wholes", (0,)))
RESHAPE = (Argument("shape", "counts"),)
UPSAMPLE = (Argument("factor", "counts"),)


def shape_of_conv(shapes: tuple[Shape, ...], options: Options) -> Shape | str | None:
    groups, size = options["groups"], options["size"]
    if size is None:
        return "it needs the number of its channels, as in `conv(16)`"
    for number, what in ((shapes[0][0] if shapes[0] else 0, "channels that arrive"), (size, "channels of the result")):
        if number % groups:
            return f"{groups} groups do not share {number} {what} evenly"
    return _placed(shapes[0], options, size)


def shape_of_depthwise(shapes: tuple[Shape, ...], options: Options) -> Shape | str | None:
    return _placed(shapes[0], options, prod(shapes[0][:1]) * options["multiplier"])


def _placed(shape: Shape, options: Options, channels: int) -> Shape | str:
    window = conv_window(shape, options)
    return window if isinstance(window, str) else _windows(shape, window, channels)


def shape_of_pool(shapes: tuple[Shape, ...], options: Options) -> Shape | str:
    window = pool_window(shapes[0], options)
    return window if isinstance(window, str) else _windows(shapes[0], window, shapes[0][0])


def shape_of_upsample(shapes: tuple[Shape, ...], options: Options) -> Shape | str:
    factor = _each_axis(shapes[0], options["factor"], "factor")
    if isinstance(factor, str):
        return factor
    return (shapes[0][0], *(n * k for n, k in zip(shapes[0][1:], factor, strict=True)))


def _windows(shape: Shape, window: Window, channels: int) -> Shape | str:
    """Return the result's shape, or which axis is too short for a window."""
    if window.taps > MAX_WINDOW:
        return f"a window of {window.taps:.3g} places is more than the {MAX_WINDOW:,} that one may have"
    places = window.places(shape[1:])
    for k, (count, span, pad) in enumerate(zip(places, window.spans, window.pad, strict=True)):
        if count < 1:
            padded = f" ({shape[1 + k] + sum(pad)} with its pad)" if any(pad) else ""
            return f"a window reaches over {span} places, and an axis of {list(shape)} has {shape[1 + k]}{padded}"
    return (channels, *places)


def _each_axis(shape: Shape, given: tuple[int, ...] | None, name: str) -> Shape | str:
    """Return one number for each axis of places, or what does not fit."""
    rank = len(shape) - 1
    if not 1 <= rank <= 3:
        return f"it takes [channels, places] with 1 to 3 axes of places, as [1, 28, 28], and {list(shape)} arrives"
    if given is None:
        return f"it needs a {name}, as in `({name} = 2)`"
    if len(given) not in (1, rank):
        axes = "axis" if rank == 1 else "axes"
        return f"`{name}` has {len(given)} numbers, and {list(shape)} has {rank} {axes} of places"
    return given if len(given) == rank else given * rank


def conv_window(shape: Shape, options: Options) -> Window | str:
    """Return the window of a convolution over an array of `shape`, or what does not fit."""
    size, stride, dilation = (_each_axis(shape, options[name], name) for name in ("kernel", "stride", "dilation"))
    for found in (size, stride, dilation):
        if isinstance(found, str):
            return found
    assert isinstance(size, tuple)
    assert isinstance(stride, tuple)
    assert isinstance(dilation, tuple)
    if options["pad"] == SAME:
        if any(step > 1 for step in stride):
            return "`pad = same` keeps the places, so that it goes with a stride of 1 only: give the pad as a number"
        spans = Window(size, stride, ((0, 0),) * len(size), dilation).spans
        return Window(size, stride, tuple(((n - 1) // 2, n // 2) for n in spans), dilation)
    pad = _each_axis(shape, options["pad"], "pad")
    return pad if isinstance(pad, str) else Window(size, stride, tuple((n, n) for n in pad), dilation)


def pool_window(shape: Shape, options: Options) -> Window | str:
    """Return the window of a pool over an array of `shape`, or what does not fit; without stride they lie side by side."""
    size = _each_axis(shape, options["size"], "size")
    stride = _each_axis(shape, options["stride"] or options["size"], "stride")
    pad = _each_axis(shape, options["pad"], "pad")
    for found in (size, stride, pad):
        if isinstance(found, str):
            return found
    assert isinstance(size, tuple)
    assert isinstance(stride, tuple)
    assert isinstance(pad, tuple)
    if any(2 * p > n for p, n in zip(pad, size, strict=True)):
        return f"its pad is at most half its size, and {list(pad)} goes with {list(size)} here"
    return Window(size, stride, tuple((p, p) for p in pad), (1,) * len(size))


def shape_of_reshape(shapes: tuple[Shape, ...], options: Options) -> Shape | str:
    shape: Shape | None = options["shape"]
    if shape is None:
        return "it needs the new axes, as in `reshape([1, 28, 28])`"
    if prod(shape) != prod(shapes[0]):
        return f"{list(shape)} has {prod(shape)} numbers, and {list(shapes[0])} arrives, which has {prod(shapes[0])}"
    return shape


def build_reshape(build: Build) -> Reshape:
    return Reshape(len(build.in_shapes[0]), build.shape)


def shape_of_transpose(shapes: tuple[Shape, ...], options: Options) -> Shape | str:
    shape = shapes[0]
    if len(shape) < 2:
        return f"it exchanges the last two axes, and {list(shape)} has {len(shape)}"
    return (*shape[:-2], shape[-1], shape[-2])


def build_transpose(build: Build) -> Transpose:
    return Transpose()


def build_conv(build: Build) -> Conv | None:
    return _build(build, build.options["groups"], "conv")


def build_depthwise(build: Build) -> Conv | None:
    return _build(build, build.in_shapes[0][0], "depthwise")


def _build(build: Build, groups: int, kind: str) -> Conv | None:
    bound, scope, channels = build.bound, build.scope, build.in_shapes[0][0]
    window = conv_window(build.in_shapes[0], build.options)
    assert isinstance(window, Window)
    weights = window.taps * channels // groups * build.shape[0]
    if not _holds(build, weights, "weights") or not _holds(build, prod(build.shape), "numbers in its result"):
        return None
    bias = bool(build.options["bias"]) or "b" in bound
    init = initialiser(bound, ("init", "w"), build.weight, KAIMING, scope)
    bias_init = initialiser(bound, ("b",), build.result, ZEROS, scope)
    return Conv(
        channels, build.shape[0], window, init, groups, bias, bias_init, build.weight, build.result, kind
    )  # fmt: skip


def build_sum_pool(build: Build) -> SumPool:
    return SumPool(_pool_window(build), "sum_pool")


def build_avg_pool(build: Build) -> SumPool:
    return SumPool(_pool_window(build), "avg_pool")


def build_max_pool(build: Build) -> MaxPool:
    return MaxPool(_pool_window(build))


def _pool_window(build: Build) -> Window:
    window = pool_window(build.in_shapes[0], build.options)
    assert isinstance(window, Window)
    return window


def build_upsample(build: Build) -> Upsample | None:
    factor = _each_axis(build.in_shapes[0], build.options["factor"], "factor")
    assert isinstance(factor, tuple)
    return Upsample(factor) if _holds(build, prod(build.shape), "numbers in its result") else None


def _holds(build: Build, count: int, what: str) -> bool:
    """Report a size that no memory holds."""
    if count <= MAX_UNITS:
        return True
    build.scope.findings.add(
        Code.TOO_BIG, build.instance.span,
        f"this `{build.instance.func.text}` has {count:.3g} {what}, and more than {MAX_UNITS:.3g} cannot be held",
        help="is this the size that was meant?",
    )  # fmt: skip
    return False
