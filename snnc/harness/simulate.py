"""Runs a network on inputs and evaluates weights on a split: what `snnc run` and `snnc eval` do."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from snnc.data.batches import iterate_batches
from snnc.data.record import DataSet, Part
from snnc.diagnostics import Code, fail
from snnc.harness.datasets import load_parts, sample_count
from snnc.harness.emitted import ModelModule, TrainableModule
from snnc.harness.files import whole_file, write_atomically
from snnc.harness.weights import load_weights
from snnc.pipeline import Compiled


@dataclass(frozen=True, slots=True)
class Simulation:
    """The signals of one simulation by dotted name, [T, B, ...]; row n stands at time (n + 1)·dt (ms)."""

    signals: dict[str, np.ndarray]
    dt: float
    steps: int


def simulate(
    module: ModelModule, inputs: Mapping[str, Any], steps: int, weights: Path | None = None, seed: int = 0
) -> Simulation:
    """Run the network in evaluation, with weights from a file or freshly drawn from `seed`.

    Raises:
        CompileError: E0608 for weights that do not fit.
    """
    import jax

    params_key, buffers_key, run_key = jax.random.split(jax.random.key(seed), 3)
    if weights is None:
        params, buffers = module.init_params(params_key), module.init_buffers(buffers_key)
    else:
        params, buffers = load_weights(weights, module)
    x = module.Inputs(*(jax.numpy.asarray(inputs[name]) for name in module.INPUTS))  # a field may be spelled `class_`
    signals, _ = jax.jit(lambda p, b, x, key: module.run(p, b, x, key=key, steps=steps))(params, buffers, x, run_key)
    return Simulation(_with_rasters(flatten_signals(module, signals), module.DT, steps), module.DT, steps)


def flatten_signals(module: ModelModule, signals: Any) -> dict[str, np.ndarray]:
    """Return the arrays of a Signals record by the dotted names of `module.SIGNALS`, in its order."""
    layers = dict.fromkeys(
        name.rpartition(".")[0] for name in module.SIGNALS
    )  # what follows them is no signal of a layer
    arrays = (array for _, record in zip(layers, signals, strict=False) for array in record)
    return {name: np.asarray(array) for name, array in zip(module.SIGNALS, arrays, strict=True)}


def _with_rasters(signals: dict[str, np.ndarray], dt: float, steps: int) -> dict[str, np.ndarray]:
    """Return times of first spikes, [B, ...] in ms, as spikes in the steps that end with them or after them."""
    found = {}
    for name, array in signals.items():
        if not name.endswith(".first"):
            found[name] = array
            continue
        ends = (np.arange(steps) + 1).reshape(-1, *[1] * array.ndim)
        found[f"{name.removesuffix('first')}spike"] = (np.ceil(array / dt - 1e-3) == ends).astype(array.dtype)
    return found


def encode_sample(module: TrainableModule, data: DataSet, sample: int, seed: int, source: Path) -> dict[str, Any]:
    """Return the inputs, [T, 1, ...], that the recipe's encoder makes of one sample of the whole data set.

    Raises:
        CompileError: E0607 if the data set has no such sample.
    """
    if not 0 <= sample < data.size:
        raise fail(
            Code.BAD_SETTING,
            whole_file(source),
            f"the data set has no sample {sample}",
            help=f"its samples are numbered from 0 to {data.size - 1}",
        )
    import jax

    batch = next(iterate_batches(data.fields, 1, np.array([sample]), module.TIMED))
    inputs = module.encode(batch, jax.random.key(seed), False)
    return dict(zip(module.INPUTS, inputs, strict=True))


def evaluate_split(
    module: TrainableModule, compiled: Compiled, source: Path, data_dir: Path | None, weights: Path, part: Part
) -> tuple[dict[str, Any], int]:
    """Return the metrics of saved weights on one split, and its number of samples.

    Raises:
        CompileError: E0608 for weights that do not fit, E0604 if the data set has no such split.
    """
    params, buffers = load_weights(weights, module)
    parts = load_parts(compiled, source, data_dir)
    if part not in parts:
        has = ", ".join(f"`{name}`" for name in parts)
        raise fail(Code.NO_DATA, whole_file(source), f"the data set has no split `{part}`", help=f"it has {has}")
    fields = parts[part]
    return module.evaluate(params, buffers, fields), sample_count(fields)


def save_signals(path: Path, simulation: Simulation) -> None:
    """Write `time` (ms) and every signal to an .npz file."""
    time = (np.arange(simulation.steps) + 1) * simulation.dt
    arrays: dict[str, Any] = {"time": time.astype(np.float32), **simulation.signals}
    archive = io.BytesIO()
    np.savez_compressed(archive, allow_pickle=False, **arrays)
    write_atomically(path, archive.getvalue())


def draw_simulation(folder: Path, module: ModelModule, simulation: Simulation) -> tuple[Path, ...]:
    """Write signals.npz, and of the first sample raster.png (if a layer spikes) and traces.png; return their paths."""
    from snnc.harness.plot_signals import draw_raster, draw_traces

    folder.mkdir(parents=True, exist_ok=True)
    first = {name: array[:, 0] for name, array in simulation.signals.items()}
    spiking = {name: first[f"{name}.spike"] for name in module.SPIKING}
    traced = {name: array for name, array in first.items() if not name.endswith(".spike")}
    units = {name: unit for name, (unit, _) in module.SIGNALS.items()}
    written = [folder / "signals.npz"]
    save_signals(written[0], simulation)
    if spiking:
        written.append(draw_raster(folder / "raster.png", spiking, simulation.dt))
    if traced:
        written.append(draw_traces(folder / "traces.png", traced, units, simulation.dt))
    return tuple(written)
