"""The arrays of one emitted training step, in the order in which XLA runs them on a CPU.

Two habits of XLA decide the peak. What a loop gives out is filled before anything else, and lives until its last reader;
what a derived gradient keeps and stacks for the weights exists only from the loop on (as measured, see the tests). A weight
that the way back reads is copied first, because its update is written over it; its gradient then takes the place of the
original. Element-wise work is fused and takes no array of its own, except where its result is read by a product or a loop.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Literal

from snnc import model
from snnc.cost.jax_gradient import bytes_kept_by_jax
from snnc.cost.tape import curved
from snnc.cost.timeline import Peak, Timeline
from snnc.cost.wiring import NUMBER, Case, has_loop, is_weighted, kept_bytes, kernel_bytes, signals_in
from snnc.emit.node_lines import is_ring
from snnc.lower.gradients import learned_constants
from snnc.lower.schedule import sources_of
from snnc.ops.encoders import ENCODERS
from snnc.ops.memory import Dropout
from snnc.plan import Group

_DRAWING = 4  # arrays of 4 bytes a number that are alive while random bits are made


# A whole training step; or of a sequence that is taken in parts: one part forward, and one computed again and backward.
Way = Literal["whole", "forward", "again"]


class Program:
    """The training step, buffer by buffer. `place` maps each signal to its buffer, None where it is an argument."""

    def __init__(self, case: Case, way: Way = "whole") -> None:
        self.case = case
        self.way = way
        self.line = Timeline()
        self.place: dict[model.Signal, str | None] = {}
        self.cotangents: dict[model.Signal, list[str]] = {}
        self.inside: dict[str, list[str]] = {}  # group's first node -> what its way back reads
        self.back: dict[str, dict[model.Signal, str]] = {}  # group's first node -> source -> buffer of its cotangent
        self.deltas: dict[str, str] = {}  # product in a loop -> cotangents of its result
        self.masks: dict[str, str] = {}
        self.normal: dict[str, str] = {}  # norm -> what it keeps, its source with mean 0 and variance 1
        self.copies: dict[str, str] = {}
        self.kernels: dict[str, str] = {}
        self.gradients: list[str] = []
        self.steered = dict.fromkeys(signals_in(case.objective()))
        self.bent = set(curved(case.objective()))

    def run(self) -> Peak:
        groups = self.case.plan.groups
        for group in groups:
            self._allocate(group)
        for node in self.case.plan.network.inputs:
            self._encode(node)
        for group in groups:
            self._forward(group)
        if self.way == "forward":
            return self.line.peak()
        self._measure()
        for group in reversed(groups):
            self._backward(group)
        self.line.step("update of all weights", self.gradients, {})
        return self.line.peak()

    # ---- before the first step ------------------------------------------------

    def _allocate(self, group: Group) -> None:
        """Reserve what loops write, weights that are copied, and draw masks."""
        for node in group.nodes:
            if self.way == "whole" and isinstance(node, model.OpNode) and isinstance(node.op, Dropout):
                self.masks[node.name] = draw_mask(node, self.case, self.line)
            if self.way == "whole" and isinstance(node, model.OpNode) and is_read_back(node, self.case):
                self.copies[node.name] = self.line.from_start(f"copy of {node.name}", weight_bytes(node))
            if isinstance(node, model.OpNode) and kernel_bytes(node):
                self.kernels[node.name] = self.line.from_start(f"kernel of {node.name}", kernel_bytes(node))
        layers = [n for n in group.nodes if isinstance(n, model.Layer)]
        if not layers:
            return
        first = group.nodes[0].name
        self.inside[first] = []
        self.back[first] = {}
        for layer in layers:
            self._allocate_layer(layer, group)
        if has_loop(group, self.case.plan):
            self._allocate_operations(group)
        if self.way == "forward":
            return
        for source in self._outside(group):
            if self.case.learns(source.node):
                name = f"d {_name(source)} by {', '.join(n.name for n in layers)}"
                self.back[first][source] = self.line.from_start(name, self.case.bytes_of(source))

    def _results(self, layers: list[model.Layer]) -> Callable[[str, int], str]:
        """Return how what the loop of these layers stacks for the gradient comes to be."""
        by_jax = any(isinstance(self.case.adjoint(layer), str) for layer in layers)
        return self.line.from_start if by_jax else self.line.when_read

    def _allocate_layer(self, layer: model.Layer, group: Group) -> None:
        case, first = self.case, group.nodes[0].name
        body = case.plan.body(layer.name)
        for signal in case.published(layer, group):
            self.place[signal] = self.line.from_start(_name(signal), case.over_time(layer.name))
        states = len(body.slots) * case.one_step(layer.name)
        self.inside[first].append(self.line.from_start(f"states of {layer.name}, forward", states))
        if not case.learns(layer.name) or self.way == "forward":
            return
        self.inside[first].append(self.line.from_start(f"states of {layer.name}, backward", states))
        adjoint = case.adjoint(layer)
        if isinstance(adjoint, str):
            size = bytes_kept_by_jax(body, learned_constants(body, case.plan))
            kept = [("what JAX keeps", size)]
            sums = 0
        else:
            kept = [(k.name, kept_bytes(k)) for k in adjoint.kept]
            sums = len(adjoint.learned) * case.one_step(layer.name)
        results = self._results([n for n in group.nodes if isinstance(n, model.Layer)])
        for name, size in kept:
            self.inside[first].append(results(f"{layer.name}.{name}, kept", case.over_time(layer.name, size)))
        if sums:
            self.inside[first].append(self.line.from_start(f"sums of {layer.name}", sums))

    def _allocate_operations(self, group: Group) -> None:
        """Reserve what products inside a loop read, the cotangents of their results, and delay lines."""
        case, first = self.case, group.nodes[0].name
        results = self._results([n for n in group.nodes if isinstance(n, model.Layer)])
        for node in group.nodes:
            if not isinstance(node, model.OpNode):
                continue
            if is_ring(node):
                size = 2 * node.op.held() * NUMBER * case.batch * prod(node.in_shapes[0])
                self.inside[first].append(self.line.from_start(f"lines of {node.name}", size))
            if self.way == "forward":
                continue
            source = node.sources[0]
            if (is_weighted(node) or node.op.keeps_input) and source not in self.place:
                self.place[source] = results(f"{_name(source)}, kept", case.over_time(source.node))
            if is_weighted(node):
                name = f"d {node.name}, all steps"
                self.deltas[node.name] = results(name, case.over_time(node.name))

    def _outside(self, group: Group) -> tuple[model.Signal, ...]:
        members = {n.name for n in group.nodes}
        return tuple(dict.fromkeys(s for n in group.nodes for s in sources_of(n) if s.node not in members))

    # ---- forward ---------------------------------------------------------------

    def _encode(self, node: model.Input) -> None:
        """A field becomes a sequence, steps first."""
        case, signal = self.case, model.Signal(node.name)
        self.place[signal] = None
        if self.way != "whole":
            if not case.is_held(node.name):
                self.place[signal] = self.line.from_start(f"{node.name}, a part", case.bytes_of(signal))
        elif is_encoded(node, case):
            self.place[signal] = encode(node, case, self.line)

    def _forward(self, group: Group) -> None:
        first = group.nodes[0]
        if isinstance(first, model.OpNode) and not has_loop(group, self.case.plan):
            self._operation(first)
            return
        sources = [self.place.get(s) for s in self._outside(group)]
        layers = [n for n in group.nodes if isinstance(n, model.Layer)]
        for layer in layers:
            for port, signals in layer.ports:
                if len(signals) > 1 and not has_loop(group, self.case.plan):
                    parts = [p for s in signals if (p := self.place.get(s)) is not None]
                    products = [p for s in signals if not s.name and (p := self.place.get(s)) is not None]
                    total = products[-1] if products else f"sum at {layer.name}.{port}"  # added up in place
                    made = {} if products else {total: max(self.case.bytes_of(s) for s in signals)}
                    self.line.step(f"sum at {layer.name}.{port}", parts, made)
                    sources = [total, *(s for s in sources if s not in parts)]
        published = [self.place[s] for n in layers for s in self.case.published(n, group)]
        reads = [p for p in (*sources, *published) if p is not None]
        self.line.step(f"time loop of {_names(layers)}", (*reads, *self.inside[first.name]), {}, self._scratch(layers))

    def _operation(self, node: model.OpNode) -> None:
        case, source = self.case, node.sources[0]
        signal, before = model.Signal(node.name), self.place[source]
        reads = [] if before is None else [before]
        if node.op.kind in ("flatten", "reshape") or (node.op.kind == "delay" and not is_ring(node)):
            self.place[signal] = before
            return
        reads += [held[node.name] for held in (self.masks, self.kernels) if node.name in held]
        if node.op.kind == "norm":
            self.normal[node.name] = f"{_name(signal)}, normalised"
            self.line.step(f"statistics of {node.name}", reads, {self.normal[node.name]: case.bytes_of(source)})
            reads = [self.normal[node.name]]
        self.place[signal] = _name(signal)
        self.line.step(f"{node.name} over all steps", reads, {_name(signal): case.bytes_of(signal)})
        if (
            any(w.name == "b" for w in node.op.weights())
            and is_weighted(node)
            and node.op.kind in ("dense", "conv", "depthwise")
        ):
            biased = f"{_name(signal)} with bias"
            self.line.step(f"bias of {node.name}", [_name(signal)], {biased: case.bytes_of(signal)})
            self.place[signal] = biased

    def _scratch(self, layers: list[model.Layer]) -> int:
        """The values of one step that the loop carries from one fused piece to the next."""
        return sum((len(self.case.plan.body(n.name).slots) + 1) * self.case.one_step(n.name) for n in layers)

    # ---- objective and backward ------------------------------------------------

    def _measure(self) -> None:
        """Metrics and the loss read what they read; what the loss's gradient reads lives on until there is one."""
        read = [p for s in signals_in(self.case.metrics()) if (p := self.place.get(s)) is not None]
        self.line.step("metrics", read, {})
        read = [p for s in self.steered if (p := self.place.get(s)) is not None]
        self.line.step("loss", read, {})

    def _cotangent(self, signal: model.Signal) -> str | None:
        """Return the buffer with the derivative by a signal, all shares added; None if it has none."""
        shares = self.cotangents.get(signal, [])
        own = signal in self.steered
        if len(shares) + own == 0 or (len(shares) == 1 and not own):
            return shares[0] if shares else None
        place = self.place.get(signal)
        read = [place] if signal in self.bent and place is not None else []
        name = f"d {_name(signal)}"
        name += ", summed" if shares else ""
        self.line.step(name, (*shares, *read), {name: self.case.bytes_of(signal)})
        return name

    def _backward(self, group: Group) -> None:
        first = group.nodes[0]
        if isinstance(first, model.OpNode) and not has_loop(group, self.case.plan):
            self._transposed(first, self._cotangent(model.Signal(first.name)))
            return
        layers = [n for n in group.nodes if isinstance(n, model.Layer)]
        if not any(self.case.learns(n.name) for n in layers):
            return
        given = [self._cotangent(s) for n in layers for s in self.case.published(n, group)]
        made = list(self.back[first.name].values())
        deltas = [self.deltas[n.name] for n in group.nodes if n.name in self.deltas]
        reads = [*self.inside[first.name], *(g for g in given if g is not None), *made, *deltas]
        self.line.step(f"time loop of {_names(layers)}, backward", reads, {}, self._scratch(layers))
        for source, name in self.back[first.name].items():
            self.cotangents.setdefault(source, []).append(name)
        for node in group.nodes:
            if isinstance(node, model.OpNode) and node.name in self.deltas:
                self._weight_gradient(node, self.deltas[node.name])

    def _transposed(self, node: model.OpNode, d: str | None) -> None:
        """The way back through an operation: first the source, then the weight."""
        if d is None:
            return
        case, source = self.case, node.sources[0]
        learns = case.learns(source.node)
        if learns and node.op.kind in ("flatten", "reshape"):
            self.cotangents.setdefault(source, []).append(d)
        elif learns:
            name = f"d {_name(source)} by {node.name}"
            read = [d] + ([self.copies[node.name]] if node.name in self.copies else [])
            read += [held[node.name] for held in (self.masks, self.kernels) if node.name in held]
            place = self.place.get(source)
            read += [place] if node.op.keeps_input and place is not None else []
            read += [self.normal[node.name]] if node.name in self.normal else []
            self.line.step(name, read, {name: case.bytes_of(source)})
            self.cotangents.setdefault(source, []).append(name)
        if is_weighted(node):
            self._weight_gradient(node, d)

    def _weight_gradient(self, node: model.OpNode, d: str) -> None:
        """One product over all steps, its norm, and the update, which waits for all gradients where these are clipped."""
        size = weight_bytes(node)
        name, place = f"gradient of {node.name}", self.normal.get(node.name, self.place.get(node.sources[0]))
        copied = node.name in self.copies  # its gradient is then written where the weight was
        made = {name: 0 if copied else size}
        self.line.step(name, [d, *([place] if place is not None else [])], made, kernel_bytes(node))
        reads = [name, self.copies[node.name]] if copied else [name]
        self.line.step(f"norm and update of {node.name}", reads, {}, size)
        if self.case.recipe is not None and self.case.recipe.optimizer.clip_norm is not None:
            self.gradients.append(name)


