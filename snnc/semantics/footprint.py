"""The least memory that a network takes, from its sizes alone: what is refused before anything is allocated.

Every number is a float32. The estimates leave out what a compiler may fuse away, so a network that is refused could not have run;
one that is accepted may still be too large (E0701 when it happens).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from snnc import model
from snnc.diagnostics import Code, fail
from snnc.limits import MAX_MODEL_BYTES

_NUMBER = 4  # bytes


@dataclass(frozen=True, slots=True)
class Footprint:
    """Counts of numbers: weights; one sample's states, inputs and delay lines; its neurons and its signals in each step."""

    parameters: int
    held: int
    neurons: int
    signals: int

    def model_bytes(self) -> int:
        """The weights, and the state of one sample."""
        return _NUMBER * (self.parameters + self.held)

    def run_bytes(self, steps: int, batch: int = 1) -> int:
        """The weights, and every signal of every step."""
        return _NUMBER * (self.parameters + batch * (self.held + steps * self.signals))

    def train_bytes(self, steps: int, batch: int) -> int:
        """Weights and their gradient, and one number a neuron and step that the backward pass reads."""
        return _NUMBER * (2 * self.parameters + batch * (self.held + steps * self.neurons))

    def largest_batch(self, steps: int, available: int) -> int:
        """The batch of a training that this much memory holds, 0 for none."""
        one = self.train_bytes(steps, 1) - self.train_bytes(steps, 0)
        return max(0, available - self.train_bytes(steps, 0)) // max(one, 1)


def footprint(network: model.Network) -> Footprint:
    """Return the counts of a resolved network."""
    parameters = sum(prod(weight.shape) for node in network.operations for weight in node.own_weights)
    delayed = sum(node.op.held() * prod(node.in_shapes[0]) for node in network.operations if node.op.held())
    neurons = signals = states = 0
    for layer in network.layers:
        size, kept = prod(layer.shape), len(layer.neuron.states)
        neurons += size
        states += size * kept
        signals += size * (kept + bool(layer.neuron.spikes))
    inputs = sum(prod(node.shape) for node in network.inputs)
    return Footprint(parameters, states + delayed + inputs, neurons, signals)


def refuse_giants(network: model.Network) -> None:
    """Raise E0409 for a network that no device holds, whatever the batch and the machine."""
    size = footprint(network).model_bytes()
    if size > MAX_MODEL_BYTES:
        raise fail(
            Code.TOO_BIG,
            network.span,
            f"`{network.name}` takes at least {gigabytes(size)} for its weights and one sample's states",
            help=f"at most {gigabytes(MAX_MODEL_BYTES)} are taken; make the layers smaller",
        )


def gigabytes(size: int) -> str:
    """Return a size in words.

    >>> gigabytes(45_056_043_056), gigabytes(3_000_000)
    ('45.1 GB', '0.003 GB')
    """
    return f"{size / 1e9:,.1f} GB" if size >= 1e8 else f"{size / 1e9:.3f} GB"
