"""Net, compiled by snnc from rule_decolle_each_step.snn.

Schedule
    over all steps at once: points_h.dense, h_g.dense, h_g.delay, g_out.dense
    time loop: h (CubaLIF, exact)
        derived gradient of h, keeps v_tested
    time loop: g (LIF, exact)
        derived gradient of g, keeps margin
    time loop: out (LI, exact)
        derived gradient of out, keeps nothing
    in updates, DECOLLE (Kaiser et al. 2020), forward in time: traces of each synapse;
        weights change in each step

Sequences are [T, B, ...]: steps, samples, units. Row n of a signal is its value at
the end of step n, at time (n + 1) DT. Times are in ms, voltages in mV, currents in pA.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax
from jax.custom_derivatives import SymbolicZero
from jax.sharding import Mesh, NamedSharding, PartitionSpec

MODEL = "Net"
SOURCE = "rule_decolle_each_step.snn"
MODEL_HASH = "bac70cd314097d3c"
DT = 1.0  # ms
STEPS: int | None = 60  # of a presentation
RECIPE = "online"
EPOCHS = 2
BATCH = 1
SEED = 0
SELECT: str | None = None
SELECT_MAX = True
START: str | None = None
# fields with a time axis, which comes first in a batch
TIMED: tuple[str, ...] = ()

Value = Array | float


# ---- what is learned, what persists, what comes in ---------------------------


class Params(NamedTuple):
    """Trainable values; parameters of neurons in their raw, unbounded form."""

    # points -> dense(init = kaiming_uniform(25)) -> h, [5, 20]  (rule_decolle_each_step.snn:11)
    points_h_dense_w: Any
    # h_g.dense in h -> dense(init = kaiming_uniform(10)) -..., [20, 12]  (rule_decolle_each_step.snn:12)
    h_g_dense_w: Any
    # g -> dense() -> out, [12, 3]  (rule_decolle_each_step.snn:13)
    g_out_dense_w: Any


class Buffers(NamedTuple):
    """Values that persist over samples and have no gradient."""


class Inputs(NamedTuple):
    """One sequence for each input; T may be 1 for a value held over all steps."""

    # spikes [T, B, 5]  (rule_decolle_each_step.snn:7)
    points: Array


PARAM_NAMES = Params(
    points_h_dense_w="points_h.dense.w",
    h_g_dense_w="h_g.dense.w",
    g_out_dense_w="g_out.dense.w",
)
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


def atan(x: Array, alpha: Value) -> Value:
    """Arc tangent (Fang et al. 2021). Peak alpha/2, area 1."""
    # std/surrogates.snn:6
    return alpha / 2.0 / (1.0 + (jnp.pi / 2.0 * alpha * x) ** 2)


@jax.custom_jvp
def fire_atan(margin: Array, fired: Array, alpha: Value) -> Array:
    """1 where `fired`, else 0; its derivative by the margin is atan."""
    return fired.astype(margin.dtype)


@fire_atan.defjvp
def _fire_atan_jvp(primals: Any, tangents: Any) -> Any:
    margin, _, *shape = primals
    return fire_atan(*primals), atan(margin, *shape) * tangents[0]


# ---- neurons -----------------------------------------------------------------


class CubaLIF(NamedTuple):
    """Constants of CubaLIF (std/neurons.snn:90); method: exact."""

    theta: Value  # 1
    i_decay: Value  # share of i left after dt
    v_from_i: Value  # what i adds to v within dt
    v_decay: Value  # share of v left after dt


class CubaLIFState(NamedTuple):
    """States of CubaLIF, each [B, ...]."""

    i: Array  # 1
    v: Array  # 1


class CubaLIFSignals(NamedTuple):
    """What CubaLIF publishes after a step."""

    spike: Array  # 1
    i: Array  # 1
    v: Array  # 1


class CubaLIFKept(NamedTuple):
    """What the gradient of a step reads of it."""

    v_tested: Array


def cuba_lif(
    tau_m: Value,
    tau_s: Value,
    theta: Value,
) -> CubaLIF:
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
    return CubaLIF(theta=theta, i_decay=i_decay, v_from_i=v_from_i, v_decay=v_decay)


def cuba_lif_start(p: CubaLIF, shape: tuple[int, ...]) -> CubaLIFState:
    """The state at the start of a sample."""
    i = jnp.zeros(shape)
    v = jnp.zeros(shape)
    return CubaLIFState(i, v)


def cuba_lif_step(
    p: CubaLIF, s: CubaLIFState, x: Array
) -> tuple[CubaLIFState, CubaLIFSignals, CubaLIFKept]:
    """Current-based LIF: a spike jumps the synaptic current, which charges the membrane in the steps that follow."""
    # v' = (i + I - v) / tau_m  (std/neurons.snn:99)
    v = p.v_from_i * s.i + p.v_decay * s.v
    # kept for the gradient
    v_tested = v
    # i' = -i / tau_s  (std/neurons.snn:98)
    i = p.i_decay * s.i
    # i += x  (std/neurons.snn:100)
    i = i + x
    # spike when v >= theta  (std/neurons.snn:101)
    spike = fire_superspike(v - p.theta, v >= p.theta, 10.0)
    # v = 0  (std/neurons.snn:101)
    v = reset(spike, 0.0, v)
    return CubaLIFState(i, v), CubaLIFSignals(spike, i, v), CubaLIFKept(v_tested)


def cuba_lif_adjoint(
    p: CubaLIF, k: CubaLIFKept, d_next: CubaLIFState, d_out: CubaLIFSignals
) -> tuple[CubaLIFState, tuple[Any, ...], dict[str, Array]]:
    """Transposed `cuba_lif_step`: d_a is the derivative of the loss by a.

    Returns those by the state before the step, the ports and the learned constants.
    """
    margin = k.v_tested - p.theta
    spike_condition = k.v_tested >= p.theta
    # v = 0  (std/neurons.snn:101)
    d_v = d_out.v + d_next.v
    # spike when v >= theta  (std/neurons.snn:101)
    d_spike = d_out.spike - k.v_tested * d_v
    d_margin = superspike(margin, 10.0) * d_spike
    # i += x  (std/neurons.snn:100)
    d_i = d_out.i + d_next.i
    # v' = (i + I - v) / tau_m  (std/neurons.snn:99)
    d_v2 = jnp.where(spike_condition, 0.0, d_v) + d_margin
    return (
        d_next._replace(i=p.i_decay * d_i + p.v_from_i * d_v2, v=p.v_decay * d_v2),
        (d_i,),
        {},
    )


class LIF(NamedTuple):
    """Constants of LIF (std/neurons.snn:41); method: exact."""

    theta: Value  # 1
    v_decay: Value  # share of v left after dt


class LIFState(NamedTuple):
    """States of LIF, each [B, ...]."""

    v: Array  # 1


class LIFSignals(NamedTuple):
    """What LIF publishes after a step."""

    spike: Array  # 1
    v: Array  # 1


class LIFKept(NamedTuple):
    """What the gradient of a step reads of it."""

    margin: Array

    def spike_again(self) -> Array:
        """The spikes, of one step or of all: they need not be stacked beside the margin."""
        return fire_atan(self.margin, self.margin >= 0.0, 2.0)


def lif(
    tau: Value,
    theta: Value,
) -> LIF:
    """The constants of one layer, from its parameters."""
    v_decay = jnp.exp(-DT / tau)
    return LIF(theta=theta, v_decay=v_decay)


def lif_start(p: LIF, shape: tuple[int, ...]) -> LIFState:
    """The state at the start of a sample."""
    v = jnp.zeros(shape)
    return LIFState(v)


def lif_step(p: LIF, s: LIFState, x: Array) -> tuple[LIFState, LIFSignals, LIFKept]:
    """Leaky integrate-and-fire, unit jumps, reset by subtraction."""
    # v' = (I - v) / tau  (std/neurons.snn:47)
    v = p.v_decay * s.v
    # v += x  (std/neurons.snn:48)
    v = v + x
    # spike when v >= theta  (std/neurons.snn:49)
    margin = v - p.theta
    spike = fire_atan(margin, v >= p.theta, 2.0)
    # v -= theta  (std/neurons.snn:49)
    v = jnp.where(spike > 0.0, v - p.theta, v)
    return LIFState(v), LIFSignals(spike, v), LIFKept(margin)


def lif_before(p: LIF, d_ports: tuple[Any, ...]) -> LIFState:
    """What `lif_adjoint` returns for the state, from what it returns for the ports."""
    (d_v2,) = d_ports
    return LIFState(v=p.v_decay * d_v2)


def lif_adjoint(
    p: LIF, k: LIFKept, d_next: LIFState, d_out: LIFSignals
) -> tuple[LIFState, tuple[Any, ...], dict[str, Array]]:
    """Transposed `lif_step`: d_a is the derivative of the loss by a.

    Returns those by the state before the step, the ports and the learned constants.
    """
    # v -= theta  (std/neurons.snn:49)
    d_v = d_out.v + d_next.v
    # spike when v >= theta  (std/neurons.snn:49)
    d_margin = atan(k.margin, 2.0) * d_out.spike
    # v += x  (std/neurons.snn:48)
    d_v2 = d_v + d_margin
    d_ports = (d_v2,)
    return lif_before(p, d_ports), d_ports, {}


class LI(NamedTuple):
    """Constants of LI (std/neurons.snn:6); method: exact."""

    v_decay: Value  # share of v left after dt


class LIState(NamedTuple):
    """States of LI, each [B, ...]."""

    v: Array  # 1


class LISignals(NamedTuple):
    """What LI publishes after a step."""

    v: Array  # 1


class LIKept(NamedTuple):
    """What the gradient of a step reads of it."""


def li(
    tau: Value,
) -> LI:
    """The constants of one layer, from its parameters."""
    v_decay = jnp.exp(-DT / tau)
    return LI(v_decay=v_decay)


def li_start(p: LI, shape: tuple[int, ...]) -> LIState:
    """The state at the start of a sample."""
    v = jnp.zeros(shape)
    return LIState(v)


def li_step(p: LI, s: LIState, x: Array) -> tuple[LIState, LISignals, LIKept]:
    """Leaky integrator driven by weighted spikes; never fires. Read `v`."""
    # v' = (I - v) / tau  (std/neurons.snn:11)
    v = p.v_decay * s.v
    # v += x  (std/neurons.snn:12)
    v = v + x
    return LIState(v), LISignals(v), LIKept()


def li_before(p: LI, d_ports: tuple[Any, ...]) -> LIState:
    """What `li_adjoint` returns for the state, from what it returns for the ports."""
    (d_v,) = d_ports
    return LIState(v=p.v_decay * d_v)


def li_adjoint(
    p: LI, k: LIKept, d_next: LIState, d_out: LISignals
) -> tuple[LIState, tuple[Any, ...], dict[str, Array]]:
    """Transposed `li_step`: d_a is the derivative of the loss by a.

    Returns those by the state before the step, the ports and the learned constants.
    """
    # v += x  (std/neurons.snn:12)
    d_v = d_out.v + d_next.v
    d_ports = (d_v,)
    return li_before(p, d_ports), d_ports, {}


# ---- the network -------------------------------------------------------------


class Constants(NamedTuple):
    """What the steps of each layer need and no step changes."""

    h: CubaLIF
    g: LIF
    out: LI


class State(NamedTuple):
    """All that goes from step to step."""

    h: CubaLIFState
    g: LIFState
    out: LIState
    h_g_delay: Array  # the last 2 steps  (rule_decolle_each_step.snn:12)
    logits_fold: Array  # mean_over_time so far
    n: Array  # steps done


class Signals(NamedTuple):
    """What every layer publishes."""

    h: CubaLIFSignals
    g: LIFSignals
    out: LISignals


class Outputs(NamedTuple):
    """The network's outputs."""

    logits: Array  # [B, 3]


