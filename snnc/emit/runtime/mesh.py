"""Several devices, of one host or of many: where each value lies, and calls that leave it there.

A mesh has two axes: the samples of a batch are dealt out over "data", the units of wide layers over "model". What XLA
needs to pass between devices follows from where the arguments lie; the model's own text does not change.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec


def mesh_over(devices: Sequence[Any], split: int = 1) -> Mesh:
    """Devices as ["data", "model"], with `split` of them side by side for the units of each layer."""
    return Mesh(np.reshape(np.asarray(devices), (-1, split)), ("data", "model"))


def place_on(mesh: Mesh, *axes: str | None) -> NamedSharding:
    """The place of a value whose axes are dealt out over these of the mesh; without any, whole on every device."""
    spec: Any = PartitionSpec
    return NamedSharding(mesh, spec(*axes))


def sharding_of(mesh: Mesh, value: Any) -> NamedSharding:
    """The place of a weight, or of its moments: dealt out by its last axis that "model" divides evenly, the units.

    Small values, and those with no such axis, are whole on every device.
    """
    parts = mesh.shape["model"]
    for axis in reversed(range(value.ndim)):
        if parts > 1 and value.size >= 256 and value.shape[axis] % parts == 0:
            return place_on(mesh, *[None] * axis, "model")
    return place_on(mesh)


def shardings(mesh: Mesh, values: Any) -> Any:
    """The place of each value of a tree."""
    return jax.tree.map(partial(sharding_of, mesh), values)


def own_rows(mesh: Mesh, batch: int) -> range:
    """The rows of a batch that this process reads, the batch filled up to a multiple of "data"."""
    parts = mesh.shape["data"]
    size = -(-batch // parts) * parts
    read: Any = place_on(mesh, "data").addressable_devices_indices_map((size,))
    rows = [part[0] for part in read.values()]
    return range(
        min(row.start or 0 for row in rows),
        max(size if row.stop is None else row.stop for row in rows),
    )


def dealt_out(
    mesh: Mesh, batches: Iterator[dict[str, Any]], timed: tuple[str, ...]
) -> Iterator[dict[str, Any]]:
    """Batches on a mesh, from the rows that each process has read; the fields in `timed` are [T, B, ...]."""
    array_of: Any = jax.make_array_from_process_local_data
    for part in batches:
        rows = {name: (None, "data") if name in timed else ("data",) for name in part}
        yield {
            name: array_of(place_on(mesh, *rows[name]), a) for name, a in part.items()
        }


def on_mesh(
    function: Any, places: Any, donate: tuple[int, ...] = ()
) -> Callable[..., Any]:
    """`function` compiled for several devices, its results at `places`."""
    call = jax.jit(function, out_shardings=places, donate_argnums=donate)
    finished: Any = jax.block_until_ready
    if jax.default_backend() != "cpu":
        return call
    # devices of a CPU share its threads: of two calls under way, each could wait for the other
    return lambda *given: finished(call(*given))
