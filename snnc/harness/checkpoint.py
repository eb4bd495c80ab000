"""A training between two updates, on disk: one safetensors file from which it goes on to the same numbers.

Arrays: `weights/NAME` (the running ones, under the author's names), `selected/NAME`, `state/PATH` (the optimiser's memory,
the key, the counters), `metrics/NAME` (of the updates since the epoch began, one row each), `best`. The metadata hold
`about` as JSON and a checksum.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from snnc.diagnostics import Code, CompileError, fail
from snnc.harness.devices import placed
from snnc.harness.emitted import Progress, TrainableModule, fresh_state
from snnc.harness.files import whole_file, write_atomically
from snnc.harness.identity import Identity
from snnc.harness.weights import IN_CHECKPOINT, named_tensors, records_of, tensor_differences

SELECTED = "selected/"
STATE = "state/"
METRICS = "metrics/"
BEST = "best"


@dataclass(frozen=True, slots=True)
class About:
    """What a checkpoint says beside its arrays. `epoch` is done, as are `update` updates of the next one.

    `seconds` and `epoch_seconds` are what the training and its running epoch took so far.
    """

    identity: Identity
    epoch: int
    update: int
    selected_epoch: int | None
    seconds: float
    epoch_seconds: float

    def place(self, updates: int) -> str:
        """Say where the training stands; `updates` make an epoch."""
        if self.update:
            return f"epoch {self.epoch + 1}, update {self.update} of {updates}"
        return f"epoch {self.epoch}" if self.epoch else "the start"


def save_checkpoint(path: Path, module: TrainableModule, progress: Progress, about: About) -> None:
    """Write a checkpoint of values on the host; the one before it stays until this one is on the disk.

    Raises:
        OSError: it cannot be written.
    """
    from safetensors.numpy import save

    tensors = {
        IN_CHECKPOINT + n: a for n, a in named_tensors(module, progress.state.params, progress.state.buffers).items()
    }
    tensors |= {STATE + n: a for n, a in _rest(progress.state).items()}
    if progress.selected is not None:
        tensors |= {SELECTED + n: a for n, a in named_tensors(module, *progress.selected).items()}
    for name in progress.metrics[0] if progress.metrics else ():
        tensors[METRICS + name] = np.stack([metrics[name] for metrics in progress.metrics])
    tensors[BEST] = np.asarray(progress.best, np.float64)
    arrays = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    metadata = {
        "model": module.MODEL,
        "model_hash": module.MODEL_HASH,
        "about": json.dumps(asdict(about)),
        "checksum": _checksum(arrays),
    }
    write_atomically(path, save(arrays, metadata=metadata))


def read_about(path: Path) -> About:
    """Return what a checkpoint says of itself.

    Raises:
        CompileError: E0611 if it cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            record = json.loads((file.metadata() or {})["about"])
        about = About(**{**record, "identity": Identity(**record["identity"])})
        return about
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise damaged(path, _reason(error)) from error


def load_checkpoint(path: Path, module: TrainableModule, about: About, updates: int, mesh: Any = None) -> Progress:
    """Return the Progress of a checkpoint, its state on the device or the mesh; `updates` make an epoch.

    Raises:
        CompileError: E0611 if it is damaged or does not fit the module.
    """
    import jax
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            checksum = (file.metadata() or {}).get("checksum")
    except (SafetensorError, OSError, ValueError) as error:
        raise damaged(path, _reason(error)) from error
    if checksum != _checksum(found):
        raise damaged(path, "its checksum does not fit its contents")

    identity = about.identity
    rows = identity.batch if mesh is None else identity.batch + -identity.batch % mesh.shape["data"]
    fresh = jax.eval_shape(lambda: fresh_state(module, identity.seed, updates, identity.epochs, rows))
    weights = named_tensors(module, fresh.params, fresh.buffers)
    expected = {IN_CHECKPOINT + name: shape for name, shape in weights.items()}
    expected |= {STATE + name: shape for name, shape in _rest(fresh).items()}
    if about.selected_epoch is not None:
        expected |= {SELECTED + name: shape for name, shape in weights.items()}
    others = {name for name in found if name.startswith(METRICS)} | {BEST}
    wrong = tensor_differences(expected, {name: array for name, array in found.items() if name not in others})
    rows = {len(found[name]) for name in others if name != BEST}
    if wrong or BEST not in found or rows != ({about.update} if about.update else set()):
        raise damaged(path, "; ".join(wrong[:3]) or "it contradicts itself")

    taken = {name: array for name, array in found.items() if name in expected}
    on_device = jax.device_put(taken) if mesh is None else placed(module, mesh, taken)
    params, buffers = records_of(module, _within(IN_CHECKPOINT, on_device))
    paths, structure = jax.tree_util.tree_flatten_with_path(_without_weights(fresh))
    leaves = [on_device[STATE + jax.tree_util.keystr(where)] for where, _ in paths]
    state = jax.tree.unflatten(structure, leaves)._replace(params=params, buffers=buffers, rule=fresh.rule)
    metrics = _within(METRICS, found)
    progress: Progress = module.Progress(
        state=state,
        metrics=[{name: rows[k] for name, rows in metrics.items()} for k in range(about.update)],
        best=float(found[BEST]),
        selected=records_of(module, _within(SELECTED, on_device)) if about.selected_epoch is not None else None,
    )
    return progress


def damaged(path: Path, reason: str) -> CompileError:
    """Return E0611 for a checkpoint, or a file beside it, that cannot be gone on from."""
    return fail(
        Code.CANNOT_RESUME,
        whole_file(path),
        f"cannot go on from this file: {reason}",
        help="train anew without `--resume`, or take a copy of the run folder that is whole",
    )


def _without_weights(state: Any) -> Any:
    return state._replace(params=None, buffers=None, rule=None)


def _rest(state: Any) -> dict[str, Any]:
    """Return the leaves of a TrainState that are no weights, by their path in it."""
    import jax

    leaves = jax.tree_util.tree_leaves_with_path(_without_weights(state))
    return {jax.tree_util.keystr(path): leaf for path, leaf in leaves}


def _within(prefix: str, tensors: Mapping[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _checksum(tensors: Mapping[str, np.ndarray]) -> str:
    value = 0
    for name in sorted(tensors):
        value = zlib.crc32(tensors[name].data, zlib.crc32(name.encode(), value))
    return f"{value:08x}"


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError | TypeError):
        return "it is no checkpoint of this version of snnc"
    return str(error) or type(error).__name__
