"""Refuses what this machine has no room for, before anything is allocated or written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from snnc import model
from snnc.diagnostics import Code, CompileError, fail
from snnc.memory import available_bytes
from snnc.semantics.fields import expects_time
from snnc.semantics.footprint import footprint, gigabytes
from snnc.semantics.norms import check_steps
from snnc.source import Span


def check_room_to_train(
    network: model.Network,
    recipe: model.Recipe,
    parts: Mapping[str, Mapping[str, Any]],
    batch: int | None,
    devices: int = 1,
) -> None:
    """Raise E0701 for a training that needs more memory than there is, E0401 where its samples do not fit the norms.

    `batch` is that of the recipe where None.
    """
    wanted, steps = batch or recipe.batch, recipe.steps or _steps_of(network, recipe, parts["train"])
    check_steps(network, steps, training=True)
    counts, room = footprint(network), room_of_device()
    kept = _kept_steps(steps, recipe.checkpoint)
    needed = counts.train_bytes(kept, wanted) // (1 if on_cpu() else devices)
    if room is None or needed <= room:
        return
    fits = counts.largest_batch(kept, room)
    way_out = f"`--batch {fits // 2}`, or " if fits >= 2 else ""
    raise _no_room(
        recipe.span,
        f"training `{network.name}` with a batch of {wanted:,} over {steps:,} steps",
        needed,
        room,
        f"{way_out}{_IN_PARTS if kept == steps else ''}make the samples shorter, `dt` larger or the layers smaller",
    )


_IN_PARTS = "take the sequence in parts (`learn = bptt(checkpoint = auto)`), or "


def _kept_steps(steps: int, checkpoint: int | None) -> int:
    """Return the steps whose values are held at once: all, or those of one part and the states between the parts."""
    if checkpoint is None:
        return steps
    length = min(checkpoint or max(1, round(steps**0.5)), steps)
    return min(steps, length + steps // length)


def check_room_to_run(network: model.Network, steps: int) -> None:
    """Raise E0701 for a simulation whose signals this machine cannot hold, E0401 for one that is too long for its norms."""
    check_steps(network, steps, training=False)
    needed, room = footprint(network).run_bytes(steps), room_of_device()
    if room is not None and needed > room:
        help = "give a shorter `--duration`, or make the layers smaller"
        raise _no_room(network.span, f"running `{network.name}` for {steps:,} steps", needed, room, help)


def on_cpu() -> bool:
    """Whether all devices share the memory of the computer."""
    import jax

    return bool(jax.local_devices()[0].platform == "cpu")


def room_of_device() -> int | None:
    """Return the bytes that the device of the computation can still give, None if it does not say."""
    import jax

    device = jax.local_devices()[0]
    if device.platform == "cpu":
        return available_bytes()
    told = device.memory_stats() or {}
    return told["bytes_limit"] - told.get("bytes_in_use", 0) if "bytes_limit" in told else None


def _steps_of(network: model.Network, recipe: model.Recipe, fields: Mapping[str, Any]) -> int:
    """Return the steps of data that bring their own time axis; 1 where nothing tells."""
    if not expects_time(network, recipe.data):
        return 1
    names = [node.name for node in network.inputs if node.name in fields]
    return max((fields[name].shape[1] for name in names if fields[name].ndim > 1), default=1)


def _no_room(span: Span, what: str, needed: int, room: int, help: str) -> CompileError:
    message = f"{what} needs at least {gigabytes(needed)} of memory, and {gigabytes(room)} are free"
    return fail(Code.OUT_OF_MEMORY, span, message, help=help)
