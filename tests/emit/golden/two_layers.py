"""TwoLayers, compiled by snnc from two_layers.snn.

Schedule
    over all steps at once: pixels_h.dense, h_out.dropout, h_out.dense
    time loop: h (PLIF, exact)
        derived gradient of h, keeps margin, v_before
    time loop: out (LI, exact)
        derived gradient of out, keeps nothing

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

MODEL = "TwoLayers"
SOURCE = "two_layers.snn"
MODEL_HASH = "a6f4d6311091c611"
DT = 1.0  # ms
STEPS: int | None = 20  # of a presentation
RECIPE = "main"
EPOCHS = 2
BATCH = 128
SEED = 0
SELECT: str | None = "val.accuracy"
SELECT_MAX = True
START: str | None = None
# fields with a time axis, which comes first in a batch
TIMED: tuple[str, ...] = ()

Value = Array | float


# ---- what is learned, what persists, what comes in ---------------------------


class Params(NamedTuple):
    """Trainable values; parameters of neurons in their raw, unbounded form."""

    # h.tau = between(raw, 2.0, 50.0), ms  (std/neurons.snn:56)
    h_tau: Any
    # pixels_h.dense in pixels -> dense(32, bias = true) -> PLIF..., [64, 32]  (two_layers.snn:9)
    pixels_h_dense_w: Any
    # pixels_h.dense in pixels -> dense(32, bias = true) -> PLIF..., [32]  (two_layers.snn:9)
    pixels_h_dense_b: Any
    # h_out.dense in pixels -> dense(32, bias = true) -> PLIF..., [32, 10]  (two_layers.snn:10)
    h_out_dense_w: Any


class Buffers(NamedTuple):
    """Values that persist over samples and have no gradient."""


class Inputs(NamedTuple):
    """One sequence for each input; T may be 1 for a value held over all steps."""

    # real [T, B, 64]  (two_layers.snn:8)
    pixels: Array


PARAM_NAMES = Params(
    h_tau="h.tau",
    pixels_h_dense_w="pixels_h.dense.w",
    pixels_h_dense_b="pixels_h.dense.b",
    h_out_dense_w="h_out.dense.w",
)
BUFFER_NAMES = Buffers()


# ---- surrogates: the derivative of the step at the margin --------------------


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


class PLIF(NamedTuple):
    """Constants of PLIF (std/neurons.snn:55); method: exact."""

    theta: Value  # 1
    v_decay: Value  # share of v left after dt


class PLIFState(NamedTuple):
    """States of PLIF, each [B, ...]."""

    v: Array  # 1


class PLIFSignals(NamedTuple):
    """What PLIF publishes after a step."""

    spike: Array  # 1
    v: Array  # 1


class PLIFKept(NamedTuple):
    """What the gradient of a step reads of it."""

    margin: Array
    v_before: Array

    def spike_again(self) -> Array:
        """The spikes, of one step or of all: they need not be stacked beside the margin."""
        return fire_atan(self.margin, self.margin >= 0.0, 2.0)


def plif(
    tau: Value,
    theta: Value,
) -> PLIF:
    """The constants of one layer, from its parameters."""
    v_decay = jnp.exp(-DT / tau)
    return PLIF(theta=theta, v_decay=v_decay)


def plif_start(p: PLIF, shape: tuple[int, ...]) -> PLIFState:
    """The state at the start of a sample."""
    v = jnp.zeros(shape)
    return PLIFState(v)


def plif_step(
    p: PLIF, s: PLIFState, x: Array
) -> tuple[PLIFState, PLIFSignals, PLIFKept]:
    """LIF whose time constant is learned, one for the layer (Fang et al. 2021); `tau = 10 ms per neuron trainable` for one each."""
    # kept for the gradient
    v_before = s.v
    # v' = (I - v) / tau  (std/neurons.snn:61)
    v = p.v_decay * s.v
    # v += x  (std/neurons.snn:62)
    v = v + x
    # spike when v >= theta  (std/neurons.snn:63)
    margin = v - p.theta
    spike = fire_atan(margin, v >= p.theta, 2.0)
    # v -= theta  (std/neurons.snn:63)
    v = jnp.where(spike > 0.0, v - p.theta, v)
    return PLIFState(v), PLIFSignals(spike, v), PLIFKept(margin, v_before)


def plif_before(p: PLIF, d_ports: tuple[Any, ...]) -> PLIFState:
    """What `plif_adjoint` returns for the state, from what it returns for the ports."""
    (d_v2,) = d_ports
    return PLIFState(v=p.v_decay * d_v2)


def plif_adjoint(
    p: PLIF, k: PLIFKept, d_next: PLIFState, d_out: PLIFSignals
) -> tuple[PLIFState, tuple[Any, ...], dict[str, Array]]:
    """Transposed `plif_step`: d_a is the derivative of the loss by a.

    Returns those by the state before the step, the ports and the learned constants.
    """
    # v -= theta  (std/neurons.snn:63)
    d_v = d_out.v + d_next.v
    # spike when v >= theta  (std/neurons.snn:63)
    d_margin = atan(k.margin, 2.0) * d_out.spike
    # v += x  (std/neurons.snn:62)
    d_v2 = d_v + d_margin
    d_ports = (d_v2,)
    return plif_before(p, d_ports), d_ports, {"v_decay": k.v_before * d_v2}


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

    h: PLIF
    out: LI


class State(NamedTuple):
    """All that goes from step to step."""

    h: PLIFState
    out: LIState
    h_out_dropout: Array  # one mask a sample  (two_layers.snn:10)
    logits_fold: Array  # mean_over_time so far
    n: Array  # steps done


class Signals(NamedTuple):
    """What every layer publishes."""

    h: PLIFSignals
    out: LISignals


class Outputs(NamedTuple):
    """The network's outputs."""

    logits: Array  # [B, 10]


