"""Convolution and pooling of arrays [..., channels, *places], with one to three axes of places.

On the CPU a convolution is one matrix product of all its windows (im2col), step by step, so that the windows of a
step stay in the cache. It is the same inside a time loop, where XLA's own convolution is 5-50 times slower. Other
devices take XLA's. docs/results.md has the measurements (W3).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax


def conv(
    x: Array,
    w: Array,
    stride: tuple[int, ...] = (),
    pad: tuple[tuple[int, int], ...] = (),
    dilation: tuple[int, ...] = (),
    groups: int = 1,
) -> Array:
    """Each output channel sums weighted windows of x [..., C, *places].

    w is [*kernel, C / groups, D]; stride and dilation are 1, pads 0 where not given.
    """
    rank = w.ndim - 2

    def by_xla(x: Array, w: Array) -> Array:
        images = x.reshape(-1, *x.shape[-rank - 1 :])
        space = "DHW"[3 - rank :]
        y = lax.conv_general_dilated(
            images,
            w,
            stride or (1,) * rank,
            pad or ((0, 0),) * rank,
            rhs_dilation=dilation or (1,) * rank,
            dimension_numbers=(f"NC{space}", f"{space}IO", f"NC{space}"),
            feature_group_count=groups,
        )
        return y.reshape(*x.shape[: -rank - 1], *y.shape[1:])

    def value(x: Array, w: Array) -> Array:
        def by_windows(x: Array, w: Array) -> Array:
            return conv_value(x, w, stride, pad, dilation, groups)

        result: Array = lax.platform_dependent(x, w, cpu=by_windows, default=by_xla)
        return result

    def forward(x: Array, w: Array) -> tuple[Array, tuple[Array, Array]]:
        return value(x, w), (x, w)

    def backward(saved: tuple[Array, Array], d: Array) -> tuple[Array, Array]:
        def by_windows(x: Array, w: Array, d: Array) -> tuple[Array, Array]:
            places = x.shape[-rank:]
            d_x = conv_transposed(d, w, places, stride, pad, dilation, groups)
            return d_x, conv_gradient(x, d, w, stride, pad, dilation, groups)

        def transposed(x: Array, w: Array, d: Array) -> tuple[Array, Array]:
            d_x, d_w = jax.vjp(by_xla, x, w)[1](d)
            return d_x, d_w

        result: tuple[Array, Array] = lax.platform_dependent(
            *saved, d, cpu=by_windows, default=transposed
        )
        return result

    weighted = jax.custom_vjp(value)
    weighted.defvjp(forward, backward)
    result: Array = weighted(x, w)
    return result


def conv_value(
    x: Array,
    w: Array,
    stride: tuple[int, ...] = (),
    pad: tuple[tuple[int, int], ...] = (),
    dilation: tuple[int, ...] = (),
    groups: int = 1,
) -> Array:
    """The value of `conv` by matrix products."""
    rank = w.ndim - 2

    def one(x: Array) -> Array:
        columns = windows(x, w.shape[:rank], stride, pad, dilation, groups)
        y = by_group(w, groups).swapaxes(1, 2) @ columns.reshape(*columns.shape[:2], -1)
        return y.reshape(w.shape[-1], *columns.shape[2:]).swapaxes(0, 1)

    return each_step(one, x, rank)


def conv_transposed(
    d: Array,
    w: Array,
    places: tuple[int, ...],
    stride: tuple[int, ...] = (),
    pad: tuple[tuple[int, int], ...] = (),
    dilation: tuple[int, ...] = (),
    groups: int = 1,
) -> Array:
    """The cotangent of x [..., C, *places] in `conv`, from that of its value."""
    rank = w.ndim - 2

    def one(d: Array) -> Array:
        given = d.swapaxes(0, 1).reshape(groups, w.shape[-1] // groups, -1)
        columns = by_group(w, groups) @ given
        columns = columns.reshape(groups, *w.shape[:-1], len(d), *d.shape[2:])
        for axis in reversed(range(rank)):  # what the taps of this axis share
            step, apart = (stride or (1,) * rank)[axis], (dilation or (1,) * rank)[axis]
            low = pad[axis][0] if pad else 0
            total = jnp.zeros((), d.dtype)
            for k in range(w.shape[axis]):
                tap = lax.index_in_dim(columns, k, 1 + axis, keepdims=False)
                start = k * apart - low
                total = total + at_places(tap, 3 + 2 * axis, start, step, places[axis])
            columns = total
        return columns.reshape(-1, len(d), *places).swapaxes(0, 1)

    return each_step(one, d, rank)


def conv_gradient(
    x: Array,
    d: Array,
    w: Array,
    stride: tuple[int, ...] = (),
    pad: tuple[tuple[int, int], ...] = (),
    dilation: tuple[int, ...] = (),
    groups: int = 1,
) -> Array:
    """The gradient of w in `conv`, summed over all leading axes of x and of d."""
    rank = w.ndim - 2

    def one(x: Array, d: Array) -> Array:
        columns = windows(x, w.shape[:rank], stride, pad, dilation, groups)
        given = d.swapaxes(0, 1).reshape(groups, w.shape[-1] // groups, -1)
        d_w = columns.reshape(*columns.shape[:2], -1) @ given.swapaxes(1, 2)
        return d_w.swapaxes(0, 1).reshape(w.shape)

    if x.ndim == rank + 1:
        return one(x[None], d[None])
    x, d = (a.reshape(-1, *a.shape[-rank - 2 :]) for a in (x, d))
    if len(x) == 1:
        return one(x[0], d[0])
    zeros = jnp.zeros(w.shape, d.dtype)
    return lax.scan(lambda total, now: (total + one(*now), None), zeros, (x, d))[0]


def windows(
    x: Array,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    pad: tuple[tuple[int, int], ...],
    dilation: tuple[int, ...],
    groups: int,
) -> Array:
    """The windows of x [B, C, *places] as [groups, taps * C / groups, B, *windows]."""
    x = x.swapaxes(0, 1)
    if pad:
        x = jnp.pad(x, ((0, 0), (0, 0), *pad))
    x = x.reshape(groups, -1, *x.shape[1:])
    taps = []
    for tap in np.ndindex(*kernel):
        part = x
        for axis, k in enumerate(tap):
            step = stride[axis] if stride else 1
            apart = dilation[axis] if dilation else 1
            count = (x.shape[3 + axis] - 1 - apart * (kernel[axis] - 1)) // step + 1
            part = every(part, 3 + axis, k * apart, step, count)
        taps.append(part)
    return jnp.concatenate(taps, 1)


def by_group(w: Array, groups: int) -> Array:
    """Kernels [*kernel, C / groups, D] as [groups, taps * C / groups, D / groups]."""
    return w.reshape(-1, groups, w.shape[-1] // groups).swapaxes(0, 1)


def each_step(one: Callable[[Array], Array], x: Array, rank: int) -> Array:
    """`one` of [B, C, *places], applied to each step of [T, B, ...], or to [B, ...]."""
    lead, image = x.shape[: -rank - 1], x.shape[-rank - 1 :]
    parts = x.reshape(lead[0] if len(lead) > 1 else 1, -1, *image)
    y: Array = lax.map(one, parts) if len(parts) > 1 else one(parts[0])
    return y.reshape(*lead, *y.shape[-rank - 1 :])


def every(x: Array, axis: int, start: int, step: int, count: int) -> Array:
    """`count` places of one axis, from `start` on in steps of `step`."""
    return lax.slice_in_dim(x, start, start + (count - 1) * step + 1, step, axis)


def at_places(d: Array, axis: int, start: int, step: int, size: int) -> Array:
    """`d` at the places that `every` takes, 0 elsewhere; places outside are left out."""
    end = size - start - (d.shape[axis] - 1) * step - 1
    zero = jnp.zeros((), d.dtype)
    edges = [(0, 0, 0)] * d.ndim
    edges[axis] = (start, end, step - 1)
    return lax.pad(d, zero, edges)


def sum_pool(
    x: Array,
    size: tuple[int, ...],
    stride: tuple[int, ...] = (),
    pad: tuple[tuple[int, int], ...] = (),
) -> Array:
    """The sum of each window of [..., *places]; windows lie side by side by default."""
    rank = len(size)

    def value(x: Array) -> Array:
        if pad:
            x = jnp.pad(x, ((0, 0),) * (x.ndim - rank) + pad)
        for k in range(rank):
            axis, step = x.ndim - rank + k, (stride or size)[k]
            count = (x.shape[axis] - size[k]) // step + 1
            parts = [every(x, axis, i, step, count) for i in range(size[k])]
            x = sum(parts[1:], parts[0])
        return x

    def backward(_: None, d: Array) -> tuple[Array]:
        return (sum_pool_transposed(d, x.shape[-rank:], size, stride, pad),)

    pooled = jax.custom_vjp(value)
    pooled.defvjp(lambda x: (value(x), None), backward)
    result: Array = pooled(x)
    return result


def sum_pool_transposed(
    d: Array,
    places: tuple[int, ...],
    size: tuple[int, ...],
    stride: tuple[int, ...] = (),
    pad: tuple[tuple[int, int], ...] = (),
) -> Array:
    """The cotangent of x [..., *places] in `sum_pool`: each window's, at its places."""
    rank = len(size)
    if (stride or size) == size and not pad:  # side by side
        d = upsample(d, size)
        rest = [(0, n - m) for n, m in zip(places, d.shape[-rank:], strict=True)]
        return jnp.pad(d, [(0, 0)] * (d.ndim - rank) + rest)
    for k in range(rank):
        axis, step, low = (
            d.ndim - rank + k,
            (stride or size)[k],
            pad[k][0] if pad else 0,
        )
        parts = [at_places(d, axis, i - low, step, places[k]) for i in range(size[k])]
        d = sum(parts[1:], parts[0])
    return d


