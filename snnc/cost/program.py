"""The arrays of one emitted training step, in the order in which XLA runs them on a CPU.

Two habits of XLA decide the peak. What a loop gives out is filled before anything else, and lives until its last reader;
what a derived gradient keeps and stacks for the weights exists only from the loop on (as measured, see the tests). A weight
that the way back reads is copied first, because its update is written over it; its gradient then takes the place of the
original. Element-wise work is fused and takes no array of its own, except where its result is read by a product or a loop.
"""

from __future__ import annotations

from math import prod
from typing import Literal

from snnc import model
from snnc.cost.arrays import MOMENTS
from snnc.cost.encoding import draw_mask, encode, is_encoded
from snnc.cost.jax_gradient import bytes_kept_by_jax
from snnc.cost.tape import curved
from snnc.cost.timeline import Peak, Timeline
from snnc.cost.wiring import NUMBER, Case, has_loop, is_by_jax, is_weighted, kept_bytes, kernel_bytes, signals_in
from snnc.cost.working import (
    FUSED,
    VIEWS,
    Working,
    in_jax_loop,
    in_parts,
    is_filled_first,
    is_written_out,
    keeps_source,
    working,
)
from snnc.emit.node_lines import is_ring
from snnc.expr import Var
from snnc.lower.gradients import learned_constants
from snnc.lower.schedule import sources_of
from snnc.ops.connections import Sparse
from snnc.ops.conv import Conv
from snnc.ops.dense import Dense
from snnc.ops.memory import Dropout
from snnc.plan import KEPT, Group

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
        self.beside: dict[
            str, list[str]
        ] = {}  # operation -> what it takes beside source and result, up to its way back
        self.written: dict[model.Signal, str] = {}  # spikes made again from a margin, where an array of them is read
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
            if isinstance(node, model.OpNode):
                self._allocate_beside(node, group)
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
                exists = self.line.from_start if is_by_jax(group, self.case) else self.line.when_read
                self.back[first][source] = exists(name, self.case.bytes_of(source))

    def _allocate_beside(self, node: model.OpNode, group: Group) -> None:
        """Reserve what an operation fills before anything else: kernels, results that are written step by step."""
        case, loop = self.case, has_loop(group, self.case.plan)
        filled = (working(node, case) if self.way == "whole" and not loop else in_parts(node)).filled
        self.beside[node.name] = [self.line.from_start(f"arrays beside {node.name}", filled)] if filled else []
        if not has_loop(group, case.plan) and is_filled_first(node, case):
            self.line.from_start(_name(model.Signal(node.name)), case.bytes_of(model.Signal(node.name)))
            if self.way != "forward" and case.learns(node.sources[0].node):
                source = node.sources[0]
                self.line.from_start(f"d {_name(source)} by {node.name}", case.bytes_of(source))

    def _allocate_layer(self, layer: model.Layer, group: Group) -> None:
        case, first = self.case, group.nodes[0].name
        body = case.plan.body(layer.name)
        again = None if self.way == "forward" else spike_again(layer, group, case)
        for signal in case.published(layer, group):
            if signal.name != "spike" or again is None:
                self.place[signal] = self.line.from_start(_name(signal), case.over_time(layer.name))
        states = len(body.slots) * case.one_step(layer.name)
        self.inside[first].append(self.line.from_start(f"states of {layer.name}, forward", states))
        if not case.learns(layer.name) or self.way == "forward":
            return
        self.inside[first].append(self.line.from_start(f"states of {layer.name}, backward", states))
        adjoint = case.adjoint(layer)
        if isinstance(adjoint, str) or is_by_jax(group, case):
            size = bytes_kept_by_jax(body, learned_constants(body, case.plan))
            kept = [("what JAX keeps", size)]
            sums = 0
        else:
            kept = [(k.name, kept_bytes(k)) for k in adjoint.kept]
            sums = len(adjoint.learned) * case.one_step(layer.name)
        results = self.line.from_start if is_by_jax(group, case) else self.line.when_read
        for name, size in kept:
            self.inside[first].append(results(f"{layer.name}.{name}, kept", case.over_time(layer.name, size)))
            if name == again:
                self.place[model.Signal(layer.name, "spike")] = self.inside[first][-1]
        if sums:
            self.inside[first].append(self.line.from_start(f"sums of {layer.name}", sums))

    def _allocate_operations(self, group: Group) -> None:
        """Reserve what products inside a loop read, the cotangents of their results, and delay lines."""
        case, first = self.case, group.nodes[0].name
        results = self.line.from_start if is_by_jax(group, case) else self.line.when_read
        for node in group.nodes:
            if not isinstance(node, model.OpNode):
                continue
            if is_ring(node):
                size = 2 * node.op.held() * NUMBER * case.batch * prod(node.in_shapes[0])
                self.inside[first].append(self.line.from_start(f"lines of {node.name}", size))
            if self.way == "forward":
                continue
            past = in_jax_loop(node, case)
            if past.kept:
                self.inside[first].append(self.line.from_start(f"past of {node.name}, kept", past.kept))
                self.inside[first] += self.beside[node.name]
                if is_weighted(node):
                    self.deltas[node.name] = results(f"gradient of {node.name}, summed", weight_bytes(node))
                continue
            for source in node.sources:
                if source not in self.place and (is_weighted(node) or node.op.keeps_input):
                    self.place[source] = results(f"{_name(source)}, kept", case.over_time(source.node))
                    self.inside[first].append(f"{_name(source)}, kept")
                elif node.op.keeps_input:  # the loop backward reads what the loop gave out
                    self.inside[first] += self._read(source)
            if is_weighted(node) and is_by_jax(group, case):
                self.deltas[node.name] = results(f"gradient of {node.name}, summed", weight_bytes(node))
            elif is_weighted(node):
                self.deltas[node.name] = results(f"d {node.name}, all steps", case.over_time(node.name))

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
        sources: list[str] = [place for s in self._outside(group) for place in self._read(s)]
        layers = [n for n in group.nodes if isinstance(n, model.Layer)]
        for layer in layers:
            for port, signals in layer.ports:
                if len(signals) > 1 and not has_loop(group, self.case.plan):
                    parts = [p for s in signals for p in self._read(s)]
                    products = [p for s in signals if not s.name for p in self._read(s)]
                    total = products[-1] if products else f"sum at {layer.name}.{port}"  # added up in place
                    made = {} if products else {total: max(self.case.bytes_of(s) for s in signals)}
                    self.line.step(f"sum at {layer.name}.{port}", parts, made)
                    sources = [total, *(s for s in sources if s not in parts)]
        published = [self.place[s] for n in layers for s in self.case.published(n, group)]
        reads = [*sources, *(p for p in published if p is not None)]
        self.line.step(f"time loop of {_names(layers)}", (*reads, *self.inside[first.name]), {}, self._scratch(layers))
        for layer in layers:
            self._write_spikes(layer, list(self.back[first.name].values()))

    def _write_spikes(self, layer: model.Layer, back: list[str]) -> None:
        """What comes after a loop: the arrays for its way back are filled, and spikes that follow from their margin are counted.

        Those of images are counted place by place. An array of them stays only if a product reads one.
        """
        signal, size = model.Signal(layer.name, "spike"), self.case.over_time(layer.name)
        margin = self.place.get(signal)
        if margin is None or margin == _name(signal):
            self.line.step(f"after the loop of {layer.name}", back, {})
            return
        made = {_name(signal): size} if is_written_out(signal, self.case) else {}
        if made:
            self.written[signal] = _name(signal)
        self.line.step(f"spikes of {layer.name}", [margin, *back], made, size if len(layer.shape) == 1 else 0)

    def _read(self, signal: model.Signal, node: model.OpNode | None = None) -> list[str]:
        """Return the buffer that a reader of a signal reads: of spikes their margin, where they are computed on the way."""
        written = self.written.get(signal)
        place = self.place.get(signal) if written is None or (node and node.op.kind in FUSED) else written
        return [] if place is None else [place]

    def _operation(self, node: model.OpNode) -> None:
        case, signal = self.case, model.Signal(node.name)
        reads = [place for source in node.sources for place in self._read(source, node)]
        if node.op.kind in VIEWS or (node.op.kind == "delay" and not is_ring(node)):
            self.place[signal] = reads[0] if reads else None
            return
        extra = working(node, case) if self.way == "whole" else Working()
        reads += self.beside[node.name] + ([self.masks[node.name]] if node.name in self.masks else [])
        kept = {}
        if extra.kept:
            kept = {f"{node.name}, kept": extra.kept}
            self.beside[node.name] += kept
        if node.op.kind == "norm":
            self.normal[node.name] = f"{_name(signal)}, normalised"
            made = {self.normal[node.name]: case.bytes_of(node.sources[0])}
            self.line.step(f"statistics of {node.name}", reads, made)
            reads = [self.normal[node.name], *self.beside[node.name]]
        self.place[signal] = name = _name(signal)
        if is_filled_first(node, case):
            self.line.step(f"{node.name} over all steps", [*reads, name], kept, extra.ahead)
        else:
            self.line.step(f"{node.name} over all steps", reads, {name: case.bytes_of(signal)} | kept, extra.ahead)
        if any(w.name == "b" for w in node.op.weights()) and is_weighted(node) and isinstance(node.op, Dense | Conv):
            biased = f"{name} with bias"
            self.line.step(f"bias of {node.name}", [name], {biased: case.bytes_of(signal)})
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
        """The way back through an operation: first its sources, then the weight."""
        if d is None:
            return
        case, extra = self.case, working(node, self.case) if self.way == "whole" else Working()
        beside = self.beside[node.name]
        for source in dict.fromkeys(node.sources):
            if not case.learns(source.node):
                continue
            name = f"d {_name(source)} by {node.name}"
            if node.op.kind in VIEWS or node.op.kind == "add":
                name = d
            else:
                read = [
                    d,
                    *beside,
                    *(held[node.name] for held in (self.masks, self.copies, self.normal) if node.name in held),
                ]
                read += [p for s in node.sources for p in self._read(s, node)] if keeps_source(node) else []
                if name in self.line.lives:
                    self.line.step(name, [*read, name], {}, extra.back)
                else:
                    self.line.step(name, read, {name: case.bytes_of(source)}, extra.back)
            self.cotangents.setdefault(source, []).append(name)
        if is_weighted(node):
            self._weight_gradient(node, d)

    def _weight_gradient(self, node: model.OpNode, d: str) -> None:
        """One product over all steps, its norm, and the update, which waits for all gradients where these are clipped."""
        size = weight_bytes(node)
        source = self._read(node.sources[0]) if node.name not in self.normal else [self.normal[node.name]]
        name = f"gradient of {node.name}"
        copied = node.name in self.copies  # its gradient is then written where the weight was
        made = {name: 0 if copied else size}
        extra = working(node, self.case) if self.way == "whole" and node.name not in self.deltas else Working()
        self.line.step(
            name,
            [d, *source, *self.beside[node.name]],
            made,
            max(extra.back, kernel_bytes(node)) if kernel_bytes(node) else 0,
        )
        reads = [name, self.copies[node.name]] if copied else [name]
        self.line.step(f"norm and update of {node.name}", reads, {}, update_bytes(node, self.case))
        if self.case.recipe is not None and self.case.recipe.optimizer.clip_norm is not None:
            self.gradients.append(name)


