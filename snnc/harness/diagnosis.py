"""Finds where a training stopped being finite: the layer, its state and the step, at the line of the `.snn`.

The batch of the update that was lost is run again from the parameters before that update, and every signal is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from snnc import model
from snnc.diagnostics import Code, CompileError, Diagnostic, Label
from snnc.emit.names import field_name, stream_number
from snnc.expr import Var, walk
from snnc.harness.divergence import DivergedError
from snnc.harness.emitted import Fields, TrainableModule, carried_before
from snnc.harness.simulate import flatten_signals
from snnc.pipeline import Compiled
from snnc.source import Span

_SMALLER_STEPS = (
    "lower the learning rate, clip the gradient (`clip_norm = 1`) or bound the parameters (`in (low, high)`)"
)


@dataclass(frozen=True, slots=True)
class Cause:
    """The first number that was lost, in words that go on a sentence, with its line and what belongs to it."""

    text: str
    span: Span
    labels: tuple[Label, ...] = ()


def find_cause(compiled: Compiled, module: TrainableModule, state: Any, batch: Fields, lost: tuple[str, ...]) -> Cause:
    """Return where the first number is lost in one batch, from the TrainState before its update.

    `lost` are the metrics that were not finite. What is looked at, in this order: weights, signals, outputs, the loss,
    gradients.
    """
    import jax

    values = _named(module.PARAM_NAMES, state.params) | _named(module.BUFFER_NAMES, state.buffers)
    for name, value in values.items():
        if _bad(value).any():
            when = "the update before it made" if int(state.updates) else "the weights it starts from have"
            return Cause(f"{when} `{name}` infinite or not a number", _owner(compiled.network, name).span)
    key = module.key_of_epoch(state)
    run_batch = jax.jit(module.run_batch, static_argnums=4)
    before = carried_before(module, state)
    x, signals, _ = run_batch(state.params, state.buffers, dict(batch), key, True, **before)
    flat = flatten_signals(module, signals)
    steps = max((a.shape[0] for a in (*x, *flat.values())), default=1)
    cause = _lost_signal(compiled, flat, steps)
    if cause is not None:
        return cause
    if "loss" in lost:
        return _lost_readout(compiled, module, state, signals, x, steps)
    return _lost_gradient(compiled, module, state, batch, key, x, steps, lost)


def too_large_a_step(compiled: Compiled, weight: str) -> Cause:
    """Return the cause of a weight that an update made infinite."""
    return Cause("the step of this update was too large", _owner(compiled.network, weight).span)


def explained(error: DivergedError, cause: Cause, go_on: str) -> CompileError:
    """Return E0609: what was lost and when, where it began, and how to go on (`go_on`, may be empty)."""
    return CompileError(
        [
            Diagnostic(
                Code.DIVERGED,
                cause.span,
                f"{error.what}: {cause.text}",
                f"{_SMALLER_STEPS}\n{go_on}" if go_on else _SMALLER_STEPS,
                labels=cause.labels,
            )
        ]
    )


def _lost_signal(compiled: Compiled, signals: Mapping[str, np.ndarray], steps: int) -> Cause | None:
    """Return the first signal that is not finite: by step, then by the order within a step, a state before a spike."""
    order = [node.name for node in compiled.plan.order]
    lost = {name: value for name, value in signals.items() if _bad(value).any()}
    if not lost:
        return None

    def place(name: str) -> tuple[int, int, bool]:
        layer, _, signal = name.rpartition(".")
        return _first_step(lost[name]), order.index(layer), signal == "spike"

    first = min(lost, key=place)
    layer_name, _, signal = first.rpartition(".")
    layer = next(layer for layer in compiled.network.layers if layer.name == layer_name)
    step = _first_step(lost[first])
    bad = _bad(lost[first][step]).any(axis=0)
    kind = "state" if any(state.name == signal for state in layer.neuron.states) else "signal"
    count = f"{bad.sum():,} of {bad.size:,} neurons"
    text = f"layer `{layer.name}`, {kind} `{signal}`, step {step + 1} of {steps}, {count}"
    line = _equation(layer.neuron, signal)
    if line is None:
        return Cause(text, layer.span)
    return Cause(text, line, (Label(layer.span, f"layer `{layer.name}`"),))


def _lost_readout(compiled: Compiled, module: TrainableModule, state: Any, signals: Any, x: Any, steps: int) -> Cause:
    """Return the output, or else the loss, that is not finite although every signal is."""
    assert compiled.recipe is not None
    terms = (compiled.recipe.loss, *compiled.recipe.penalties)
    read = {expr.name for term in terms for expr in walk(term.value) if isinstance(expr, Var)}
    outputs = module.readout(state.params, signals, x, steps)
    for output in (output for output in compiled.network.outputs if f"output:{output.name}" in read):
        value = np.asarray(getattr(outputs, field_name(output.name)))
        if _bad(value).any():
            return Cause(f"the output `{output.name}`, while every signal of the layers is finite", output.span)
    return Cause("it is the loss itself, while every output is finite", compiled.recipe.loss.span)


def _lost_gradient(
    compiled: Compiled,
    module: TrainableModule,
    state: Any,
    batch: Fields,
    key: Any,
    x: Any,
    steps: int,
    lost: tuple[str, ...],
) -> Cause:
    """Return the parameter whose gradient is lost, and the step from which on backwards it is."""
    import jax

    before = carried_before(module, state)

    def loss(inputs: Any) -> Any:
        keys = module.per_sample(module.stream(key, stream_number("run")), batch["sample"])
        signals, _ = module.run(
            state.params, state.buffers, inputs, key=keys, train=True, steps=steps, weight=batch["weight"], **before
        )
        return module.objective(state.params, signals, inputs, batch, steps)[0]

    unrolled = jax.tree.map(lambda a: jax.numpy.broadcast_to(a, (steps, *a.shape[1:])), x)
    gradients = [np.asarray(leaf) for leaf in jax.tree.leaves(jax.jit(jax.grad(loss))(unrolled))]
    last = max((int(np.nonzero(_bad_steps(g))[0].max()) for g in gradients if _bad(g).any()), default=None)
    names = [name.partition(".")[2] for name in lost]
    owner = _owner(compiled.network, names[0])
    kind = "layer" if isinstance(owner, model.Layer) else "operation"
    text = f"{kind} `{owner.name}`"
    if last is not None:
        text += f", going back from step {last + 1} of {steps}"
    return Cause(f"{text}, while every signal is finite", owner.span)


def _equation(neuron: model.Neuron, state: str) -> Span | None:
    """Return the line that moves a state: its equation, its update, else what jumps or resets it."""
    lines = (*neuron.equations, *neuron.step, *neuron.start_jumps, *neuron.end_jumps)
    resets = tuple(reset for rule in neuron.spikes for reset in rule.resets)
    return next((line.span for line in (*lines, *resets) if line.target == state), None)


def _owner(network: model.Network, name: str) -> model.Node:
    """Return the node to which a parameter or buffer of that dotted name belongs."""
    owners = [node for node in network.nodes if f"{name}.".startswith(f"{node.name}.")]
    return max(owners, key=lambda node: len(node.name))


def _named(names: Any, values: Any) -> dict[str, np.ndarray]:
    return {name: np.asarray(value) for name, value in zip(names, values, strict=True)}


def _bad(value: np.ndarray) -> np.ndarray:
    return np.asarray(~np.isfinite(value))


def _bad_steps(value: np.ndarray) -> np.ndarray:
    """Return for each step of [T, ...] whether a number of it is not finite."""
    return np.asarray(_bad(value).reshape(len(value), -1).any(axis=1))


def _first_step(value: np.ndarray) -> int:
    return int(_bad_steps(value).argmax())
