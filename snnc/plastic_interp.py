"""The meaning of plasticity in NumPy (float64), step by step: the oracle of the tests.

A value that exists for each pre is [B, pre, 1], for each post [B, 1, post], for each sample [B, 1, 1], a weight [pre, post].
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnc import model
from snnc.interp import Recording, evaluate, run_network
from snnc.lower.plasticity import PlasticBody, lower_edge
from snnc.plan import StepPlan
from snnc.semantics.parameters import parameter_values
from snnc.semantics.plasticity import WEIGHT

Array = NDArray[np.float64]


class EdgeLearning:
    """What the plasticity of one edge keeps: its weights `w` [pre, post] and its traces."""

    def __init__(self, body: PlasticBody, dt: float, w: Array, batch: int) -> None:
        self.body, self.w, self.batch = body, np.asarray(w, float), batch
        self.kinds = dict(body.kinds)
        self.constants: dict[str, Any] = {"dt": dt, **parameter_values(body.rule.params, dt)}
        for coefficient in body.coefficients:
            self.constants[coefficient.target] = evaluate(coefficient.value, self.constants)
        pre, post = self.w.shape
        shapes = {"pre": (batch, pre, 1), "post": (batch, 1, post), "synapse": (batch, pre, post)}
        self.traces = {
            trace.name: np.full(shapes[trace.per], float(evaluate(trace.init, self.constants)))
            for trace in body.rule.traces
        }

    def step(self, events: Mapping[str, Array]) -> None:
        """Advance by one step; `events` are pre [B, pre], post [B, post] and third factors [B, ...]."""
        seen = {name: _placed(np.asarray(value, float), self.kinds[name]) for name, value in events.items()}
        for block in self.body.steps:
            values = {**self.constants, **seen, **self.traces, WEIGHT: self.w}
            happens = np.asarray(seen[block.event] != 0 if block.event else True)
            for move in block.moves:
                after = np.asarray(evaluate(move.value, values))
                if move.target == WEIGHT:
                    change = np.where(happens, after - values[WEIGHT], 0.0)
                    self.w = values[WEIGHT] + np.mean(np.broadcast_to(change, (self.batch, *self.w.shape)), axis=0)
                else:
                    self.traces[move.target] = np.where(happens, after, values[move.target])
        self._bound()

    def _bound(self) -> None:
        rule = self.body.rule
        if rule.clip is not None:
            low, high = (evaluate(end, self.constants) for end in rule.clip)
            self.w = np.clip(self.w, low, high)
        if rule.total is not None:
            total, per = rule.total
            sums = self.w.sum(axis=0 if per == "post" else 1, keepdims=True)
            factor = evaluate(total, self.constants) / np.where(sums == 0.0, 1.0, sums)
            self.w = np.where(sums == 0.0, self.w, self.w * factor)


def _placed(value: Array, kind: str) -> Array:
    if kind == "post":
        return value[:, None, :]
    return value[:, :, None] if kind == "pre" else value.reshape(len(value), 1, 1)


def learn_network(
    plan: StepPlan,
    inputs: Mapping[str, Array],
    weights: Mapping[str, Array],
    *,
    given: Mapping[str, Any] | None = None,
) -> tuple[Recording, dict[str, Array]]:
    """Run one batch in training: return the signals, and the weights that plasticity leaves."""
    batch = next(iter(inputs.values())).shape[1]
    now = {name: np.asarray(value, float) for name, value in weights.items()}
    edges = {
        edge: EdgeLearning(lower_edge(edge), plan.network.dt, now[f"{edge.node}.{WEIGHT}"], batch)
        for edge in plan.network.plastic
    }

    def after_step(signals: dict[str, Array]) -> None:
        for edge, learning in edges.items():
            events = {"pre": signals[_name(edge.pre)], "post": signals[_name(edge.post)]}
            tensors = {f"{kind}:{name}": value for name, value in signals.items() for kind in ("signal", "op", "input")}
            events |= {factor.name: np.asarray(evaluate(factor.value, tensors)) for factor in edge.factors}
            learning.step(events)
            now[f"{edge.node}.{WEIGHT}"] = learning.w

    recording = run_network(plan, inputs, now, given=given, train=True, after_step=after_step)
    return recording, now


def _name(signal: model.Signal) -> str:
    return f"{signal.node}.{signal.name}" if signal.name else signal.node
