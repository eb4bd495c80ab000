"""The meaning of the step plan in NumPy (float64): the oracle of the tests, and what `explain` measures with.

It computes one step after the other, as language.md says, and knows nothing of schedules, loops or emitted text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnc import model
from snnc.expr import Apply, Expr, Num, Var
from snnc.functions import FUNCTIONS
from snnc.ops.delays import WithTimes
from snnc.ops.memory import Delay, Dropout
from snnc.ops.norms import BatchNorm, LayerNorm
from snnc.ops.operation import Buffer, Weight
from snnc.plan import CHANCE, Assign, Body, Fire, Integrate, Locate, StepPlan

Array = NDArray[np.float64]
Values = dict[str, Any]


def evaluate(expr: Expr, values: Mapping[str, Any]) -> Any:
    """Return the value of a resolved expression."""
    match expr:
        case Num(value):
            return value
        case Var(name):
            return values[name]
        case Apply("expm", args):
            return flow_matrix(int(float(expr.attr("n") or 0)), [evaluate(a, values) for a in args])
        case Apply("entry", (table,)):
            row, column = (int(float(expr.attr(k) or 0)) for k in ("row", "column"))
            return evaluate(table, values)[..., row, column]
        case Apply("if" | "where", (test, then, other)):
            with np.errstate(all="ignore"):  # the branch not taken may be anything
                return np.where(evaluate(test, values), evaluate(then, values), evaluate(other, values))
        case Apply(fn, args):
            return FUNCTIONS[fn].value(*(evaluate(arg, values) for arg in args))


def flow_matrix(n: int, entries: list[Any]) -> Array:
    """exp(M) with the integral of exp beside it (Van Loan 1978), by scaling, a Taylor series and squaring."""
    cells = np.broadcast_arrays(*(np.asarray(e, float) for e in entries))
    matrix = np.stack(cells, -1).reshape(*cells[0].shape, n, n)
    unit = np.broadcast_to(np.eye(n), matrix.shape)
    upper = np.concatenate([matrix, unit], -1)
    block = np.concatenate([upper, np.zeros_like(upper)], -2)
    squarings = max(0, int(np.ceil(np.log2(max(1e-30, np.abs(block).sum(-1).max())))) + 4)
    scaled = block / 2.0**squarings
    total = np.broadcast_to(np.eye(2 * n), block.shape).copy()
    term = total.copy()
    for order in range(1, 19):
        term = term @ scaled / order
        total = total + term
    for _ in range(squarings):
        total = total @ total
    return total


def parameter_numbers(neuron: model.Neuron, dt: float, given: Mapping[str, Any]) -> Values:
    """Return the value of every parameter: `given` (trained or drawn) first, else from its expression."""
    values: Values = {"dt": dt}
    for param in neuron.params:
        if param.name in given:
            values[param.name] = np.asarray(given[param.name], float)
        else:
            assert not isinstance(param.value, model.Drawn), f"{param.name} is drawn: its value must be given"
            values[param.name] = evaluate(param.value, values)
    return values


def body_constants(body: Body, neuron: model.Neuron, dt: float, given: Mapping[str, Any]) -> Values:
    """Return the parameters of `neuron` and the coefficients of `body`, which layers with other values may share."""
    values = parameter_numbers(neuron, dt, given)
    for coefficient in body.coefficients:
        values[coefficient.target] = evaluate(coefficient.value, values)
    return values


def start_body(body: Body, constants: Values, shape: tuple[int, ...], given: Mapping[str, Any]) -> Values:
    """Return the slots before the first step; drawn ones must be `given`."""
    state: Values = {}
    for slot in body.slots:
        if slot.name in given:
            state[slot.name] = np.broadcast_to(np.asarray(given[slot.name], float), shape).copy()
        else:
            assert not isinstance(slot.init, model.Drawn), f"{slot.name} is drawn: its value must be given"
            state[slot.name] = np.broadcast_to(evaluate(slot.init, {**constants, **state}), shape).astype(float)
    return state


def step_body(body: Body, constants: Values, state: Values, ports: Values) -> tuple[Values, Values]:
    """Run one step; return the next slots and the published signals."""
    values = {**constants, **state, **ports}
    for statement in body.statements:
        match statement:
            case Assign(target, value):
                values[target] = evaluate(value, values)
            case Fire(target, condition, _, _):
                values[target] = np.asarray(evaluate(condition, values)).astype(float)
            case Integrate(targets, slopes, method, substeps):
                start = [values[t] for t in targets]
                end = _METHODS[method](targets, slopes, values, start, constants["dt"] / substeps, substeps)
                values.update(zip(targets, end, strict=True))
            case Locate():
                values.update(_located(statement, values, constants["dt"]))
    shape = next(iter(state.values())).shape if state else ()
    after = {slot.name: np.broadcast_to(values[slot.name], shape).astype(float) for slot in body.slots}
    return after, {p.name: values[p.variable] for p in body.published}


def _located(statement: Locate, values: Values, dt: float) -> Values:
    """One step through at most one spike; the crossing is bisected, then found to rounding by Newton's method."""
    names = statement.targets
    start = [np.asarray(values[n], float) for n in names]
    scale = np.asarray(evaluate(statement.margin, values), float)
    start = [np.broadcast_to(x, np.broadcast_shapes(x.shape, scale.shape)) for x in start]

    def flow(x: list[Any], h: Any) -> list[Any]:
        y = x
        for k in range(statement.order, 0, -1):
            y = [a + h / k * d for a, d in zip(x, _slopes(names, statement.slopes, values, y), strict=True)]
        return y

    def margin(x: list[Any]) -> Array:
        return np.asarray(evaluate(statement.margin, {**values, **dict(zip(names, x, strict=True))}), float)

    end = flow(start, dt)
    fired = margin(end) >= 0
    low, high = np.zeros(fired.shape), np.full(fired.shape, dt)
    for _ in range(60):
        middle = 0.5 * (low + high)
        above = margin(flow(start, middle)) >= 0
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    before = dict(zip(names, flow(start, high), strict=True))
    reset = [np.broadcast_to(evaluate(r, {**values, **before}), fired.shape) for r in statement.resets]
    after = flow(reset, dt - high)
    found = {n: np.where(fired, a, e) for n, a, e in zip(names, after, end, strict=True)}
    return {**found, "spike": fired.astype(float), "rest": np.where(fired, dt - high, 0.0)}


