"""Facts about a plan that every count needs: what is held, what learns, what is read, and how large it is in a training step."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from snnc import model
from snnc.expr import Expr, Var, substitute, variables
from snnc.lower.gradients import adjoint_of
from snnc.lower.schedule import Active, read_signals, sources_of
from snnc.ops.delays import DelayedDense, WithTimes
from snnc.ops.encoders import ENCODERS
from snnc.ops.memory import Dropout
from snnc.plan import Adjoint, Group, Kept, StepPlan

NUMBER = 4  # bytes of a float32, and of an int32


@dataclass(frozen=True, slots=True)
class Case:
    """One training step: a plan with its recipe (None: all outputs are the objective), `batch` samples of `steps` steps."""

    plan: StepPlan
    recipe: model.Recipe | None
    batch: int
    steps: int

    def bytes_of(self, signal: model.Signal) -> int:
        """The bytes of a signal over all steps; of a held one, of its only step."""
        return NUMBER * self.numbers(signal.node)

    def numbers(self, node: str) -> int:
        return self.batch * self.size(node) * (1 if self.is_held(node) else self.steps)

    def one_step(self, node: str) -> int:
        return NUMBER * self.batch * self.size(node)

    def over_time(self, node: str, number: int = NUMBER) -> int:
        return number * self.batch * self.steps * self.size(node)

    def size(self, node: str) -> int:
        return prod(self.plan.network.node(node).shape)

    def is_held(self, node: str) -> bool:
        """Whether one value stands for all steps: a held input and what operations make of it."""
        found = self.plan.network.node(node)
        match found:
            case model.Input():
                encoder = None if self.recipe is None else self.recipe.data.encoder
                return encoder is not None and ENCODERS[encoder.name].held and self.steps > 1
            case model.OpNode():
                return (
                    found.op.memory != "delay"
                    and not found.op.varies
                    and all(self.is_held(s.node) for s in found.sources)
                )
        return False

    def learns(self, node: str) -> bool:
        """Whether the gradient of anything that is trained goes through a node."""
        return any(self._is_trained(name) for name in self._upstream(node))

    def _upstream(self, node: str) -> tuple[str, ...]:
        seen, stack = {node: None}, [node]
        while stack:
            found = self.plan.network.node(stack.pop())
            sources = () if isinstance(found, model.Input) else sources_of(found)
            for source in sources:
                if source.node not in seen:
                    seen[source.node] = None
                    stack.append(source.node)
        return tuple(seen)

    def _is_trained(self, node: str) -> bool:
        found = self.plan.network.node(node)
        if isinstance(found, model.Layer):
            return any(p.trainable for p in found.neuron.params)
        return isinstance(found, model.OpNode) and (bool(found.op.weights()) or _has_trained_delays(found))

    def adjoint(self, layer: model.Layer) -> Adjoint | str:
        half = self.recipe is not None and self.recipe.precision == "f16_residual"
        return adjoint_of(self.plan.body(layer.name), self.plan, half)

    def objective(self) -> tuple[Expr, ...]:
        """The loss with its penalties, outputs written out."""
        outputs = {f"output:{o.name}": o.value for o in self.plan.network.outputs}
        if self.recipe is None:
            return tuple(outputs.values())
        return tuple(substitute(t.value, outputs) for t in (self.recipe.loss, *self.recipe.penalties))

    def metrics(self, in_parts: bool = False) -> tuple[Expr, ...]:
        """What is measured of whole signals: the metrics, and the spikes of each layer unless each part adds them up."""
        if self.recipe is None:
            return ()
        outputs = {f"output:{o.name}": o.value for o in self.plan.network.outputs}
        layers = () if in_parts else self.plan.network.layers
        spikes = tuple(Var(f"signal:{n.name}.spike") for n in layers if n.neuron.spikes)
        return (*(substitute(t.value, outputs) for t in self.recipe.metrics), *spikes)

    def published(self, layer: model.Layer, group: Group) -> tuple[model.Signal, ...]:
        """Return the signals of a layer that leave its time loop, in the order of its body."""
        inside = {node.name for node in group.nodes}
        read = set(signals_in((*self.objective(), *self.metrics())))
        for node in self.plan.order:
            weighted = isinstance(node, model.OpNode) and bool(node.op.weights())
            if node.name not in inside or weighted:
                read |= set(sources_of(node))
        signals = (
            model.Signal(layer.name, p.name.removesuffix(".pre"), p.name.endswith(".pre"))
            for p in self.plan.body(layer.name).published
        )
        return tuple(s for s in signals if s in read)


def parts_of(case: Case) -> tuple[int, int] | None:
    """Return the steps of a checkpointed part and how many parts there are; None where a sequence is taken whole."""
    if case.recipe is None or case.recipe.checkpoint is None:
        return None
    length = min(case.recipe.checkpoint or part_length(case.steps), case.steps)
    return length, case.steps // length


def part_length(steps: int) -> int:
    """Return the length of parts that the emitted file chooses (`part_length` in snnc/emit/runtime/parts.py).

    >>> part_length(250), part_length(97)
    (10, 10)
    """
    root = steps**0.5
    near = (n for n in range(max(1, int(root / 2)), int(2 * root) + 1) if root / 2 <= n <= 2 * root and steps % n == 0)
    return min(near, key=lambda n: max(n / root, root / n), default=round(root))


def part_state_bytes(case: Case) -> int:
    """What a part begins with: states, delay lines, and the masks of dropout, which go from part to part as well."""
    network = case.plan.network
    total = sum(len(case.plan.body(n.name).slots) * case.one_step(n.name) for n in network.layers)
    for node in network.operations:
        if node.op.held():
            total += NUMBER * case.batch * node.op.held() * prod(node.in_shapes[0]) + kernel_bytes(node)
        elif isinstance(node.op, Dropout):
            total += case.one_step(node.name)
    return total


def signals_in(exprs: tuple[Expr, ...]) -> tuple[model.Signal, ...]:
    """Return the signals of layers and the results of operations that tensor expressions read."""
    ops = dict.fromkeys(v for e in exprs for v in variables(e) if v.startswith("op:"))
    return (*read_signals(exprs), *(model.Signal(v.removeprefix("op:")) for v in ops))


def kept_bytes(kept: Kept) -> int:
    return 1 if kept.truth else 2 if kept.half else NUMBER


def _has_trained_delays(node: model.OpNode) -> bool:
    return isinstance(node.op, WithTimes) and node.op.times.trainable


def kernel_bytes(node: model.OpNode) -> int:
    """The weights of past steps that delays are read through, of a product times its weights."""
    if not isinstance(node.op, WithTimes) or not node.op.has_kernel:
        return 0
    shape = node.op.times.shape if not isinstance(node.op, DelayedDense) else (node.op.fan_in, node.op.size)
    return NUMBER * node.op.times.taps * prod(shape)


def is_weighted(node: Active) -> bool:
    return isinstance(node, model.OpNode) and bool(node.op.weights())


def has_loop(group: Group, plan: StepPlan) -> bool:
    """Whether a group is one time loop over several nodes, or over a layer that draws noise."""
    first = group.nodes[0]
    return group.loop or (isinstance(first, model.Layer) and plan.body(first.name).random)


def is_by_jax(group: Group, case: Case) -> bool:
    """Whether JAX differentiates a time loop: a neuron or an operation has no derived gradient, or two products share weights."""
    return any(
        isinstance(case.adjoint(node), str)
        if isinstance(node, model.Layer)
        else not node.op.transposable or bool(node.shares)
        for node in group.nodes
    )
