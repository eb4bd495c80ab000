"""The programs that are compared: each does one update of the same weights on the same batch.

`naive` scans the emitted `step` and lets JAX differentiate it, as one writes it by hand on the first day. `hoisted` is
the emitted `run` with every time loop differentiated by JAX, `adjoint` the emitted `run`, both on a batch that lies time
first. `train_step` is the emitted function as it is: with metrics and norms of gradients. `events` is the same with the
input as event lists, whatever their length.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax  # type: ignore[import-untyped]
from jax import lax

from benchmarks.workloads import Drawn, Workload
from snnc import pipeline
from snnc.emit.runtime import loops
from snnc.harness.load_module import load_module
from snnc.plan import Kernel

Loss = Callable[[Any, Any, Any], Any]  # params, x [T, B, n], label [B]


@dataclass(slots=True, eq=False)
class Program:
    """A compiled update and what goes from one to the next; `advance` blocks until it is done and returns the loss.

    `gradient` gives the gradient at the initial weights; `temp_bytes` is what XLA takes beside arguments and results.
    """

    name: str
    compiled: Any
    carry: Any
    given: tuple[Any, ...]
    gradient: Callable[[], Any] | None
    temp_bytes: int

    def advance(self) -> float:
        self.carry, measured = self.compiled(self.carry, *self.given)
        for array in jax.tree.leaves((self.carry, measured)):
            array.block_until_ready()
        return float(measured["loss"])


def emitted_text(source: Path, kernel: Kernel = "scan", overrides: pipeline.Overrides = ()) -> str:
    """Return the Python file that a .snn file with one entry compiles to.

    Raises:
        CompileError: with every finding.
    """
    program = pipeline.load(source)
    return pipeline.compile_entry(program, pipeline.choose(program, None), overrides, kernel=kernel).text


def programs(text: str, drawn: Drawn) -> list[Program]:
    """Return the five programs of an emitted file, compiled."""
    module = load_module(text)
    losses = {
        "naive": scanned_loss(by_hand(text)),
        "hoisted": run_loss(differentiated_by_jax(text)),
        "adjoint": run_loss(module),
    }
    found = [_update(name, loss, module, drawn) for name, loss in losses.items()]
    found.append(_train_step("train_step", module, drawn, jnp.asarray(drawn.x)))
    if not hasattr(module, "event_lists"):
        return found
    lists = module.event_lists(np.moveaxis(drawn.x, 1, 0), len(drawn.label), 1.0)
    events = lists.of_batch(np.arange(len(drawn.label)), np.ones(len(drawn.label)))
    sparse = module.Events(*map(jnp.asarray, events))
    return [*found, _train_step("events", module, drawn, sparse)]


def in_parts(workload: Workload, drawn: Drawn) -> list[Program]:
    """Return `parts`, the emitted `run` with `checkpoint = auto`, for a workload that is trained so too."""
    if not workload.parts:
        return []
    module = load_module(emitted_text(workload.source, overrides=(("main.learn", "bptt(checkpoint = auto)"),)))
    return [_update("parts", run_loss(module), module, drawn)]


def kernel_program(text: str, drawn: Drawn) -> Program:
    """Return the emitted `run` of a file with kernels."""
    module = load_module(text)
    return _update("kernels", run_loss(module), module, drawn)


def initial_params(module: Any, drawn: Drawn) -> Any:
    """Return the weights as the module's record, in new arrays: an update donates its own."""
    return module.Params(*(jnp.array(drawn.weights[name]) for name in module.PARAM_NAMES))


def scanned_loss(module: Any) -> Loss:
    """Return the loss of the scanned `step`."""

    def loss(params: Any, x: Any, label: Any) -> Any:
        buffers = module.Buffers()

        def body(state: Any, x_now: Any) -> Any:
            state, signals, _ = module.step(params, buffers, state, module.Inputs(x_now))
            return state, signals

        state = module.init_state(params, buffers, x.shape[1], None, True)
        _, signals = lax.scan(body, state, x)
        return _objective(module, params, signals, x, label)

    return loss