def _slopes(targets: tuple[str, ...], slopes: tuple[Expr, ...], values: Values, at: list[Any]) -> list[Any]:
    local = {**values, **dict(zip(targets, at, strict=True))}
    return [evaluate(slope, local) for slope in slopes]


def _euler(targets: Any, slopes: Any, values: Values, x: list[Any], h: float, n: int) -> list[Any]:
    for _ in range(n):
        x = [a + h * k for a, k in zip(x, _slopes(targets, slopes, values, x), strict=True)]
    return x


def _rk2(targets: Any, slopes: Any, values: Values, x: list[Any], h: float, n: int) -> list[Any]:
    for _ in range(n):
        first = _slopes(targets, slopes, values, x)
        middle = [a + h / 2 * k for a, k in zip(x, first, strict=True)]
        x = [a + h * k for a, k in zip(x, _slopes(targets, slopes, values, middle), strict=True)]
    return x


def _rk4(targets: Any, slopes: Any, values: Values, x: list[Any], h: float, n: int) -> list[Any]:
    def moved(k: list[Any], share: float) -> list[Any]:
        return [a + share * h * b for a, b in zip(x, k, strict=True)]

    for _ in range(n):
        k1 = _slopes(targets, slopes, values, x)
        k2 = _slopes(targets, slopes, values, moved(k1, 0.5))
        k3 = _slopes(targets, slopes, values, moved(k2, 0.5))
        k4 = _slopes(targets, slopes, values, moved(k3, 1.0))
        x = [a + h / 6 * (p + 2 * q + 2 * r + s) for a, p, q, r, s in zip(x, k1, k2, k3, k4, strict=True)]
    return x


