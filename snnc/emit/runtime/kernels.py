"""Time loops of single layers as kernels for NVIDIA GPUs, forward and adjoint.

A layer works element by element: within a step, a neuron of a sample needs nothing
of another one. So one program of a kernel takes a few of them through all steps and
holds their states in registers; only what is read goes through memory.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.custom_derivatives import SymbolicZero
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton


def fused_loop(
    step: Callable[..., Any],
    adjoint: Callable[..., Any],
    p: Any,
    start: Any,
    ports: tuple[Array, ...],
    steps: int,
    read: tuple[str, ...],
    length: int = 0,
    interpret: bool = False,
) -> tuple[Any, Any]:
    """As `layer_loop`, on an NVIDIA GPU in one kernel; `read` names signals it writes.

    The others are written by a second kernel, which XLA drops if nothing reads them.
    `interpret` runs the kernels on any device, slowly.
    """
    parts = [a.shape for a in jax.tree.leaves(start)] + [x.shape[1:] for x in ports]
    shape = jnp.broadcast_shapes(*parts)  # [B, ...]

    def flat(a: Array) -> Array:
        return jnp.broadcast_to(a, shape).reshape(-1)

    def whole(a: Array) -> Array:
        return a.reshape(*a.shape[:-1], *shape)

    def one(constants: Any, state: Any, *x: Array) -> Any:
        given = step(p._replace(**constants), state, *x)
        size = jnp.broadcast_shapes(*(a.shape for a in jax.tree.leaves((state, x))))
        return jax.tree.map(lambda a: jnp.broadcast_to(a, size), given)

    def back(constants: Any, *given: Any) -> Any:
        return adjoint(p._replace(**constants), *given)

    arrays = {n: v for n, v in p._asdict().items() if not isinstance(v, float)}
    end, signals = element_loop(
        one,
        back,
        {n: v.reshape(()) if v.size == 1 else flat(v) for n, v in arrays.items()},
        jax.tree.map(flat, start),
        tuple(
            flat(x[0]) if x.shape[0] == 1 < steps else jax.vmap(flat)(x) for x in ports
        ),
        read,
        length,
        partial(fused_scan, steps=steps, interpret=interpret),
    )
    result: tuple[Any, Any] = jax.tree.map(whole, (end, signals))
    return result


def element_loop(
    step: Callable[..., Any],
    adjoint: Callable[..., Any],
    constants: dict[str, Array],
    start: Any,
    xs: tuple[Array, ...],
    read: tuple[str, ...],
    length: int,
    scan: Callable[..., Any],
) -> tuple[Any, Any]:
    """The time loop of M neurons by two scans, one forward and one backward.

    Constants are [] or [M], states [M], inputs [T, M], or [M] where they are held.
    """
    held = tuple(x.ndim == 1 for x in xs)

    def parted(values: Any) -> tuple[list[Any], list[Any]]:
        pairs = list(zip(values, held, strict=True))
        return [v for v, h in pairs if h], [v for v, h in pairs if not h]

    def joined(still: Any, moving: Any) -> tuple[Any, ...]:
        now, later = iter(still), iter(moving)
        return tuple(next(now) if h else next(later) for h in held)

    first = joined(parted(xs)[0], [x[0] for x in parted(xs)[1]])
    _, record, kept_as = jax.eval_shape(step, constants, start, *first)
    others = tuple(name for name in record._fields if name not in read)

    def rows(names: tuple[str, ...], keep: bool, *primals: Any) -> Any:
        constants, start, xs = primals
        still, moving = parted(xs)

        def one(fixed: Any, n: Array, state: Any, now: Any) -> Any:
            constants, still = fixed
            state, out, kept = step(constants, state, *joined(still, now))
            out = {name: getattr(out, name) for name in names}
            return state, (out, jax.tree.map(as_number, kept) if keep else ())

        return scan(one, (constants, still), start, moving)

    def signals(keep: bool, *primals: Any) -> Any:
        end, (out, kept) = rows(read, keep, *primals)
        more = rows(others, False, *primals)[1][0] if others else {}
        return (end, type(record)(**out, **more)), kept

    @jax.custom_vjp
    def loop(*primals: Any) -> Any:
        return signals(False, *primals)[0]

    def forward(*primals: Any) -> Any:
        primals = jax.tree.map(lambda primal: primal.value, primals)
        result, kept = signals(True, *primals)
        return result, (primals[0], kept)

    def backward(saved: Any, cotangents: Any) -> Any:
        constants, kept = saved
        d_end, d_out = cotangents
        leaves, tree = jax.tree.flatten(d_out, is_leaf=unread)
        d_end = jax.tree.map(
            lambda d: jnp.zeros(d.shape, d.dtype) if unread(d) else d,
            d_end,
            is_leaf=unread,
        )

        def transposed(constants: Any, d_state: Any, row: Any) -> Any:
            kept, given = row
            at = iter(given)
            d_now = [0.0 if unread(d) else next(at) for d in leaves]
            kept = jax.tree.map(lambda k, a: k.astype(a.dtype), kept, kept_as)
            d_before, d_x, sums = adjoint(
                constants, kept, d_state, jax.tree.unflatten(tree, d_now)
            )
            size = jax.tree.leaves((d_state, row))[0].shape

            def like(d: Any, a: Array) -> Array:
                return jnp.broadcast_to(jnp.asarray(d, a.dtype), size)

            learned = {
                n: like(d, constants[n]) for n, d in sums.items() if n in constants
            }
            before = jax.tree.map(like, d_before, d_state)
            return before, tuple(map(like, d_x, xs)), learned

        def one(constants: Any, n: Array, carry: Any, row: Any) -> Any:
            d_state, d_held, sums = carry
            d_state, d_x, learned = transposed(constants, d_state, row)
            if length:
                cut = lax.rem(n, jnp.full_like(n, length)) == 0
                d_state = jax.tree.map(lambda d: jnp.where(cut, 0.0, d), d_state)
            now, d_moving = parted(d_x)
            d_held, sums = jax.tree.map(jnp.add, (d_held, sums), (now, learned))
            return (d_state, d_held, sums), d_moving

        given = [d for d in leaves if not unread(d)]
        row = jax.tree.map(lambda a: a[0], (kept, given))
        _, d_x, sums = jax.eval_shape(transposed, constants, d_end, row)
        zeros = jax.tree.map(jnp.zeros_like, (parted(d_x)[0], sums))
        (d_start, d_held, sums), d_moving = scan(
            one, constants, (d_end, *zeros), (kept, given), reverse=True
        )
        learned = {n: d if constants[n].ndim else d.sum() for n, d in sums.items()}
        return dict.fromkeys(constants) | learned, d_start, joined(d_held, d_moving)

    loop.defvjp(forward, backward, symbolic_zeros=True)
    result: tuple[Any, Any] = loop(constants, start, xs)
    return result


def unread(d: Any) -> bool:
    """Whether nothing reads the value that this cotangent belongs to."""
    return isinstance(d, SymbolicZero)


def fused_scan(
    one: Callable[..., Any],
    fixed: Any,
    carry: Any,
    rows: Any,
    steps: int,
    reverse: bool = False,
    interpret: bool = False,
) -> tuple[Any, Any]:
    """`lax.scan` of an element-wise step, on an NVIDIA GPU as one kernel.

    one(fixed, n, carry, row) -> carry, what step n gives out. `fixed` are [] or [M],
    carries [M], rows [T, M]. Its own derivative, for second ones, is that of the scan.
    """
    if interpret:
        return scan_kernel(one, fixed, carry, rows, steps, reverse, interpret=True)

    def kernel(fixed: Any, carry: Any, rows: Any) -> Any:
        return scan_kernel(one, fixed, carry, rows, steps, reverse)

    def loop(fixed: Any, carry: Any, rows: Any) -> Any:
        def body(carry: Any, now: Any) -> Any:
            return one(fixed, now[0], carry, now[1])

        numbered = (jnp.arange(steps), rows)
        return lax.scan(body, carry, numbered, length=steps, reverse=reverse)

    @jax.custom_jvp
    def either(*given: Any) -> Any:
        return lax.platform_dependent(*given, cuda=kernel, default=loop)

    either.defjvp(lambda given, tangents: jax.jvp(loop, given, tangents))
    result: tuple[Any, Any] = either(fixed, carry, rows)
    return result


def scan_kernel(
    one: Callable[..., Any],
    fixed: Any,
    carry: Any,
    rows: Any,
    steps: int,
    reverse: bool,
    block: int = 128,
    interpret: bool = False,
) -> tuple[Any, Any]:
    """`fused_scan` as a Pallas kernel; a program takes `block` elements through all steps."""
    moving = jax.tree.leaves((fixed, carry, rows))
    size = max(a.shape[-1] for a in moving if a.ndim)
    partial_block = size % block != 0

    def spec(a: Any) -> pl.BlockSpec:
        if a.ndim == 2:
            return pl.BlockSpec((steps, block), lambda i: (0, i))
        if a.ndim == 1:
            return pl.BlockSpec((block,), lambda i: (i,))
        return pl.BlockSpec((1,), lambda i: (0,))

    def kernel(
        fixed_at: Any, carry_at: Any, rows_at: Any, end_at: Any, out_at: Any
    ) -> None:
        lane = pl.program_id(0) * block + lax.iota(jnp.int32, block)
        inside = lane < size if partial_block else None

        def load(ref: Any) -> Any:
            return triton.load(ref, mask=inside, other=0 if partial_block else None)

        def store(ref: Any, value: Any) -> None:
            triton.store(ref, value, mask=inside)

        def body(k: Any, carry: Any) -> Any:
            n = steps - 1 - k if reverse else k
            row = jax.tree.map(lambda ref: load(ref.at[n, :]), rows_at)
            carry, out = one(constants, n, carry, row)
            jax.tree.map(lambda ref, value: store(ref.at[n, :], value), out_at, out)
            return carry

        constants = jax.tree.map(
            lambda ref: ref[0] if ref.shape == (1,) else load(ref), fixed_at
        )
        end = lax.fori_loop(0, steps, body, jax.tree.map(load, carry_at))
        jax.tree.map(store, end_at, end)

    def results(fixed: Any, carry: Any, rows: Any) -> Any:
        row = jax.tree.map(lambda a: a[0], rows)
        end, out = one(fixed, jnp.zeros((), int), carry, row)
        return end, jax.tree.map(lambda a: jnp.broadcast_to(a, (steps, size)), out)

    given = (fixed, carry, rows)
    shapes = jax.eval_shape(results, *given)
    call = pl.pallas_call(
        kernel,
        out_shape=shapes,
        grid=(pl.cdiv(size, block),),
        in_specs=jax.tree.map(spec, given),
        out_specs=jax.tree.map(spec, shapes),
        interpret=interpret,
        compiler_params=triton.CompilerParams(num_warps=block // 32),
    )
    result: tuple[Any, Any] = call(
        jax.tree.map(lambda a: a.reshape(1) if a.ndim == 0 else a, fixed), carry, rows
    )
    return result


def as_number(a: Array) -> Array:
    """Truths as bytes, all else as it is: kernels store no truths."""
    return a.astype(jnp.int8) if a.dtype == bool else a
