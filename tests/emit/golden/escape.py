"""Probe, compiled by snnc from escape.snn.

Schedule
    over all steps at once: drive_cell.dense
    time loop: cell (Noisy, exact)
        derived gradient of cell, keeps fired_1, v_tested

Sequences are [T, B, ...]: steps, samples, units. Row n of a signal is its value at
the end of step n, at time (n + 1) DT. Times are in ms, voltages in mV, currents in pA.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.custom_derivatives import SymbolicZero

MODEL = "Probe"
SOURCE = "escape.snn"
MODEL_HASH = "42b06b277b6f5d4d"
DT = 0.5  # ms
STEPS: int | None = None  # of a presentation

Value = Array | float


# ---- what is learned, what persists, what comes in ---------------------------


class Params(NamedTuple):
    """Trainable values; parameters of neurons in their raw, unbounded form."""

    # drive -> dense(6) -> Noisy() as cell, [4, 6]  (escape.snn:21)
    drive_cell_dense_w: Any


class Buffers(NamedTuple):
    """Values that persist over samples and have no gradient."""

    # cell.rest, 1  (escape.snn:6)
    cell_rest: Any
    # cell.slow at the start of a sample, 1
    cell_slow: Any


class Inputs(NamedTuple):
    """One sequence for each input; T may be 1 for a value held over all steps."""

    # spikes [T, B, 4]  (escape.snn:20)
    drive: Array


PARAM_NAMES = Params(
    drive_cell_dense_w="drive_cell.dense.w",
)
BUFFER_NAMES = Buffers(
    cell_rest="cell.rest",
    cell_slow="cell.slow",
)


# ---- surrogates: the derivative of the step at the margin --------------------


def triangle(x: Array, height: Value, width: Value) -> Value:
    """Piecewise linear (Bellec et al. 2018). Peak height, area height*width."""
    # std/surrogates.snn:15
    return height * jnp.maximum(0.0, 1.0 - jnp.abs(x) / width)


@jax.custom_jvp
def fire_triangle(margin: Array, fired: Array, height: Value, width: Value) -> Array:
    """1 where `fired`, else 0; its derivative by the margin is triangle."""
    return fired.astype(margin.dtype)


@fire_triangle.defjvp
def _fire_triangle_jvp(primals: Any, tangents: Any) -> Any:
    margin, _, *shape = primals
    return fire_triangle(*primals), triangle(margin, *shape) * tangents[0]


# ---- neurons -----------------------------------------------------------------


class Noisy(NamedTuple):
    """Constants of Noisy (escape.snn:4); method: exact."""

    v_decay: Value  # share of v left after dt
    v_drift: Value  # rest * dt / tau * exprel(-dt / tau)
    slow_decay: Value  # share of slow left after dt


class NoisyState(NamedTuple):
    """States of Noisy, each [B, ...]."""

    v: Array  # 1
    slow: Array  # 1
    above_2: Array  # memory of the step


class NoisySignals(NamedTuple):
    """What Noisy publishes after a step."""

    spike: Array  # 1
    v: Array  # 1
    slow: Array  # 1


class NoisyKept(NamedTuple):
    """What the gradient of a step reads of it."""

    fired_1: Array
    v_tested: Array


def noisy(
    tau: Value,
    rest: Value,
) -> Noisy:
    """The constants of one layer, from its parameters."""
    v_decay = jnp.exp(-DT / tau)
    v_drift = rest * DT / tau * exprel(-DT / tau)
    slow_decay = jnp.exp(-DT / 1000.0)
    return Noisy(v_decay=v_decay, v_drift=v_drift, slow_decay=slow_decay)


def noisy_start(p: Noisy, shape: tuple[int, ...], keys: Array, name: int) -> NoisyState:
    """The state at the start of a sample."""
    v = jax.vmap(lambda key: draw_uniform(stream(key, name + 0), shape[1:], 0.0, 0.5))(
        keys
    )
    slow = jnp.zeros(shape)
    above_2 = jnp.zeros(shape)
    return NoisyState(v, slow, above_2)


def noisy_step(
    p: Noisy, s: NoisyState, x: Array, chance: Array
) -> tuple[NoisyState, NoisySignals, NoisyKept]:
    """Escape noise, several spike blocks, emitted values, a state that carries over samples and drawn initial values."""
    # v += x  (escape.snn:12)
    v = s.v + x
    # v' = (rest - v) / tau  (escape.snn:10)
    v = p.v_decay * v + p.v_drift
    # kept for the gradient
    v_tested = v
    # slow' = -slow / 1 s  (escape.snn:11)
    slow = p.slow_decay * s.slow
    # spike with rate 20 Hz * exp((v - 1) / 0.2)  (escape.snn:13)
    fired_1 = sample(1.0 - jnp.exp(-(0.02 * jnp.exp((v - 1.0) / 0.2) * DT)), chance)
    # spike when v <= -1 rising emit -1
    above_2_now = v <= -1.0
    # spike when v <= -1 rising emit -1  (escape.snn:14)
    fired_2 = fire_triangle(-1.0 - v, (above_2_now & (s.above_2 <= 0.0)), 0.3, 1.0)
    # for `rising`
    above_2 = jnp.where(above_2_now, 1.0, 0.0)
    # emit spike when v <= -1 rising emit -1 { v += 1 }  (escape.snn:14)
    spike_2 = emit(fired_2, -1.0)
    # v = 0  (escape.snn:13)
    v = reset(fired_1, 0.0, v)
    # slow += 0.01  (escape.snn:13)
    slow = reset(fired_1, slow + 0.01, slow)
    # v += 1  (escape.snn:14)
    v = reset(fired_2, v + 1.0, v)
    # all that was emitted
    spike = fired_1 + spike_2
    return (
        NoisyState(v, slow, above_2),
        NoisySignals(spike, v, slow),
        NoisyKept(fired_1, v_tested),
    )


def noisy_adjoint(
    p: Noisy, k: NoisyKept, d_next: NoisyState, d_out: NoisySignals
) -> tuple[NoisyState, tuple[Any, ...], dict[str, Array]]:
    """Transposed `noisy_step`: d_a is the derivative of the loss by a.

    Returns those by the state before the step, the ports and the learned constants.
    """
    margin = -1.0 - k.v_tested
    # v += 1  (escape.snn:14)
    d_v = d_out.v + d_next.v
    # slow += 0.01  (escape.snn:13)
    d_slow = d_out.slow + d_next.slow
    # spike when v <= -1 rising emit -1  (escape.snn:14)
    d_fired_2 = d_v + d_out.spike
    d_margin = triangle(margin, 0.3, 1.0) * d_fired_2
    # spike with rate 20 Hz * exp((v - 1) / 0.2)  (escape.snn:13)
    d_fired_1 = d_out.spike + 0.01 * d_slow - k.v_tested * d_v
    # v' = (rest - v) / tau  (escape.snn:10)
    d_v2 = (
        jnp.where(k.fired_1 > 0.0, 0.0, d_v)
        - d_margin
        + jnp.exp((k.v_tested - 1.0) / 0.2)
        * (
            0.02
            * (
                DT
                * (
                    d_fired_1
                    * jnp.exp(-(0.02 * jnp.exp((k.v_tested - 1.0) / 0.2) * DT))
                )
            )
        )
        / 0.2
    )
    # v += x  (escape.snn:12)
    d_v3 = p.v_decay * d_v2
    return d_next._replace(v=d_v3, slow=p.slow_decay * d_slow), (d_v3,), {}


# ---- the network -------------------------------------------------------------


class Constants(NamedTuple):
    """What the steps of each layer need and no step changes."""

    cell: Noisy


class State(NamedTuple):
    """All that goes from step to step."""

    cell: NoisyState
    sent_fold: Array  # sum_over_time so far
    key: Array  # one key a sample
    n: Array  # steps done


class Signals(NamedTuple):
    """What every layer publishes."""

    cell: NoisySignals


class Outputs(NamedTuple):
    """The network's outputs."""

    sent: Array  # [B, 6]


