"""Time loops with a derived gradient.

The loop forward keeps what the adjoint of a step reads; the loop backward runs the
adjoints from the last step to the first and gives out, for each product of the
loop, the cotangents of its result, so that each weight needs one product at the end.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.custom_derivatives import SymbolicZero


def time_loop(
    step: Callable[..., Any],
    adjoint: Callable[..., Any],
    collect: Callable[..., Any],
    fixed: Any,
    start: Any,
    xs: tuple[Array, ...],
    steps: int,
    length: int = 0,
    before: Callable[..., Any] | None = None,
) -> tuple[Any, Any]:
    """The last state and what each step gives out, with the derived gradient.

    step(fixed, n, state, x) -> state, out, kept
    adjoint(fixed, kept, d_state, d_out) -> d_state, d_x, sums, deltas
    collect(fixed, start, outs, kept, sums, deltas) -> d_fixed
    before(fixed, d_x) -> d_state, where it follows from d_x alone

    `fixed` is the same in all steps, and so is an input [1, ...]; `sums` are added
    up over the steps, `deltas` stacked. With `length` the gradient is cut at every
    multiple of so many steps.
    """
    held = tuple(x.shape[0] == 1 and steps > 1 for x in xs)
    shapes = tuple((x.shape[1:], x.dtype) for x in xs)

    def forward_loop(fixed: Any, start: Any, xs: tuple[Array, ...]) -> Any:
        def body(state: Any, now: Any) -> Any:
            n, moving = now
            at = iter(moving)
            x = tuple(a[0] if h else next(at) for a, h in zip(xs, held, strict=True))
            state, out, kept = step(fixed, n, state, x)
            return state, (out, kept)

        moving = tuple(a for a, h in zip(xs, held, strict=True) if not h)
        return stacking_scan(body, start, moving, steps)

    @jax.custom_vjp
    def loop(fixed: Any, start: Any, xs: tuple[Array, ...]) -> Any:
        end, (outs, kept) = forward_loop(fixed, start, xs)
        return end, spikes_again(outs, kept)

    def forward(*primals: Any) -> Any:
        fixed, start, xs = jax.tree.map(lambda primal: primal.value, primals)
        end, (outs, kept) = forward_loop(fixed, start, xs)
        outs = spikes_again(outs, kept)
        return (end, outs), (fixed, start, outs, kept)

    def backward(saved: Any, cotangents: Any) -> Any:
        fixed, start, outs, kept = saved
        d_end, d_outs = cotangents
        d_end = jax.tree.map(as_array, d_end, is_leaf=is_zero)
        leaves, tree = jax.tree.flatten(d_outs, is_leaf=is_zero)

        def transposed(d_state: Any, kept_now: Any, given: tuple[Array, ...]) -> Any:
            at = iter(given)
            d_out = jax.tree.unflatten(
                tree, [0.0 if is_zero(d) else next(at) for d in leaves]
            )
            d_before, d_x, sums, deltas = adjoint(fixed, kept_now, d_state, d_out)
            d_before = jax.tree.map(
                lambda d, like: shaped(d, like.shape, like.dtype), d_before, d_state
            )
            d_x = tuple(shaped(d, *kind) for d, kind in zip(d_x, shapes, strict=True))
            return d_before, d_x, sums, deltas

        def cut(d_state: Any, n: Array) -> Any:
            first = n % length == 0
            return jax.tree.map(lambda d: jnp.where(first, 0.0, d), d_state)

        def body(carry: Any, now: Any) -> Any:
            d_state, d_held, total = carry
            n, (kept_now, given) = now
            d_state, d_x, sums, deltas = transposed(d_state, kept_now, given)
            d_state = cut(d_state, n) if length else d_state
            now_held = [d for d, h in zip(d_x, held, strict=True) if h]
            d_moving = [d for d, h in zip(d_x, held, strict=True) if not h]
            d_held, total = jax.tree.map(jnp.add, (d_held, total), (now_held, sums))
            different, form = once((d_moving, deltas))
            forms.append(form)
            return (d_state, d_held, total), different

        def read_back(carry: Any, n: Array, rows: list[Array]) -> Any:
            d_state = follows(fixed, each(rows, forms[-1])[0])
            return cut(d_state, n) if length else d_state, *carry[1:]

        follows: Any = None if any(held) else before
        forms: list[Any] = []
        given = tuple(d for d in leaves if not is_zero(d))
        first = jax.tree.map(lambda a: a[0], (kept, given))
        sums = jax.eval_shape(transposed, d_end, *first)[2]
        zeros = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), sums)
        d_held = [jnp.zeros(*kind) for kind, h in zip(shapes, held, strict=True) if h]
        (d_start, d_held, total), stacked = stacking_scan(
            body,
            (d_end, d_held, zeros),
            (kept, given),
            steps,
            reverse=True,
            again=None if follows is None else read_back,
        )
        d_moving, deltas = each(stacked, forms[-1])
        constant, moving = iter(d_held), iter(d_moving)
        d_xs = tuple(next(constant)[None] if h else next(moving) for h in held)
        return collect(fixed, start, outs, kept, total, deltas), d_start, d_xs

    loop.defvjp(forward, backward, symbolic_zeros=True)
    result: tuple[Any, Any] = loop(fixed, start, xs)
    return result


def spikes_again(outs: Any, kept: Any) -> Any:
    """The same signals with spikes from what is kept: then the loop stacks them once."""
    if hasattr(kept, "spike_again"):
        return outs._replace(spike=kept.spike_again())
    if not isinstance(outs, tuple) or hasattr(outs, "_fields"):
        return outs
    layers = iter(k for k in kept if hasattr(k, "_fields"))
    return tuple(
        spikes_again(out, next(layers)) if hasattr(out, "_fields") else out
        for out in outs
    )


def stacking_scan(
    body: Callable[..., Any],
    start: Any,
    xs: Any,
    steps: int,
    reverse: bool = False,
    again: Callable[..., Any] | None = None,
) -> tuple[Any, Any]:
    """As `lax.scan` of body(carry, (n, x)) over the steps n and arrays [T, ...].

    What is stacked overwrites arrays that are filled with a number of the data:
    XLA would make one array of zeros for all loops and copy it for each result.
    again(carry, n, rows) gives the carry from the rows of step n, as read back: XLA
    would compute once for the carry and once for the stack what both follow from.
    """
    first = jax.tree.map(lambda a: a[0], xs)
    kinds = jax.eval_shape(body, start, (jnp.zeros((), jnp.int32), first))[1]
    leaves, tree = jax.tree.flatten(kinds)
    data = jax.tree.leaves((first, start))[:1]
    number = data[0].reshape(-1) if data else jnp.zeros(1)
    space = [
        jnp.full((steps, *leaf.shape), number[k % number.size].astype(leaf.dtype))
        for k, leaf in enumerate(leaves)
    ]

    def write(carry: Any, now: Any) -> Any:
        inner, stacks = carry
        inner, out = body(inner, now)
        pairs = zip(stacks, jax.tree.leaves(out), strict=True)
        put, take = lax.dynamic_update_index_in_dim, lax.dynamic_index_in_dim
        stacks = [put(stack, one, now[0], 0) for stack, one in pairs]
        if again is not None:
            here = jnp.minimum(now[0], steps - 1)  # XLA does not see that it is n
            rows = [take(stack, here, 0, keepdims=False) for stack in stacks]
            inner = again(inner, now[0], jax.tree.unflatten(tree, rows))
        return (inner, stacks), None

    (end, stacks), _ = lax.scan(
        write, (start, space), (jnp.arange(steps), xs), length=steps, reverse=reverse
    )
    return end, jax.tree.unflatten(tree, stacks)


def once(values: Any) -> tuple[list[Array], Any]:
    """The different leaves of `values`, and the form from which `each` makes it again."""
    leaves, tree = jax.tree.flatten(values)
    different = {id(leaf): leaf for leaf in leaves}
    places = [list(different).index(id(leaf)) for leaf in leaves]
    return list(different.values()), (tree, places)


def each(different: list[Array], form: Any) -> Any:
    """The leaves in all the places of the form that `once` gave."""
    tree, places = form
    return jax.tree.unflatten(tree, [different[k] for k in places])


def layer_loop(
    step: Callable[..., Any],
    adjoint: Callable[..., Any],
    p: Any,
    start: Any,
    ports: tuple[Array, ...],
    steps: int,
    length: int = 0,
    before: Callable[..., Any] | None = None,
) -> tuple[Any, Any]:
    """The time loop of one layer: its last state, its signals over all steps."""

    def one(p: Any, n: Array, state: Any, x: Any) -> Any:
        return step(p, state, *x)

    def back(p: Any, kept: Any, d_state: Any, d_signals: Any) -> Any:
        return (*adjoint(p, kept, d_state, d_signals), ())

    def collect(
        p: Any, start: Any, outs: Any, kept: Any, sums: Any, deltas: Any
    ) -> Any:
        return constants_gradient(p, sums)

    if jax.default_backend() != "cpu":  # where reading back is an operation more
        before = None
    return time_loop(one, back, collect, p, start, ports, steps, length, before)


def time_loop_by_jax(
    step: Callable[..., Any],
    fixed: Any,
    start: Any,
    xs: tuple[Array, ...],
    steps: int,
    length: int = 0,
) -> tuple[Any, Any]:
    """As `time_loop`, differentiated by JAX, which keeps what it needs itself."""

    def body(state: Any, now: Any) -> Any:
        n, x = now
        state, out, _ = step(
            fixed, n, truncate(state, n, length) if length else state, x
        )
        return state, out

    xs = tuple(over_time(x, steps) for x in xs)
    return lax.scan(body, start, (jnp.arange(steps), xs), length=steps)


def layer_loop_by_jax(
    step: Callable[..., Any],
    p: Any,
    start: Any,
    ports: tuple[Array, ...],
    steps: int,
    length: int = 0,
) -> tuple[Any, Any]:
    """As `layer_loop`, differentiated by JAX."""

    def one(p: Any, n: Array, state: Any, x: Any) -> Any:
        return step(p, state, *x)

    return time_loop_by_jax(one, p, start, ports, steps, length)


def truncate(state: Any, n: Array, length: int) -> Any:
    """The same state; every `length` steps the gradient through it is cut."""
    cut = n % length == 0
    return jax.tree.map(lambda s: jnp.where(cut, lax.stop_gradient(s), s), state)


def over_time(x: Array, steps: int) -> Array:
    """[T, B, ...] as it is, or the value [1, B, ...] held over all steps."""
    return jnp.broadcast_to(x, (steps, *x.shape[1:]))


def constants_gradient(p: Any, sums: dict[str, Array]) -> Any:
    """The gradient of a layer's constants: each summed to its shape, 0 if not learned."""
    return only(p, **{name: summed_to(d, getattr(p, name)) for name, d in sums.items()})


