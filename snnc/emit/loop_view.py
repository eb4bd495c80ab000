"""Prints the time loop of a group of nodes: its step, its adjoint, and the gradients that one product each makes at the end."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from snnc import model
from snnc.emit.names import field_name, function_name, identifier
from snnc.emit.node_lines import (
    Active,
    is_ring,
    operation_comment,
    ports_of,
    signal_text,
    step_lines,
    tuple_text,
    weight_texts,
)
from snnc.emit.statement_text import LineView, place
from snnc.emit.timed import MOVED, SPIKES, arrival, carries
from snnc.lower.schedule import sources_of
from snnc.ops.delays import UnitDelays
from snnc.ops.dense import Dense
from snnc.plan import Adjoint, Group, StepPlan


@dataclass(frozen=True, slots=True)
class FunctionView:
    """One function of a time loop: what it unpacks, its lines and its result."""

    unpacked: tuple[str, ...]
    lines: tuple[LineView, ...]
    result: str


@dataclass(frozen=True, slots=True)
class LoopView:
    """The functions of one time loop at module level. Without `adjoint`, JAX differentiates the loop."""

    name: str
    doc: str
    step: FunctionView
    adjoint: FunctionView | None
    gradients: FunctionView | None


@dataclass
class GroupLoop:
    """One group of nodes that share a time loop, with all that its texts agree on."""

    group: Group
    plan: StepPlan
    adjoints: dict[str, Adjoint | str]
    name: str
    read_outside: frozenset[str]
    outside: tuple[model.Signal, ...] = field(init=False)
    layers: list[model.Layer] = field(init=False)
    rings: list[model.OpNode] = field(init=False)

    def __post_init__(self) -> None:
        nodes = self.group.nodes
        members = {node.name for node in nodes}
        self.outside = tuple(dict.fromkeys(s for node in nodes for s in sources_of(node) if s.node not in members))
        self.layers = [n for n in nodes if isinstance(n, model.Layer)]
        self.rings = [n for n in nodes if isinstance(n, model.OpNode) and is_ring(n)]

    @property
    def derived(self) -> bool:
        transposable = all(n.op.transposable and not n.shares for n in self.group.nodes if isinstance(n, model.OpNode))
        return transposable and not any(
            isinstance(self.adjoints[self.plan.body(n.name).name], str) for n in self.layers
        )

    @property
    def read(self) -> list[str]:
        """The nodes whose values leave the loop."""
        return [n.name for n in self.group.nodes if isinstance(n, model.Layer) or n.name in self.read_outside]

    def kind(self, node: model.OpNode) -> str:
        """Return what the result of an operation carries (`snnc.emit.timed`)."""
        return carries(model.Signal(node.name), self.plan)

    @property
    def shifted(self) -> list[str]:
        """Rings whose values have a shift in time beside them: it is 0, and its cotangent goes round as theirs does."""
        return [f"{identifier(n.name)}_ring" for n in self.rings if self.kind(n) == MOVED]

    @property
    def carried(self) -> list[str]:
        rings = [f"{identifier(n.name)}_ring" for n in self.rings]
        return [f"{identifier(n.name)}_state" for n in self.layers] + rings + [f"{ring}_shift" for ring in self.shifted]

    @property
    def arriving(self) -> list[tuple[str, str]]:
        """The name and the text over a sequence of each array that comes from outside."""
        found = []
        for signal, name in self.local.items():
            jump, shift = arrival(signal, self.plan)
            found += [(name, jump), *([(f"{name}_shift", shift)] if shift else [])]
        return found

    @property
    def local(self) -> dict[model.Signal, str]:
        return {s: identifier(f"in_{s.node}_{s.name}" if s.name else f"in_{s.node}") for s in self.outside}

    @property
    def turned(self) -> list[str]:
        """The weights that the adjoint multiplies by transposed: once for all steps, for a product in a loop cannot share it."""
        nodes = [n for n in self.group.nodes if isinstance(n, model.OpNode) and n.op.kind == "dense"]
        products = [n for n in nodes if not n.cut and isinstance(n.op, Dense) and not n.op.feedback]
        return [weight_texts(n)["w"].removeprefix("params.") for n in products] if self.derived else []

    @property
    def fixed(self) -> list[str]:
        """What all steps share."""
        operations = [n.op for n in self.group.nodes if isinstance(n, model.OpNode)]
        buffers = any(op.buffers() or isinstance(op, UnitDelays) for op in operations)
        return ["c", "params", "state", *(["turned"] if self.turned else []), *(["buffers"] if buffers else [])]

    def call(self, truncate: int | None, ends: bool) -> LineView:
        """Return the line of `run` that runs the loop."""
        start = [f"state.{field_name(n.name)}" for n in self.layers] + [
            f"state.{identifier(n.name)}" for n in self.rings
        ]
        start += [f"jnp.zeros_like(state.{ring.removesuffix('_ring')})" for ring in self.shifted]
        xs = [text for _, text in self.arriving]
        functions = [self.name] + ([f"{self.name}_adjoint", f"{self.name}_gradients"] if self.derived else [])
        turned = ", ".join(f'"{name}": params.{name}.T' for name in self.turned)
        fixed = tuple_text([f"{{{turned}}}" if name == "turned" else name for name in self.fixed])
        args = [*functions, fixed, tuple_text(start, True), tuple_text(xs, True), "steps"]
        args += [] if truncate is None else [str(truncate)]
        carry = {
            f"{identifier(n.name)}_state" for n in self.layers if any(s.carry for s in self.plan.body(n.name).slots)
        }
        end = tuple_text([name if ends or name in carry else "_" for name in self.carried], True)
        end = end if ends or carry else "_"
        read = tuple_text([identifier(n) for n in self.read], True)
        function = "time_loop" if self.derived else "time_loop_by_jax"
        names = ", ".join(n.name for n in self.layers)
        return LineView(f"time loop over {names}", f"{end}, {read} = {function}({', '.join(args)})")

    def view(self) -> LoopView:
        back = _Transposed(self) if self.derived else None
        names = ", ".join(n.name for n in self.layers)
        verb = "wait" if len(self.layers) > 1 else "waits"
        why = (
            f"which {verb} for {'each other' if len(self.layers) > 1 else 'itself'}"
            if self.group.loop
            else "which draws noise"
        )
        states = {n.name: f"{identifier(n.name)}_state" for n in self.layers}
        states |= {n.name: f"{identifier(n.name)}_ring" for n in self.rings}
        kept = back.kept if back else []
        read = [identifier(n) for n in self.read]
        fixed = (self.fixed, "fixed")
        arriving = [name for name, _ in self.arriving]
        now, late = step_lines(self.group.nodes, self.plan, self.local, states, "state.n + n", keep=self.derived)
        step = _function(
            (fixed, (self.carried, "carry"), (arriving, "xs")),
            [*now, *late],
            f"{tuple_text(self.carried, True)}, {tuple_text(read, True)}, {tuple_text([k for k, _ in kept], True)}",
        )
        doc = f"One step of {names}, {why}."
        if back is None:
            return LoopView(self.name, doc, step, None, None)
        names_kept = ([k for _, k in kept], "kept")
        d_carry, d_read = [f"d_{name}" for name in self.carried], [f"d_{name}" for name in read]
        adjoint = _function((fixed, names_kept, (d_carry, "d_carry"), (d_read, "d_read")), back.lines, back.result())
        starts = ([f"{name}_start" for name in self.carried], "start")
        gradients = _function((fixed, starts, (read, "read"), names_kept), [], back.collected())
        return LoopView(self.name, doc, step, adjoint, gradients)


def _function(packed: tuple[tuple[list[str], str], ...], lines: list[LineView], result: str) -> FunctionView:
    """Return a function that unpacks of `packed` (names, tuple) what its text reads."""
    text = re.sub(r'"\w*"', "", " ".join([*(line.code for line in lines), result]))
    words = set(re.findall(r"(?<![\w.])[A-Za-z_]\w*\b(?!=[^=])", text))  # neither fields nor keywords
    unpacked = []
    for names, source in packed:
        if words & set(names):
            unpacked.append(f"{tuple_text([n if n in words else '_' for n in names])} = {source}")
    return FunctionView(tuple(unpacked), tuple(lines), result)


class _Transposed:
    """The lines of the adjoint of one step of a group, from its last node to its first."""

    def __init__(self, loop: GroupLoop) -> None:
        self.loop = loop
        self.lines: list[LineView] = []
        self.deltas: list[tuple[str, model.OpNode]] = []
        self.sums: list[tuple[str, str]] = []
        self.known = {f"d_{identifier(n)}" for n in loop.read}
        self.inputs: set[str] = set()
        # (its name in the forward step, its name in the adjoint) of all that is kept
        self.kept = [(f"{identifier(n.name)}_kept", f"{identifier(n.name)}_kept") for n in loop.layers]
        self._keep_sources()
        for node in loop.rings:
            ring = f"d_{identifier(node.name)}_ring"
            shift = f"{ring}_shift[-1]" if loop.kind(node) == MOVED else f"{ring}[-1]"
            self._arrive_at_source(node, 0, f"{ring}[-1]", shift, operation_comment(node))
        for member in reversed(loop.group.nodes):
            self._node(member)

    def _keep_sources(self) -> None:
        """Keep what products multiply and `relu` tests, unless it leaves the loop anyway."""
        for node in self.loop.group.nodes:
            if not isinstance(node, model.OpNode) or not (node.op.weights() or node.op.keeps_input):
                continue
            for source in node.sources:
                if source in self.loop.local and node.op.keeps_input and len(node.sources) > 1:
                    name = self._source_name(source)
                    self._keep(self.loop.local[source], name)
                    continue
                if source in self.loop.local or (source.node in self.loop.read and not node.op.keeps_input):
                    continue
                if self._delayed(node) is not None:
                    continue
                self._keep(signal_text(source, self.loop.plan.network, {}), self._source_name(source))

    def _keep(self, text: str, name: str) -> None:
        if (text, name) not in self.kept:
            self.kept.append((text, name))

    def _delayed(self, node: model.OpNode) -> tuple[model.Signal, str] | None:
        """Return the signal that a product reads late, and the delay, if it leaves the loop undelayed."""
        late = self.loop.plan.network.node(node.sources[0].node)
        if not isinstance(late, model.OpNode) or late not in self.loop.rings or node.op.kind != "dense":
            return None
        source = late.sources[0]
        return (source, late.name) if source.node in self.loop.read and source not in self.loop.local else None

    def _source_name(self, source: model.Signal) -> str:
        return f"{identifier(source.node)}_{source.name}" if source.name else identifier(source.node)

    def _node(self, node: Active) -> None:
        if isinstance(node, model.Layer):
            self._layer(node)
            return
        name = identifier(node.name)
        if is_ring(node):
            steps = getattr(node.op, "steps", 1)
            for suffix in ("", "_shift") if self.loop.kind(node) == MOVED else ("",):
                d, ring = f"d_{name}{suffix}", f"d_{name}_ring{suffix}"
                text = f"{d}[None]" if steps == 1 else f"jnp.concatenate([{d}[None], {ring}[:-1]])"
                value = text if d in self.known else f"jnp.concatenate([jnp.zeros_like({ring}[:1]), {ring}[:-1]])"
                self.lines.append(LineView("", f"{ring} = {value}"))
            return
        d = f"d_{name}"
        if d not in self.known:
            return
        names = tuple(self._source_name(source) for source in node.sources)
        by_time = f"{d}_shift" if self.loop.kind(node) == MOVED else d
        if node.op.kind == "delay":  # of 0 steps
            self._arrive_at_source(node, 0, d, by_time, operation_comment(node))
            return
        backs = []
        for cotangent in (d, by_time):
            back = node.op.transposed(cotangent, names, weight_texts(node), node.in_shapes)
            for name in self.loop.turned:
                back = tuple(text.replace(f"params.{name}.T", f'turned["{name}"]') for text in back)
            backs.append(back)
        for k, (text, shift) in enumerate(zip(*backs, strict=True)):
            self._arrive_at_source(node, k, text, shift, "" if k else operation_comment(node))
        if node.op.weights():
            self.deltas.append((d, node))

    def _layer(self, layer: model.Layer) -> None:
        name = identifier(layer.name)
        body = self.loop.plan.body(layer.name)
        drifting = {drift.port for drift in body.drifts}
        ports = [f"d_{name}_{port}" for port in body.ports]
        ports += [f"d_{name}_{drift.port}_shift" for drift in body.drifts]
        call = f"{function_name(body.name)}_adjoint(c.{field_name(layer.name)}, {name}_kept, d_{name}_state, d_{name})"
        self.lines.append(
            LineView(
                f"{layer.name}: {layer.neuron.name}  ({place(layer.span)})",
                f"d_{name}_state, {tuple_text(ports, True)}, {name}_sums = {call}",
            )
        )
        self.sums.append((field_name(layer.name), f"{name}_sums"))
        for port, signals in ports_of(layer, body.ports):
            for signal in signals:
                shift = f"d_{name}_{port}_shift" if port in drifting else ""
                self._arrive(signal, f"d_{name}_{port}", shift, "")

    def _arrive_at_source(self, node: model.OpNode, k: int, by_size: str, by_time: str, comment: str) -> None:
        """Add the cotangents of the k-th source of an operation, unless it is cut."""
        if not node.cut:
            self._arrive(node.sources[k], by_size, by_time, comment)

    def _arrive(self, signal: model.Signal, by_size: str, by_time: str, comment: str) -> None:
        """Add the cotangents of what arrives by an edge, by its size and by its time, to those of a signal."""
        kind = carries(signal, self.loop.plan)
        if kind != SPIKES:
            self._add(signal, by_size, comment)
        if kind:
            beside = kind == MOVED or signal in self.loop.local
            self._add(signal, by_time, comment if kind == SPIKES else "", "_shift" if beside else "")

    def _add(self, signal: model.Signal, text: str, comment: str, suffix: str = "") -> None:
        """Add a cotangent to that of a signal, or to that of its shift."""
        loop = self.loop
        if signal in loop.local:
            target = f"d_{loop.local[signal]}{suffix}"
            self.inputs.add(target)
        elif isinstance(loop.plan.network.node(signal.node), model.Layer):
            node = identifier(signal.node)
            part = field_name(f"{signal.name}_pre" if signal.pre else signal.name)
            self.lines.append(LineView(comment, f"d_{node} = d_{node}._replace({part}=d_{node}.{part} + {text})"))
            return
        else:
            target = f"d_{identifier(signal.node)}{suffix}"
        value = f"{target} + {text}" if target in self.known else text
        if value != target:
            self.lines.append(LineView(comment, f"{target} = {value}"))
        self.known.add(target)

    def result(self) -> str:
        carry = tuple_text([f"d_{name}" for name in self.loop.carried], True)
        names = [f"d_{name}" for name, _ in self.loop.arriving]
        xs = tuple_text([name if name in self.inputs else "0.0" for name in names], True)
        sums = ", ".join(f'"{name}": {text}' for name, text in self.sums)
        deltas = ", ".join(f'"{identifier(node.name)}": {d}' for d, node in self.deltas)
        return f"{carry}, {xs}, {{{sums}}}, {{{deltas}}}"

    def collected(self) -> str:
        constants = ", ".join(f'{name}=constants_gradient(c.{name}, sums["{name}"])' for name, _ in self.sums)
        gradients = []
        for _, node in self.deltas:
            source = node.sources[0]
            inside = source.node in self.loop.read and not node.op.keeps_input
            x = signal_text(source, self.loop.plan.network, {}) if inside else self._source_name(source)
            texts = weight_texts(node)
            late = self._delayed(node)
            if late is not None:
                x = f"{signal_text(late[0], self.loop.plan.network, {})}, {identifier(late[1])}_ring_start"
            for weight, text in node.op.gradients(f'deltas["{identifier(node.name)}"]', x):
                if late is not None:
                    text = text.replace("product_gradient", "delayed_product_gradient", 1)
                field_ = texts[weight].removeprefix("params.")
                for name, where in texts.items():
                    text = text.replace(f"{{{name}}}", where)
                gradients.append(f"{field_}={text}")
        others = ", ".join("None" for _ in self.loop.fixed[2:])
        return f"only(c, {constants}), only(params, {', '.join(gradients)}), {others}"