INPUTS: dict[str, tuple[str, tuple[int, ...]]] = {
    "drive": ("spikes", (4,)),
}
SIGNALS: dict[str, tuple[str, tuple[int, ...]]] = {
    "cell.spike": ("1", (6,)),
    "cell.v": ("1", (6,)),
    "cell.slow": ("1", (6,)),
}
SPIKING: tuple[str, ...] = ("cell",)


def init_params(key: Array) -> Params:
    """Initial trainable values; each draw is keyed by the parameter's name."""
    return Params(
        drive_cell_dense_w=kaiming_uniform(stream(key, 3454383673), (4, 6), gain=1.0),
    )


def init_buffers(key: Array) -> Buffers:
    """Initial persistent values; each draw is keyed by its name."""
    return Buffers(
        cell_rest=draw_normal(stream(key, 2322432265), (6,), 0.0, 0.1),
        cell_slow=jnp.full((6,), 0.0),
    )


def constants(params: Params, buffers: Buffers) -> Constants:
    """Parameters in the author's units, and what follows from them."""
    return Constants(
        cell=noisy(tau=10.0, rest=buffers.cell_rest),
    )


def constrained(params: Params) -> dict[str, Array]:
    """Trainable parameters of neurons in the author's units."""
    return {}


def init_state(
    params: Params,
    buffers: Buffers,
    batch: int,
    key: Array | None = None,
    train: bool = False,
) -> State:
    """The state before the first step; `key` is one key, or one key a sample."""
    c = constants(params, buffers)
    keys = sample_keys(key, batch)
    cell_0 = noisy_start(c.cell, (batch, 6), keys, 3414656994)._replace(
        slow=jnp.broadcast_to(buffers.cell_slow, (batch, 6))
    )
    sent_fold_0 = jnp.zeros_like(jnp.zeros((batch, 6)))
    key_0 = keys
    n_0 = jnp.zeros((), jnp.int32)
    return State(cell=cell_0, sent_fold=sent_fold_0, key=key_0, n=n_0)


