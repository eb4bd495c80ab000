"""Weights on disk: safetensors with the dotted names of the model, its hash and where they come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from snnc.diagnostics import Code, CompileError, fail
from snnc.harness.emitted import ModelModule
from snnc.harness.files import whole_file, write_atomically

BUFFER_PREFIX = "buffers."
IN_CHECKPOINT = "weights/"  # stands before the names of weights in a checkpoint, which holds more than weights


def save_weights(
    path: Path, module: ModelModule, params: Any, buffers: Any, metadata: dict[str, str] | None = None
) -> None:
    """Write `params` (raw space) and `buffers` to `path`, atomically; `metadata` joins the model's hash and name."""
    from safetensors.numpy import save

    tensors = {name: np.asarray(value, order="C") for name, value in named_tensors(module, params, buffers).items()}
    about = {"model_hash": module.MODEL_HASH, "model": module.MODEL, **(metadata or {})}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, save(tensors, metadata=about))


def load_weights(path: Path, module: ModelModule) -> tuple[Any, Any]:
    """Return the (Params, Buffers) of `path`, as NumPy arrays.

    Raises:
        CompileError: E0608, with every difference: the file is no safetensors file, comes from a network of other
            structure, or has other names, shapes or types.
    """
    tensors, metadata = _read(path)
    import jax

    key = jax.random.key(0)
    expected = named_tensors(module, jax.eval_shape(module.init_params, key), jax.eval_shape(module.init_buffers, key))
    differences = tensor_differences(expected, tensors)
    if metadata.get("model_hash") != module.MODEL_HASH:
        differences.insert(0, _hash_difference(module, metadata))
    if differences:
        raise _mismatch(path, f"these weights do not fit `{module.MODEL}`: {'; '.join(differences)}")
    return records_of(module, tensors)


def load_matching(path: Path, module: ModelModule, params: Any, buffers: Any) -> tuple[Any, Any, tuple[str, ...]]:
    """Return (Params, Buffers) with the tensors of `path` that have the name, shape and type of one given here.

    The third value names the tensors that have no match and stay as given. The network may be another one.

    Raises:
        CompileError: E0608 if the file is no safetensors file, or nothing in it matches.
    """
    found, metadata = _read(path)
    expected = named_tensors(module, params, buffers)
    fresh = tuple(
        name
        for name, want in expected.items()
        if name not in found or found[name].shape != want.shape or found[name].dtype != want.dtype
    )
    if len(fresh) == len(expected):
        of = metadata.get("model", "?")
        raise _mismatch(path, f"these weights of `{of}` have no name and shape in common with `{module.MODEL}`")
    taken = {name: value if name in fresh else found[name] for name, value in expected.items()}
    return *records_of(module, taken), fresh


def named_tensors(module: ModelModule, params: Any, buffers: Any) -> dict[str, Any]:
    """Return the values by their names in a file."""
    named = dict(zip(module.PARAM_NAMES, params, strict=True))
    return named | {BUFFER_PREFIX + name: value for name, value in zip(module.BUFFER_NAMES, buffers, strict=True)}


def records_of(module: ModelModule, tensors: dict[str, Any]) -> tuple[Any, Any]:
    params = module.Params(*(tensors[name] for name in module.PARAM_NAMES))
    return params, module.Buffers(*(tensors[BUFFER_PREFIX + name] for name in module.BUFFER_NAMES))


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
    except (SafetensorError, OSError, ValueError) as error:
        raise _mismatch(path, f"cannot read weights: {error}") from error
    if any(name.startswith(IN_CHECKPOINT) for name in tensors):
        length = len(IN_CHECKPOINT)
        tensors = {name[length:]: value for name, value in tensors.items() if name.startswith(IN_CHECKPOINT)}
    lost = [f"`{name}`" for name, value in tensors.items() if value.dtype.kind == "f" and not np.isfinite(value).all()]
    if lost:
        raise _mismatch(path, f"these weights are not finite: {', '.join(lost)} has NaN or infinite values")
    return tensors, metadata


def tensor_differences(expected: dict[str, Any], found: dict[str, np.ndarray]) -> list[str]:
    out = [f"`{name}` is missing" for name in expected if name not in found]
    out += [f"`{name}` is not in the model" for name in found if name not in expected]
    for name, want in expected.items():
        if name not in found:
            continue
        have = found[name]
        if tuple(have.shape) != tuple(want.shape):
            out.append(f"`{name}` has shape {list(have.shape)}, the model {list(want.shape)}")
        elif have.dtype != want.dtype:
            out.append(f"`{name}` holds {have.dtype}, the model {want.dtype}")
    return out


def _hash_difference(module: ModelModule, metadata: dict[str, str]) -> str:
    found = metadata.get("model_hash")
    if found is None:
        return "the file bears no model hash"
    return f"they were saved from `{metadata.get('model', '?')}` {found[:12]}, this is {module.MODEL_HASH[:12]}"


def _mismatch(path: Path, message: str) -> CompileError:
    return fail(
        Code.BAD_WEIGHTS,
        whole_file(path),
        message,
        help="use the .snn file kept beside the weights, or train again",
    )