_METHODS = {"euler": _euler, "rk2": _rk2, "rk4": _rk4}


# ---- networks -------------------------------------------------------------------


@dataclass(slots=True)
class Recording:
    """Signals of a run by dotted name (`h.spike`, `h.v.pre`, an operation's path), each [T, B, ...]."""

    steps: list[dict[str, Array]] = field(default_factory=list)

    def __getitem__(self, name: str) -> Array:
        return np.stack([step[name] for step in self.steps])


def run_network(
    plan: StepPlan,
    inputs: Mapping[str, Array],
    weights: Mapping[str, Array],
    *,
    given: Mapping[str, Any] | None = None,
    chances: Mapping[str, Array] | None = None,
    masks: Mapping[str, Array] | None = None,
    train: bool = False,
    after_step: Callable[[dict[str, Array]], None] | None = None,
) -> Recording:
    """Run a network step by step.

    `inputs` are [T, B, ...] by name; `weights` the arrays of operations by path (`pixels_h.dense.w`); `given` the values of
    trained and drawn parameters and drawn states by dotted name; `chances` uniform numbers [T, B, ...] for layers with
    escape noise; `masks` dropout masks [B, ...] by path (1 without).
    With `train` the delays that are trained are spread by their kernel, else they are rounded.
    `after_step` gets all signals of each step, and may change `weights`.
    """
    network, given = plan.network, given or {}
    steps, batch = next(iter(inputs.values())).shape[:2]
    layers = {layer.name: layer for layer in network.layers}
    own = {n: {k.rsplit(".", 1)[1]: v for k, v in given.items() if k.rsplit(".", 1)[0] == n} for n in layers}
    constants = {n: body_constants(plan.body(n), layers[n].neuron, network.dt, own[n]) for n in layers}
    states = {n: start_body(plan.body(n), constants[n], (batch, *layers[n].shape), own[n]) for n in layers}
    past = _before(plan, states, weights, batch)
    taps = {
        node.name: _taps(node, node.op, network.dt, given, train)
        for node in network.operations
        if isinstance(node.op, WithTimes)
    }
    recording = Recording()
    history: list[dict[str, Array]] = []
    for n in range(steps):
        now: dict[str, Array] = {name: np.asarray(x[n], float) for name, x in inputs.items()}
        for node in plan.order:
            if isinstance(node, model.Layer):
                _layer_step(node, plan, constants, states, now, chances or {}, n)
            elif isinstance(node.op, Delay):
                _delay_step(node, node.op, now, history, past, n)
            elif isinstance(node.op, WithTimes):
                now[node.name] = _late(node, node.op, now, history, past, n, weights, taps[node.name])
            else:
                now[node.name] = _operate(node, now, weights, masks or {}, given, n)
        history.append(now)
        recording.steps.append(now)
        if after_step is not None:
            after_step(now)
    return recording


def _signal(signal: model.Signal) -> str:
    name = f"{signal.node}.{signal.name}" if signal.name else signal.node
    return f"{name}.pre" if signal.pre else name


def _layer_step(
    node: model.Layer,
    plan: StepPlan,
    constants: Mapping[str, Values],
    states: dict[str, Values],
    now: dict[str, Array],
    chances: Mapping[str, Array],
    n: int,
) -> None:
    ports: Values = {}
    for port, signals in node.ports:
        total = now[_signal(signals[0])]
        for signal in signals[1:]:
            total = total + now[_signal(signal)]
        ports[port] = total
    if node.name in chances:
        ports[CHANCE] = chances[node.name][n]
    states[node.name], published = step_body(plan.body(node.name), constants[node.name], states[node.name], ports)
    now.update({f"{node.name}.{name}": value for name, value in published.items()})


