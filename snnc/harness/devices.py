"""The devices of a training: how many are taken, and how they lie in a mesh."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from snnc.diagnostics import Code, CompileError, fail
from snnc.harness.emitted import TrainableModule
from snnc.harness.files import whole_file


@dataclass(frozen=True, slots=True)
class Layout:
    """The devices that each process takes, and over how many devices in all the units of a layer are dealt out.

    Without a number a process that is alone takes one device, and one of several all that it sees.
    """

    each: int | None = None
    split: int = 1

    @property
    def is_plain(self) -> bool:
        """Whether this is one device, where nothing is dealt out."""
        return self.each in (None, 1) and self.split == 1


def make_cpu_devices(layout: Layout, alone: bool) -> None:
    """Let a CPU count as several devices. Call it before JAX computes anything; GPUs and TPUs are not touched by it."""
    import jax

    wanted = layout.each or (layout.split if alone else 1)
    if wanted > 1:
        jax.config.update("jax_num_cpu_devices", wanted)  # type: ignore[no-untyped-call]


def choose_devices(layout: Layout) -> tuple[Any, ...]:
    """Return the devices of all processes that the training runs on, those of a process side by side.

    Raises:
        CompileError: E0703 if a process has fewer than it should take, or they cannot be dealt out as asked.
    """
    import jax

    alone = jax.process_count() == 1
    each = layout.each or (layout.split if alone else jax.local_device_count())
    found: list[Any] = []
    for process in range(jax.process_count()):
        own = [device for device in jax.devices() if device.process_index == process]
        if len(own) < each:
            where = "this computer" if alone else f"process {process}"
            raise _do_not_fit(
                f"{each} devices were asked for, and {where} has {len(own)} ({own[0].device_kind})",
                f"give `--devices {len(own)}`",
            )
        found += own[:each]
    if len(found) % layout.split:
        raise _do_not_fit(
            f"{len(found)} devices cannot be dealt out to layers split over {layout.split}",
            "give `--split-layers` a number that divides the number of all devices",
        )
    return tuple(found)


def check_kernel(kernel: str, devices: Sequence[Any]) -> None:
    """Raise E0703 for a kernel that runs on one device only, on several."""
    if kernel == "pallas" and len(devices) > 1:
        raise _do_not_fit(
            f"`--kernel pallas` runs on one device, and this training has {len(devices)}",
            "give `--kernel scan`",
        )


def mesh_of(module: TrainableModule, layout: Layout) -> Any:
    """Return the mesh of a training, None for one device."""
    devices = choose_devices(layout)
    return None if len(devices) == 1 else module.mesh_over(devices, layout.split)


def placed(module: TrainableModule, mesh: Any, values: Any) -> Any:
    """Return values that every process has whole on its host, on the devices of a mesh, each of which takes its part."""
    import jax

    def place(value: Any) -> Any:
        host = np.asarray(value)
        place = module.sharding_of(mesh, host)
        return jax.make_array_from_callback(host.shape, place, lambda part: np.array(host[part]))

    return jax.tree.map(place, values)


def devices_text(devices: Sequence[Any], split: int) -> str:
    """Say in words what a training runs on, such as `8 × cpu (virtual devices of one CPU)`."""
    kind = str(devices[0].device_kind)
    if len(devices) == 1:
        return kind
    count = len({device.process_index for device in devices})
    words = [f"{count} processes"] if count > 1 else []
    if devices[0].platform == "cpu" and len(devices) > count:
        words.append("virtual devices of the CPU")
    if split > 1:
        words.append(f"layers split over {split}")
    return f"{len(devices)} × {kind}" + (f" ({', '.join(words)})" if words else "")


def _do_not_fit(message: str, help: str) -> CompileError:
    return fail(Code.NO_SUCH_DEVICES, whole_file("--devices"), message, help=help)