INPUTS: dict[str, tuple[str, tuple[int, ...]]] = {
    "points": ("spikes", (5,)),
}
SIGNALS: dict[str, tuple[str, tuple[int, ...]]] = {
    "h.spike": ("1", (20,)),
    "h.i": ("1", (20,)),
    "h.v": ("1", (20,)),
    "g.spike": ("1", (12,)),
    "g.v": ("1", (12,)),
    "out.v": ("1", (3,)),
}
SPIKING: tuple[str, ...] = ("h", "g")


def init_params(key: Array) -> Params:
    """Initial trainable values; each draw is keyed by the parameter's name."""
    return Params(
        points_h_dense_w=kaiming_uniform(stream(key, 51580136), (5, 20), gain=25.0),
        h_g_dense_w=kaiming_uniform(stream(key, 3997389668), (20, 12), gain=10.0),
        g_out_dense_w=kaiming_uniform(stream(key, 1406551391), (12, 3), gain=1.0),
    )


def init_buffers(key: Array) -> Buffers:
    """Initial persistent values; each draw is keyed by its name."""
    return Buffers()


def constants(params: Params, buffers: Buffers) -> Constants:
    """Parameters in the author's units, and what follows from them."""
    return Constants(
        h=cuba_lif(tau_m=20.0, tau_s=5.0, theta=1.0),
        g=lif(tau=10.0, theta=1.0),
        out=li(tau=20.0),
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
    h_0 = cuba_lif_start(c.h, (batch, 20))
    g_0 = lif_start(c.g, (batch, 12))
    out_0 = li_start(c.out, (batch, 3))
    h_g_delay_0 = jnp.zeros((2, batch, 12))
    logits_fold_0 = jnp.zeros_like(jnp.zeros((batch, 3)))
    n_0 = jnp.zeros((), jnp.int32)
    return State(
        h=h_0, g=g_0, out=out_0, h_g_delay=h_g_delay_0, logits_fold=logits_fold_0, n=n_0
    )


def step(
    params: Params, buffers: Buffers, state: State, x: Inputs
) -> tuple[State, Signals, Outputs]:
    """One step of dt; inputs are [B, ...]. Outputs are the readouts so far."""
    c = constants(params, buffers)
    # points -> dense(init = kaiming_uniform(25)) -> h  (rule_decolle_each_step.snn:11)
    points_h_dense = dense(x.points, params.points_h_dense_w)
    # h: CubaLIF  (rule_decolle_each_step.snn:8)
    h_state, h, _ = cuba_lif_step(c.h, state.h, points_h_dense)
    # h_g.dense in h -> dense(init = kaiming_uniform(10)) -...  (rule_decolle_each_step.snn:12)
    h_g_dense = dense(h.spike, params.h_g_dense_w)
    # h_g.delay in h -> dense(init = kaiming_uniform(10)) -...  (rule_decolle_each_step.snn:12)
    h_g_delay = state.h_g_delay[0]
    # g: LIF  (rule_decolle_each_step.snn:9)
    g_state, g, _ = lif_step(c.g, state.g, h_g_delay)
    # g -> dense() -> out  (rule_decolle_each_step.snn:13)
    g_out_dense = dense(g.spike, params.g_out_dense_w)
    # out: LI  (rule_decolle_each_step.snn:10)
    out_state, out, _ = li_step(c.out, state.out, g_out_dense)
    h_g_delay_ring = jnp.concatenate([state.h_g_delay[1:], h_g_dense[None]])
    # the readouts so far
    logits_fold = state.logits_fold + out.v
    logits = 5.0 * logits_fold / jnp.maximum((state.n + 1), 1).astype(logits_fold.dtype)
    signals = Signals(h=h, g=g, out=out)
    return (
        State(
            h=h_state,
            g=g_state,
            out=out_state,
            h_g_delay=h_g_delay_ring,
            logits_fold=logits_fold,
            n=state.n + 1,
        ),
        signals,
        Outputs(logits=logits),
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
    batch = x.points.shape[1]
    c = constants(params, buffers)
    state = init_state(params, buffers, batch, key, train)
    # points -> dense(init = kaiming_uniform(25)) -> h  (rule_decolle_each_step.snn:11)
    points_h_dense = dense_over_time(x.points, params.points_h_dense_w)
    # h: CubaLIF, time loop  (rule_decolle_each_step.snn:8)
    _, h = layer_loop(
        cuba_lif_step, cuba_lif_adjoint, c.h, state.h, (points_h_dense,), steps
    )
    # h_g.dense in h -> dense(init = kaiming_uniform(10)) -...  (rule_decolle_each_step.snn:12)
    h_g_dense = dense_over_time(h.spike, params.h_g_dense_w)
    # h_g.delay in h -> dense(init = kaiming_uniform(10)) -...  (rule_decolle_each_step.snn:12)
    h_g_delay = delayed(over_time(h_g_dense, steps), state.h_g_delay)
    # g: LIF, time loop  (rule_decolle_each_step.snn:9)
    _, g = layer_loop(
        lif_step, lif_adjoint, c.g, state.g, (h_g_delay,), steps, before=lif_before
    )
    # g -> dense() -> out  (rule_decolle_each_step.snn:13)
    g_out_dense = dense_over_time(g.spike, params.g_out_dense_w)
    # out: LI, time loop  (rule_decolle_each_step.snn:10)
    _, out = layer_loop(
        li_step, li_adjoint, c.out, state.out, (g_out_dense,), steps, before=li_before
    )
    return Signals(h=h, g=g, out=out), buffers


def readout(params: Params, signals: Signals, x: Inputs, steps: int) -> Outputs:
    """The outputs of whole sequences."""
    # output logits  (rule_decolle_each_step.snn:14)
    logits = 5.0 * mean_over_time(signals.out.v)
    return Outputs(logits=logits)


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


# ---- the recipe: online ------------------------------------------------


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
    """data yin = yinyang(seed = 42) -> latency(early = 3 ms, late = 43 ms, duration...

    Draws are keyed by the sample's number: anew in each epoch of training, always
    the same in evaluation.
    """
    points = jnp.asarray(batch["points"], float)
    points = encode_latency(
        points,
        per_sample(stream(key, 3576309854), batch["sample"]),
        steps=60,
        dt=DT,
        early=3.0,
        late=43.0,
        bias=True,
        threshold=0.0,
        first="large",
    )
    return Inputs(points=points)


def objective(
    params: Params, signals: Signals, x: Inputs, fields: Mapping[str, Any], steps: int
) -> tuple[Array, dict[str, Array]]:
    """The loss with its penalties, and the metrics, over the samples with weight 1."""
    weight = fields["weight"]
    outputs = readout(params, signals, x, steps)
    logits = outputs.logits
    # loss = cross_entropy(5 * out.v, label)  (rule_decolle_each_step.snn:23)
    loss = sample_mean(
        mean_over_time(cross_entropy(5.0 * signals.out.v, fields["label"])), weight
    )
    total = loss
    metrics = {
        "loss": total,
        "accuracy": sample_mean(accuracy(logits, fields["label"]), weight),
        "rate.h": firing_rate(signals.h.spike, weight=weight, dt=DT),
        "silent.h": silent_fraction(signals.h.spike, weight),
        "rate.g": firing_rate(signals.g.spike, weight=weight, dt=DT),
        "silent.g": silent_fraction(signals.g.spike, weight),
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
    """sgd, learning rate 0.01."""
    return optax.sgd(0.01)


def init_train_state(
    seed: int,
    updates_per_epoch: int,
    epochs: int = EPOCHS,
    mesh: Mesh | None = None,
) -> TrainState:
    """Fresh weights and a fresh optimiser; on a mesh, each device makes its part."""
    tx = optimizer(updates_per_epoch * 60, epochs)
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


# ---- learning while the network runs: decolle --------------------------------


class CubaLIFRows(NamedTuple):
    """How a step of CubaLIF depends on the state before it and on its ports."""

    d_i_by_i: Any
    d_v_by_i: Any
    d_v_by_v: Any


def cuba_lif_rows(p: CubaLIF, k: CubaLIFKept) -> CubaLIFRows:
    """The entries of its Jacobian that traces read, but for those that are 1."""
    margin = k.v_tested - p.theta
    spike_condition = k.v_tested >= p.theta
    return CubaLIFRows(
        d_i_by_i=p.i_decay,
        d_v_by_i=p.v_from_i
        * (
            jnp.where(spike_condition, 0.0, 1.0) - k.v_tested * superspike(margin, 10.0)
        ),
        d_v_by_v=p.v_decay
        * (
            jnp.where(spike_condition, 0.0, 1.0) - k.v_tested * superspike(margin, 10.0)
        ),
    )


class LIFRows(NamedTuple):
    """How a step of LIF depends on the state before it and on its ports."""

    d_v_by_v: Any


def lif_rows(p: LIF, k: LIFKept) -> LIFRows:
    """The entries of its Jacobian that traces read, but for those that are 1."""
    return LIFRows(
        d_v_by_v=p.v_decay,
    )


class LIRows(NamedTuple):
    """How a step of LI depends on the state before it and on its ports."""

    d_v_by_v: Any


def li_rows(p: LI, k: LIKept) -> LIRows:
    """The entries of its Jacobian that traces read, but for those that are 1."""
    return LIRows(
        d_v_by_v=p.v_decay,
    )


class Traces(NamedTuple):
    """What synapses remember of the past: as much after any number of steps."""

    # di/dw of h by points_h.dense, [B, 5]
    points_h_dense_i: Array
    # dv/dw of h by points_h.dense, [B, 5, 20]
    points_h_dense_v: Array
    # dv/dw of g by h_g.dense, [B, 20]
    h_g_dense_v: Array
    # what h_g.dense carried in the last steps, [2, B, 20]
    h_g_dense_late: Array
    # dv/dw of out by g_out.dense, [B, 12]
    g_out_dense_v: Array


class Learning(NamedTuple):
    """All that goes from step to step while the network learns."""

    state: State
    traces: Traces
    grads: Params  # their sums so far
    loss: Array  # so far
    totals: Any  # spikes and their sizes so far, [2, B, ...] for each spiking layer
    params: Params
    opt_state: Any


def step_loss(
    signals: Signals, x: Inputs, fields: Mapping[str, Any], n: Array, steps: int
) -> Array:
    """What step n adds to the loss."""
    return (
        sample_mean(
            cross_entropy(5.0 * signals.out.v, fields["label"]), fields["weight"]
        )
        / steps
    )


def learn_step(
    rule: Any,
    buffers: Buffers,
    now: Learning,
    x: Inputs,
    fields: Mapping[str, Any],
    steps: int,
) -> tuple[Learning, Outputs]:
    """One step, and what it adds to the gradients; inputs are [B, ...]."""
    params = now.params
    c = constants(params, buffers)
    state, traces = now.state, now.traces
    # points -> dense(init = kaiming_uniform(25)) -> h  (rule_decolle_each_step.snn:11)
    points_h_dense = dense(x.points, params.points_h_dense_w)
    # h: CubaLIF  (rule_decolle_each_step.snn:8)
    h_state, h, h_kept = cuba_lif_step(c.h, state.h, points_h_dense)
    # h_g.dense in h -> dense(init = kaiming_uniform(10)) -...  (rule_decolle_each_step.snn:12)
    h_g_dense = dense(h.spike, params.h_g_dense_w)
    # h_g.delay in h -> dense(init = kaiming_uniform(10)) -...  (rule_decolle_each_step.snn:12)
    h_g_delay = state.h_g_delay[0]
    # g: LIF  (rule_decolle_each_step.snn:9)
    g_state, g, g_kept = lif_step(c.g, state.g, h_g_delay)
    # g -> dense() -> out  (rule_decolle_each_step.snn:13)
    g_out_dense = dense(g.spike, params.g_out_dense_w)
    # out: LI  (rule_decolle_each_step.snn:10)
    out_state, out, out_kept = li_step(c.out, state.out, g_out_dense)
    h_g_delay_ring = jnp.concatenate([state.h_g_delay[1:], h_g_dense[None]])
    # the readouts so far
    logits_fold = state.logits_fold + out.v
    logits = 5.0 * logits_fold / jnp.maximum((state.n + 1), 1).astype(logits_fold.dtype)
    signals = Signals(h=h, g=g, out=out)
    # how the loss of this step changes with what each layer publishes
    loss, d_signals = jax.value_and_grad(step_loss)(signals, x, fields, state.n, steps)
    d_h = d_signals.h
    d_g = d_signals.g
    d_out = d_signals.out
    # out: LI  (rule_decolle_each_step.snn:10)
    _, (d_out_x,), _ = li_adjoint(c.out, out_kept, nothing(out_state), d_out)
    # g: LIF  (rule_decolle_each_step.snn:9)
    g_readout = normal_weights(
        stream(jax.random.key(SEED), 1199857006),
        (12, 3),
        mean=0.0,
        std=0.28867513459481287,
    )

    def loss_of_g(y: Array) -> Array:
        return step_loss(
            signals._replace(out=signals.out._replace(v=y)), x, fields, state.n, steps
        )

    d_y = jax.grad(loss_of_g)(dense(g.spike, g_readout))
    d_g = d_g._replace(spike=dense(d_y, g_readout.T))
    _, (d_g_x,), _ = lif_adjoint(c.g, g_kept, nothing(g_state), d_g)
    # h: CubaLIF  (rule_decolle_each_step.snn:8)
    h_readout = normal_weights(
        stream(jax.random.key(SEED), 2554172095),
        (20, 3),
        mean=0.0,
        std=0.22360679774997896,
    )

    def loss_of_h(y: Array) -> Array:
        return step_loss(
            signals._replace(out=signals.out._replace(v=y)), x, fields, state.n, steps
        )

    d_y = jax.grad(loss_of_h)(dense(h.spike, h_readout))
    d_h = d_h._replace(spike=dense(d_y, h_readout.T))
    d_h_state, (d_h_x,), _ = cuba_lif_adjoint(c.h, h_kept, nothing(h_state), d_h)
    # what synapses remember
    h_rows = cuba_lif_rows(c.h, h_kept)
    g_rows = lif_rows(c.g, g_kept)
    out_rows = li_rows(c.out, out_kept)
    points_h_dense_i = h_rows.d_i_by_i * traces.points_h_dense_i + x.points
    points_h_dense_v = (
        beside(h_rows.d_v_by_i) * traces.points_h_dense_i[:, :, None]
        + beside(h_rows.d_v_by_v) * traces.points_h_dense_v
    )
    h_g_dense_v = g_rows.d_v_by_v * traces.h_g_dense_v + traces.h_g_dense_late[0]
    h_g_dense_late = jnp.concatenate([traces.h_g_dense_late[1:], h.spike[None]])
    g_out_dense_v = out_rows.d_v_by_v * traces.g_out_dense_v + g.spike
    grads = nothing(params)._replace(
        points_h_dense_w=over_synapses(traces.points_h_dense_i, d_h_state.i)
        + over_synapses(traces.points_h_dense_v, d_h_state.v)
        + product_gradient(x.points, d_h_x),
        h_g_dense_w=over_synapses(h_g_dense_v, d_g_x),
        g_out_dense_w=over_synapses(g_out_dense_v, d_out_x),
    )
    change, opt_state = rule(grads, now.opt_state, params)
    params = optax.apply_updates(params, change)
    after = Learning(
        state=State(
            h=h_state,
            g=g_state,
            out=out_state,
            h_g_delay=h_g_delay_ring,
            logits_fold=logits_fold,
            n=state.n + 1,
        ),
        traces=Traces(
            points_h_dense_i=points_h_dense_i,
            points_h_dense_v=points_h_dense_v,
            h_g_dense_v=h_g_dense_v,
            h_g_dense_late=h_g_dense_late,
            g_out_dense_v=g_out_dense_v,
        ),
        grads=jax.tree.map(jnp.add, now.grads, grads),
        loss=now.loss + loss,
        totals={
            "h": now.totals["h"] + jnp.stack([h.spike, jnp.abs(h.spike)]),
            "g": now.totals["g"] + jnp.stack([g.spike, jnp.abs(g.spike)]),
        },
        params=params,
        opt_state=opt_state,
    )
    return after, Outputs(logits=logits)


def learn(
    params: Params,
    buffers: Buffers,
    opt_state: Any,
    rule: Any,
    batch: Mapping[str, Any],
    key: Array,
) -> tuple[Learning, dict[str, Array]]:
    """One batch, step by step: its gradients are in `grads`; `key` is the epoch's."""
    x = encode(batch, key, True)
    keys = per_sample(stream(key, 1349952704), batch["sample"])
    steps, weight = sequence_steps(x, None), batch["weight"]
    size = len(weight)
    start = Learning(
        state=init_state(params, buffers, size, keys, True),
        traces=first_traces(size),
        grads=nothing(params),
        loss=jnp.zeros(()),
        totals={
            "h": jnp.zeros((2, size, 20)),
            "g": jnp.zeros((2, size, 12)),
        },
        params=params,
        opt_state=opt_state,
    )

    def one(n: Array, now: tuple[Learning, Any]) -> tuple[Learning, Outputs]:
        at_n = Inputs(*(a[0 if len(a) == 1 else n] for a in x))
        return learn_step(rule, buffers, now[0], at_n, batch, steps)

    kinds = jax.eval_shape(one, jnp.zeros((), jnp.int32), (start, None))
    start, outputs = (
        jax.tree.map(lambda a, kind: jnp.asarray(a, kind.dtype), start, kinds[0]),
        nothing(kinds[1]),
    )
    end, outputs = lax.fori_loop(0, steps, one, (start, outputs))
    fields = batch
    logits = outputs.logits
    metrics = {
        "loss": end.loss,
        "accuracy": sample_mean(accuracy(logits, fields["label"]), weight),
        "rate.h": rate_of_total(end.totals["h"][0], weight, steps, DT),
        "silent.h": silent_of_total(end.totals["h"][1], weight),
        "rate.g": rate_of_total(end.totals["g"][0], weight, steps, DT),
        "silent.g": silent_of_total(end.totals["g"][1], weight),
    }
    return end, metrics


def first_traces(batch: int) -> Traces:
    """Nothing is remembered at the start of a sample."""
    return Traces(
        points_h_dense_i=jnp.zeros((batch, 5)),
        points_h_dense_v=jnp.zeros((batch, 5, 20)),
        h_g_dense_v=jnp.zeros((batch, 20)),
        h_g_dense_late=jnp.zeros((2, batch, 20)),
        g_out_dense_v=jnp.zeros((batch, 12)),
    )


@partial(jax.jit, donate_argnums=0)
def train_step(
    train_state: TrainState, batch: Mapping[str, Any]
) -> tuple[TrainState, dict[str, Array]]:
    """One update."""
    params, buffers, opt_state, key, epoch, updates, rule = train_state
    epoch_key = key_of_epoch(train_state)
    end, metrics = learn(params, buffers, opt_state, rule, batch, epoch_key)
    params, opt_state, grads = end.params, end.opt_state, end.grads
    for name, grad in zip(PARAM_NAMES, grads, strict=True):
        metrics[f"grad_norm.{name}"] = jnp.sqrt(jnp.sum(grad * grad))
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
    return batches_on(mesh, fields, batch, order[done * batch :])


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


def normal_weights(
    key: Array, shape: tuple[int, ...], *, mean: float, std: float
) -> Array:
    """Return draws of N(mean, std^2), the same inside and outside of jit."""
    barrier: Any = jax.lax.optimization_barrier  # keeps jit from rounding otherwise
    draws: Array = barrier(jax.random.normal(key, shape))
    return mean + std * draws


def kaiming_uniform(key: Array, shape: tuple[int, ...], *, gain: float) -> Array:
    """Return draws of U(-b, b), b = gain / sqrt(fan_in).

    With gain 1 that is how PyTorch fills `Linear` (He et al. 2015 with a = sqrt 5).
    """
    bound = gain / float(np.sqrt(fan_in(shape)))
    return uniform_weights(key, shape, low=-bound, high=bound)


def encode_latency(
    x: Array,
    keys: Array,
    *,
    steps: int,
    dt: float,
    early: float,
    late: float,
    threshold: float,
    bias: bool,
    first: str,
) -> Array:
    """Return one spike per value, at a time linear in it: [B, ...] -> [steps, B, ...].

    Values are clipped to [0, 1]. With first = "large" 1 fires at `early` and 0 at
    `late`, with "small" the other way round. Values up to a positive `threshold` stay
    silent; `bias` appends a unit that fires at `early`. Time t belongs to step
    max(0, ceil(t / dt) - 1), where a thousandth of a step past the grid is rounding.
    """
    delay = jnp.clip(1.0 - x if first == "large" else x, 0.0, 1.0)
    times = early + (late - early) * delay
    if threshold > 0:
        times = jnp.where(x > threshold, times, jnp.inf)
    if bias:
        times = jnp.concatenate([times, jnp.full_like(times[..., :1], early)], axis=-1)
    event = jnp.maximum(jnp.ceil(times / dt - 1e-3) - 1.0, 0.0)
    step = jnp.arange(steps, dtype=x.dtype).reshape((steps,) + (1,) * x.ndim)
    return (step == event).astype(x.dtype)


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


def over_synapses(traces: Array, d: Array) -> Array:
    """The gradient of weights [n, m] from a trace of each source [B, n], or of each synapse [B, n, m], and d [B, m]."""
    if traces.ndim == 2:
        return product_gradient(traces, d)
    return jnp.einsum("bij,bj->ij", traces, d)


def delayed(x: Array, ring: Array) -> Array:
    """[T, B, ...] later by as many steps as `ring` holds; the ring comes first."""
    return jnp.concatenate([ring, x])[: x.shape[0]]


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


def shaped(d: Any, shape: tuple[int, ...], dtype: Any) -> Array:
    """A cotangent with the shape and type of what it belongs to."""
    return jnp.broadcast_to(jnp.asarray(d, dtype), shape)


def is_zero(d: Any) -> bool:
    """Whether nothing reads the value that this cotangent belongs to."""
    return isinstance(d, SymbolicZero)


def as_array(d: Any) -> Array:
    """A cotangent as an array."""
    return jnp.zeros(d.shape, d.dtype) if is_zero(d) else jnp.asarray(d)


def beside(entry: Array) -> Array:
    """What each neuron has, [B, m] or [m], beside traces of its synapses [B, n, m]."""
    column: Array = jnp.expand_dims(jnp.atleast_1d(entry), -2)
    return column


def nothing(values: Any) -> Any:
    """The same tree with 0 everywhere."""
    zeros: Any = jax.tree.map(jnp.zeros_like, values)
    return zeros


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


def mean_over_time(x: Array) -> Array:
    """Return the mean of each sequence: [T, B, ...] -> [B, ...], unit of x."""
    return jnp.mean(x, axis=0)


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


def rate_of_total(total: Array, weight: Array, steps: int, dt: float) -> Array:
    """As `firing_rate`, from the sum of the spikes over the steps [B, ...]."""
    per_sample = jnp.mean(total, axis=tuple(range(1, total.ndim)))
    per_sample = per_sample / steps * (1000.0 / dt)
    return jnp.sum(weight * per_sample) / jnp.sum(weight)


def silent_of_total(total: Array, weight: Array) -> Array:
    """As `silent_fraction`, from the sum of the sizes of the spikes [B, ...]."""
    quiet = jnp.tensordot(weight, total, axes=(0, 0)) == 0
    return jnp.mean(quiet.astype(total.dtype))


def firing_rate(spikes: Array, *, weight: Array, dt: float) -> Array:
    """Return the mean rate over neurons, samples and time: [T, B, ...] -> scalar, Hz.

    `dt` is in ms, hence the factor 1000.
    """
    others = tuple(axis for axis in range(spikes.ndim) if axis != 1)
    per_sample = jnp.mean(spikes, axis=others) * (1000.0 / dt)
    return jnp.sum(weight * per_sample) / jnp.sum(weight)


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
