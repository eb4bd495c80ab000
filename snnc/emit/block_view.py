"""Prints blocks as functions that all their uses call, each with its own part of the parameters and of the state."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from snnc import model
from snnc.emit.loop_view import LoopView
from snnc.emit.names import class_name, field_name, function_name, identifier
from snnc.emit.node_lines import is_ring, signal_text, tuple_text
from snnc.emit.statement_text import LineView, place
from snnc.lower.blocks import cut_out, separable_uses
from snnc.lower.schedule import sources_of
from snnc.ops.norms import BatchNorm
from snnc.plan import StepPlan

RECORDS = ("params", "buffers", "c", "state")  # what a use of a block has its own part of
_STEMS = {"params": "Params", "buffers": "Buffers", "c": "Constants", "state": "State"}


@dataclass(frozen=True, slots=True)
class Lines:
    """A network, or a block, as the lines of one function, and the time loops that they call."""

    lines: tuple[LineView, ...]
    loops: tuple[LoopView, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordView:
    """A NamedTuple with a block's part of another."""

    name: str
    whole: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BlockView:
    """The functions of one block. `arguments` are names and types of what they take besides the inputs."""

    name: str
    title: str
    doc: str
    inputs: tuple[str, ...]
    records: tuple[RecordView, ...]
    arguments: tuple[tuple[str, str], ...]
    loops: tuple[LoopView, ...]
    trains: bool  # whether it computes otherwise in training, and has statistics that go on
    run_lines: tuple[LineView, ...]
    run_result: str
    step_lines: tuple[LineView, ...]
    step_result: str


# Prints the network over a sequence, the time loops under a prefix; and one step of it.
Print = Callable[[StepPlan, frozenset[str], str], Lines]


@dataclass(frozen=True, slots=True)
class Calls:
    """The uses of blocks that become calls in a plan: each with the functions that it calls and its nodes as a plan."""

    plan: StepPlan
    of: dict[str, tuple[model.Use, BlockView, StepPlan]]  # by the name of the use

    @property
    def uses(self) -> tuple[model.Use, ...]:
        return tuple(use for use, _, _ in self.of.values())