INPUTS: dict[str, tuple[str, tuple[int, ...]]] = {
    "pixels": ("real", (64,)),
}
SIGNALS: dict[str, tuple[str, tuple[int, ...]]] = {
    "h.spike": ("1", (32,)),
    "h.v": ("1", (32,)),
    "out.v": ("1", (10,)),
}
SPIKING: tuple[str, ...] = ("h",)


def init_params(key: Array) -> Params:
    """Initial trainable values; each draw is keyed by the parameter's name."""
    return Params(
        h_tau=between_raw(
            clamp_inside(
                draw_lognormal(stream(key, 553389125), (32,), 10.0, 0.2), 2.0, 50.0
            ),
            2.0,
            50.0,
        ),
        pixels_h_dense_w=kaiming_uniform(stream(key, 931733921), (64, 32), gain=1.0),
        pixels_h_dense_b=zero_weights(stream(key, 1515504970), (32,)),
        h_out_dense_w=kaiming_uniform(stream(key, 1957073002), (32, 10), gain=1.0),
    )


def init_buffers(key: Array) -> Buffers:
    """Initial persistent values; each draw is keyed by its name."""
    return Buffers()


def constants(params: Params, buffers: Buffers) -> Constants:
    """Parameters in the author's units, and what follows from them."""
    return Constants(
        h=plif(tau=between(params.h_tau, 2.0, 50.0), theta=1.0),
        out=li(tau=20.0),
    )


def constrained(params: Params) -> dict[str, Array]:
    """Trainable parameters of neurons in the author's units."""
    return {
        "h.tau": between(params.h_tau, 2.0, 50.0),
    }


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
    h_0 = plif_start(c.h, (batch, 32))
    out_0 = li_start(c.out, (batch, 10))
    h_out_dropout_0 = dropout_mask(keys, 2289136868, 0.2, (32,), train)
    logits_fold_0 = jnp.zeros_like(jnp.zeros((batch, 10)))
    n_0 = jnp.zeros((), jnp.int32)
    return State(
        h=h_0,
        out=out_0,
        h_out_dropout=h_out_dropout_0,
        logits_fold=logits_fold_0,
        n=n_0,
    )


