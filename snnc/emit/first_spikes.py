"""Prints a network by its first spikes in closed form (`learn = ttfs()`): no state, no step, no time loop."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase

from snnc import model
from snnc.emit.model_view import ModelView, SignalEntry
from snnc.emit.names import field_name, identifier
from snnc.emit.node_lines import operation_comment, weight_texts
from snnc.emit.pytext import number_text
from snnc.emit.readouts import network_printer
from snnc.emit.statement_text import FieldView, LineView, place
from snnc.expr import Apply, walk
from snnc.plan import StepPlan
from snnc.rules.first_spikes import Membrane, first_spike_readouts, membrane_of


def first_spike_view(view: ModelView, plan: StepPlan) -> ModelView:
    """Return the view of a network that computes first spikes only."""
    network = plan.network
    layers = network.layers
    readouts = network_printer(network, step=False, values=first_spike_texts(network))
    return replace(
        view,
        first_spikes=True,
        schedule=tuple(f"first spikes in closed form: {layer.name} ({layer.neuron.name})" for layer in layers),
        surrogates=(),
        neurons=(),
        blocks=(),
        loops=(),
        constants=tuple(FieldView(field_name(layer.name), "Membrane") for layer in layers),
        constant_lines=tuple(_constants(layer, network.dt) for layer in layers),
        signals=tuple(FieldView(field_name(layer.name), "FirstSpikes") for layer in layers),
        signal_values=", ".join(f"{field_name(n.name)}=FirstSpikes({identifier(n.name)})" for n in layers),
        signal_table=tuple(SignalEntry(f"{layer.name}.first", "ms", repr(layer.shape)) for layer in layers),
        run_lines=(*_arrivals(network), *(_layer_line(node, network) for node in plan.order if node in layers)),
        readout_lines=tuple(
            LineView(f"output {o.name}  ({place(o.span)})", f"{identifier(o.name)} = {readouts.text(o.value)}")
            for o in network.outputs
        ),
    )


def first_spike_texts(network: model.Network) -> dict[Apply, str]:
    """Return the text of each readout of first spikes, where `signals` is at hand."""
    return {read: f"signals.{field_name(name)}.first" for read, name in first_spike_readouts(network).items()}


# The time h from an arrival, after which v and i are known, to the threshold.
FORMS = {
    "double": "exp(-h / tau_m) = (v + i + sqrt((v + i)^2 - 4 i theta)) / (2 i)",
    "equal": "h / tau_m = -W(-theta / i exp(-v / i)) - v / i",
}


def explain_first_spikes(network: model.Network) -> list[str]:
    """Return the closed form of each layer as text, for `snnc explain`."""
    lines = ["first spikes in closed form, one layer after the other; h is the time since the last arrival"]
    for layer in network.layers:
        found = membrane_of(layer, network.dt)
        numbers = f"tau_m = {found.tau_m:g} ms, tau_s = {found.tau_s:g} ms, theta = {found.theta:g}"
        lines += [f"  {layer.name}{list(layer.shape)}: {numbers}", f"    {FORMS[found.form]}"]
    return lines


def bump_lines(network: model.Network, recipe: model.Recipe) -> tuple[LineView, ...]:
    """Return the lines that make the weights into silent neurons larger; none where `bump` is 0."""
    lines = []
    read = _read_layers(network)
    for layer in network.layers:
        share = "0.0" if layer.name in read else "QUIET"
        silent = f"too_silent(signals.{field_name(layer.name)}.first, batch['weight'], end, {share})"
        for node in _edges(layer, network):
            if not any(fnmatchcase(node.path("w"), pattern) for pattern in recipe.freeze):
                field = identifier(node.path("w"))
                lines.append(LineView("", f"params = params._replace({field}=params.{field} + BUMP * {silent})"))
    return tuple(lines) if recipe.rule.get("bump") else ()


def _read_layers(network: model.Network) -> set[str]:
    """Return the layers that an output reads: each of their neurons has to spike in every sample."""
    known = first_spike_readouts(network)
    return {known[node] for output in network.outputs for node in walk(output.value) if node in known}


def _constants(layer: model.Layer, dt: float) -> LineView:
    found: Membrane = membrane_of(layer, dt)
    numbers = ", ".join(f"{name}={number_text(getattr(found, name))}" for name in ("tau_m", "tau_s", "theta"))
    functions = f"charge=charge_{found.form}, crossing=crossing_{found.form}"
    return LineView("", f"{field_name(layer.name)}=Membrane({numbers}, {functions}),")


def _arrivals(network: model.Network) -> list[LineView]:
    lines = []
    for node in network.inputs:
        comment = f"when each unit of {node.name} spikes  ({place(node.span)})"
        lines.append(LineView(comment, f"{identifier(node.name)} = arrivals(x.{field_name(node.name)}, DT)"))
    return lines


def _edges(layer: model.Layer, network: model.Network) -> list[model.OpNode]:
    """Return the operations that feed a layer, in text order."""
    found = [network.node(signal.node) for _, signals in layer.ports for signal in signals]
    return [node for node in found if isinstance(node, model.OpNode)]


def _layer_line(layer: model.Layer, network: model.Network) -> LineView:
    edges = _edges(layer, network)
    times = [identifier(edge.sources[0].node) for edge in edges]
    weights = [weight_texts(edge)["w"] for edge in edges]
    both = [f"jnp.concatenate([{', '.join(parts)}], axis={axis})" for parts, axis in ((times, 1), (weights, 0))]
    arguments = f"{times[0]}, {weights[0]}" if len(edges) == 1 else ", ".join(both)
    comment = "; ".join(operation_comment(edge) for edge in edges)
    return LineView(
        comment, f"{identifier(layer.name)} = first_spikes({arguments}, c.{field_name(layer.name)}, end, DT)"
    )