def spike_again(layer: model.Layer, group: Group, case: Case) -> str | None:
    """Return the kept margin from which the spikes of a layer are made again after its loop, None if the loop gives them out."""
    adjoint = case.adjoint(layer)
    if has_loop(group, case.plan) or not case.learns(layer.name) or isinstance(adjoint, str) or adjoint.spike is None:
        return None
    margin = adjoint.spike.margin
    return margin.name.removeprefix(KEPT) if isinstance(margin, Var) else None


def is_read_back(node: model.OpNode, case: Case) -> bool:
    """Whether the way back reads a weight of an operation, since its source learns; a masked one is made anew."""
    return is_weighted(node) and not isinstance(node.op, Sparse) and case.learns(node.sources[0].node)


def update_bytes(node: model.OpNode, case: Case) -> int:
    """What the update of a weight takes: a new one, where there are moments; that of a masked gradient takes its place."""
    plain = case.recipe is not None and not MOMENTS[case.recipe.optimizer.name]
    return 0 if plain or isinstance(node.op, Sparse) else weight_bytes(node)


def weight_bytes(node: model.OpNode) -> int:
    return sum(NUMBER * prod(w.shape) for w in node.op.weights())


def _name(signal: model.Signal) -> str:
    return f"{signal.node}.{signal.name}{'.pre' if signal.pre else ''}" if signal.name else signal.node


def _names(layers: list[model.Layer]) -> str:
    return ", ".join(layer.name for layer in layers)