def step(
    params: Params, buffers: Buffers, state: State, x: Inputs
) -> tuple[State, Signals, Outputs]:
    """One step of dt; inputs are [B, ...]. Outputs are the readouts so far."""
    c = constants(params, buffers)
    # pixels_h.dense in pixels -> dense(32, bias = true) -> PLIF...  (two_layers.snn:9)
    pixels_h_dense = dense(x.pixels, params.pixels_h_dense_w) + params.pixels_h_dense_b
    # h: PLIF  (two_layers.snn:9)
    h_state, h, _ = plif_step(c.h, state.h, pixels_h_dense)
    # h_out.dropout in pixels -> dense(32, bias = true) -> PLIF...  (two_layers.snn:10)
    h_out_dropout = h.spike * state.h_out_dropout
    # h_out.dense in pixels -> dense(32, bias = true) -> PLIF...  (two_layers.snn:10)
    h_out_dense = dense(h_out_dropout, params.h_out_dense_w)
    # out: LI  (two_layers.snn:10)
    out_state, out, _ = li_step(c.out, state.out, h_out_dense)
    # the readouts so far
    logits_fold = jnp.where(
        (state.n >= 5), state.logits_fold + out.v, state.logits_fold
    )
    logits = logits_fold / jnp.maximum((state.n + 1 - 5), 1).astype(logits_fold.dtype)
    signals = Signals(h=h, out=out)
    return (
        State(
            h=h_state,
            out=out_state,
            h_out_dropout=state.h_out_dropout,
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
    batch = x.pixels.shape[1]
    c = constants(params, buffers)
    state = init_state(params, buffers, batch, key, train)
    # pixels_h.dense in pixels -> dense(32, bias = true) -> PLIF...  (two_layers.snn:9)
    pixels_h_dense = (
        dense_over_time(x.pixels, params.pixels_h_dense_w) + params.pixels_h_dense_b
    )
    # h: PLIF, time loop  (two_layers.snn:9)
    _, h = layer_loop(
        plif_step,
        plif_adjoint,
        c.h,
        state.h,
        (pixels_h_dense,),
        steps,
        before=plif_before,
    )
    # h_out.dropout in pixels -> dense(32, bias = true) -> PLIF...  (two_layers.snn:10)
    h_out_dropout = h.spike * state.h_out_dropout
    # h_out.dense in pixels -> dense(32, bias = true) -> PLIF...  (two_layers.snn:10)
    h_out_dense = dense_over_time(h_out_dropout, params.h_out_dense_w)
    # out: LI, time loop  (two_layers.snn:10)
    _, out = layer_loop(
        li_step, li_adjoint, c.out, state.out, (h_out_dense,), steps, before=li_before
    )
    return Signals(h=h, out=out), buffers


def readout(params: Params, signals: Signals, x: Inputs, steps: int) -> Outputs:
    """The outputs of whole sequences."""
    # output logits  (two_layers.snn:11)
    logits = mean_over_time(signals.out.v[5:])
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
    """data digits8 = digits(val = 0.1, test = 0.25) -> rate(duration = 20 ms, peak ...

    Draws are keyed by the sample's number: anew in each epoch of training, always
    the same in evaluation.
    """
    pixels = jnp.asarray(batch["pixels"], float)
    pixels = encode_rate(
        pixels,
        per_sample(stream(key, 719203081), batch["sample"]),
        steps=20,
        dt=DT,
        peak=0.5,
    )
    return Inputs(pixels=pixels)


def objective(
    params: Params, signals: Signals, x: Inputs, fields: Mapping[str, Any], steps: int
) -> tuple[Array, dict[str, Array]]:
    """The loss with its penalties, and the metrics, over the samples with weight 1."""
    weight = fields["weight"]
    outputs = readout(params, signals, x, steps)
    logits = outputs.logits
    # loss = cross_entropy(logits, label)  (two_layers.snn:18)
    loss = sample_mean(cross_entropy(logits, fields["label"]), weight)
    # penalty 1e-4 * rate_upper(h.spike, 100 Hz)  (two_layers.snn:21)
    penalty_1 = 0.0001 * rate_upper(signals.h.spike, bound=0.1, weight=weight, dt=DT)
    total = loss + penalty_1
    metrics = {
        "loss": total,
        "penalty_1": penalty_1,
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
    """adamw, learning rate cosine(lr = 0.002, warmup = 1 epochs, end = 0)."""
    labels = Params(
        h_tau="group_1_neurons",
        pixels_h_dense_w="weights",
        pixels_h_dense_b="weights",
        h_out_dense_w="weights",
    )
    rules = {
        "group_1_neurons": optax.adamw(
            0.01, b1=0.9, b2=0.999, eps=1e-08, weight_decay=0.0
        ),
        "weights": optax.adamw(
            optax.warmup_cosine_decay_schedule(
                0.0,
                0.002,
                round(1.0 * updates_per_epoch),
                max(epochs * updates_per_epoch, round(1.0 * updates_per_epoch) + 1),
                0.0,
            ),
            b1=0.9,
            b2=0.999,
            eps=1e-08,
            weight_decay=0.0001,
        ),
    }
    return optax.chain(optax.clip_by_global_norm(1.0), optax.partition(rules, labels))


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


def sample_keys(key: Array | None, batch: int) -> Array:
    """One key a sample: `key` as it is if it has an axis, else split by number."""
    if key is None:
        key = jax.random.key(0)
    return key if key.ndim == 1 else per_sample(key, jnp.arange(batch))


def dropout_mask(
    keys: Array, name: int, rate: float, shape: tuple[int, ...], train: bool
) -> Array:
    """1/(1-rate) or 0 for each unit of a sample [B, ...]; 1 in evaluation."""
    if not train:
        return jnp.ones((keys.shape[0], *shape))
    draws = jax.vmap(lambda key: jax.random.uniform(stream(key, name), shape))(keys)
    return jnp.where(draws < rate, 0.0, 1.0 / (1.0 - rate)).astype(draws.dtype)


def standard_normal(key: Array, shape: tuple[int, ...]) -> Array:
    """Draws of N(0, 1), from which numbers follow alike inside and outside of jit."""
    barrier: Any = jax.lax.optimization_barrier
    draws: Array = barrier(jax.random.normal(key, shape))
    return draws


def draw_lognormal(
    key: Array, shape: tuple[int, ...], median: Value, sigma: Value
) -> Array:
    """Lognormal draws by their median and the deviation of the logarithm."""
    return median * jnp.exp(sigma * standard_normal(key, shape))


def clamp_inside(x: Array, low: float, high: float) -> Array:
    """Move draws outside an open interval just inside it."""
    span = high - low if high - low < jnp.inf else 1.0
    return jnp.clip(x, low + 1e-4 * span, high - 1e-4 * span)


def between(raw: Array, low: float, high: float) -> Array:
    """(low, high): low + (high - low) sigmoid(raw)."""
    return low + (high - low) * jax.nn.sigmoid(raw)


def between_raw(value: Value, low: float, high: float) -> Array:
    """The raw number of `value` under `between`."""
    share = (jnp.asarray(value) - low) / (high - low)
    return jnp.log(share) - jnp.log1p(-share)


def fan_in(shape: tuple[int, ...]) -> int:
    """Return how many inputs an output sums: the product of all axes but the last."""
    return int(np.prod(shape[:-1]))


def uniform_weights(
    key: Array, shape: tuple[int, ...], *, low: float, high: float
) -> Array:
    """Return draws of U(low, high)."""
    return jax.random.uniform(key, shape, minval=low, maxval=high)


def zero_weights(key: Array, shape: tuple[int, ...]) -> Array:
    """Return zeros; nothing is drawn."""
    return jnp.zeros(shape)


def kaiming_uniform(key: Array, shape: tuple[int, ...], *, gain: float) -> Array:
    """Return draws of U(-b, b), b = gain / sqrt(fan_in).

    With gain 1 that is how PyTorch fills `Linear` (He et al. 2015 with a = sqrt 5).
    """
    bound = gain / float(np.sqrt(fan_in(shape)))
    return uniform_weights(key, shape, low=-bound, high=bound)


def encode_rate(x: Array, keys: Array, *, steps: int, dt: float, peak: float) -> Array:
    """Return spikes of chance clip(x, 0, 1) peak dt: [B, ...] -> [steps, B, ...].

    `peak` is in 1/ms. A draw depends on the key of its sample and on its step only.
    """

    def draw(step: Array, key: Array) -> Array:
        return jax.random.uniform(jax.random.fold_in(key, step), x.shape[1:], x.dtype)

    draws = jax.vmap(jax.vmap(draw, (None, 0)), (0, None))(jnp.arange(steps), keys)
    return (draws < jnp.clip(x, 0.0, 1.0) * (peak * dt)).astype(x.dtype)


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


def mean_over_samples(per_sample: Array, weight: Array) -> Array:
    """Return the mean over samples, padding left out: [B, ...] -> [...]."""
    shaped = weight.reshape(weight.shape + (1,) * (per_sample.ndim - 1))
    return jnp.sum(shaped * per_sample, axis=0) / jnp.sum(weight)


def rate_per_neuron(spikes: Array, *, weight: Array, dt: float) -> Array:
    """Return each neuron's rate in Hz over samples and time: [T, B, ...] -> [...].

    `dt` is in ms, hence the factor 1000.
    """
    counts = mean_over_samples(jnp.sum(spikes, axis=0), weight)
    return counts * (1000.0 / (spikes.shape[0] * dt))


def rate_upper(spikes: Array, *, bound: float, weight: Array, dt: float) -> Array:
    """Return mean over neurons of relu(rate - bound)^2: [T, B, ...] -> scalar, Hz^2.

    `bound` is in 1/ms, as all frequencies are, and `dt` in ms.
    """
    rates = rate_per_neuron(spikes, weight=weight, dt=dt)
    return jnp.mean(jax.nn.relu(rates - 1000.0 * bound) ** 2)


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
