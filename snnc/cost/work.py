"""The arithmetic of one training step, and the synaptic operations of one presentation."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from snnc import model
from snnc.cost.wiring import Case, parts_of
from snnc.expr import Apply, Expr, walk
from snnc.ops.connections import Inhibit, OneToOne, Sparse
from snnc.ops.conv import Conv
from snnc.ops.delays import UnitDelays, WithTimes
from snnc.ops.dense import Dense
from snnc.ops.joins import Add, And, Concat, Iand
from snnc.ops.norms import BatchNorm, LayerNorm
from snnc.ops.operation import Operation
from snnc.ops.pools import MaxPool, SumPool
from snnc.ops.tokens import Attention, Embedding
from snnc.plan import Adjoint, Assign, Fire, Integrate, Locate, Pullback, Statement

_NORM = 12  # to add up, to subtract the mean, to square, to scale and to shift, all with the weight of each sample
_STAGES = {"euler": 1, "rk2": 2, "rk4": 4}  # slopes evaluated in a substep
_SPIKES_PASS = frozenset(
    {
        "flatten",
        "reshape",
        "transpose",
        "delay",
        "dropout",
        "scale",
        "relu",
        "one_to_one",
        "avg_pool",
        "sum_pool",
        "max_pool",
    }
    | {"upsample", "add", "and", "iand", "concat"}
)  # operations that leave a 0 a 0


@dataclass(frozen=True, slots=True)
class Flops:
    """Operations of one training step. `products` count a multiplication and an addition as two."""

    forward_products: int
    backward_products: int
    forward_elementwise: int
    backward_elementwise: int

    @property
    def total(self) -> int:
        return self.forward_products + self.backward_products + self.forward_elementwise + self.backward_elementwise


@dataclass(frozen=True, slots=True)
class Synapses:
    """One connection in one presentation of one sample: `operations` are spikes times fan-out, or MACs of real values."""

    name: str
    spiking: bool
    operations: float


def flops(case: Case) -> Flops:
    """Return the operations of one training step; the optimiser's are left out.

    A sequence that is taken in parts is computed forward again on the way back.
    """
    forward = backward = 0
    for operation in case.plan.network.operations:
        product, learns = 2 * case.numbers(operation.name) * _factors(operation), case.learns(operation.sources[0].node)
        forward += product
        backward += product * (2 * learns if isinstance(operation.op, Attention) else 1 + learns)
    plain = transposed = 0
    for node in case.plan.order:
        numbers = case.numbers(node.name)
        if isinstance(node, model.Layer):
            step = sum(_operations(s) for s in case.plan.body(node.name).statements)
            plain += numbers * step
            transposed += numbers * _back(case.adjoint(node), step) * case.learns(node.name)
        elif isinstance(node.op, UnitDelays) and node.op.has_kernel:
            plain += 2 * numbers * _taps(node.op)
            transposed += 4 * numbers * _taps(node.op)
        elif node.op.kind not in ("flatten", "reshape", "transpose", "delay"):
            bias = any(w.name == "b" for w in node.op.weights())
            count = int(bias) if isinstance(node.op, Dense | Conv) else _each(node.op, len(node.sources))
            plain += numbers * count
            transposed += numbers * count * case.learns(node.name)
    if parts_of(case) is not None:
        backward, transposed = backward + forward, transposed + plain
    return Flops(forward, backward, plain, transposed)


def _factors(node: model.OpNode) -> int:
    """How many products are added up for a number of a result; a `sparse` is computed with zeros where it has no weight."""
    if isinstance(node.op, Attention):  # by all tokens, twice: q with k, and that with v
        return 2 * node.shape[0]
    return node.op.fan_in * _taps(node.op) if isinstance(node.op, Dense | Conv) else 0


def _taps(op: Operation) -> int:
    """By how many past steps each number of the source acts; a delay between two steps is several."""
    return op.times.taps if isinstance(op, WithTimes) else 1


def _back(adjoint: Adjoint | str, forward: int) -> int:
    """The operations of one transposed step; JAX's own gradient takes about two for each one forward."""
    if isinstance(adjoint, str):
        return 2 * forward
    made = sum(_operations(s) for s in (*adjoint.again, *adjoint.transposed))
    return made + sum(_count(e) for _, e in (*adjoint.slots, *adjoint.ports, *adjoint.learned))


