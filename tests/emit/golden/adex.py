"""Probe, compiled by snnc from adex.snn.

Schedule
    time loop: cell (AdEx, Runge-Kutta (RK4), 4 substeps)
        derived gradient of cell, keeps I, ready (1 byte), v_before, v_tested, w_before

Sequences are [T, B, ...]: steps, samples, units. Row n of a signal is its value at
the end of step n, at time (n + 1) DT. Times are in ms, voltages in mV, currents in pA.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.custom_derivatives import SymbolicZero

MODEL = "Probe"
SOURCE = "adex.snn"
MODEL_HASH = "155bb4a33e0e0328"
DT = 0.1  # ms
STEPS: int | None = None  # of a presentation

Value = Array | float


# ---- what is learned, what persists, what comes in ---------------------------


class Params(NamedTuple):
    """Trainable values; parameters of neurons in their raw, unbounded form."""


class Buffers(NamedTuple):
    """Values that persist over samples and have no gradient."""


class Inputs(NamedTuple):
    """One sequence for each input; T may be 1 for a value held over all steps."""

    # current [T, B, 1]  (adex.snn:35)
    drive: Array


PARAM_NAMES = Params()
BUFFER_NAMES = Buffers()


# ---- surrogates: the derivative of the step at the margin --------------------


def superspike(x: Array, beta: Value) -> Value:
    """Zenke & Ganguli (2018), unnormalised. Peak 1, area 2/beta."""
    # std/surrogates.snn:9
    return 1.0 / (1.0 + beta * jnp.abs(x)) ** 2


@jax.custom_jvp
def fire_superspike(margin: Array, fired: Array, beta: Value) -> Array:
    """1 where `fired`, else 0; its derivative by the margin is superspike."""
    return fired.astype(margin.dtype)


@fire_superspike.defjvp
def _fire_superspike_jvp(primals: Any, tangents: Any) -> Any:
    margin, _, *shape = primals
    return fire_superspike(*primals), superspike(margin, *shape) * tangents[0]


# ---- neurons -----------------------------------------------------------------


class AdEx(NamedTuple):
    """Constants of AdEx (adex.snn:4); method: Runge-Kutta (RK4), 4 substeps."""

    C: Value  # pF
    g_L: Value  # nS
    E_L: Value  # mV
    V_T: Value  # mV
    D_T: Value  # mV
    tau_w: Value  # ms
    a: Value  # nS
    b: Value  # pA
    V_cut: Value  # mV
    V_r: Value  # mV
    refractory_steps: Value  # refractory period in steps
    k1: Value  # g_L * D_T


class AdExState(NamedTuple):
    """States of AdEx, each [B, ...]."""

    v: Array  # mV
    w: Array  # pA
    refractory: Array  # steps left


class AdExSignals(NamedTuple):
    """What AdEx publishes after a step."""

    spike: Array  # 1
    v: Array  # mV
    w: Array  # pA


class AdExKept(NamedTuple):
    """What the gradient of a step reads of it."""

    I: Array
    ready: Array  # true or false
    v_before: Array
    v_tested: Array
    w_before: Array


def ad_ex(
    C: Value,
    g_L: Value,
    E_L: Value,
    V_T: Value,
    D_T: Value,
    tau_w: Value,
    a: Value,
    b: Value,
    V_cut: Value,
    V_r: Value,
) -> AdEx:
    """The constants of one layer, from its parameters."""
    refractory_steps = jnp.floor(2.0 / DT + 0.5)
    k1 = g_L * D_T
    return AdEx(
        C=C,
        g_L=g_L,
        E_L=E_L,
        V_T=V_T,
        D_T=D_T,
        tau_w=tau_w,
        a=a,
        b=b,
        V_cut=V_cut,
        V_r=V_r,
        refractory_steps=refractory_steps,
        k1=k1,
    )


def ad_ex_start(p: AdEx, shape: tuple[int, ...]) -> AdExState:
    """The state at the start of a sample."""
    v = jnp.full(shape, p.E_L)
    w = jnp.zeros(shape)
    refractory = jnp.zeros(shape)
    return AdExState(v, w, refractory)


def ad_ex_step(
    p: AdEx, s: AdExState, I: Array
) -> tuple[AdExState, AdExSignals, AdExKept]:
    """Adaptive exponential integrate-and-fire (Brette & Gerstner 2005), biological units, no recipe."""
    # kept for the gradient
    v_before = s.v
    w_before = s.w
    # refractory
    ready = s.refractory <= 0.0

    # v' = (g_L * (E_L - v) + escape - w + I) / C; w' = (a * (v - E_L) - ...  (adex.snn:21)
    def slope(v: Array, w: Array) -> tuple[Array, ...]:
        return (
            jnp.where(
                ~ready,
                0.0,
                (
                    p.g_L * (p.E_L - v)
                    + p.k1 * jnp.exp(jnp.minimum((v - p.V_T) / p.D_T, 5.0))
                    - w
                    + I
                )
                / p.C,
            ),
            (p.a * (v - p.E_L) - w) / p.tau_w,
        )

    v, w = rk4(slope, (s.v, s.w), DT, 4)
    # kept for the gradient
    v_tested = v
    # spike when v >= V_cut scale D_T  (adex.snn:24)
    spike = fire_superspike((v - p.V_cut) / p.D_T, v >= p.V_cut, 2.0)
    # not while refractory
    spike = jnp.where(ready, spike, 0.0)
    # v = V_r  (adex.snn:25)
    v = reset(spike, p.V_r, v)
    # w += b  (adex.snn:26)
    w = reset(spike, w + p.b, w)
    # refractory period
    refractory = jnp.where(
        spike > 0.0, p.refractory_steps, jnp.maximum(s.refractory - 1.0, 0.0)
    )
    return (
        AdExState(v, w, refractory),
        AdExSignals(spike, v, w),
        AdExKept(I, ready, v_before, v_tested, w_before),
    )


def ad_ex_adjoint(
    p: AdEx, k: AdExKept, d_next: AdExState, d_out: AdExSignals
) -> tuple[AdExState, tuple[Any, ...], dict[str, Array]]:
    """Transposed `ad_ex_step`: d_a is the derivative of the loss by a.

    Returns those by the state before the step, the ports and the learned constants.
    """
    margin = (k.v_tested - p.V_cut) / p.D_T
    spike_condition = k.v_tested >= p.V_cut
    # w += b  (adex.snn:26)
    d_w = d_out.w + d_next.w
    # v = V_r  (adex.snn:25)
    d_v = d_out.v + d_next.v
    # not while refractory
    d_spike = d_out.spike + p.b * d_w + (p.V_r - k.v_tested) * d_v
    # spike when v >= V_cut scale D_T  (adex.snn:24)
    d_spike2 = jnp.where(k.ready, d_spike, 0.0)
    d_margin = superspike(margin, 2.0) * d_spike2
    d_v2 = jnp.where((k.ready & spike_condition), 0.0, d_v) + d_margin / p.D_T

    # v' = (g_L * (E_L - v) + escape - w + I) / C; w' = (a * (v - E_L) - ...  (adex.snn:21)
    def advance(v: Array, w: Array, I: Array) -> tuple[Any, ...]:
        def slope(v: Array, w: Array) -> tuple[Array, ...]:
            return (
                jnp.where(
                    ~k.ready,
                    0.0,
                    (
                        p.g_L * (p.E_L - v)
                        + p.k1 * jnp.exp(jnp.minimum((v - p.V_T) / p.D_T, 5.0))
                        - w
                        + I
                    )
                    / p.C,
                ),
                (p.a * (v - p.E_L) - w) / p.tau_w,
            )

        return rk4(slope, (v, w), DT, 4)

    pull = jax.vjp(advance, k.v_before, k.w_before, k.I)[1]
    d_v3, d_w2, d_I = pull((d_v2, d_w))
    return d_next._replace(v=d_v3, w=d_w2), (d_I,), {}


# ---- the network -------------------------------------------------------------


class Constants(NamedTuple):
    """What the steps of each layer need and no step changes."""

    cell: AdEx


class State(NamedTuple):
    """All that goes from step to step."""

    cell: AdExState
    n: Array  # steps done


class Signals(NamedTuple):
    """What every layer publishes."""

    cell: AdExSignals


class Outputs(NamedTuple):
    """The network's outputs."""

    trace: Array  # [T, B, 1]