def max_pool(
    x: Array,
    size: tuple[int, ...],
    stride: tuple[int, ...] = (),
    pad: tuple[tuple[int, int], ...] = (),
) -> Array:
    """The largest number of each window of [..., *places].

    Of several that are equal, as spikes are, the first in reading order has the
    derivative, as in PyTorch.
    """

    def value(x: Array) -> Array:
        taps = list(window_taps(x, size, stride, pad))
        largest = taps[0]
        for tap in taps[1:]:
            largest = jnp.maximum(largest, tap)
        return largest

    def backward(x: Array, d: Array) -> tuple[Array]:
        return (max_pool_transposed(d, x, size, stride, pad),)

    pooled = jax.custom_vjp(value)
    pooled.defvjp(lambda x: (value(x), x), backward)
    result: Array = pooled(x)
    return result


def max_pool_transposed(
    d: Array,
    x: Array,
    size: tuple[int, ...],
    stride: tuple[int, ...] = (),
    pad: tuple[tuple[int, int], ...] = (),
) -> Array:
    """The cotangent of x in `max_pool`: at the first largest number of each window."""
    rank = len(size)
    taps = list(window_taps(x, size, stride, pad))
    largest = taps[0]
    for tap in taps[1:]:
        largest = jnp.maximum(largest, tap)
    found = jnp.zeros(d.shape, bool)
    total = jnp.zeros(x.shape, d.dtype)
    for tap, at in zip(taps, np.ndindex(*size), strict=True):
        here = (tap == largest) & ~found
        found |= here
        part = jnp.where(here, d, jnp.zeros((), d.dtype))
        for k in range(rank):
            axis, low = x.ndim - rank + k, pad[k][0] if pad else 0
            part = at_places(
                part, axis, at[k] - low, (stride or size)[k], x.shape[axis]
            )
        total = total + part
    return total


def window_taps(
    x: Array,
    size: tuple[int, ...],
    stride: tuple[int, ...],
    pad: tuple[tuple[int, int], ...],
) -> list[Array]:
    """What stands at each position of a window, for all windows; -inf outside x."""
    rank = len(size)
    if pad:
        edges = ((0, 0),) * (x.ndim - rank) + pad
        x = jnp.pad(x, edges, constant_values=-jnp.inf)
    taps = []
    for at in np.ndindex(*size):
        part = x
        for k in range(rank):
            axis, step = x.ndim - rank + k, (stride or size)[k]
            count = (x.shape[axis] - size[k]) // step + 1
            part = every(part, axis, at[k], step, count)
        taps.append(part)
    return taps


def upsample(x: Array, factor: tuple[int, ...]) -> Array:
    """Each place of [..., *places] repeated `factor` times along each axis."""
    for k, times in enumerate(factor):
        x = jnp.repeat(x, times, axis=x.ndim - len(factor) + k)
    return x


def channel_sums(d: Array, rank: int) -> Array:
    """The gradient of one number a channel, added to [..., C, *places]."""
    others = [k for k in range(d.ndim) if k != d.ndim - rank - 1]
    return jnp.sum(d, axis=others)
