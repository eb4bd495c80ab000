"""Warnings over a whole model: legal, and probably not meant.

W0109 estimates the free potential of every spiking layer at the initial weights. What reaches a port in a step is taken as
C + N, with C the same in all steps of a sample and N independent from step to step, both spread over units and samples by the
draws of the weights. The layer's own step, run without spikes, gives its response to one unit in one step, and so
mean and spread of the potential in every step (Rossbroich, Gygax & Zenke 2022 give the stationary case).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from snnc import model
from snnc.diagnostics import Code, Findings, Label
from snnc.expr import Apply, Expr, Var, walk
from snnc.interp import Array, Values, body_constants, start_body, step_body
from snnc.ops.conv import Conv
from snnc.ops.delays import UnitDelays
from snnc.ops.dense import Dense
from snnc.ops.elementwise import Bias, Flatten, Reshape, Scale, Transpose
from snnc.ops.memory import Delay, Dropout
from snnc.ops.operation import Init
from snnc.ops.pools import MaxPool, SumPool, Upsample
from snnc.plan import Body, Fire, StepPlan
from snnc.probe import PROBE, without_spikes
from snnc.semantics.parameters import central_values
from snnc.source import Span
from snnc.units import ONE, unit_name


def trained_by(recipe: model.Recipe, network: model.Network) -> list[Expr]:
    """Return every part of the loss, outputs with their parts included."""
    outputs = {f"output:{o.name}": o.value for o in network.outputs}
    own = list(walk(recipe.loss.value))
    return own + [n for v in own if isinstance(v, Var) and v.name in outputs for n in walk(outputs[v.name])]


# ---- maxima that rest ------------------------------------------------------------------


def check_maxima(plan: StepPlan, recipe: model.Recipe, findings: Findings) -> None:
    """Warn of a loss on the maximum of a potential that starts where it rests."""
    layers = {layer.name: layer for layer in plan.network.layers}
    for node in trained_by(recipe, plan.network):
        if not isinstance(node, Apply) or node.fn != "max_over_time" or node.attr("start"):
            continue
        read = node.args[0]
        if not isinstance(read, Var) or not read.name.startswith("signal:"):
            continue
        found = model.signal_of(read.name)
        name, signal = found.node, found.name
        if name in layers and _rests(layers[name], plan, signal):
            findings.add(
                Code.RESTING_MAXIMUM, node.span,
                f"a unit of `{name}` whose `{signal}` only falls has its maximum where it starts, and learns nothing",
                help=f"use `mean_over_time({name}.{signal})`",
            )  # fmt: skip


def _rests(layer: model.Layer, plan: StepPlan, signal: str) -> bool:
    """Whether `signal` is a state of a layer without spikes that rests at its initial value and returns to it."""
    body = plan.body(layer.name)
    drawn = any(isinstance(s.init, model.Drawn) for s in body.slots)
    if layer.neuron.spikes or drawn or signal not in {s.name for s in body.slots}:
        return False
    constants = body_constants(
        body, layer.neuron, plan.network.dt, central_values(layer.neuron.params, plan.network.dt)
    )
    before = start_body(body, constants, (2,), {})
    start = before[signal].copy()
    before[signal] = start + np.array([0.0, 1.0])
    after, _ = step_body(body, constants, before, {p: np.zeros(2) for p in body.ports})
    still, moved = after[signal] - start
    return abs(float(still)) < 1e-9 and 0.0 <= float(moved) < 1.0


# ---- silent layers -------------------------------------------------------------------------

HIDDEN_RATE = 0.02  # 1/ms, of spikes whose rate nothing tells
HELD_VALUE = 0.5  # of a real input
SPREAD = 4.0  # deviations that a potential is granted
MAX_STEPS = 1000


@dataclass(frozen=True, slots=True)
class _Drive:
    """What arrives in a step: C (`mean`, variance `fixed`) and N (variance `noise`).

    `event` is what one spike brings at most; `share` of the sources may spike in one and the same step.
    """

    mean: float
    fixed: float = 0.0
    noise: float = 0.0
    event: float = 0.0
    share: float = 0.0

    def __add__(self, other: _Drive) -> _Drive:
        return _Drive(
            self.mean + other.mean,
            self.fixed + other.fixed,
            self.noise + other.noise,
            max(self.event, other.event),
            max(self.share, other.share),
        )

    def times(self, factor: float) -> _Drive:
        square = factor * factor
        return _Drive(
            self.mean * factor, self.fixed * square, self.noise * square, self.event * abs(factor), self.share
        )


def init_moments(init: Init, fan_in: int, fan_out: int) -> tuple[float, float]:
    """Return mean and standard deviation of one weight; of one within limits, as if it were drawn from a normal distribution.

    >>> init_moments(Init("uniform", (("low", 0.0), ("high", 12.0))), 1, 1)[0]
    6.0
    """
    mean, std = _free_moments(init, fan_in, fan_out)
    if init.limits is None:
        return mean, std
    inside = np.clip(mean + std * np.array([NormalDist().inv_cdf((k + 0.5) / 200) for k in range(200)]), *init.limits)
    return float(inside.mean()), float(inside.std())


def _free_moments(init: Init, fan_in: int, fan_out: int) -> tuple[float, float]:
    options = dict(init.options)
    gain = options.get("gain", 1.0)
    match init.name:
        case "kaiming_uniform":
            return 0.0, gain / math.sqrt(3 * fan_in)
        case "kaiming_normal":
            return 0.0, gain / math.sqrt(fan_in)
        case "lecun_uniform" | "lecun_normal":
            return 0.0, 1 / math.sqrt(fan_in)
        case "xavier_uniform" | "xavier_normal":
            return 0.0, gain * math.sqrt(2 / (fan_in + fan_out))
        case "orthogonal":
            return 0.0, gain / math.sqrt(max(fan_in, fan_out))
        case "normal":
            return options["mean"], options["std"]
        case "uniform":
            return (options["low"] + options["high"]) / 2, (options["high"] - options["low"]) / math.sqrt(12)
        case "constant":
            return options["value"], 0.0
    return 0.0, 0.0


@np.errstate(all="ignore")  # numbers that are far too large become infinite, and nothing is said of them
def check_silence(plan: StepPlan, recipe: model.Recipe, findings: Findings) -> None:
    """Warn of each spiking layer that even a potential `SPREAD` deviations above its mean leaves below threshold."""
    if recipe.start is not None:
        return  # its weights are trained ones
    chances: dict[str, float] = {}  # of a spike in a step
    for node in plan.order:
        if isinstance(node, model.Layer) and node.ports:
            drives = {port: _port_drive(node, signals, plan, recipe, chances) for port, signals in node.ports}
            known = {port: drive for port, drive in drives.items() if drive is not None}
            if len(known) == len(drives):
                _check_layer(node, known, plan, recipe, chances, findings)


def _check_layer(
    layer: model.Layer,
    drives: dict[str, _Drive],
    plan: StepPlan,
    recipe: model.Recipe,
    chances: dict[str, float],
    findings: Findings,
) -> None:
    found = _margin_responses(layer, plan, recipe.steps or MAX_STEPS)
    if found is None:
        return
    distance, responses = found
    mean, variance, event = np.zeros_like(distance), np.zeros_like(distance), np.zeros_like(distance)
    for port, drive in drives.items():
        held = np.cumsum(responses[port])
        mean += drive.mean * held
        variance += drive.fixed * held**2 + drive.noise * np.cumsum(responses[port] ** 2)
        event = np.maximum(event, drive.event * np.maximum.accumulate(np.abs(responses[port])))
    std = np.sqrt(variance)
    reached = (mean + np.maximum(SPREAD * std, event)) / distance
    best = int(np.argmax(reached))
    chance = max(0.5 * math.erfc(z / math.sqrt(2)) for z in np.nan_to_num((distance - mean) / std, nan=np.inf))
    chances[layer.name] = max(chance, HIDDEN_RATE * plan.network.dt)
    if not reached[best] < 1:  # also where numbers are so large that nothing can be said
        return
    lift = max(float(mean[best]), 0.0) + float(std[best])
    factor = float(distance[best]) / lift if lift > 0 else math.inf
    span, inputs, better = _described(layer, plan, recipe, chances, factor)
    findings.add(
        Code.SILENT_LAYER, layer.span,
        f"`{layer.name}` will stay silent at the initial weights: {inputs} lift it to "
        f"{_short(min(99.0, max(0.0, 100 * float(reached[best]))))} % of its threshold",
        help=better,
        labels=() if span is None else (Label(span, "these weights"),),
    )  # fmt: skip


def _port_drive(
    layer: model.Layer,
    signals: tuple[model.Signal, ...],
    plan: StepPlan,
    recipe: model.Recipe,
    chances: Mapping[str, float],
) -> _Drive | None:
    """What arrives at a port; None if something on the way is not known. A silent layer gets nothing from itself."""
    total = _Drive(0.0)
    for signal in signals:
        node = plan.network.node(signal.node)
        if node is layer:
            continue
        found = _drive(layer, node, signal, plan, recipe, chances)
        if found is None:
            return None
        total += found
    return total


def _drive(
    layer: model.Layer,
    node: model.Node,
    signal: model.Signal,
    plan: StepPlan,
    recipe: model.Recipe,
    chances: Mapping[str, float],
) -> _Drive | None:
    if isinstance(node, model.Layer):
        if signal.name != "spike":
            return None
        chance = min(1.0, chances.get(node.name, HIDDEN_RATE * plan.network.dt))
        return _Drive(chance, 0.0, chance * (1 - chance), 1.0)
    if isinstance(node, model.Input):
        if node.kind != "spikes":
            encoder = recipe.data.encoder
            return _Drive(HELD_VALUE) if encoder is not None and encoder.name == "hold" else None
        chance = _input_chance(plan.network.dt, recipe)
        volley = recipe.data.encoder is not None and recipe.data.encoder.name == "latency"
        return _Drive(chance, 0.0, chance * (1 - chance), 1.0, HELD_VALUE if volley else 0.0)
    below = _port_drive(layer, node.sources, plan, recipe, chances)
    match node.op:
        case _ if below is None:
            return None
        case Dense() | Conv():
            fan_in, size = node.op.fan_in, node.op.size
            fan_out = node.op.fan_out if isinstance(node.op, Conv) else size
            mean, std = np.array(init_moments(node.op.init, fan_in, fan_out))
            together = max(1.0, below.share * fan_in)
            through = _Drive(
                mean=fan_in * mean * below.mean,
                fixed=fan_in * (std**2 * (below.mean**2 + below.fixed) + mean**2 * below.fixed),
                noise=fan_in * (std**2 + mean**2) * below.noise,
                event=below.event * (together * abs(mean) + math.sqrt(together) * SPREAD * std),
            )
            return through + _offset(node.op.bias_init, size) if node.op.bias else through
        case Bias(size, init):
            return below + _offset(init, size)
        case Scale(factor):
            return below.times(factor)
        case SumPool(window):
            taps = window.taps
            summed = _Drive(taps * below.mean, taps * below.fixed, taps * below.noise, below.event, below.share)
            return summed.times(node.op.factor)
        case MaxPool(window):
            chance = 1 - (1 - min(1.0, below.mean)) ** window.taps
            spiking = below.event == 1.0 and below.fixed == 0.0
            return _Drive(chance, 0.0, chance * (1 - chance), 1.0, below.share) if spiking else None
        case Flatten() | Reshape() | Transpose() | Delay() | UnitDelays() | Dropout() | Upsample():
            return below
    return None


def _offset(init: Init, size: int) -> _Drive:
    mean, std = np.array(init_moments(init, size, size))
    return _Drive(mean, std**2)


def _input_chance(dt: float, recipe: model.Recipe) -> float:
    """Return the mean chance of a spike of an input in a step."""
    encoder = recipe.data.encoder
    if encoder is not None and encoder.name == "rate":
        return min(1.0, HELD_VALUE * encoder.number("peak") * dt)
    if encoder is not None and encoder.name == "latency" and recipe.steps:
        return 1.0 / recipe.steps
    return min(1.0, HIDDEN_RATE * dt)


def _margin_responses(layer: model.Layer, plan: StepPlan, steps: int) -> tuple[Array, dict[str, Array]] | None:
    """Return how far below threshold the layer rests, and what one unit at each port in the first step adds, over the steps.

    None where that says nothing: chance decides, the layer fires by itself, or its response is not proportional to the input.
    """
    body, dt = plan.body(layer.name), plan.network.dt
    fires = [s for s in body.statements if isinstance(s, Fire)]
    if len(fires) != 1 or body.random or any(isinstance(s.init, model.Drawn) for s in body.slots):
        return None
    probe = without_spikes(body)
    constants = body_constants(probe, layer.neuron, dt, central_values(layer.neuron.params, dt))
    ports = [port for port, _ in layer.ports]
    with np.errstate(all="ignore"):
        small = np.full(len(ports), 1e-3)
        rest, moved = _margins(probe, constants, ports, small, min(steps, MAX_STEPS))
        response = moved / small
        peak = np.abs(response).max(axis=0)
        if not (np.isfinite(response).all() and (rest < 0).all()):
            return None
        large = np.where(peak > 0, -rest.max() / np.where(peak > 0, peak, 1.0), 1.0)
        _, again = _margins(probe, constants, ports, large, len(rest))
        if not (np.abs(again / large - response) <= 1e-3 * peak).all():
            return None
    return -rest, {port: response[:, k] for k, port in enumerate(ports)}


def _margins(probe: Body, constants: Values, ports: list[str], sizes: Array, steps: int) -> tuple[Array, Array]:
    """Return the margin of each step without input, and what an input of each size in the first step adds to it."""
    state = start_body(probe, constants, (1 + len(ports),), {})
    seen = []
    for n in range(steps):
        arrives = {port: np.zeros(1 + len(ports)) for port in ports}
        for k, port in enumerate(ports):
            arrives[port][k + 1] = sizes[k] if n == 0 else 0.0
        state, published = step_body(probe, constants, state, arrives)
        seen.append(np.broadcast_to(published[PROBE], (1 + len(ports),)))
    margins = np.stack(seen)
    return margins[:, 0], margins[:, 1:] - margins[:, :1]


def _described(
    layer: model.Layer, plan: StepPlan, recipe: model.Recipe, chances: Mapping[str, float], factor: float
) -> tuple[Span | None, str, str]:
    """Return where the weights before a layer stand, what they carry, and what would make them larger."""
    nodes = [plan.network.node(s.node) for _, signals in layer.ports for s in signals]
    while nodes and not (isinstance(nodes[0], model.OpNode) and isinstance(nodes[0].op, Dense | Conv)):
        head = nodes.pop(0)
        nodes = [plan.network.node(s.node) for s in head.sources] + nodes if isinstance(head, model.OpNode) else nodes
    if not nodes:
        return None, "its inputs", "put weights in between"
    dense = nodes[0]
    assert isinstance(dense, model.OpNode)
    assert isinstance(dense.op, Dense | Conv)
    op, source = dense.op, plan.network.node(dense.sources[0].node)
    while isinstance(source, model.OpNode):
        source = plan.network.node(source.sources[0].node)
    dt = plan.network.dt
    chance = (
        chances.get(source.name, HIDDEN_RATE * dt) if isinstance(source, model.Layer) else _input_chance(dt, recipe)
    )
    spiking = isinstance(source, model.Layer) or source.kind == "spikes"
    each = f"at {_short(1000 * chance / dt)} Hz" if spiking else f"of {HELD_VALUE:g}"
    unit = "" if op.dimension == ONE else f" {unit_name(op.dimension)}"

    def written(times: float) -> str:
        texts = []
        for name, value in op.init.options:
            texts.append(_short(value * times) + ("" if name == "gain" else unit))
        return f"`{op.init.name}({', '.join(texts)})`"

    if not math.isfinite(factor):
        better = "draw the weights from `kaiming_uniform()`"
    else:
        better = f"make the weights about {_short(factor)} times as large" + (
            f", as by {written(factor)}" if op.init.options else ""
        )
    if spiking:
        better += f", or use `fluctuation(rate = {_short(1000 * chance / dt)} Hz)`"
    return dense.span, f"{op.fan_in} inputs {each} through {written(1.0)}", better


def _short(value: float) -> str:
    """Two digits, without an exponent as far as that reads well.

    >>> _short(1234.5), _short(0.01236)
    ('1200', '0.012')
    """
    return f"{float(f'{value:.2g}'):g}"