def _operations(statement: Statement | Pullback) -> int:
    match statement:
        case Assign(_, value):
            return _count(value)
        case Fire(_, condition, margin, _):
            return _count(condition) + _count(margin)
        case Integrate(targets, slopes, method, substeps):
            return substeps * _STAGES[method] * (sum(map(_count, slopes)) + 2 * len(targets))
        case Locate(targets, slopes, margin, resets, order):
            flows = (
                6 * (2 * order + 2) * len(targets) ** 2
            )  # to the end, thrice on the way to the crossing, to it, from it
            return flows + 5 * _count(margin) + 3 * sum(map(_count, slopes)) + sum(map(_count, resets))
        case Pullback(_, integrate):
            return 3 * _operations(integrate)  # once more forward, and about two for each on the way back


def _count(expr: Expr) -> int:
    return sum(isinstance(node, Apply) for node in walk(expr))


def synapses(case: Case, rate: float) -> tuple[Synapses, ...]:
    """Return each connection's work in one presentation, where every spiking unit fires in a share `rate` of the steps.

    A source of real values takes one multiply-accumulate a synapse and step; a held one takes them once.
    """
    found = []
    for node in case.plan.network.operations:
        steps = 1 if case.is_held(node.name) else case.steps
        parts = _synapses_of(node)
        if parts:
            spiking = all(is_spiking(source, case) for source, _ in parts)
            shares = (active_share(source, case, rate) if spiking else 1.0 for source, _ in parts)
            work = sum(count * share for (_, count), share in zip(parts, shares, strict=True))
            found.append(Synapses(node.name, spiking, steps * work))
    return tuple(found)


def _synapses_of(node: model.OpNode) -> list[tuple[model.Signal, float]]:
    """Return the sources of a connection, each with how many synapses lead from all its units in a step."""
    op, source = node.op, node.sources[0]
    match op:
        case Attention():  # a spike of q adds up rows of k, a spike of v adds itself to all tokens
            return [(node.sources[k], node.shape[0] * prod(node.shape)) for k in (0, 2)]
        case Sparse():
            return [(source, existing_weights(op) * prod(node.shape[:-1]))]
        case Dense() | Conv():
            return [(source, prod(node.shape) * op.fan_in)]
        case OneToOne():
            return [(source, prod(node.shape))]
        case Inhibit():
            return [(source, prod(node.shape) * (node.shape[-1] - 1))]
    return []


def existing_weights(op: Sparse) -> float:
    """Return how many weights a sparse product has; of drawn ones the number to be expected."""
    if op.listed:
        return len(op.listed)
    if op.sources is not None:
        return op.sources * op.size
    assert op.density is not None
    return op.density * op.fan_in * op.size


def active_share(signal: model.Signal, case: Case, rate: float) -> float:
    """Return the share of the steps in which a spiking signal is not 0; a pooled one is not where any of its places spikes."""
    node = case.plan.network.node(signal.node)
    if not isinstance(node, model.OpNode):
        return rate
    before = [active_share(source, case, rate) for source in node.sources]
    match node.op:
        case SumPool(window=window) | MaxPool(window=window):
            return 1 - (1 - before[0]) ** window.taps
        case Add():
            return 1 - prod(1 - share for share in before)
        case And():
            return prod(before)
        case Iand():
            return (1 - before[0]) * before[1]
        case Concat():
            sizes = [prod(shape) for shape in node.in_shapes]
            return sum(share * size for share, size in zip(before, sizes, strict=True)) / sum(sizes)
    return before[0]


def _each(op: Operation, sources: int) -> int:
    """The operations that a number of a result takes, where nothing is multiplied by weights."""
    if isinstance(op, BatchNorm | LayerNorm):
        return _NORM
    if isinstance(op, Concat | Embedding):
        return 0
    if isinstance(op, Inhibit | Iand):
        return 2
    return op.window.taps if isinstance(op, SumPool | MaxPool) else max(1, sources - 1)


def is_spiking(signal: model.Signal, case: Case) -> bool:
    """Whether a signal is spikes, or spikes that went through operations that leave silence silent."""
    node = case.plan.network.node(signal.node)
    match node:
        case model.Input():
            return node.kind == "spikes"
        case model.Layer():
            return signal.name == "spike"
    return node.op.kind in _SPIKES_PASS and all(is_spiking(source, case) for source in node.sources)