def is_encoded(node: model.Input, case: Case) -> bool:
    """Whether the sequence of an input is an array of its own; a field that is held or a sequence is not copied."""
    data = None if case.recipe is None else case.recipe.data
    scaled = data is not None and any(t.name == "scale" for t in data.transforms)
    return scaled or data is None or (data.encoder is not None and not ENCODERS[data.encoder.name].held)


def encode(node: model.Input, case: Case, line: Timeline) -> str:
    """Add the step that makes a sequence of a field; return its buffer."""
    data = None if case.recipe is None else case.recipe.data
    encoder = None if data is None or data.encoder is None else ENCODERS[data.encoder.name]
    name, size = f"{node.name}, encoded", case.bytes_of(model.Signal(node.name))
    copies = _DRAWING - 1 if encoder is not None and encoder.random else 0
    line.step(f"encoding {node.name}", (), {name: size}, copies * size)
    return name


def draw_mask(node: model.OpNode, case: Case, line: Timeline) -> str:
    """Add the step that draws the mask of a dropout; return its buffer."""
    name, size = f"mask of {node.name}", case.one_step(node.name)
    line.step(f"drawing {node.name}", (), {name: size}, (_DRAWING - 1) * size)
    return name


def is_read_back(node: model.OpNode, case: Case) -> bool:
    """Whether the way back reads a weight of an operation, since its source learns."""
    return is_weighted(node) and case.learns(node.sources[0].node)


def weight_bytes(node: model.OpNode) -> int:
    return sum(NUMBER * prod(w.shape) for w in node.op.weights())


def _name(signal: model.Signal) -> str:
    return f"{signal.node}.{signal.name}{'.pre' if signal.pre else ''}" if signal.name else signal.node


def _names(layers: list[model.Layer]) -> str:
    return ", ".join(layer.name for layer in layers)
