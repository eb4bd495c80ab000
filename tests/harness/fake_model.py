"""A small hand-written module with the names of an emitted one: what the harness is tested on.

One layer of leaky neurons without an exact surrogate's care, a leaky readout, plain Adam. Times in ms.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

MODEL = "Fake"
RECIPE = "baseline"
SOURCE = "fake.snn"
MODEL_HASH = "f00dfacef00dface"
DT = 1.0
STEPS = 10
EPOCHS = 3
BATCH = 32
SEED = 0
HIDDEN = 16
CLASSES = 3
INPUTS = {"pixels": ("real", (8,))}
SIGNALS = {"h.spike": ("1", (HIDDEN,)), "h.v": ("mV", (HIDDEN,)), "out.v": ("1", (CLASSES,))}
SPIKING = ("h",)
SELECT = "val.accuracy"
SELECT_MAX = True


class Params(NamedTuple):
    pixels_h_dense_w: Any
    h_tau: Any
    h_out_dense_w: Any


PARAM_NAMES = Params("pixels_h.dense.w", "h.tau", "h_out.dense.w")


class Buffers(NamedTuple):
    h_gain: Any


BUFFER_NAMES = Buffers("h.gain")


class Inputs(NamedTuple):
    pixels: Any


class HSignals(NamedTuple):
    spike: Any
    v: Any


class OutSignals(NamedTuple):
    v: Any


class Signals(NamedTuple):
    h: HSignals
    out: OutSignals


class TrainState(NamedTuple):
    params: Params
    buffers: Buffers
    opt_state: Any
    key: Any
    epoch: int
    updates: Any


class Epoch(NamedTuple):
    epoch: int
    train: dict[str, float]
    val: dict[str, Any]
    state: TrainState
    selected_params: Params
    selected_buffers: Buffers
    improved: bool


def init_params(key):
    first, second = jax.random.split(key)
    return Params(
        0.6 * jax.random.normal(first, (8, HIDDEN), jnp.float32),
        jnp.zeros((), jnp.float32),
        0.4 * jax.random.normal(second, (HIDDEN, CLASSES), jnp.float32),
    )


def init_buffers(key):
    return Buffers(jnp.ones((HIDDEN,), jnp.float32))


@jax.custom_jvp
def fire(x):
    return (x >= 0).astype(x.dtype)


@fire.defjvp
def _fire_jvp(primals, tangents):
    (x,), (dx,) = primals, tangents
    return fire(x), dx / (1 + 5 * jnp.abs(x)) ** 2


def run(params, buffers, x, *, key=None, train=False, steps=STEPS):
    decay = jnp.exp(-DT / (10.0 * jnp.exp(params.h_tau)))
    drive = jnp.broadcast_to(x.pixels, (steps, *x.pixels.shape[1:])) @ params.pixels_h_dense_w

    def advance(carry, i):
        v, u = carry
        v = decay * v + (1 - decay) * 5 * i
        s = fire(v - 1.0)
        v = v - s
        u = 0.9 * u + 0.1 * (s @ params.h_out_dense_w)
        return (v, u), (s, v, u)

    batch = x.pixels.shape[1]
    start = (jnp.zeros((batch, HIDDEN), jnp.float32), jnp.zeros((batch, CLASSES), jnp.float32))
    _, (s, v, u) = jax.lax.scan(advance, start, drive)
    return Signals(HSignals(s, v), OutSignals(u)), buffers


def encode(batch, key, train):
    return Inputs(jnp.asarray(batch["pixels"])[None])


def loss_fn(params, buffers, batch, key):
    signals, buffers = run(params, buffers, encode(batch, key, True), key=key, train=True)
    logits = 10 * signals.out.v.mean(axis=0)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"])
    weight = batch["weight"] / batch["weight"].sum()
    metrics = {
        "accuracy": (weight * (logits.argmax(-1) == batch["label"])).sum(),
        "rate.h": signals.h.spike.mean() / DT * 1e3,
        "silent.h": (signals.h.spike.sum((0, 1)) == 0).mean(),
        "confusion": jnp.zeros((CLASSES, CLASSES)).at[batch["label"], logits.argmax(-1)].add(batch["weight"]),
    }
    return (weight * losses).sum(), (metrics, buffers)


def optimizer(updates_per_epoch, epochs):
    return optax.adam(1e-2)


def init_train_state(seed, updates_per_epoch, epochs):
    key = jax.random.key(seed)
    params = init_params(key)
    opt_state = optimizer(updates_per_epoch, epochs).init(params)
    return TrainState(params, init_buffers(key), opt_state, jax.random.key_data(key), 0, jnp.zeros((), jnp.int32))


@jax.jit
def train_step(state, batch):
    (loss, (metrics, buffers)), grads = jax.value_and_grad(loss_fn, has_aux=True)(
        state.params, state.buffers, batch, None
    )
    updates, opt_state = optimizer(1, 1).update(grads, state.opt_state, state.params)
    norms = {f"grad_norm.{n}": jnp.linalg.norm(g) for n, g in zip(PARAM_NAMES, grads, strict=True)}
    metrics = {"loss": loss, **metrics, **norms}
    del metrics["confusion"]
    params = optax.apply_updates(state.params, updates)
    return state._replace(params=params, buffers=buffers, opt_state=opt_state, updates=state.updates + 1), metrics


def evaluate(params, buffers, fields, batch=BATCH, seed=SEED):
    count = len(fields["label"])
    loss, (metrics, _) = loss_fn(params, buffers, {**fields, "weight": np.ones(count, np.float32)}, None)
    named = {"loss": loss, **metrics}
    return {name: np.asarray(value) if value.ndim else float(value) for name, value in named.items()}


def fit(
    data: Mapping[str, Any], *, epochs=EPOCHS, batch=BATCH, seed=SEED, state=None, on_batch=None
) -> Iterator[Epoch]:
    count = len(data["train"]["label"])
    updates = math.ceil(count / batch)
    state = init_train_state(seed, updates, epochs) if state is None else state
    best, selected = -1.0, None
    for epoch in range(state.epoch + 1, epochs + 1):
        order = np.random.default_rng([seed, epoch]).permutation(count)
        seen = []
        for start in range(0, count, batch):
            chosen = np.resize(order[start : start + batch], batch)
            weight = (np.arange(batch) < count - start).astype(np.float32)
            fields = {name: array[chosen] for name, array in data["train"].items()}
            state, metrics = train_step(state, {**fields, "weight": weight})
            seen.append(metrics)
            if on_batch is not None:
                on_batch(min(start + batch, count), metrics)
        train = {name: float(np.mean([np.asarray(metrics[name]) for metrics in seen])) for name in seen[0]}
        val = evaluate(state.params, state.buffers, data["val"]) if "val" in data else {}
        state = state._replace(epoch=epoch)
        improved = not val or val["accuracy"] > best
        if improved:
            best, selected = val.get("accuracy", -1.0), (state.params, state.buffers)
        yield Epoch(epoch, train, val, state, *selected, improved)
