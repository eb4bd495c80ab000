"""Recurrent, compiled by snnc from recurrent.snn.

Schedule
    over all steps at once: spikes_h.dense, h_out.dense
    time loop: h_h.delay, h, h_h.dense (one loop, for they wait for each other)
        derived gradient of h, keeps margin
    time loop: out (CubaLI, exact)
        derived gradient of out, keeps nothing
    as event lists in updates, where they are short: spikes

Sequences are [T, B, ...]: steps, samples, units. Row n of a signal is its value at
the end of step n, at time (n + 1) DT. Times are in ms, voltages in mV, currents in pA.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax
from jax.custom_derivatives import SymbolicZero
from jax.sharding import Mesh, NamedSharding, PartitionSpec

MODEL = "Recurrent"
SOURCE = "recurrent.snn"
MODEL_HASH = "a3af8d78aa76992f"
DT = 1.0  # ms
STEPS: int | None = 30  # of a presentation
RECIPE = "main"
EPOCHS = 1
BATCH = 32
SEED = 0
SELECT: str | None = None
SELECT_MAX = True
START: str | None = None
# fields with a time axis, which comes first in a batch
TIMED: tuple[str, ...] = ("spikes",)
# spikes are read as lists of events no longer than these shares of what they stand for
EVENT_SHARES = {"spikes": 0.08}

Value = Array | float


# ---- what is learned, what persists, what comes in ---------------------------


class Params(NamedTuple):
    """Trainable values; parameters of neurons in their raw, unbounded form."""

    # spikes -> dense() -> h, [20, 16]  (recurrent.snn:11)
    spikes_h_dense_w: Any
    # h -> dense(init = orthogonal(0.8)) -> delay(2 steps) -> h, [16, 16]  (recurrent.snn:12)
    h_h_dense_w: Any
    # h -> dense() -> out, [16, 3]  (recurrent.snn:13)
    h_out_dense_w: Any


class Buffers(NamedTuple):
    """Values that persist over samples and have no gradient."""


class Inputs(NamedTuple):
    """One sequence for each input; T may be 1 for a value held over all steps."""

    # spikes [T, B, 20], or their Events  (recurrent.snn:8)
    spikes: Any


PARAM_NAMES = Params(
    spikes_h_dense_w="spikes_h.dense.w",
    h_h_dense_w="h_h.dense.w",
    h_out_dense_w="h_out.dense.w",
)
BUFFER_NAMES = Buffers()


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


class ALIF(NamedTuple):
    """Constants of ALIF (std/neurons.snn:69); method: exact."""

    theta: Value  # 1
    beta: Value  # 1
    v_decay: Value  # share of v left after dt
    a_decay: Value  # share of a left after dt


class ALIFState(NamedTuple):
    """States of ALIF, each [B, ...]."""

    v: Array  # 1
    a: Array  # 1


class ALIFSignals(NamedTuple):
    """What ALIF publishes after a step."""

    spike: Array  # 1
    v: Array  # 1
    a: Array  # 1


class ALIFKept(NamedTuple):
    """What the gradient of a step reads of it."""

    margin: Array

    def spike_again(self) -> Array:
        """The spikes, of one step or of all: they need not be stacked beside the margin."""
        return fire_triangle(self.margin, self.margin >= 0.0, 0.3, 1.0)


def alif(
    tau_m: Value,
    tau_a: Value,
    theta: Value,
    beta: Value,
) -> ALIF:
    """The constants of one layer, from its parameters."""
    v_decay = jnp.exp(-DT / tau_m)
    a_decay = jnp.exp(-DT / tau_a)
    return ALIF(theta=theta, beta=beta, v_decay=v_decay, a_decay=a_decay)


def alif_start(p: ALIF, shape: tuple[int, ...]) -> ALIFState:
    """The state at the start of a sample."""
    v = jnp.zeros(shape)
    a = jnp.zeros(shape)
    return ALIFState(v, a)


def alif_step(
    p: ALIF, s: ALIFState, x: Array
) -> tuple[ALIFState, ALIFSignals, ALIFKept]:
    """Adaptive-threshold LIF: the threshold rises by `beta` at each spike and decays with `tau_a` (Bellec et al. 2018)."""
    # v' = (I - v) / tau_m  (std/neurons.snn:78)
    v = p.v_decay * s.v
    # a' = -a / tau_a  (std/neurons.snn:79)
    a = p.a_decay * s.a
    # v += x  (std/neurons.snn:80)
    v = v + x
    # spike when v >= theta + beta * a scale theta  (std/neurons.snn:81)
    margin = (v - (p.theta + p.beta * a)) / p.theta
    spike = fire_triangle(margin, v >= p.theta + p.beta * a, 0.3, 1.0)
    # v -= theta  (std/neurons.snn:82)
    v = jnp.where(spike > 0.0, v - p.theta, v)
    # a += 1  (std/neurons.snn:83)
    a = jnp.where(spike > 0.0, a + 1.0, a)
    return ALIFState(v, a), ALIFSignals(spike, v, a), ALIFKept(margin)


def alif_adjoint(
    p: ALIF, k: ALIFKept, d_next: ALIFState, d_out: ALIFSignals
) -> tuple[ALIFState, tuple[Any, ...], dict[str, Array]]:
    """Transposed `alif_step`: d_a is the derivative of the loss by a.

    Returns those by the state before the step, the ports and the learned constants.
    """
    # a += 1  (std/neurons.snn:83)
    d_a = d_out.a + d_next.a
    # v -= theta  (std/neurons.snn:82)
    d_v = d_out.v + d_next.v
    # spike when v >= theta + beta * a scale theta  (std/neurons.snn:81)
    d_margin = triangle(k.margin, 0.3, 1.0) * d_out.spike
    # v += x  (std/neurons.snn:80)
    d_v2 = d_v + d_margin / p.theta
    # a' = -a / tau_a  (std/neurons.snn:79)
    d_a2 = d_a - d_margin / p.theta * p.beta
    return d_next._replace(v=p.v_decay * d_v2, a=p.a_decay * d_a2), (d_v2,), {}


class CubaLI(NamedTuple):
    """Constants of CubaLI (std/neurons.snn:16); method: exact."""

    i_decay: Value  # share of i left after dt
    v_from_i: Value  # what i adds to v within dt
    v_decay: Value  # share of v left after dt


class CubaLIState(NamedTuple):
    """States of CubaLI, each [B, ...]."""

    i: Array  # 1
    v: Array  # 1


class CubaLISignals(NamedTuple):
    """What CubaLI publishes after a step."""

    i: Array  # 1
    v: Array  # 1


class CubaLIKept(NamedTuple):
    """What the gradient of a step reads of it."""


def cuba_li(
    tau_m: Value,
    tau_s: Value,
) -> CubaLI:
    """The constants of one layer, from its parameters."""
    i_decay = jnp.exp(-DT / tau_s)
    v_from_i = (
        DT
        / tau_m
        * jnp.exp(jnp.maximum(-DT / tau_m, -DT / tau_s))
        * exprel(
            jnp.minimum(-DT / tau_m, -DT / tau_s)
            - jnp.maximum(-DT / tau_m, -DT / tau_s)
        )
    )
    v_decay = jnp.exp(-DT / tau_m)
    return CubaLI(i_decay=i_decay, v_from_i=v_from_i, v_decay=v_decay)


def cuba_li_start(p: CubaLI, shape: tuple[int, ...]) -> CubaLIState:
    """The state at the start of a sample."""
    i = jnp.zeros(shape)
    v = jnp.zeros(shape)
    return CubaLIState(i, v)


def cuba_li_step(
    p: CubaLI, s: CubaLIState, x: Array
) -> tuple[CubaLIState, CubaLISignals, CubaLIKept]:
    """Leaky integrator with a synaptic current: a spike jumps the current, which charges the membrane in the steps that follow."""
    # v' = (i + I - v) / tau_m  (std/neurons.snn:24)
    v = p.v_from_i * s.i + p.v_decay * s.v
    # i' = -i / tau_s  (std/neurons.snn:23)
    i = p.i_decay * s.i
    # i += x  (std/neurons.snn:25)
    i = i + x
    return CubaLIState(i, v), CubaLISignals(i, v), CubaLIKept()


def cuba_li_adjoint(
    p: CubaLI, k: CubaLIKept, d_next: CubaLIState, d_out: CubaLISignals
) -> tuple[CubaLIState, tuple[Any, ...], dict[str, Array]]:
    """Transposed `cuba_li_step`: d_a is the derivative of the loss by a.

    Returns those by the state before the step, the ports and the learned constants.
    """
    # i += x  (std/neurons.snn:25)
    d_i = d_out.i + d_next.i
    # v' = (i + I - v) / tau_m  (std/neurons.snn:24)
    d_v = d_out.v + d_next.v
    return (
        d_next._replace(i=p.i_decay * d_i + p.v_from_i * d_v, v=p.v_decay * d_v),
        (d_i,),
        {},
    )


# ---- the network -------------------------------------------------------------


class Constants(NamedTuple):
    """What the steps of each layer need and no step changes."""

    h: ALIF
    out: CubaLI


class State(NamedTuple):
    """All that goes from step to step."""

    h: ALIFState
    out: CubaLIState
    h_h_delay: Array  # the last 2 steps  (recurrent.snn:12)
    logits_fold: Array  # max_over_time so far
    counts_fold: Array  # count so far
    n: Array  # steps done


class Signals(NamedTuple):
    """What every layer publishes."""

    h: ALIFSignals
    out: CubaLISignals


class Outputs(NamedTuple):
    """The network's outputs."""

    logits: Array  # [B, 3]
    counts: Array  # [B, 16]