def by_hand(text: str) -> Any:
    """Return the emitted module with XLA's convolution, as one writes it in a `step`, in place of matrix products."""
    module: Any = load_module(text)

    def conv(x: Any, w: Any) -> Any:
        return lax.conv_general_dilated(x, w, (1, 1), "VALID", dimension_numbers=("NCHW", "HWIO", "NCHW"))

    module.conv = conv
    return module


def run_loss(module: Any) -> Loss:
    """Return the loss of the emitted `run`."""

    def loss(params: Any, x: Any, label: Any) -> Any:
        signals, _ = module.run(params, module.Buffers(), module.Inputs(x), train=True)
        return _objective(module, params, signals, x, label)

    return loss


def differentiated_by_jax(text: str) -> Any:
    """Return the emitted module with JAX's own gradient in place of every derived one."""
    module: Any = load_module(text)
    module.layer_loop = lambda step, adjoint, *rest, **_: loops.layer_loop_by_jax(step, *rest)
    module.dense_over_time = module.dense
    module.time_loop = lambda step, adjoint, collect, *rest: loops.time_loop_by_jax(step, *rest)
    return module


def gradient_error(found: Any, wanted: Any) -> dict[str, float]:
    """Return for each parameter the greatest difference over the greatest value of `wanted`."""
    pairs = zip(wanted._fields, found, wanted, strict=True)
    return {
        name: float(np.max(np.abs(np.asarray(a) - np.asarray(b))) / np.max(np.abs(np.asarray(b))))
        for name, a, b in pairs
    }


def _objective(module: Any, params: Any, signals: Any, x: Any, label: Any) -> Any:
    fields = {"label": label, "weight": jnp.ones(x.shape[1])}
    return module.objective(params, signals, module.Inputs(x), fields, x.shape[0])[0]


def _update(name: str, loss: Loss, module: Any, drawn: Drawn) -> Program:
    rule = module.optimizer(1, 1)

    def update(carry: Any, x: Any, label: Any) -> Any:
        params, opt_state = carry
        value, gradient = jax.value_and_grad(loss)(params, x, label)
        change, opt_state = rule.update(gradient, opt_state, params)
        return (optax.apply_updates(params, change), opt_state), {"loss": value}

    params = initial_params(module, drawn)
    given = (jnp.asarray(drawn.x), jnp.asarray(drawn.label))

    def gradient() -> Any:
        return jax.jit(jax.grad(loss))(initial_params(module, drawn), *given)

    return _compiled(name, jax.jit(update, donate_argnums=0), (params, rule.init(params)), given, gradient)


def _train_step(name: str, module: Any, drawn: Drawn, x: Any) -> Program:
    batch = {
        "x": x,
        "label": jnp.asarray(drawn.label),
        "sample": jnp.arange(len(drawn.label)),
        "weight": jnp.ones(len(drawn.label)),
    }
    state = module.init_train_state(0, 1, 1)._replace(params=initial_params(module, drawn))

    def gradient() -> Any:
        key = jax.random.key(0)
        differentiate = jax.jit(jax.grad(module.loss_fn, has_aux=True))
        return differentiate(initial_params(module, drawn), module.Buffers(), batch, key)[0]

    return _compiled(name, module.train_step, state, (batch,), gradient)


def _compiled(
    name: str, update: Any, carry: Any, given: tuple[Any, ...], gradient: Callable[[], Any] | None
) -> Program:
    compiled = update.lower(carry, *given).compile()
    return Program(name, compiled, carry, given, gradient, temp_bytes(compiled))


def temp_bytes(compiled: Any) -> int:
    """Return what a compiled program takes beside its arguments and results."""
    return int(compiled.memory_analysis().temp_size_in_bytes)