def step(
    params: Params, buffers: Buffers, state: State, x: Inputs
) -> tuple[State, Signals, Outputs]:
    """One step of dt; inputs are [B, ...]. Outputs are the readouts so far."""
    c = constants(params, buffers)
    # drive -> dense(6) -> Noisy() as cell  (escape.snn:21)
    drive_cell_dense = dense(x.drive, params.drive_cell_dense_w)
    # cell: Noisy  (escape.snn:21)
    cell_state, cell, _ = noisy_step(
        c.cell,
        state.cell,
        drive_cell_dense,
        uniform_draws(state.key, 3414656994, state.n, (6,)),
    )
    # the readouts so far
    sent_fold = state.sent_fold + cell.spike
    sent = sent_fold
    signals = Signals(cell=cell)
    return (
        State(cell=cell_state, sent_fold=sent_fold, key=state.key, n=state.n + 1),
        signals,
        Outputs(sent=sent),
    )


def loop_2(fixed: Any, n: Array, carry: Any, xs: Any) -> Any:
    """One step of cell, which draws noise. Returns what goes on, what is read, what is kept."""
    (c, _, state) = fixed
    (cell_state,) = carry
    (in_drive_cell_dense,) = xs
    # cell: Noisy  (escape.snn:21)
    cell_state, cell, cell_kept = noisy_step(
        c.cell,
        cell_state,
        in_drive_cell_dense,
        uniform_draws(state.key, 3414656994, state.n + n, (6,)),
    )
    return (cell_state,), (cell,), (cell_kept,)


def loop_2_adjoint(fixed: Any, kept: Any, d_carry: Any, d_read: Any) -> Any:
    """Transposed `loop_2`: d_a is the derivative of the loss by a."""
    (c, _, _) = fixed
    (cell_kept,) = kept
    (d_cell_state,) = d_carry
    (d_cell,) = d_read
    # cell: Noisy  (escape.snn:21)
    d_cell_state, (d_cell_x,), cell_sums = noisy_adjoint(
        c.cell, cell_kept, d_cell_state, d_cell
    )
    d_in_drive_cell_dense = d_cell_x
    return (d_cell_state,), (d_in_drive_cell_dense,), {"cell": cell_sums}, {}


def loop_2_gradients(
    fixed: Any, start: Any, read: Any, kept: Any, sums: Any, deltas: Any
) -> Any:
    """Gradients of what all steps share: one product for each weight."""
    (c, params, _) = fixed
    return (
        only(c, cell=constants_gradient(c.cell, sums["cell"])),
        only(
            params,
        ),
        None,
    )


