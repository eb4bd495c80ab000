"""Exact first-spike times (`learn = ttfs()`): which networks have them in closed form, and with which constants.

Needed: spikes that act at their own time, every layer a current-based LIF with tau_m = tau_s or tau_m = 2 tau_s that spikes
once at most, plain `dense` edges without a circle, one spike for each unit of an input, and an objective of first spikes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from snnc import model
from snnc.diagnostics import Code, CompileError, Findings, fail
from snnc.expr import Apply, Expr, Num, Var, substitute, walk
from snnc.lower.affine import NonLinearError, affine
from snnc.ops.dense import Dense
from snnc.plan import StepPlan
from snnc.semantics.constants import constant
from snnc.semantics.parameters import parameter_values
from snnc.source import Span

RATIOS = {1.0: "equal", 2.0: "double"}  # tau_m / tau_s -> the closed form
FIRST = "first_spike_time"


@dataclass(frozen=True, slots=True)
class Membrane:
    """What the closed form needs of a layer; times in ms. A spike of weight w jumps the current by w.

    `theta` is the threshold for a current that charges by `tau_m v' = i - v`.
    """

    form: str  # of RATIOS
    tau_m: float
    tau_s: float
    theta: float


def check_first_spikes(plan: StepPlan, recipe: model.Recipe, findings: Findings) -> None:
    """Collect what keeps first spikes from having a closed form in this network."""
    network = plan.network
    if not network.located:
        _refuse(
            findings, recipe.rule.span,
            f"spikes of `{network.name}` act on the grid of `dt`, and `ttfs` takes them at their own time",
            "write `events = located` in the network",
        )  # fmt: skip
        return
    for group in plan.groups:
        if group.loop:
            names = ", ".join(f"`{node.name}`" for node in group.nodes)
            _refuse(
                findings, group.nodes[-1].span, f"`ttfs` takes one layer after the other, and these wait for each other: {names}",
                "take the recurrent edge out",
            )  # fmt: skip
            return
    for edge in network.plastic:
        _refuse(
            findings,
            edge.span,
            "`ttfs` learns every weight by its gradient, and this edge has a rule of its own",
            "take it out",
        )
    _check_edges(network, findings)
    _check_inputs(network, recipe, findings)
    for layer in network.layers:
        try:
            membrane_of(layer, network.dt)
            _check_single(layer, network.dt, recipe)
        except CompileError as error:
            findings.items += error.diagnostics
    _check_objective(network, recipe, findings)


def membrane_of(layer: model.Layer, dt: float) -> Membrane:
    """Return the constants of a layer.

    Raises:
        CompileError: E0513 with the term that makes it no current-based LIF, or the ratio of its time constants.
    """
    neuron = layer.neuron
    values = _fixed_values(layer, dt)
    port = _only_port(layer)
    if neuron.step:
        raise _no_current_lif(layer, neuron.span, "it has a difference equation")
    current, jump = _jump(layer, port, values)
    if len(neuron.states) != 2 or len(neuron.equations) != 2 or len(neuron.spikes) != 1:
        raise _no_current_lif(
            layer, neuron.span, f"states: {len(neuron.states)}, spike conditions: {len(neuron.spikes)}"
        )
    voltage = next(s.name for s in neuron.states if s.name != current)
    for state in neuron.states:
        if isinstance(state.init, model.Drawn) or constant(state.init, values) != 0.0:
            raise _no_current_lif(layer, state.span, f"`{state.name}` does not start at 0")
    slopes = {u.target: _linear(layer, u.value, u.span, (current, voltage), values) for u in neuron.equations}
    spans = {u.target: u.span for u in neuron.equations}
    for target, (factors, rest) in slopes.items():
        if rest != 0.0 or factors[target] >= 0.0 or (target == current and factors[voltage] != 0.0):
            raise _no_current_lif(
                layer, spans[target], "this is no decay of a current, or of a potential that it charges"
            )
    rule = neuron.spikes[0]
    if rule.margin is None or rule.emit is not None:
        spoken = "spikes by chance" if rule.margin is None else "emits spikes of other sizes than 1"
        raise _no_current_lif(layer, rule.span, f"it {spoken}")
    factors, rest = _linear(layer, rule.margin, rule.span, (current, voltage), values)
    gain = jump * slopes[voltage][0][current]
    if factors[current] != 0.0 or factors[voltage] <= 0.0 or rest >= 0.0 or gain <= 0.0:
        raise _no_current_lif(layer, rule.span, f"its spike is not `{voltage}` reaching a threshold above 0")
    tau_m, tau_s = -1.0 / slopes[voltage][0][voltage], -1.0 / slopes[current][0][current]
    form = next((word for ratio, word in RATIOS.items() if math.isclose(tau_m / tau_s, ratio, rel_tol=1e-9)), None)
    if form is None:
        raise fail(
            Code.ILLEGAL_RULE, layer.span,
            f"`{layer.name}` has time constants of {tau_m:g} ms and {tau_s:g} ms, a ratio of {tau_m / tau_s:g}; "
            "first spikes have a closed form at the ratios 1 and 2",
            help=f"make the membrane's {tau_s:g} ms or {2 * tau_s:g} ms",
        )  # fmt: skip
    return Membrane(form, tau_m, tau_s, -rest / factors[voltage] / (gain * tau_m))


def first_spike_readouts(network: model.Network) -> dict[Apply, str]:
    """Return each layer's `first_spike_time(LAYER.spike)` with the layer's name."""
    return {Apply(FIRST, (Var(f"signal:{layer.name}.spike"),)): layer.name for layer in network.layers}


def _fixed_values(layer: model.Layer, dt: float) -> dict[str, float]:
    for param in layer.neuron.params:
        if param.trainable or isinstance(param.value, model.Drawn) or param.per != "layer":
            word = "is trained" if param.trainable else "differs between neurons"
            raise fail(
                Code.ILLEGAL_RULE, layer.span, f"`{param.name}` of `{layer.name}` {word}; the closed form of `ttfs` takes "
                "fixed numbers, and learns weights", help="give it one value",
            )  # fmt: skip
    return parameter_values(layer.neuron.params, dt)


def _only_port(layer: model.Layer) -> str:
    fed = [name for name, signals in layer.ports if signals]
    kinds = {port.name: port.kind for port in layer.neuron.ports}
    wrong = next((name for name in fed if kinds[name] != "event"), None)
    if wrong is not None or len(fed) != 1:
        what = f"`{wrong}` holds its value over time" if wrong is not None else f"{len(fed)} of its ports are fed"
        raise _no_current_lif(layer, layer.span, what)
    return fed[0]


def _jump(layer: model.Layer, port: str, values: dict[str, float]) -> tuple[str, float]:
    """Return the state that an arriving spike moves, and by how much for a weight of 1."""
    jumps = [u for u in (*layer.neuron.start_jumps, *layer.neuron.end_jumps) if u.value != Var(u.target)]
    if len(jumps) != 1:
        raise _no_current_lif(layer, layer.neuron.span, f"a spike moves {len(jumps)} of its states")
    (update,) = jumps
    factors, rest = _linear(layer, update.value, update.span, (update.target, port), values)
    if factors[update.target] != 1.0 or rest != 0.0:
        raise _no_current_lif(layer, update.span, "this is no jump by the weight of a spike")
    slopes = {u.target: u.value for u in layer.neuron.equations}
    if not any(update.target in _names(value) for target, value in slopes.items() if target != update.target):
        raise _no_current_lif(
            layer,
            update.span,
            f"`{update.target}` jumps itself, so that the time of a spike does not move with the weights",
        )
    return update.target, factors[port]


def _names(expr: Expr) -> set[str]:
    return {node.name for node in walk(expr) if isinstance(node, Var)}


def _linear(
    layer: model.Layer, expr: Expr, span: Span, names: tuple[str, ...], values: dict[str, float]
) -> tuple[dict[str, float], float]:
    """Return the factor of each of `names` in `expr`, and the rest, as numbers."""
    ports = {port.name: port.default or Num(0.0) for port in layer.neuron.ports if port.name not in names}
    try:
        factors, rest = affine(substitute(expr, ports), names)
    except NonLinearError as error:
        term = error.term.span if isinstance(error.term, Apply) and error.term.span.text else span
        raise _no_current_lif(layer, term, "this is not linear") from None
    numbers = {name: constant(factors.get(name, Num(0.0)), values) for name in names}
    whole = constant(rest, values)
    if whole is None or any(number is None for number in numbers.values()):
        raise _no_current_lif(layer, span, "this does not have fixed numbers as factors")
    return {name: number or 0.0 for name, number in numbers.items()}, whole


def _no_current_lif(layer: model.Layer, span: Span, why: str) -> CompileError:
    place = (
        span if span.source.path == layer.span.source.path else layer.span
    )  # the standard library is no place to change
    return fail(
        Code.ILLEGAL_RULE, place, f"`{layer.name}` ({layer.neuron.name}) is no current-based LIF, as `ttfs` needs: {why}",
        help="use `CubaLIF` of std.neurons, whose current jumps and charges the membrane",
    )  # fmt: skip


def _check_edges(network: model.Network, findings: Findings) -> None:
    """Refuse anything between layers but spikes through weights."""
    for node in network.operations:
        (source,) = node.sources[:1]
        wrong = ""
        if not isinstance(node.op, Dense) or len(node.in_shapes[0]) != 1:
            wrong = f"`{node.op.kind}` stands on their way"
        elif node.op.bias:
            wrong = "a bias stands on their way"
        elif isinstance(network.node(source.node), model.Layer) and source.name != "spike":
            wrong = f"this reads `{source.node}.{source.name}`"
        if wrong:
            _refuse(
                findings, node.span, f"`ttfs` knows weighted spikes only, and {wrong}",
                "connect layers of one axis by `dense()` alone",
            )  # fmt: skip
    for layer in network.layers:
        direct = [s.node for _, signals in layer.ports for s in signals if s.node not in _operations(network)]
        if direct:
            _refuse(
                findings, layer.span,
                f"`ttfs` knows weighted spikes only, and `{direct[0]}` goes into `{layer.name}` without weights",
                "connect them by `dense()`",
            )  # fmt: skip


def _operations(network: model.Network) -> set[str]:
    return {node.name for node in network.operations}


def _check_single(layer: model.Layer, dt: float, recipe: model.Recipe) -> None:
    """Refuse a neuron whose refractory period ends within the presentation."""
    period = layer.neuron.refractory
    rest = 0.0 if period is None else constant(period, parameter_values(layer.neuron.params, dt)) or 0.0
    length = (recipe.steps or 0) * dt
    if rest < length * (1 - 1e-9):
        raise fail(
            Code.ILLEGAL_RULE, layer.span,
            f"`{layer.name}` may spike more than once: it is refractory for {rest:g} ms, and a sample lasts {length:g} ms",
            help=f"`ttfs` takes one spike a neuron; write `{layer.neuron.name}(refractory = {length:g} ms)`",
        )  # fmt: skip


def _check_inputs(network: model.Network, recipe: model.Recipe, findings: Findings) -> None:
    encoder = recipe.data.encoder
    if encoder is None or encoder.name != "latency":
        what = "no encoder" if encoder is None else f"`{encoder.name}`"
        _refuse(
            findings, recipe.data.span, f"`ttfs` takes one spike a unit of an input, and `{recipe.data.name}` ends with {what}",
            "encode the values by `latency(late = …)`",
        )  # fmt: skip
    if recipe.precision != "f32":
        _refuse(
            findings, recipe.span, f"`ttfs` computes in float32, and `precision` is `{recipe.precision}`", "take it out"
        )
    for setting, used in (
        ("carry", recipe.carry),
        ("burn_in", recipe.burn_in > 0),
        ("length", recipe.length is not None),
    ):
        if used:
            _refuse(
                findings, recipe.span, f"`ttfs` has no steps that `{setting}` could count or go on from", "take it out"
            )


def _check_objective(network: model.Network, recipe: model.Recipe, findings: Findings) -> None:
    """Refuse an objective or an output that reads anything of a layer but its first spikes."""
    known = first_spike_readouts(network)
    read = [(t.value, t.span) for t in (recipe.loss, *recipe.penalties, *recipe.metrics)]
    for value, span in (*read, *((o.value, o.span) for o in network.outputs)):
        inside = {id(part) for node in walk(value) if node in known for part in walk(node)}
        for node in walk(value):
            if isinstance(node, Var) and node.name.startswith(("signal:", "op:", "input:")) and id(node) not in inside:
                what = node.name.partition(":")[2]
                _refuse(
                    findings, span,
                    f"`ttfs` computes the time of each neuron's first spike and nothing else, and this reads `{what}`",
                    f"read `{FIRST}({network.layers[-1].name}.spike)`, without a window" if network.layers else "read a layer",
                )  # fmt: skip
                return


def _refuse(findings: Findings, span: Span, message: str, help: str) -> None:
    findings.add(Code.ILLEGAL_RULE, span, message, help=help)