INPUTS: dict[str, tuple[str, tuple[int, ...]]] = {
    "spikes": ("spikes", (20,)),
}
SIGNALS: dict[str, tuple[str, tuple[int, ...]]] = {
    "h.spike": ("1", (16,)),
    "h.v": ("1", (16,)),
    "h.a": ("1", (16,)),
    "out.i": ("1", (3,)),
    "out.v": ("1", (3,)),
}
SPIKING: tuple[str, ...] = ("h",)


def init_params(key: Array) -> Params:
    """Initial trainable values; each draw is keyed by the parameter's name."""
    return Params(
        spikes_h_dense_w=kaiming_uniform(stream(key, 2963535432), (20, 16), gain=1.0),
        h_h_dense_w=orthogonal(stream(key, 838507701), (16, 16), gain=0.8),
        h_out_dense_w=kaiming_uniform(stream(key, 1957073002), (16, 3), gain=1.0),
    )


def init_buffers(key: Array) -> Buffers:
    """Initial persistent values; each draw is keyed by its name."""
    return Buffers()


def constants(params: Params, buffers: Buffers) -> Constants:
    """Parameters in the author's units, and what follows from them."""
    return Constants(
        h=alif(tau_m=20.0, tau_a=50.0, theta=1.0, beta=0.1),
        out=cuba_li(tau_m=20.0, tau_s=5.0),
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
    h_0 = alif_start(c.h, (batch, 16))
    out_0 = cuba_li_start(c.out, (batch, 3))
    h_h_delay_0 = jnp.zeros((2, batch, 16))
    logits_fold_0 = jnp.full_like(jnp.zeros((batch, 3)), -jnp.inf)
    counts_fold_0 = jnp.zeros_like(jnp.zeros((batch, 16)))
    n_0 = jnp.zeros((), jnp.int32)
    return State(
        h=h_0,
        out=out_0,
        h_h_delay=h_h_delay_0,
        logits_fold=logits_fold_0,
        counts_fold=counts_fold_0,
        n=n_0,
    )


def step(
    params: Params, buffers: Buffers, state: State, x: Inputs
) -> tuple[State, Signals, Outputs]:
    """One step of dt; inputs are [B, ...]. Outputs are the readouts so far."""
    c = constants(params, buffers)
    # spikes -> dense() -> h  (recurrent.snn:11)
    spikes_h_dense = dense(x.spikes, params.spikes_h_dense_w)
    # h -> dense(init = orthogonal(0.8)) -> delay(2 steps) -> h  (recurrent.snn:12)
    h_h_delay = state.h_h_delay[0]
    # h: ALIF  (recurrent.snn:9)
    h_state, h, _ = alif_step(c.h, state.h, spikes_h_dense + h_h_delay)
    # h -> dense(init = orthogonal(0.8)) -> delay(2 steps) -> h  (recurrent.snn:12)
    h_h_dense = dense(h.spike, params.h_h_dense_w)
    # h -> dense() -> out  (recurrent.snn:13)
    h_out_dense = dense(h.spike, params.h_out_dense_w)
    # out: CubaLI  (recurrent.snn:10)
    out_state, out, _ = cuba_li_step(c.out, state.out, h_out_dense)
    h_h_delay_ring = jnp.concatenate([state.h_h_delay[1:], h_h_dense[None]])
    # the readouts so far
    logits_fold = jnp.maximum(state.logits_fold, out.v)
    counts_fold = state.counts_fold + h.spike
    logits = logits_fold
    counts = counts_fold
    signals = Signals(h=h, out=out)
    return (
        State(
            h=h_state,
            out=out_state,
            h_h_delay=h_h_delay_ring,
            logits_fold=logits_fold,
            counts_fold=counts_fold,
            n=state.n + 1,
        ),
        signals,
        Outputs(logits=logits, counts=counts),
    )


def loop_2(fixed: Any, n: Array, carry: Any, xs: Any) -> Any:
    """One step of h, which waits for itself. Returns what goes on, what is read, what is kept."""
    (c, params, _, _) = fixed
    (h_state, h_h_delay_ring) = carry
    (in_spikes_h_dense,) = xs
    # h -> dense(init = orthogonal(0.8)) -> delay(2 steps) -> h  (recurrent.snn:12)
    h_h_delay = h_h_delay_ring[0]
    # h: ALIF  (recurrent.snn:9)
    h_state, h, h_kept = alif_step(c.h, h_state, in_spikes_h_dense + h_h_delay)
    # h -> dense(init = orthogonal(0.8)) -> delay(2 steps) -> h  (recurrent.snn:12)
    h_h_dense = dense(h.spike, params.h_h_dense_w)
    h_h_delay_ring = jnp.concatenate([h_h_delay_ring[1:], h_h_dense[None]])
    return (h_state, h_h_delay_ring), (h,), (h_kept,)


def loop_2_adjoint(fixed: Any, kept: Any, d_carry: Any, d_read: Any) -> Any:
    """Transposed `loop_2`: d_a is the derivative of the loss by a."""
    (c, _, _, turned) = fixed
    (h_kept,) = kept
    (d_h_state, d_h_h_delay_ring) = d_carry
    (d_h,) = d_read
    # h -> dense(init = orthogonal(0.8)) -> delay(2 steps) -> h  (recurrent.snn:12)
    d_h_h_dense = d_h_h_delay_ring[-1]
    # h -> dense(init = orthogonal(0.8)) -> delay(2 steps) -> h  (recurrent.snn:12)
    d_h = d_h._replace(spike=d_h.spike + dense(d_h_h_dense, turned["h_h_dense_w"]))
    # h: ALIF  (recurrent.snn:9)
    d_h_state, (d_h_x,), h_sums = alif_adjoint(c.h, h_kept, d_h_state, d_h)
    d_in_spikes_h_dense = d_h_x
    d_h_h_delay = d_h_x
    d_h_h_delay_ring = jnp.concatenate([d_h_h_delay[None], d_h_h_delay_ring[:-1]])
    return (
        (d_h_state, d_h_h_delay_ring),
        (d_in_spikes_h_dense,),
        {"h": h_sums},
        {"h_h_dense": d_h_h_dense},
    )


def loop_2_gradients(
    fixed: Any, start: Any, read: Any, kept: Any, sums: Any, deltas: Any
) -> Any:
    """Gradients of what all steps share: one product for each weight."""
    (c, params, _, _) = fixed
    (h,) = read
    return (
        only(c, h=constants_gradient(c.h, sums["h"])),
        only(params, h_h_dense_w=product_gradient(h.spike, deltas["h_h_dense"])),
        None,
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
    batch = x.spikes.shape[1]
    c = constants(params, buffers)
    state = init_state(params, buffers, batch, key, train)
    # spikes -> dense() -> h  (recurrent.snn:11)
    spikes_h_dense = (event_dense if isinstance(x.spikes, Events) else dense_over_time)(
        x.spikes, params.spikes_h_dense_w
    )
    # time loop over h
    _, (h,) = time_loop(
        loop_2,
        loop_2_adjoint,
        loop_2_gradients,
        (c, params, state, {"h_h_dense_w": params.h_h_dense_w.T}),
        (state.h, state.h_h_delay),
        (spikes_h_dense,),
        steps,
        10,
    )
    # h -> dense() -> out  (recurrent.snn:13)
    h_out_dense = dense_over_time(h.spike, params.h_out_dense_w)
    # out: CubaLI, time loop  (recurrent.snn:10)
    _, out = layer_loop(
        cuba_li_step, cuba_li_adjoint, c.out, state.out, (h_out_dense,), steps, 10
    )
    return Signals(h=h, out=out), buffers


def readout(params: Params, signals: Signals, x: Inputs, steps: int) -> Outputs:
    """The outputs of whole sequences."""
    # output logits  (recurrent.snn:14)
    logits = max_over_time(signals.out.v)
    # output counts  (recurrent.snn:15)
    counts = spike_count(signals.h.spike)
    return Outputs(logits=logits, counts=counts)


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


# ---- the recipe: main ------------------------------------------------


class TrainState(NamedTuple):
    """All that goes from update to update."""

    params: Params
    buffers: Buffers
    opt_state: Any
    key: Array  # of the recipe's seed
    epoch: Array  # epochs done
    updates: Array  # updates done
    rule: Any  # the optimiser's update function


class Progress(NamedTuple):
    """A training between two updates: from here `fit` goes on to the same numbers."""

    state: TrainState
    metrics: Sequence[Mapping[str, Any]] = ()  # of the updates since the epoch began
    best: float = -np.inf  # score of the selected weights
    selected: tuple[Params, Buffers] | None = None


class Epoch(NamedTuple):
    """What `fit` yields after each epoch; `selected_*` are the best weights so far."""

    epoch: int
    train: dict[str, Any]
    val: dict[str, Any]
    selected_params: Params
    selected_buffers: Buffers
    improved: bool
    progress: Progress


def encode(batch: Mapping[str, Any], key: Array, train: bool) -> Inputs:
    """data patterns = randman(classes = 3, units = 20, steps = 30, samples = 40, te...

    Draws are keyed by the sample's number: anew in each epoch of training, always
    the same in evaluation.
    """
    spikes = batch["spikes"]
    if not isinstance(spikes, Events):
        spikes = jnp.asarray(spikes, float)
    return Inputs(spikes=spikes)


def objective(
    params: Params, signals: Signals, x: Inputs, fields: Mapping[str, Any], steps: int
) -> tuple[Array, dict[str, Array]]:
    """The loss with its penalties, and the metrics, over the samples with weight 1."""
    weight = fields["weight"]
    outputs = readout(params, signals, x, steps)
    logits = outputs.logits
    # loss = cross_entropy(logits, label)  (recurrent.snn:24)
    loss = sample_mean(cross_entropy(logits, fields["label"]), weight)
    total = loss
    metrics = {
        "loss": total,
        "accuracy": sample_mean(accuracy(logits, fields["label"]), weight),
        "rate.h": firing_rate(signals.h.spike, weight=weight, dt=DT),
        "silent.h": silent_fraction(signals.h.spike, weight),
    }
    return total, metrics


def run_batch(
    params: Params, buffers: Buffers, batch: Mapping[str, Any], key: Array, train: bool
) -> tuple[Inputs, Signals, Buffers]:
    """One batch, encoded and run; `key` is the epoch's in training."""
    x = encode(batch, key, train)
    keys = per_sample(stream(key, 1349952704), batch["sample"])
    signals, buffers = run(
        params, buffers, x, key=keys, train=train, weight=batch["weight"]
    )
    return x, signals, buffers


def loss_fn(
    params: Params, buffers: Buffers, batch: Mapping[str, Any], key: Array
) -> tuple[Array, tuple[dict[str, Array], Buffers]]:
    """The objective of one batch in training; `key` is the epoch's."""
    x, signals, buffers = run_batch(params, buffers, batch, key, True)
    total, metrics = objective(params, signals, x, batch, sequence_steps(x, None))
    return total, (metrics, buffers)


def optimizer(updates_per_epoch: int, epochs: int) -> optax.GradientTransformation:
    """adam, learning rate 0.001."""
    return optax.adam(0.001, b1=0.9, b2=0.999, eps=1e-08)


def init_train_state(
    seed: int,
    updates_per_epoch: int,
    epochs: int = EPOCHS,
    mesh: Mesh | None = None,
) -> TrainState:
    """Fresh weights and a fresh optimiser; on a mesh, each device makes its part."""
    tx = optimizer(updates_per_epoch, epochs)
    static: Any = jax.tree_util.Partial  # lets a function travel through jit

    def fresh(key: Array) -> TrainState:
        params = init_params(stream(key, 2412646131))
        buffers = init_buffers(stream(key, 1217136331))
        # of one type from the first update on, so that `train_step` is compiled once
        params, buffers = jax.tree.map(lambda a: a.astype(a.dtype), (params, buffers))
        return TrainState(
            params=params,
            buffers=buffers,
            opt_state=tx.init(params),
            key=jax.random.key_data(key),
            epoch=jnp.zeros((), jnp.int32),
            updates=jnp.zeros((), jnp.int32),
            rule=static(tx.update),
        )

    key = jax.random.key(seed)
    places = None
    if mesh is not None:
        places = shardings(mesh, jax.eval_shape(fresh, key))
    # compiled as one, not draw by draw, and quickly, for it runs once
    quickly = {"xla_backend_optimization_level": 1}
    # which only the outermost `jit` may be told
    traced = isinstance(key, jax.core.Tracer)
    options = quickly if jax.default_backend() == "cpu" and not traced else None
    compiled = jax.jit(fresh, out_shardings=places, compiler_options=options)
    state: TrainState = compiled(key)
    return state


def key_of_epoch(train_state: TrainState) -> Array:
    """The key of all draws in the running epoch."""
    key = jax.random.wrap_key_data(train_state.key)
    return jax.random.fold_in(key, train_state.epoch)


@partial(jax.jit, donate_argnums=0)
def train_step(
    train_state: TrainState, batch: Mapping[str, Any]
) -> tuple[TrainState, dict[str, Array]]:
    """One update."""
    params, buffers, opt_state, key, epoch, updates, rule = train_state
    epoch_key = key_of_epoch(train_state)
    gradient = jax.value_and_grad(loss_fn, has_aux=True)
    (_, (metrics, buffers)), grads = gradient(params, buffers, batch, epoch_key)
    for name, grad in zip(PARAM_NAMES, grads, strict=True):
        metrics[f"grad_norm.{name}"] = jnp.sqrt(jnp.sum(grad * grad))
    change, opt_state = rule(grads, opt_state, params)
    params = optax.apply_updates(params, change)
    state = TrainState(params, buffers, opt_state, key, epoch, updates + 1, rule)
    return state, metrics


def step_on(mesh: Mesh, state: TrainState) -> Callable[..., Any]:
    """`train_step` on the devices of a mesh; every value stays where `state` has it."""
    kept = jax.tree.map(lambda a: a.sharding, state)
    return on_mesh(train_step, (kept, place_on(mesh)), donate=(0,))


@jax.jit
def evaluate_batch(
    params: Params, buffers: Buffers, batch: Mapping[str, Any], key: Array
) -> dict[str, Array]:
    """The metrics of one batch in evaluation."""
    x, signals, _ = run_batch(params, buffers, batch, key, False)
    return objective(params, signals, x, batch, sequence_steps(x, None))[1]


def batches_on(
    mesh: Mesh | None, fields: Mapping[str, Any], batch: int, order: Any
) -> Iterator[dict[str, Any]]:
    """The samples numbered by `order`, `batch` at a time; each process reads its own."""
    if mesh is None:
        return iterate_batches(fields, batch, order, TIMED)
    rows = own_rows(mesh, batch)
    return dealt_out(mesh, iterate_batches(fields, batch, order, TIMED, rows), TIMED)


def average(parts: Sequence[Any], count: int, batch: int) -> dict[str, Any]:
    """Means over `count` samples of the values of batches; matrices are summed."""
    parts = jax.device_get(list(parts))
    share = [min(batch, count - n) / count for n in range(0, count, batch)]
    result: dict[str, Any] = {}
    for name, first in (parts[0] if parts else {}).items():
        values = [part[name] for part in parts]
        if np.ndim(first):
            result[name] = np.sum(values, axis=0)
        else:
            result[name] = float(np.dot(share, values))
    return result


def evaluate(
    params: Params,
    buffers: Buffers,
    fields: Mapping[str, Any],
    batch: int = BATCH,
    seed: int = SEED,
    mesh: Mesh | None = None,
) -> dict[str, Any]:
    """The metrics of one split; fields have samples first."""
    measure: Callable[..., Any] = evaluate_batch
    if mesh is not None:
        measure = on_mesh(evaluate_batch, place_on(mesh))
    key = jax.random.key(seed)
    count = len(next(iter(fields.values())))
    batches = batches_on(mesh, fields, batch, np.arange(count))
    parts = [measure(params, buffers, part, key) for part in batches]
    return average(parts, count, batch)


def epoch_batches(
    fields: Mapping[str, Any],
    epoch: int,
    batch: int,
    seed: int,
    done: int = 0,
    mesh: Mesh | None = None,
) -> Iterator[dict[str, Any]]:
    """The batches of one epoch in its own order, without the first `done`."""
    count = len(next(iter(fields.values())))
    order = np.random.default_rng((seed, epoch)).permutation(count)
    lists = {name: a for name, a in fields.items() if isinstance(a, EventLists)}
    arrays = {name: a for name, a in fields.items() if name not in lists}
    for part in batches_on(mesh, arrays, batch, order[done * batch :]):
        chosen = part["sample"], part["weight"]
        yield part | {name: Events(*a.of_batch(*chosen)) for name, a in lists.items()}


def with_events(fields: Mapping[str, Any], batch: int = BATCH) -> dict[str, Any]:
    """The fields of a training split, spikes as lists of events where that is faster."""
    found = dict(fields)
    for name, share in EVENT_SHARES.items():
        # the shares were measured on a CPU
        if jax.default_backend() == "cpu" and isinstance(found[name], np.ndarray):
            found[name] = event_lists(found[name], batch, share)
    return found


def fit(
    data: Mapping[str, Mapping[str, Any]],
    *,
    epochs: int = EPOCHS,
    batch: int = BATCH,
    seed: int = SEED,
    start: Progress | None = None,
    on_update: Callable[[Progress], None] | None = None,
    mesh: Mesh | None = None,
) -> Iterator[Epoch]:
    """Train on data["train"]; with data["val"], measure and select after each epoch.

    `on_update` hears of every update. Its Progress, or that of an epoch, is a `start`
    from which to go on; copy what is to be kept, for the next update takes the state.
    On a `mesh`, such as `mesh_over(jax.devices())`, each batch is dealt out over devices.
    """
    train = data["train"]
    if mesh is None:  # the rows of event lists are those of whole batches
        train = with_events(train, batch)
    count = len(next(iter(train.values())))
    if start is None:
        start = Progress(init_train_state(seed, -(-count // batch), epochs, mesh))
    state, done, best, selected = start
    update = train_step if mesh is None else step_on(mesh, state)
    for epoch in range(int(state.epoch) + 1, epochs + 1):
        metrics = list(done)
        for part in epoch_batches(train, epoch, batch, seed, len(metrics), mesh):
            state, measured = update(state, part)
            metrics.append(measured)
            if on_update is not None:
                on_update(Progress(state, metrics, best, selected))
        state = state._replace(epoch=state.epoch + 1)
        val: dict[str, Any] = {}
        if "val" in data:
            now = state.params, state.buffers
            val = evaluate(*now, data["val"], batch, seed, mesh)
        score = float(epoch)
        if SELECT is not None and val:
            score = val[SELECT.removeprefix("val.")] * (1 if SELECT_MAX else -1)
        improved = score > best
        if improved or selected is None:
            best = max(best, score)
            kept = (state.params, state.buffers)
            selected = jax.tree.map(jnp.copy, kept)
        means = average(metrics, count, batch)
        progress = Progress(state, (), best, selected)
        yield Epoch(epoch, means, val, selected[0], selected[1], improved, progress)
        done = ()


def main() -> None:
    """Train on an npz of fields, samples first, with `split` 0 train, 1 val, 2 test."""
    parser = argparse.ArgumentParser(description=f"Train {MODEL} by {RECIPE}.")
    parser.add_argument("--data", required=True, help="npz file: fields and split")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--devices", type=int, default=1, help="as JAX lists them")
    parser.add_argument("--out", help="npz file for the trained weights")
    options = parser.parse_args()
    devices = jax.devices()[: options.devices]
    if len(devices) < options.devices:
        parser.error(f"there are only {len(devices)} devices: {devices}")
    mesh = mesh_over(devices) if len(devices) > 1 else None
    with np.load(options.data, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    count = len(next(iter(arrays.values())))
    split = arrays.pop("split", np.zeros(count, np.uint8))
    parts = {"train": 0, "val": 1, "test": 2}
    data = {
        name: {field: a[split == code] for field, a in arrays.items()}
        for name, code in parts.items()
        if (split == code).any()
    }
    last = None
    for last in fit(
        data,
        epochs=options.epochs,
        batch=options.batch,
        seed=options.seed,
        mesh=mesh,
    ):
        shown = {"train": last.train, "val": last.val}
        text = ", ".join(
            f"{part} {name} {value:.4f}"
            for part, values in shown.items()
            for name, value in values.items()
            if "." not in name and not np.ndim(value)
        )
        print(f"epoch {last.epoch}: {text}")
    if last is None:
        return
    if "test" in data:
        final = evaluate(
            last.selected_params,
            last.selected_buffers,
            data["test"],
            options.batch,
            options.seed,
            mesh,
        )
        print({name: v for name, v in final.items() if not np.ndim(v)})
    if options.out:
        pairs = zip(PARAM_NAMES, last.selected_params, strict=True)
        weights: dict[str, Any] = {name: np.asarray(w) for name, w in pairs}
        pairs = zip(BUFFER_NAMES, last.selected_buffers, strict=True)
        weights |= {f"buffers.{name}": np.asarray(b) for name, b in pairs}
        np.savez(options.out, **weights)


# ---- functions of the snnc runtime that this file uses ------------------------


def stream(key: Array, name: int) -> Array:
    """The key of a named draw; `name` is the CRC-32 of the name."""
    return jax.random.fold_in(key, name)


def per_sample(key: Array, samples: Array) -> Array:
    """One key a sample [B], by the sample's number and not by its place."""
    return jax.vmap(lambda n: jax.random.fold_in(key, n))(samples)


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


def orthogonal(key: Array, shape: tuple[int, ...], *, gain: float) -> Array:
    """Return gain Q, Q [fan_in, outputs] with orthonormal columns (rows if it is wide).

    Saxe et al. (2014); the signs of R's diagonal make Q uniform (Mezzadri 2007).
    """
    rows, columns = fan_in(shape), shape[-1]
    tall = (max(rows, columns), min(rows, columns))
    q, r = jnp.linalg.qr(jax.random.normal(key, tall))
    q = q * jnp.where(jnp.diagonal(r) < 0, -1.0, 1.0)
    return gain * (q if rows >= columns else q.T).reshape(shape)


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


def sample_mean(values: Array, weight: Array) -> Array:
    """The mean of one number a sample [B] over the samples with weight 1."""
    return jnp.sum(values * weight) / jnp.sum(weight)


def silent_fraction(spikes: Array, weight: Array) -> Array:
    """The share of neurons that fire in no sample of the batch; spikes [T, B, ...]."""
    shaped = weight.reshape(-1, *(1 for _ in spikes.shape[2:]))
    total = jnp.sum(jnp.abs(spikes) * shaped, axis=(0, 1))
    return jnp.mean((total == 0).astype(spikes.dtype))


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


def max_over_time(x: Array) -> Array:
    """Return the largest value of each sequence: [T, B, ...] -> [B, ...], unit of x."""
    return jnp.max(x, axis=0)


def spike_count(spikes: Array) -> Array:
    """Return the number of spikes (the sum of graded ones): [T, B, ...] -> [B, ...]."""
    return jnp.sum(spikes, axis=0)


def nll(log_probability: Array, label: Array) -> Array:
    """Return -log p of the labelled class: [..., B, classes] -> [..., B].

    `label` holds class numbers [B], or [T, B] where each step has its own.
    """
    label = jnp.broadcast_to(label, log_probability.shape[:-1])
    chosen = jnp.take_along_axis(log_probability, label[..., None], axis=-1)
    return -chosen[..., 0]


def cross_entropy(logits: Array, label: Array) -> Array:
    """Return -log softmax(logits) of the labelled class: [..., B, classes] -> [..., B].

    `label` holds class numbers [B], or [T, B] where each step has its own.
    """
    return nll(jax.nn.log_softmax(logits, axis=-1), label)


def accuracy(scores: Array, label: Array) -> Array:
    """Return 1 where the labelled class scores highest: [..., B, classes] -> [..., B].

    `label` holds class numbers [B] or [T, B]; of equal scores the first class counts.
    """
    answer = jnp.argmax(scores, axis=-1).astype(label.dtype)
    return (answer == label).astype(scores.dtype)


def firing_rate(spikes: Array, *, weight: Array, dt: float) -> Array:
    """Return the mean rate over neurons, samples and time: [T, B, ...] -> scalar, Hz.

    `dt` is in ms, hence the factor 1000.
    """
    others = tuple(axis for axis in range(spikes.ndim) if axis != 1)
    per_sample = jnp.mean(spikes, axis=others) * (1000.0 / dt)
    return jnp.sum(weight * per_sample) / jnp.sum(weight)


class Events(NamedTuple):
    """A sequence of 0 and 1 as the places of its ones; each list is a multiple of 8 long."""

    units: Any  # [T, B, K] the units that spike in a row, filled up with n
    rows: Any  # [n, L] the rows in which a unit spikes, filled up with T B

    @property
    def shape(self) -> tuple[int, ...]:
        """[T, B, n], that of the sequence."""
        return (*self.units.shape[:2], self.rows.shape[0])


def event_dense(x: Events, w: Array) -> Array:
    """The product of a sequence and w [n, m]: [T, B, m]. It passes no gradient to x."""

    @jax.custom_vjp
    def product(x: Events, w: Array) -> Array:
        return sums_of_rows(w, x.units.reshape(-1, x.units.shape[-1]))

    def forward(x: Events, w: Array) -> tuple[Array, Array]:
        return product(x, w), x.rows

    def backward(rows: Array, d: Array) -> tuple[None, Array]:
        return None, sums_of_rows(d, rows)

    product.defvjp(forward, backward)
    return product(x, w).reshape(*x.shape[:2], -1)


def sums_of_rows(table: Array, lists: Array) -> Array:
    """For each list in [S, 8 k] the sum of its rows of `table` [R, m]; R names none."""
    table = jnp.concatenate([table, jnp.zeros_like(table[:1])])
    eights = lists.astype(jnp.int32).T.reshape(-1, 8, lists.shape[0])

    def add(total: Array, eight: Array) -> tuple[Array, None]:
        first, *others = (table.at[k].get(mode="promise_in_bounds") for k in eight)
        return total + sum(others, first), None

    zeros = jnp.zeros((lists.shape[0], table.shape[1]), table.dtype)
    return lax.scan(add, zeros, eights)[0]


def iterate_batches(
    fields: Mapping[str, np.ndarray],
    batch: int,
    order: np.ndarray,
    timed: tuple[str, ...] = (),
    rows: range | None = None,
) -> Iterator[dict[str, np.ndarray]]:
    """Yield the samples numbered by `order`, `batch` at a time, with `sample` int32 [B] and `weight` float32 [B].

    Fields [N, ...] come as [B, ...], those that `timed` names, [N, T, ...], as [T, B, ...]. Of several processes each
    takes its `rows` of every batch. A last short batch, and rows from `batch` on, are filled up with the first sample of
    the batch at weight 0; every other weight is 1.
    """
    row = np.arange(batch) if rows is None else np.asarray(rows)
    for start in range(0, len(order), batch):
        taken = row < min(batch, len(order) - start)
        sample, weight = order[start + row * taken], taken.astype(np.float32)
        arrays = {
            name: time_first(array, sample) if name in timed else array[sample]
            for name, array in fields.items()
        }
        yield {**arrays, "sample": sample.astype(np.int32), "weight": weight}


def time_first(array: np.ndarray, sample: np.ndarray) -> np.ndarray:
    """Return the chosen samples [B] of sequences [N, T, ...] as [T, B, ...]."""
    result = np.empty((array.shape[1], len(sample), *array.shape[2:]), array.dtype)
    for place, number in enumerate(sample):
        result[:, place] = array[number]
    return result


@dataclass(frozen=True, slots=True, eq=False)
class EventLists:
    """Spikes [N, T, n] by their places, for batches of `batch` samples.

    Events of a sample follow one another by unit, then by step; those of sample s are starts[s] to starts[s + 1].
    """

    units: np.ndarray  # [N, T, K] the units that spike in a step, filled up with n
    counts: np.ndarray  # [N, n] events of each unit
    starts: np.ndarray  # [N + 1]
    unit: np.ndarray  # of each event, as `step`
    step: np.ndarray
    before: np.ndarray  # how many events of its unit in its sample come before it
    batch: int
    longest: int  # at least the events of a unit in a batch

    def __len__(self) -> int:
        return len(self.units)

    @property
    def density(self) -> float:
        return float(self.counts.mean() / self.units.shape[1])

    def of_batch(
        self, sample: np.ndarray, weight: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the units [T, B, K] and, for each unit, the rows t B + b [n, L] of its spikes, filled up with T B.

        Samples of weight 0 have no rows, for nothing is learned from them.
        """
        steps, width = self.units.shape[1:]
        units = np.empty((steps, self.batch, width), self.units.dtype)
        rows = np.full(
            (self.counts.shape[1], self.longest), steps * self.batch, np.int32
        )
        filled = np.zeros(self.counts.shape[1], np.int32)
        for place, number in enumerate(sample):
            units[:, place] = self.units[number]
            if weight[place]:
                own = slice(self.starts[number], self.starts[number + 1])
                unit = self.unit[own]
                rows[unit, filled[unit] + self.before[own]] = (
                    self.step[own].astype(np.int32) * self.batch + place
                )
                filled += self.counts[number]
        return units, rows


def list_lengths(spikes: np.ndarray, batch: int) -> tuple[int, int] | None:
    """Return the lengths K and L of the lists of spikes [N, T, n], multiples of 8; None if some are not 0 or 1."""
    most, counts = 0, []
    for sample in spikes:
        if not ((sample == 0) | (sample == 1)).all():
            return None
        spiking = sample != 0
        most = max(most, int(np.count_nonzero(spiking, axis=1).max(initial=0)))
        counts.append(np.count_nonzero(spiking, axis=0))
    longest = int(np.sort(counts, axis=0)[-batch:].sum(axis=0).max(initial=0))
    return max(8, -(-most // 8) * 8), max(8, -(-longest // 8) * 8)


def event_lists(
    spikes: np.ndarray, batch: int, share: float
) -> EventLists | np.ndarray:
    """Return spikes [N, T, ...] by their places, or as they are if some are not 0 or 1 or lists would be too long.

    A list may be as long as `share` of what it stands for: of n units, or of the T B rows of a batch.
    """
    flat = spikes.reshape(*spikes.shape[:2], -1)
    number, steps, units = flat.shape
    lengths = list_lengths(flat, batch)
    if (
        lengths is None
        or lengths[0] > share * units
        or lengths[1] > share * steps * batch
    ):
        return spikes
    listed = np.full((number, steps, lengths[0]), units, np.min_scalar_type(units))
    counts = np.zeros((number, units), np.int32)
    parts = []
    for sample, found, count in zip(flat, listed, counts, strict=True):
        step, unit = np.divmod(
            np.flatnonzero(sample != 0).astype(np.int32), np.int32(units)
        )
        found[step, _place_in_run(step, steps)] = unit
        count[:] = np.bincount(unit, minlength=units)
        order = np.argsort(unit.astype(listed.dtype), kind="stable")
        unit, step = unit[order], step[order]
        parts.append((unit, step, _place_in_run(unit, units)))
    unit, step, before = (np.concatenate(column) for column in zip(*parts, strict=True))
    small = np.min_scalar_type(steps)
    starts = np.concatenate([[0], np.cumsum(counts.sum(axis=1))])
    return EventLists(
        listed,
        counts,
        starts,
        unit.astype(listed.dtype),
        step.astype(small),
        before.astype(small),
        batch,
        lengths[1],
    )


def _place_in_run(sorted_numbers: np.ndarray, count: int) -> np.ndarray:
    """Return for each of some sorted numbers below `count` how many equal ones come before it."""
    many = np.bincount(sorted_numbers, minlength=count)
    return np.asarray(
        np.arange(len(sorted_numbers)) - (np.cumsum(many) - many)[sorted_numbers]
    )


def mesh_over(devices: Sequence[Any], split: int = 1) -> Mesh:
    """Devices as ["data", "model"], with `split` of them side by side for the units of each layer."""
    return Mesh(np.reshape(np.asarray(devices), (-1, split)), ("data", "model"))


def place_on(mesh: Mesh, *axes: str | None) -> NamedSharding:
    """The place of a value whose axes are dealt out over these of the mesh; without any, whole on every device."""
    spec: Any = PartitionSpec
    return NamedSharding(mesh, spec(*axes))


def sharding_of(mesh: Mesh, value: Any) -> NamedSharding:
    """The place of a weight, or of its moments: dealt out by its last axis that "model" divides evenly, the units.

    Small values, and those with no such axis, are whole on every device.
    """
    parts = mesh.shape["model"]
    for axis in reversed(range(value.ndim)):
        if parts > 1 and value.size >= 256 and value.shape[axis] % parts == 0:
            return place_on(mesh, *[None] * axis, "model")
    return place_on(mesh)


def shardings(mesh: Mesh, values: Any) -> Any:
    """The place of each value of a tree."""
    return jax.tree.map(partial(sharding_of, mesh), values)


def own_rows(mesh: Mesh, batch: int) -> range:
    """The rows of a batch that this process reads, the batch filled up to a multiple of "data"."""
    parts = mesh.shape["data"]
    size = -(-batch // parts) * parts
    read: Any = place_on(mesh, "data").addressable_devices_indices_map((size,))
    rows = [part[0] for part in read.values()]
    return range(
        min(row.start or 0 for row in rows),
        max(size if row.stop is None else row.stop for row in rows),
    )


def dealt_out(
    mesh: Mesh, batches: Iterator[dict[str, Any]], timed: tuple[str, ...]
) -> Iterator[dict[str, Any]]:
    """Batches on a mesh, from the rows that each process has read; the fields in `timed` are [T, B, ...]."""
    array_of: Any = jax.make_array_from_process_local_data
    for part in batches:
        rows = {name: (None, "data") if name in timed else ("data",) for name in part}
        yield {
            name: array_of(place_on(mesh, *rows[name]), a) for name, a in part.items()
        }


def on_mesh(
    function: Any, places: Any, donate: tuple[int, ...] = ()
) -> Callable[..., Any]:
    """`function` compiled for several devices, its results at `places`."""
    call = jax.jit(function, out_shardings=places, donate_argnums=donate)
    finished: Any = jax.block_until_ready
    if jax.default_backend() != "cpu":
        return call
    # devices of a CPU share its threads: of two calls under way, each could wait for the other
    return lambda *given: finished(call(*given))


if __name__ == "__main__":
    main()