@dataclass
class Blocks:
    """The blocks of a file. `run` and `step` print a plan; `ends` says whether the last states of a run are read."""

    run: Print
    step: Print
    ends: bool
    taken: frozenset[str]  # names at the top of the emitted file
    views: dict[str, BlockView] = field(default_factory=dict)  # by the text of the block, inner ones first
    known: dict[tuple[int, frozenset[str]], Calls] = field(default_factory=dict)  # by plan and `kept`

    def calls(self, plan: StepPlan, kept: frozenset[str]) -> Calls:
        """Return the uses in `plan` that become calls, their functions ready; `kept` are operations read from outside."""
        key = (id(plan), kept)  # `Calls` keeps the plan alive, so that no other one gets its number
        if key not in self.known:
            self.known[key] = self._cut(plan, kept)
        return self.known[key]

    def _cut(self, plan: StepPlan, kept: frozenset[str]) -> Calls:
        uses = tuple(use for use in separable_uses(plan) if _spelled_alike(plan, use))
        parts = {use.name: cut_out(plan, use) for use in uses}
        read = {use.name: _read_outside(plan, use, kept) for use in uses}
        keys = {name: self._text(part, read[name], "block") for name, part in parts.items()}
        of: dict[str, tuple[model.Use, BlockView, StepPlan]] = {}
        for use in uses:
            alike = frozenset(op for name, ops in read.items() if keys[name] == keys[use.name] for op in ops)
            key = f"{keys[use.name]}\n{sorted(alike)}"
            if key not in self.views:
                self.views[key] = self._view(use, parts[use.name], alike)
            of[use.name] = (use, self.views[key], parts[use.name])
        return Calls(plan, of)

    def _text(self, part: StepPlan, read: frozenset[str], name: str) -> str:
        return repr((self.run(part, read, name), self.step(part, read, name)))

    def _view(self, use: model.Use, part: StepPlan, read: frozenset[str]) -> BlockView:
        title, k = class_name(use.block), 2
        names = {v.title for v in self.views.values()}
        while title in names or f"{title}State" in self.taken or f"run_{function_name(title)}" in self.taken:
            title, k = f"{class_name(use.block)}{k}", k + 1
        name = function_name(title)
        run, step = self.run(part, read, name), self.step(part, read, name)
        inner = [(_prefix(u), view) for u, view, _ in self.calls(part, read).of.values()]
        texts = [line.code for line in (*run.lines, *step.lines)]
        for loop in run.loops:
            for function in (loop.step, loop.adjoint, loop.gradients):
                if function is not None:
                    texts += [*(line.code for line in function.lines), function.result]
        whole = "\n".join(texts)
        records, arguments = [], []
        for variable in RECORDS:
            fields = dict.fromkeys(re.findall(rf"(?<![\w.]){variable}\.([A-Za-z]\w*)", whole))
            for prefix, view in inner:
                record = next((r for r in view.records if r.name == f"{view.title}{_STEMS[variable]}"), None)
                fields |= dict.fromkeys(prefix + f for f in (record.fields if record else ()))
            fields.pop("n", None)
            if fields or re.search(rf"(?<![\w.]){variable}\b", whole):
                records.append(RecordView(f"{title}{_STEMS[variable]}", _STEMS[variable], tuple(fields)))
                arguments.append((variable, f"{title}{_STEMS[variable]}"))
        ends = [f"{identifier(n.name)}_state" for n in part.network.layers]
        ends += [f"{identifier(n.name)}_ring" for n in part.network.operations if is_ring(n)]
        outs = tuple_text(_outs(part, read), True)
        trains = any(isinstance(n.op, BatchNorm) for n in part.network.operations)
        return BlockView(
            name, title, f"{use.block}: a block of the network", tuple(field_name(i.name) for i in part.network.inputs),
            tuple(records), tuple(arguments), run.loops, trains,
            run.lines, f"{tuple_text(ends if self.ends else [], True)}, {outs}{', buffers' if trains else ''}",
            step.lines, f"{tuple_text(ends, True)}, {outs}",
        )  # fmt: skip

    def shared(self, plan: StepPlan) -> dict[str, list[str]]:
        """Return the uses in `plan` by the name of the block whose functions they call."""
        found: dict[str, list[str]] = {}
        for calls in self.known.values():
            if calls.plan is plan:
                for use, view, _ in calls.of.values():
                    found.setdefault(view.title, []).append(use.name)
        return found

    def call(self, calls: Calls, use: model.Use, function: str) -> LineView:
        """Return the line that calls `run_…` or `step_…` of a use and gives what comes out its names in the network."""
        _, view, part = calls.of[use.name]
        prefix = _prefix(use)
        args = [f'pick({cls}, {variable}, "{prefix}")' for variable, cls in view.arguments]
        network = calls.plan.network
        bound = {name: signal_text(signal, network, {}) for name, signal in reversed(use.inputs)}
        flowing = [bound[i.name] for i in part.network.inputs]
        args.append(f"{view.title}Inputs({', '.join(flowing)})")
        if function == "run":
            args += ["steps", "weight", "train"] if view.trains else ["steps"]
        result = view.run_result if function == "run" else view.step_result
        result = f"_{result[2:]}" if result.startswith("(),") else result
        outs = re.sub(r"(?<![\w.])(?=[A-Za-z])", prefix, result)
        comment = f"{' '.join(use.span.text.split())}  ({place(use.span)})"
        lines = f"{outs} = {function}_{view.name}({', '.join(args)})"
        if function == "run" and view.trains:
            lines += f'\n    buffers = into(buffers, {prefix}buffers, "{prefix}")'
        return LineView(comment, lines)


def _prefix(use: model.Use) -> str:
    return re.sub(r"\W", "_", use.name) + "_"


def _outs(part: StepPlan, read: frozenset[str]) -> list[str]:
    """Return the nodes of a block whose values leave it: all layers, and operations that are read outside."""
    return [identifier(n.name) for n in part.order if isinstance(n, model.Layer) or n.name in read]


def _read_outside(plan: StepPlan, use: model.Use, kept: frozenset[str]) -> frozenset[str]:
    """Return the operations of a use, by their own names, that flow out of it."""
    prefix = f"{use.name}."
    read = {s.node for node in plan.order if not node.name.startswith(prefix) for s in sources_of(node)} | kept
    read |= {signal.node for _, signal in use.outputs}
    return frozenset(name.removeprefix(prefix) for name in read if name.startswith(prefix))


def _spelled_alike(plan: StepPlan, use: model.Use) -> bool:
    """Whether all names of a use are, in the emitted file, its prefix and the names that they have in the block."""
    start, prefix = f"{use.name}.", _prefix(use)
    names = [node.name for node in plan.order if node.name.startswith(start)]
    weights = [f"{n.name}.{w.name}" for n in plan.network.operations if n.name.startswith(start) for w in n.own_weights]
    spelled = all(identifier(n) == prefix + identifier(n.removeprefix(start)) for n in (*names, *weights))
    return spelled and all(field_name(n) == prefix + field_name(n.removeprefix(start)) for n in names)
