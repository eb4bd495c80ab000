"""Turns `fluctuation(…)` into normal weights, from the response of the layer that they feed.

Rossbroich, Gygax & Zenke (2022): sigma_w = theta / (xi sqrt(n nu eps_hat)) with eps_hat the integral of the squared response
of the potential to one spike of unit weight. Response and threshold are measured in units of the margin, by running the
layer's own step without spikes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from snnc import model
from snnc.diagnostics import Code, fail
from snnc.interp import body_constants, start_body, step_body
from snnc.ops.conv import Conv
from snnc.ops.dense import Dense
from snnc.ops.initialisers import fluctuation_std
from snnc.ops.operation import Init
from snnc.plan import CHANCE, Body, Fire
from snnc.probe import PROBE, without_spikes
from snnc.semantics.parameters import parameter_values

MAX_STEPS = 20_000
SIZE = 1e-3  # of the probing jump, in units of the weight


def settle_initialisers(network: model.Network, bodies: tuple[tuple[str, Body], ...]) -> model.Network:
    """Return `network` with every `fluctuation` replaced by the normal distribution that it stands for.

    Raises:
        CompileError: E0407 if the weights feed no spiking layer.
    """
    nodes = tuple(_settled(node, network, dict(bodies)) for node in network.nodes)
    return network if nodes == network.nodes else replace(network, nodes=nodes)


def _settled(node: model.Node, network: model.Network, bodies: dict[str, Body]) -> model.Node:
    if (
        not isinstance(node, model.OpNode)
        or not isinstance(node.op, Dense | Conv)
        or node.op.init.name != "fluctuation"
    ):
        return node
    target = _target(node.name, network)
    if target is None or not any(isinstance(s, Fire) for s in bodies[target[0].name].statements):
        raise fail(
            Code.BAD_VALUE,
            node.span,
            "`fluctuation` needs a spiking layer at the end of the chain, for it sets the spread of its potential",
            help="use `kaiming_uniform` or `normal(mean, std)` here",
        )
    options = dict(node.op.init.options)
    theta, response = _response(target[0], target[1], bodies[target[0].name], network.dt)
    std = fluctuation_std(
        theta=theta, inputs=node.op.fan_in, rate=options["rate"], xi=options["xi"], eps_squared=response
    )
    return replace(node, op=replace(node.op, init=Init("normal", (("mean", 0.0), ("std", std)), node.op.init.limits)))


def _target(name: str, network: model.Network) -> tuple[model.Layer, str] | None:
    """Return the layer and port in which the chain after operation `name` ends."""
    for node in network.nodes:
        if isinstance(node, model.Layer):
            for port, signals in node.ports:
                if any(signal.node == name for signal in signals):
                    return node, port
        elif isinstance(node, model.OpNode) and any(s.node == name for s in node.sources):
            if isinstance(node.op, Dense | Conv):
                continue
            found = _target(node.name, network)
            if found is not None:
                return found
    return None


def _response(layer: model.Layer, port: str, body: Body, dt: float) -> tuple[float, float]:
    """Return the distance of the resting margin from 0, and the integral of the squared unit response (ms)."""
    values = parameter_values(layer.neuron.params, dt)
    given = {p.name: values.get(p.name, 1.0) for p in layer.neuron.params}
    constants = body_constants(body, layer.neuron, dt, given)
    probe = without_spikes(body)
    starts = {s.name: 0.0 for s in body.slots if isinstance(s.init, model.Drawn)}

    def margins(size: float, steps: int | None) -> np.ndarray:
        """The margin after each step, until it rests (or for `steps`), when a jump of `size` arrives in the first."""
        state = start_body(probe, constants, (), starts)
        seen: list[float] = []
        for n in range(steps or MAX_STEPS):
            ports = {p: np.asarray(size if p == port and n == 0 else 0.0) for p in body.ports}
            state, published = step_body(probe, constants, state, {**ports, CHANCE: np.ones(())})
            seen.append(float(published[PROBE]))
            if steps is None and n > 20 and abs(seen[-1] - seen[-2]) <= 1e-9 * max(abs(m - seen[-1]) for m in seen):
                break
        return np.asarray(seen)

    moved = margins(SIZE, None)
    rest = margins(0.0, len(moved))
    response = (moved - rest) / SIZE
    return max(-float(rest[0]), 1e-12), max(float(np.sum(response**2) * dt), 1e-12)
