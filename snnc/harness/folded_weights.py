"""The weights of a network without norms: each product in front of one has taken over its factor and its shift."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from snnc import model
from snnc.harness.emitted import ModelModule
from snnc.harness.weights import BUFFER_PREFIX, named_tensors, records_of
from snnc.ops.norms import BatchNorm
from snnc.semantics.folding import Fold

FOLDED_FROM = "folded_from"  # the entry of a file of weights that says the hash of the model with norms


def is_folded(path: Path) -> bool:
    """Whether a file is one of folded weights; false for what is no file of weights."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            return FOLDED_FROM in (file.metadata() or {})
    except (SafetensorError, OSError):
        return False


def fold_weights(
    old: ModelModule,
    new: ModelModule,
    folds: tuple[Fold, ...],
    renamed: dict[str, model.OpNode],
    params: Any,
    buffers: Any,
) -> tuple[Any, Any]:
    """Return (Params, Buffers) of the module `new` from those of `old`; `renamed` maps old operations to new ones.

    The arithmetic is float64, the result has the type of the weights.
    """
    tensors = {name: np.asarray(value) for name, value in named_tensors(old, params, buffers).items()}
    for fold in folds:
        taken = _folded(fold, tensors)
        tensors.update({fold.product.path(part): value for part, value in taken.items()})
    moved = {f"{before}.": f"{after.name}." for before, after in renamed.items()}
    return records_of(new, {_new_name(name, moved): value for name, value in tensors.items()})


def _folded(fold: Fold, tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return `w` and `b` of a product, whose last axis are the channels of the norm.

    With factor = gain γ / sqrt(var + eps), w' = w factor and b' = (b - mean) factor + β, of which b, γ and β may not exist.
    """
    op = fold.norm.op
    assert isinstance(op, BatchNorm)

    def of(node: model.OpNode, part: str, default: float) -> Any:
        found = tensors.get(node.path(part))
        return default if found is None else found.astype(np.float64)

    mean, var = (tensors[BUFFER_PREFIX + fold.norm.path(part)].astype(np.float64) for part in ("mean", "var"))
    factor = op.gain * of(fold.norm, "gamma", 1.0) / np.sqrt(var + op.eps)
    w = tensors[fold.product.path("w")]
    b = (of(fold.product, "b", 0.0) - mean) * factor + of(fold.norm, "beta", 0.0)
    return {"w": (w * factor).astype(w.dtype), "b": b.astype(w.dtype)}


def _new_name(name: str, moved: dict[str, str]) -> str:
    """Return the name of a tensor in the new network: only that of its operation may have changed."""
    prefix = BUFFER_PREFIX if name.startswith(BUFFER_PREFIX) else ""
    own = name.removeprefix(prefix)
    operation = own.rpartition(".")[0] + "."
    return prefix + moved.get(operation, operation) + own.removeprefix(operation)