def only(record: Any, **values: Any) -> Any:
    """A cotangent of `record` with these fields; the others have none."""
    return type(record)(*(values.get(name) for name in record._fields))


def summed_to(d: Array, like: Any) -> Array:
    """`d` summed over the axes along which `like` was repeated."""
    shape = jnp.shape(like)
    d = jnp.sum(d, axis=tuple(range(jnp.ndim(d) - len(shape))))
    repeated = tuple(k for k, n in enumerate(shape) if n == 1 and d.shape[k] != 1)
    return jnp.sum(d, axis=repeated, keepdims=True)


def half(margin: Array) -> Array:
    """A margin in 16 bits, with its sign: what fired still reads as fired."""
    least = jnp.where(margin < 0, -6.0e-8, 6.0e-8)
    tiny = (jnp.abs(margin) < 6.0e-8) & (margin != 0)
    bounded = jnp.clip(jnp.where(tiny, least, margin), -65504.0, 65504.0)
    return bounded.astype(jnp.float16)


def shaped(d: Any, shape: tuple[int, ...], dtype: Any) -> Array:
    """A cotangent with the shape and type of what it belongs to."""
    return jnp.broadcast_to(jnp.asarray(d, dtype), shape)


def is_zero(d: Any) -> bool:
    """Whether nothing reads the value that this cotangent belongs to."""
    return isinstance(d, SymbolicZero)


def as_array(d: Any) -> Array:
    """A cotangent as an array."""
    return jnp.zeros(d.shape, d.dtype) if is_zero(d) else jnp.asarray(d)