INPUTS: dict[str, tuple[str, tuple[int, ...]]] = {
    "drive": ("current", (1,)),
}
SIGNALS: dict[str, tuple[str, tuple[int, ...]]] = {
    "cell.spike": ("1", (1,)),
    "cell.v": ("mV", (1,)),
    "cell.w": ("pA", (1,)),
}
SPIKING: tuple[str, ...] = ("cell",)


def init_params(key: Array) -> Params:
    """Initial trainable values; each draw is keyed by the parameter's name."""
    return Params()


def init_buffers(key: Array) -> Buffers:
    """Initial persistent values; each draw is keyed by its name."""
    return Buffers()


def constants(params: Params, buffers: Buffers) -> Constants:
    """Parameters in the author's units, and what follows from them."""
    return Constants(
        cell=ad_ex(
            C=281.0,
            g_L=30.0,
            E_L=-70.6,
            V_T=-50.4,
            D_T=2.0,
            tau_w=144.0,
            a=4.0,
            b=80.5,
            V_cut=-50.4 + 5.0 * 2.0,
            V_r=-70.6,
        ),
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
    cell_0 = ad_ex_start(c.cell, (batch, 1))
    n_0 = jnp.zeros((), jnp.int32)
    return State(cell=cell_0, n=n_0)


def step(
    params: Params, buffers: Buffers, state: State, x: Inputs
) -> tuple[State, Signals, Outputs]:
    """One step of dt; inputs are [B, ...]. Outputs are the readouts so far."""
    c = constants(params, buffers)
    # cell: AdEx  (adex.snn:36)
    cell_state, cell, _ = ad_ex_step(c.cell, state.cell, x.drive)
    trace = cell.v
    signals = Signals(cell=cell)
    return State(cell=cell_state, n=state.n + 1), signals, Outputs(trace=trace)


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
    # cell: AdEx, time loop  (adex.snn:36)
    _, cell = layer_loop(
        ad_ex_step, ad_ex_adjoint, c.cell, state.cell, (x.drive,), steps
    )
    return Signals(cell=cell), buffers


def readout(params: Params, signals: Signals, x: Inputs, steps: int) -> Outputs:
    """The outputs of whole sequences."""
    # output trace  (adex.snn:38)
    trace = signals.cell.v
    return Outputs(trace=trace)


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


def rk4(
    slope: Callable[..., tuple[Any, ...]],
    state: tuple[Any, ...],
    dt: float,
    substeps: int,
) -> tuple[Any, ...]:
    """Advance `state` by dt with the classical Runge-Kutta method in substeps."""
    h = dt / substeps

    def one(_: Any, state: tuple[Any, ...]) -> tuple[Any, ...]:
        a = slope(*state)
        b = slope(*(x + h / 2 * k for x, k in zip(state, a, strict=True)))
        c = slope(*(x + h / 2 * k for x, k in zip(state, b, strict=True)))
        d = slope(*(x + h * k for x, k in zip(state, c, strict=True)))
        return tuple(
            x + h / 6 * (ka + 2 * kb + 2 * kc + kd)
            for x, ka, kb, kc, kd in zip(state, a, b, c, d, strict=True)
        )

    result: tuple[Any, ...] = lax.fori_loop(0, substeps, one, state)
    return result
