"""Spikes at their crossing inside the step (`events = located`): a network of linear neurons as an ordinary one.

A spike at the time r before the end of its step has added exp(A r) e w to its target by then, where x' = A x + b are the
target's equations and e its jump. So each port that takes spikes becomes one for each state that the jump reaches, and what
arrives there goes through the operations of the edge times that state's entry of exp(A r) e, a power series in r.

Before: a network with `located`.  After: the same network on the grid, whose spiking neurons `snnc.lower.located_body` lowers.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import factorial

import numpy as np

from snnc import model
from snnc.diagnostics import Code, CompileError, fail
from snnc.expr import Apply, Expr, Var, apply, rewrite, substitute
from snnc.interp import evaluate
from snnc.lower.crossings import NoCrossingError, arrivals, check_tested, dynamics
from snnc.ops.delays import WithTimes
from snnc.ops.located import Arrival
from snnc.ops.memory import Dropout
from snnc.ops.operation import Shape
from snnc.semantics.parameters import parameter_values
from snnc.source import Span
from snnc.units import ONE

LINEAR = frozenset(
    ("dense", "conv", "sparse", "one_to_one", "inhibit", "flatten", "reshape", "transpose", "scale", "avg_pool", "sum_pool",
     "upsample", "delay")
)  # fmt: skip
EXACT = 1e-12  # the rest of a power series over one step
MAX_ORDER = 24


def series_order(matrix: np.ndarray, dt: float) -> int | None:
    """Return how many terms exp(A h) takes for h up to dt; None if dt is too long for a series."""
    size = float(np.abs(matrix).sum(axis=1).max(initial=0.0)) * dt
    return next((n for n in range(2, MAX_ORDER + 1) if size ** (n + 1) / factorial(n + 1) < EXACT), None)


def system_matrix(layer: model.Layer, dt: float) -> np.ndarray:
    """Return A of a layer, from the values of its parameters.

    Raises:
        CompileError: E0901 with what keeps its spikes from being located.
    """
    neuron = layer.neuron
    unfixed = next((p for p in neuron.params if p.trainable or isinstance(p.value, model.Drawn)), None)
    if unfixed is not None:
        raise refusal(layer.span, f"`{unfixed.name}` of `{layer.name}` is trained or drawn", "give it a fixed value")
    try:
        system = dynamics(neuron, [port for port, _ in layer.ports])
    except NoCrossingError as error:
        raise refusal(layer.span, f"`{neuron.name}` {error.reason}", error.help) from None
    values = parameter_values(neuron.params, dt)
    names = [s.name for s in neuron.states]
    cells = [
        [float(evaluate(system.matrix[r].get(c, apply("-", Var("dt"), Var("dt"))), values)) for c in names]
        for r in names
    ]
    return np.array(cells).reshape(len(names), len(names))


def refusal(span: Span, reason: str, help_: str) -> CompileError:
    return fail(Code.NOT_YET, span, f"not supported yet: `events = located` where {reason}", help=help_)


def on_the_grid(network: model.Network) -> model.Network:
    """Return a located network with its spikes carried to the end of their steps.

    Raises:
        CompileError: E0901 with what keeps its spikes from being located.
    """
    return _Carried(network).network()


@dataclass
class _Carried:
    """`made` are the operations that carry spikes, one for each state that they reach."""

    source: model.Network
    made: dict[tuple[str, str, str], model.OpNode] = field(default_factory=dict)  # by name, target and state
    owners: set[str] = field(default_factory=set)

    def network(self) -> model.Network:
        layers = {layer.name: self._layer(layer) for layer in self.source.layers}
        replaced = {name for name, _, _ in self.made}
        nodes: list[model.Node] = []
        for node in self.source.nodes:
            if isinstance(node, model.Layer):
                nodes.append(layers[node.name])
            elif node.name not in replaced:
                nodes.append(node)
        return replace(self.source, nodes=(*nodes, *self.made.values()))

    def _layer(self, layer: model.Layer) -> model.Layer:
        kinds = {p.name: p for p in layer.neuron.ports}
        states = [s.name for s in layer.neuron.states]
        late = {port: [s for s in signals if self._spikes(s)] for port, signals in layer.ports}
        wrong = next((port for port, signals in late.items() if signals and kinds[port].kind != "event"), None)
        if wrong is not None:
            raise refusal(
                layer.span, f"`{layer.name}.{wrong}` takes spikes for a whole step", "send them to an `event` port"
            )
        if not layer.neuron.spikes and not any(late.values()):
            return layer
        matrix = system_matrix(layer, self.source.dt)
        order = series_order(matrix, self.source.dt)
        if order is None:
            raise refusal(layer.span, f"`dt` is long for the time constants of `{layer.name}`", "choose a smaller `dt`")
        jumps = self._jumps(layer)
        try:
            check_tested(layer.neuron, late)
        except NoCrossingError as error:
            raise refusal(layer.span, f"`{layer.neuron.name}` {error.reason}", error.help) from None
        values = parameter_values(layer.neuron.params, self.source.dt)
        ports = [(port, tuple(s for s in signals if s not in late[port])) for port, signals in layer.ports]
        ports = [(port, signals) for port, signals in ports if signals]
        new: list[model.Port] = []
        added: dict[str, list[str]] = {s: [] for s in states}
        for port, signals in late.items():
            if not signals:
                continue
            jump = np.array(
                [float(evaluate(jumps[port].get(s, Apply("-", (Var("dt"), Var("dt")))), values)) for s in states]
            )
            powers = [np.linalg.matrix_power(matrix, k) @ jump / factorial(k) for k in range(order + 1)]
            for place, state in enumerate(states):
                series = tuple(float(p[place]) for p in powers)
                if any(series):
                    name = f"{port}_to_{state}"
                    carried = tuple(self._carry(s, f"{layer.name}_{port}", state, series) for s in signals)
                    ports.append((name, carried))
                    new.append(model.Port(name, "event", kinds[port].dimension, None, kinds[port].span))
                    added[state].append(name)
        neuron = replace(
            layer.neuron,
            ports=(*layer.neuron.ports, *new),
            start_jumps=(),
            end_jumps=self._end_jumps(layer.neuron, added),
        )
        return replace(layer, neuron=neuron, ports=tuple(ports))

    def _jumps(self, layer: model.Layer) -> dict[str, dict[str, Expr]]:
        neuron = layer.neuron
        events = [p.name for p in neuron.ports if p.kind == "event"]
        found: dict[str, dict[str, Expr]] = {port: {} for port in events}
        try:
            for updates in (neuron.start_jumps, neuron.end_jumps):
                for port, row in arrivals(neuron, updates, events).items():
                    found[port] |= row
        except NoCrossingError as error:
            raise refusal(layer.span, f"`{neuron.name}` {error.reason}", error.help) from None
        return found

    def _end_jumps(self, neuron: model.Neuron, added: dict[str, list[str]]) -> tuple[model.Update, ...]:
        """All that arrives by the end of the step, whatever its phase."""
        out = []
        for state in neuron.states:
            value: Expr = Var(state.name)
            span = next((e.span for e in neuron.equations if e.target == state.name), state.span)
            for update in (*neuron.start_jumps, *neuron.end_jumps):
                if update.target == state.name:
                    value, span = substitute(update.value, {state.name: value}), update.span
            for port in added[state.name]:
                value = apply("+", value, Var(port))
            if value != Var(state.name):
                out.append(model.Update(state.name, value, span))
        return tuple(out)

    def _spikes(self, signal: model.Signal) -> bool:
        node = self.source.node(signal.node)
        if isinstance(node, model.OpNode):
            return any(self._spikes(source) for source in node.sources)
        return isinstance(node, model.Layer) and signal.name == "spike"

    def _carry(self, signal: model.Signal, target: str, state: str, series: tuple[float, ...]) -> model.Signal:
        """Return what stands for a signal at one state of a target."""
        node = self.source.node(signal.node)
        key = (node.name, target, state)
        if key in self.made:
            return model.Signal(self.made[key].name)
        if isinstance(node, model.Layer):
            shape: Shape = node.shape
            both = (model.Signal(node.name, "spike"), model.Signal(node.name, "rest"))
            self.made[key] = model.OpNode(
                f"{node.name}_in_{target}_{state}", Arrival(series), both, (shape, shape), shape,
                ONE, f"{node.name} -> {target}.{state}", node.span,
            )  # fmt: skip
            return model.Signal(self.made[key].name)
        assert isinstance(node, model.OpNode)
        if node.op.kind not in LINEAR or isinstance(node.op, WithTimes | Dropout) or len(node.sources) != 1:
            raise refusal(
                node.span, f"spikes go through `{node.op.kind}`", "use connections without it, or `events = grid`"
            )
        if any(w.name == "b" for w in node.op.weights()):
            raise refusal(node.span, "spikes get a bias", "take `bias = true` out: it jumps the target in every step")
        source = self._carry(node.sources[0], target, state, series)
        first = node.name not in self.owners
        self.owners.add(node.name)
        name = node.name if first else f"{node.name}_to_{target}_{state}"
        shares = node.shares if first else (node.shares or node.name)
        self.made[key] = replace(node, name=name, sources=(source,), shares=shares)
        return model.Signal(name)


def with_crossing_times(expr: Expr) -> Expr:
    """Read the first spike of a located layer at its time inside the step."""

    def rule(node: Expr) -> Expr:
        match node:
            case Apply("first_spike_time", (Var(name),)) if name.startswith("signal:") and name.endswith(".spike"):
                rest = Var(f"{name.removesuffix('.spike')}.rest")
                return Apply("first_crossing_time", (Var(name), rest), node.attrs, node.span)
        return node

    return rewrite(expr, rule)
