"""Finds the signals that names in chains and expressions stand for."""

from __future__ import annotations

from snnc import model
from snnc.diagnostics import Code, did_you_mean
from snnc.semantics.elaboration import Elaboration
from snnc.syntax import nodes


def find_source(e: Elaboration, name: nodes.Name) -> model.Signal | None:
    """Return the signal that a name in a chain or an expression stands for; None after a finding."""
    signal = find_signal(e, name.parts)
    if isinstance(signal, model.Signal):
        return signal
    if e.is_broken(name.parts[0]):
        return None
    if signal is None:
        known = [*e.aliases, *(e.local(n) for n in (*e.inputs, *e.layers, *e.ops) if n.startswith(e.prefix))]
        known = [n for n in known if "." not in n]
        e.findings.add(
            Code.UNKNOWN_NAME, name.span, f"unknown node `{name.text}`",
            help=did_you_mean(name.text, known) or "declare it: `input x : real[n]` or `layer h = LIF[n]()`",
            cause=f"{name.parts[0]} {e.scope.where}",
        )  # fmt: skip
        return None
    layer, rest = e.layer(name.parts)
    assert layer is not None
    signals = tuple(state.name for state in layer.neuron.states) if not rest else ()
    listed = " or ".join(f"`{e.local(layer.name)}.{signal}`" for signal in signals or layer.neuron.signals)
    e.findings.add(Code.NO_SIGNAL, name.span, signal, help=f"write {listed}")
    return None


def find_signal(e: Elaboration, parts: tuple[str, ...]) -> model.Signal | str | None:
    """Return the signal of a dotted name; None if there is no such node, a message if the node has no such signal."""
    joined = ".".join(parts)
    if joined in e.aliases:
        return e.aliases[joined]
    if e.full(joined) in e.ops or (joined in e.inputs and not e.prefix):
        return model.Signal(e.full(joined))
    layer, rest = e.layer(parts)
    if layer is None:
        return None
    neuron, name = layer.neuron, e.local(layer.name)
    if not rest:
        if neuron.spikes:
            return model.Signal(layer.name, "spike")
        if len(neuron.states) == 1:
            return model.Signal(layer.name, neuron.states[0].name)
        states = (
            "no state"
            if not neuron.states
            else f"{len(neuron.states)} states: its name alone does not say which is meant"
        )
        return f"`{name}` ({neuron.name}) does not spike and has {states}"
    if rest[0] not in neuron.signals or len(rest) > 2 or (len(rest) == 2 and rest[1] != "pre"):
        return f"`{name}` ({neuron.name}) has no signal `{'.'.join(rest)}`"
    return model.Signal(layer.name, rest[0], len(rest) == 2)