def _delay_step(
    node: model.OpNode,
    op: Delay,
    now: dict[str, Array],
    history: list[dict[str, Array]],
    past: Mapping[str, Array],
    n: int,
) -> None:
    source = _signal(node.sources[0])
    if op.steps == 0:
        now[node.name] = now[source]
    else:
        now[node.name] = history[n - op.steps][source] if n >= op.steps else past[source]


def _taps(node: model.OpNode, op: WithTimes, dt: float, given: Mapping[str, Any], train: bool) -> Array:
    """The weights of past steps; `given` has trained delays in ms, fixed ones in steps, and a width of a kernel that changes."""
    delay = np.asarray(given[f"{node.name}.delay"], float) / (dt if op.times.trainable else 1.0)
    start = None if op.times.sigma is None else op.times.sigma.start
    return np.asarray(op.times.tap_values(delay, given.get(f"{node.name}.sigma", start), train))


def _late(
    node: model.OpNode,
    op: WithTimes,
    now: Mapping[str, Array],
    history: list[dict[str, Array]],
    past: Mapping[str, Array],
    n: int,
    weights: Mapping[str, Array],
    taps: Array,
) -> Array:
    """One step of an operation whose units or synapses have delays of their own."""
    source = _signal(node.sources[0])
    rows = [now[source] if k == 0 else history[n - k][source] if n >= k else past[source] for k in _back(op)]
    own = {w.name: np.asarray(weights[f"{node.name}.{w.name}"], float) for w in op.weights()}
    return np.asarray(op.step_value(np.stack([np.broadcast_to(row, rows[-1].shape) for row in rows]), taps, own))


def _back(op: WithTimes) -> range:
    return range(op.times.last, op.times.first - 1, -1)


def _operate(
    node: model.OpNode,
    now: Mapping[str, Array],
    weights: Mapping[str, Array],
    masks: Mapping[str, Array],
    given: Mapping[str, Any],
    n: int,
) -> Array:
    """The result of an operation in step n; the buffers that it reads are those `given`, or as they start."""
    own = {w.name: np.asarray(weights[node.path(w.name)], float) for w in node.op.weights()}
    own |= {
        b.name: np.asarray(given.get(f"{node.name}.{b.name}", np.full(b.shape, b.start))) for b in node.op.buffers()
    }
    parts: tuple[Weight | Buffer, ...] = (*node.op.weights(), *node.op.buffers())
    own |= {part.name: own[part.name][n] for part in parts if part.by_step}
    if isinstance(node.op, Dropout):
        own["mask"] = masks.get(node.name, np.ones(()))
    return np.asarray(node.op.value(tuple(now[_signal(source)] for source in node.sources), own))


def _before(plan: StepPlan, states: Mapping[str, Values], weights: Mapping[str, Array], batch: int) -> dict[str, Array]:
    """The signals before the first step: spikes and inputs are 0, states have their initial value."""
    now: dict[str, Array] = {i.name: np.zeros((batch, *i.shape)) for i in plan.network.inputs}
    for layer in plan.network.layers:
        zero = np.zeros((batch, *layer.shape))
        now |= {f"{layer.name}.{s}": zero for s in ("spike", "rest", *(p.name for p in layer.neuron.ports))}
        for state in layer.neuron.states:
            now[f"{layer.name}.{state.name}"] = now[f"{layer.name}.{state.name}.pre"] = states[layer.name][state.name]
    left = list(plan.network.operations)
    while left:
        node = next(n for n in left if all(_signal(source) in now for source in n.sources))
        source = now[_signal(node.sources[0])]
        if isinstance(node.op, BatchNorm | LayerNorm):  # there is nothing yet to take statistics of
            now[node.name] = np.zeros_like(source)
        else:
            now[node.name] = source if isinstance(node.op, Delay) else _operate(node, now, weights, {}, {}, 0)
        left.remove(node)
    return now