def run(
    params: Params,
    buffers: Buffers,
    x: Inputs,
    *,
    key: Array | None = None,
    train: bool = False,
    steps: int | None = None,
    weight: Array | None = None,
) -> tuple[Signals, Buffers]:
    """Whole sequences: everything outside a cycle is computed over all steps at once.

    `weight` [B] is 0 for samples that only fill up a batch.
    """
    steps = sequence_steps(x, steps)
    batch = x.drive.shape[1]
    c = constants(params, buffers)
    state = init_state(params, buffers, batch, key, train)
    # drive -> dense(6) -> Noisy() as cell  (escape.snn:21)
    drive_cell_dense = dense_over_time(x.drive, params.drive_cell_dense_w)
    # time loop over cell
    (cell_state,), (cell,) = time_loop(
        loop_2,
        loop_2_adjoint,
        loop_2_gradients,
        (c, params, state),
        (state.cell,),
        (drive_cell_dense,),
        steps,
    )
    if train:
        buffers = buffers._replace(cell_slow=carried(cell_state.slow, weight))
    return Signals(cell=cell), buffers


def readout(params: Params, signals: Signals, x: Inputs, steps: int) -> Outputs:
    """The outputs of whole sequences."""
    # output sent  (escape.snn:22)
    sent = sum_over_time(signals.cell.spike)
    return Outputs(sent=sent)


def forward(
    params: Params,
    buffers: Buffers,
    x: Inputs,
    *,
    key: Array | None = None,
    steps: int | None = None,
) -> Outputs:
    """The outputs for whole sequences, in evaluation."""
    signals, _ = run(params, buffers, x, key=key, steps=steps)
    return readout(params, signals, x, sequence_steps(x, steps))


def sequence_steps(x: Inputs, steps: int | None) -> int:
    """The number of steps: as given, else of the longest input, else STEPS."""
    longest = max((a.shape[0] for a in x), default=1)
    return steps or (longest if longest > 1 else STEPS or 1)


# ---- functions of the snnc runtime that this file uses ------------------------


def stream(key: Array, name: int) -> Array:
    """The key of a named draw; `name` is the CRC-32 of the name."""
    return jax.random.fold_in(key, name)


def per_sample(key: Array, samples: Array) -> Array:
    """One key a sample [B], by the sample's number and not by its place."""
    return jax.vmap(lambda n: jax.random.fold_in(key, n))(samples)


def sample_keys(key: Array | None, batch: int) -> Array:
    """One key a sample: `key` as it is if it has an axis, else split by number."""
    if key is None:
        key = jax.random.key(0)
    return key if key.ndim == 1 else per_sample(key, jnp.arange(batch))


def uniform_draws(keys: Array, name: int, n: Array, shape: tuple[int, ...]) -> Array:
    """Uniform numbers [B, ...] in [0, 1) of step n, one key a sample."""

    def one(key: Array) -> Array:
        return jax.random.uniform(jax.random.fold_in(stream(key, name), n), shape)

    return jax.vmap(one)(keys)


def standard_normal(key: Array, shape: tuple[int, ...]) -> Array:
    """Draws of N(0, 1), from which numbers follow alike inside and outside of jit."""
    barrier: Any = jax.lax.optimization_barrier
    draws: Array = barrier(jax.random.normal(key, shape))
    return draws


def draw_normal(key: Array, shape: tuple[int, ...], mean: Value, std: Value) -> Array:
    """Normal draws."""
    return mean + std * standard_normal(key, shape)


def draw_uniform(key: Array, shape: tuple[int, ...], low: Value, high: Value) -> Array:
    """Uniform draws in [low, high)."""
    return low + (high - low) * jax.random.uniform(key, shape)


def fan_in(shape: tuple[int, ...]) -> int:
    """Return how many inputs an output sums: the product of all axes but the last."""
    return int(np.prod(shape[:-1]))


def uniform_weights(
    key: Array, shape: tuple[int, ...], *, low: float, high: float
) -> Array:
    """Return draws of U(low, high)."""
    return jax.random.uniform(key, shape, minval=low, maxval=high)


def kaiming_uniform(key: Array, shape: tuple[int, ...], *, gain: float) -> Array:
    """Return draws of U(-b, b), b = gain / sqrt(fan_in).

    With gain 1 that is how PyTorch fills `Linear` (He et al. 2015 with a = sqrt 5).
    """
    bound = gain / float(np.sqrt(fan_in(shape)))
    return uniform_weights(key, shape, low=-bound, high=bound)


def dense(x: Array, w: Array) -> Array:
    """One product over all leading axes: [..., n] times [n, m]."""
    return (x.reshape(-1, x.shape[-1]) @ w).reshape(*x.shape[:-1], w.shape[-1])


