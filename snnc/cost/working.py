"""What operations take beside their result, as XLA runs them on a CPU (measured: tests/commands/test_cost.py)."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from snnc import model
from snnc.cost.wiring import NUMBER, Case, kernel_bytes
from snnc.ops.connections import Inhibit, Sparse
from snnc.ops.conv import Conv
from snnc.ops.delays import DelayedDense, UnitDelays
from snnc.ops.norms import BatchNorm, LayerNorm
from snnc.ops.pools import MaxPool
from snnc.ops.tokens import Attention

# Operations that XLA computes where their result is read, or that read a signal number by number: a spike that is made again
# from its margin takes no array on its way into them.
FUSED = frozenset(
    {
        "avg_pool",
        "sum_pool",
        "max_pool",
        "upsample",
        "scale",
        "relu",
        "bias",
        "add",
        "and",
        "iand",
        "dropout",
        "one_to_one",
    }
)
VIEWS = frozenset({"flatten", "reshape"})  # their result is their source


@dataclass(frozen=True, slots=True)
class Working:
    """Bytes that an operation over a whole sequence takes: `filled` from the start of the program to its way back, `kept` from
    its own step to its way back, `ahead` in its own step only, `back` on its way back only.
    """

    filled: int = 0
    kept: int = 0
    ahead: int = 0
    back: int = 0


def working(node: model.OpNode, case: Case) -> Working:
    """Return what an operation takes that is computed over all steps at once."""
    op, result = node.op, case.bytes_of(model.Signal(node.name))
    match op:
        case BatchNorm(variant="tebn"):
            return Working(kept=result)  # what p multiplies
        case BatchNorm(variant="bntt"):
            return Working(filled=2 * result, kept=result)  # gamma and the statistics of each step, for all samples
        case DelayedDense():
            kernel, late, learns = kernel_bytes(node), late_bytes(node, case), case.learns(node.sources[0].node)
            if not op.times.trainable:  # the kernel is made where it is read
                return Working(kept=late, ahead=late + kernel, back=kernel + learns * (kernel + late))
            many = _arrays_like_the_kernel(op)
            back = kernel * (2 if many == 1 else 1) + learns * (kernel + late)
            return Working(filled=many * kernel, kept=late, ahead=late, back=back)
        case UnitDelays() if op.has_kernel:
            late = late_bytes(node, case)  # twice: with the steps before the first, and zeros for its cotangent
            return Working(filled=late + kernel_bytes(node), kept=late)
        case MaxPool(window=window) if isinstance(case.plan.network.node(node.sources[0].node), model.OpNode):
            return Working(back=window.taps * case.bytes_of(node.sources[0]))  # one for each place of a window
        case Sparse():  # weights times mask, anew each time
            return Working(ahead=_masked(op), back=_masked(op))
        case Inhibit():  # its factor, for all units
            return Working(filled=result)
        case Attention():  # the products of all pairs of tokens
            return Working(kept=_pairs(node, case), back=_pairs(node, case))
    return Working()


def _pairs(node: model.OpNode, case: Case) -> int:
    assert isinstance(node.op, Attention)
    return NUMBER * case.batch * case.steps * node.op.heads * node.in_shapes[0][0] ** 2


def _masked(op: Sparse) -> int:
    return NUMBER * op.fan_in * op.size


def _arrays_like_the_kernel(op: DelayedDense | UnitDelays) -> int:
    """A bell takes distances, its largest value, its sum, and what they are divided by."""
    return 8 if op.times.trainable and op.times.kernel == "gaussian" else 1


def in_jax_loop(node: model.OpNode, case: Case) -> Working:
    """Return what an operation takes in a time loop that JAX differentiates, where it keeps of each step what it multiplies."""
    op, steps = node.op, NUMBER * case.batch * case.steps
    match op:
        case DelayedDense() | UnitDelays() if op.has_kernel:  # all past steps that count, and the kernel
            return Working(filled=in_parts(node).filled, kept=steps * op.times.taps * prod(node.in_shapes[0]))
        case Attention():
            return Working(kept=steps * sum(map(prod, node.in_shapes)) + _pairs(node, case))
    return Working()


def in_parts(node: model.OpNode) -> Working:
    """Return what a delay takes in a sequence in parts, or in a loop: its kernel, what that is made from, and its gradient."""
    if isinstance(node.op, DelayedDense | UnitDelays) and node.op.has_kernel:
        return Working(filled=(_arrays_like_the_kernel(node.op) + 2) * kernel_bytes(node))
    return Working()


def late_bytes(node: model.OpNode, case: Case) -> int:
    """The source of a delay with the steps before the first."""
    return NUMBER * case.batch * (case.steps + node.op.held()) * prod(node.in_shapes[0])


def keeps_source(node: model.OpNode) -> bool:
    """Whether the way back reads the source: also of a norm, which XLA computes again from it."""
    if isinstance(node.op, BatchNorm):
        return not node.op.by_step
    return node.op.keeps_input or isinstance(node.op, LayerNorm | Attention)


def kept_beside(node: model.OpNode, case: Case) -> tuple[tuple[str, int], ...]:
    """Return what an operation keeps for its way back beside its sources, each with its bytes."""
    if node.op.kind == "norm":
        normal = case.bytes_of(node.sources[0])
        return ("source with mean 0 and variance 1", normal), ("values of each step", working(node, case).kept)
    if isinstance(node.op, Attention):
        return (("products of all pairs of tokens", _pairs(node, case)),)
    return ()


def is_filled_first(node: model.OpNode, case: Case) -> bool:
    """Whether the result is written step by step into zeros that exist from the start."""
    by_step = isinstance(node.op, Conv) or (isinstance(node.op, UnitDelays) and node.op.has_kernel)
    return by_step and not case.is_held(node.name) and case.steps > 1


def is_written_out(signal: model.Signal, case: Case) -> bool:
    """Whether anything reads a signal as an array of its own: a product, a loop."""
    for node in case.plan.order:
        if isinstance(node, model.Layer):
            if any(signal in sources for _, sources in node.ports):
                return True
        elif signal in node.sources:
            if node.op.kind in VIEWS and is_written_out(model.Signal(node.name), case):
                return True
            if node.op.kind not in FUSED | VIEWS:
                return True
    return False


def not_estimated(case: Case, peak: int) -> tuple[str, ...]:
    """Return why the temporary memory may be another than `peak` bytes, by more than a fifth."""
    found = () if case.steps > 1 else ("samples of one step, of which XLA makes no loop",)
    kinds = (f"`{n.name}` ({n.op.kind})" for n in case.plan.network.operations if n.op.kind not in _MEASURED)
    large = (n for n in case.plan.network.operations if isinstance(n.op, Sparse) and 10 * _masked(n.op) > peak)
    masked = (f"`{n.name}`, whose weights times mask XLA keeps once or twice" for n in large)
    return (*found, *masked, *kinds)


# Operations for which the estimate was compared with what XLA takes, alone and together (tests/commands/test_cost.py).
_MEASURED = FUSED | VIEWS | {
    "dense", "sparse", "conv", "depthwise", "norm", "delay", "concat", "inhibit", "attention", "embedding",
}  # fmt: skip
