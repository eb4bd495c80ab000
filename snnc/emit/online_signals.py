"""Prints how the loss of one step reaches each layer: backward through the operations of this step, not in time."""

from __future__ import annotations

import re
from dataclasses import replace

from snnc import model
from snnc.emit.names import field_name, function_name, identifier, stream_number
from snnc.emit.node_lines import (
    is_ring,
    operation_comment,
    ports_of,
    source_text,
    tuple_text,
    weight_texts,
)
from snnc.emit.statement_text import LineView, place
from snnc.ops.memory import Delay
from snnc.plan import StepPlan
from snnc.rules.paths import is_spiking


class LearningSignals:
    """The lines that follow `d_signals`, the derivative of the loss of a step by what the layers publish.

    For each layer h they leave the derivative by its state before the step in `d_h_state` and by its ports in `d_h_PORT`; under
    e-prop a spiking layer is left with `d_h`, the derivative by what it publishes.
    """

    def __init__(self, plan: StepPlan, rule: str, read: model.Signal | None) -> None:
        self.plan, self.rule, self.read = plan, rule, read
        self.lines: list[LineView] = []
        self.known: set[str] = set()
        for layer in plan.network.layers:
            self.lines.append(LineView("", f"d_{identifier(layer.name)} = d_signals.{field_name(layer.name)}"))
        for node in reversed(plan.order):
            if isinstance(node, model.Layer):
                self._layer(node)
            elif not is_ring(node):
                self._operation(node)

    def _layer(self, layer: model.Layer) -> None:
        name, body = identifier(layer.name), self.plan.body(layer.name)
        comment = f"{layer.name}: {layer.neuron.name}  ({place(layer.span)})"
        if self.rule == "decolle" and is_spiking(layer) and self.read is not None:
            self._local_readout(layer, self.read, comment)
            comment = ""
        if self.rule == "eprop" and is_spiking(layer):
            return
        ports = [f"d_{name}_{port}" for port in body.ports]
        zero = f"nothing({name}_state)"
        call = f"{function_name(body.name)}_adjoint(c.{field_name(layer.name)}, {name}_kept, {zero}, d_{name})"
        self.lines.append(LineView(comment, f"d_{name}_state, {tuple_text(ports, True)}, _ = {call}"))
        for port, signals in ports_of(layer, body.ports):
            for signal in signals:
                self._add(signal, f"d_{name}_{port}", "")

    def _local_readout(self, layer: model.Layer, read: model.Signal, comment: str) -> None:
        """The loss of a fixed random readout of this layer, in place of the signal that the loss of the network reads."""
        name, (size,) = identifier(layer.name), self.plan.network.node(read.node).shape
        key = f"stream(jax.random.key(SEED), {stream_number(f'{layer.name}.readout')})"
        drawn = f"normal_weights({key}, ({layer.shape[0]}, {size}), mean=0.0, std={layer.shape[0] ** -0.5!r})"
        stand_in = f"{field_name(read.node)}=signals.{field_name(read.node)}._replace({field_name(read.name)}=y)"
        self.lines += [
            LineView(comment, f"{name}_readout = {drawn}"),
            LineView("", f"def loss_of_{name}(y: Array) -> Array:\n"
                     f"        return step_loss(signals._replace({stand_in}), x, fields, state.n, steps)\n"),
            LineView("", f"d_y = jax.grad(loss_of_{name})(dense({name}.spike, {name}_readout))"),
            LineView("", f"d_{name} = d_{name}._replace(spike=dense(d_y, {name}_readout.T))"),
        ]  # fmt: skip

    def _operation(self, node: model.OpNode) -> None:
        d = f"d_{identifier(node.name)}"
        if d not in self.known or self._stops(node):
            return
        if isinstance(node.op, Delay):  # of 0 steps
            self._add(node.sources[0], d, operation_comment(node))
            return
        names = tuple(source_text(node, k, self.plan.network, {}) for k in range(len(node.sources)))
        back = node.op.transposed(d, names, weight_texts(node, "state.n"), node.in_shapes)
        for k, text in enumerate(back):
            self._add(node.sources[k], text, "" if k else operation_comment(node))

    def _stops(self, node: model.OpNode) -> bool:
        """Whether the rule passes no gradient through an operation; there is none to pass to inputs and to what is late."""
        sources = [self.plan.network.node(s.node) for s in node.sources]
        late = [isinstance(s, model.Input) or is_ring(s) for s in sources]
        return node.cut or all(late) or (self.rule == "decolle" and all(isinstance(s, model.Layer) for s in sources))

    def _add(self, signal: model.Signal, text: str, comment: str) -> None:
        node = self.plan.network.node(signal.node)
        if isinstance(node, model.Input):
            return
        target = f"d_{identifier(signal.node)}"
        if isinstance(node, model.Layer):
            if self.rule == "decolle":
                return
            part = field_name(f"{signal.name}_pre" if signal.pre else signal.name)
            self.lines.append(LineView(comment, f"{target} = {target}._replace({part}={target}.{part} + {text})"))
            return
        value = f"{target} + {text}" if target in self.known else text
        self.known.add(target)
        self.lines.append(LineView(comment, f"{target} = {value}"))


def used_lines(lines: list[LineView], after: str) -> tuple[LineView, ...]:
    """Return the lines whose values something later reads, `after` among it; of several results the others become `_`."""
    used = _words(after)
    kept: list[LineView] = []
    for line in reversed(lines):
        left, equals, right = line.code.partition(" = ")
        names = re.findall(r"\w+", left) if equals and re.fullmatch(r"[\w(), ]+", left) else []
        if names and not used & set(names):
            continue
        if len(names) > 1:
            unread = [name for name in names if name not in used]
            for name in unread:
                left = re.sub(rf"\b{name}\b", "_", left)
            line = replace(line, code=f"{left} = {right}")
        used = (used - set(names)) | _words(right if names else line.code)
        kept.append(line)
    return tuple(reversed(kept))


def _words(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w.])[A-Za-z_]\w*", text))