def dense_over_time(x: Array, w: Array) -> Array:
    """As `dense`, with `product_gradient` as the gradient of w."""

    @jax.custom_vjp
    def product(x: Array, w: Array) -> Array:
        return dense(x, w)

    def forward(x: Array, w: Array) -> tuple[Array, tuple[Array, Array]]:
        return dense(x, w), (x, w)

    def backward(saved: tuple[Array, Array], d: Array) -> tuple[Array, Array]:
        x, w = saved
        return dense(d, w.T), product_gradient(x, d)

    product.defvjp(forward, backward)
    result: Array = product(x, w)
    return result


def product_gradient(x: Array, d: Array) -> Array:
    """The gradient of w in x @ w: one product over all leading axes, xᵀ d = (dᵀ x)ᵀ.

    XLA on a CPU computes the second up to ten times as fast where d is narrow, and no
    slower where it is no wider than x, whose columns fill its blocks of 64. It takes
    the second for the first unless the transposed arrays are kept from it.
    """
    x, d = x.reshape(-1, x.shape[-1]), d.reshape(-1, d.shape[-1])
    rows, columns = x.shape[1], d.shape[1]
    faster = 10 * columns <= rows or (rows % 64 == 0 and columns <= rows)
    if faster and jax.default_backend() == "cpu":
        as_is: Any = lax.optimization_barrier
        turned: Array = as_is(as_is(d.T) @ x)
        return turned.T
    return x.T @ d


def carried(state: Array, weight: Array | None) -> Array:
    """The mean of a carried state over the real samples of a batch, no gradient."""
    if weight is None:
        weight = jnp.ones(state.shape[0], state.dtype)
    shaped = weight.reshape(-1, *(1 for _ in state.shape[1:]))
    return lax.stop_gradient(jnp.sum(state * shaped, axis=0) / jnp.sum(weight))


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


def shaped(d: Any, shape: tuple[int, ...], dtype: Any) -> Array:
    """A cotangent with the shape and type of what it belongs to."""
    return jnp.broadcast_to(jnp.asarray(d, dtype), shape)


def is_zero(d: Any) -> bool:
    """Whether nothing reads the value that this cotangent belongs to."""
    return isinstance(d, SymbolicZero)


def as_array(d: Any) -> Array:
    """A cotangent as an array."""
    return jnp.zeros(d.shape, d.dtype) if is_zero(d) else jnp.asarray(d)


@jax.custom_jvp
def reset(spike: Array, after: Array, before: Array) -> Array:
    """`after` where a spike was, else `before`.

    Derivative: (1 - S) d_before + S d_after + (after - before) dS.
    """
    return jnp.where(spike > 0, after, before)


@reset.defjvp
def _reset_jvp(primals: Any, tangents: Any) -> Any:
    spike, after, before = primals
    d_spike, d_after, d_before = tangents
    kept = jnp.where(spike > 0, d_after, d_before)
    return reset(*primals), kept + (after - before) * d_spike


@jax.custom_jvp
def emit(spike: Array, value: Array) -> Array:
    """`value` where a spike was, else 0. Derivative: dS + S d_value."""
    return jnp.where(spike > 0, value, jnp.zeros_like(spike))


@emit.defjvp
def _emit_jvp(primals: Any, tangents: Any) -> Any:
    spike, _ = primals
    return emit(*primals), tangents[0] + spike * tangents[1]


@jax.custom_jvp
def sample(probability: Array, chance: Array) -> Array:
    """1 where `chance`, uniform in [0, 1), falls below `probability`.

    Its derivative is that of the probability.
    """
    return (chance < probability).astype(probability.dtype)


@sample.defjvp
def _sample_jvp(primals: Any, tangents: Any) -> Any:
    drawn = sample(*primals)
    return drawn, jnp.broadcast_to(tangents[0], drawn.shape)


def exprel(z: Value) -> Array:
    """(exp(z) - 1) / z, and 1 at 0: exact where time constants coincide."""
    z = jnp.asarray(z)
    near = jnp.abs(z) < 0.3
    safe = jnp.where(near, jnp.ones_like(z), z)
    small = jnp.where(near, z, jnp.zeros_like(z))
    series = jnp.ones_like(z)
    for order in range(13, 1, -1):
        series = 1.0 + small / order * series
    return jnp.where(near, series, jnp.expm1(safe) / safe)


def sum_over_time(x: Array) -> Array:
    """Return the sum over steps: [T, B, ...] -> [B, ...], unit of x (no dt)."""
    return jnp.sum(x, axis=0)
