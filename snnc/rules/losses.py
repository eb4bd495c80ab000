"""The form of an objective: which losses a rule can take apart step by step."""

from __future__ import annotations

from dataclasses import dataclass

from snnc import model
from snnc.expr import Apply, Expr, Num, Var, substitute
from snnc.ops.tensor_functions import TENSOR_FUNCTIONS
from snnc.semantics.tensors import signal_names

OVER_STEPS = ("mean_over_time", "sum_over_time")


@dataclass(frozen=True, slots=True)
class StepLoss:
    """A loss that is the mean or the sum over steps of `value`, a function of signals of one step.

    The steps from `start` up to, not including, `stop` count; None: to the end.
    """

    value: Expr
    mean: bool
    start: int
    stop: int | None


def step_loss(recipe: model.Recipe, network: model.Network) -> StepLoss | str:
    """Return the loss step by step, or the text of the part that joins steps in another way."""
    outputs = {f"output:{o.name}": o.value for o in network.outputs}
    value = substitute(recipe.loss.value, outputs)
    types = _types(recipe, network)
    match value:
        case Apply(fn, (inner,)) if fn in OVER_STEPS:
            joined = joins_steps(inner, types)
            return StepLoss(inner, fn == "mean_over_time", *_window(value, recipe.steps)) if joined is None else joined
    return joins_steps(value, types) or "it"


def _window(readout: Apply, steps: int | None) -> tuple[int, int | None]:
    """Return the first step of a readout's window and the one after its last."""
    last = readout.attr("last")
    if last is not None and steps is not None:
        return max(steps - int(float(last)), 0), None
    stop = readout.attr("stop")
    return int(float(readout.attr("start") or 0)), None if stop is None else int(float(stop))


def joins_steps(expr: Expr, types: dict[str, model.TensorType]) -> str | None:
    """Return the name of a function in `expr` that takes several steps together; None where each step stands alone."""
    match expr:
        case Apply(fn, args):
            inner = next((found for arg in args if (found := joins_steps(arg, types)) is not None), None)
            if inner is not None:
                return inner
            return fn if any(_over_time(arg, types) for arg in args) and not _over_time(expr, types) else None
    return None


def _over_time(expr: Expr, types: dict[str, model.TensorType]) -> bool:
    return _type(expr, types).time


def _type(expr: Expr, types: dict[str, model.TensorType]) -> model.TensorType:
    plain = model.TensorType(False, False, (), types["time"].dimension)
    match expr:
        case Var(name):
            return types[name]
        case Apply(fn, args):
            kinds = tuple(_type(arg, types) for arg in args)
            found = TENSOR_FUNCTIONS[fn].check(kinds) if fn in TENSOR_FUNCTIONS else None
            if isinstance(found, model.TensorType):
                return found
            shape = max((k.shape for k in kinds), key=len, default=())
            return model.TensorType(any(k.time for k in kinds), any(k.batch for k in kinds), shape, plain.dimension)
        case Num():
            return plain
    return plain


def _types(recipe: model.Recipe, network: model.Network) -> dict[str, model.TensorType]:
    types = dict(signal_names(network).values())
    types |= {f"field:{name}": type_ for name, type_ in recipe.fields}
    return types
