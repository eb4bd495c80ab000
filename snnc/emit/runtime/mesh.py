"""Several devices, of one host or of many: where each value lies, and calls that leave it there.

A mesh has two axes: the samples of a batch are dealt out over "data", the units of wide layers over "model". What XLA
needs to pass between devices follows from where the arguments lie; the model's own text does not change.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from snnc.data.batches import iterate_batches


def mesh_over(devices: Sequence[Any], split: int = 1) -> Mesh:
    """Devices as ["data", "model"], with `split` of them side by side for the units of each layer."""
    return Mesh(np.reshape(np.asarray(devices), (-1, split)), ("data", "model"))


def whole_on(mesh: Mesh) -> NamedSharding:
    """The place of a value that every device holds whole."""
    return NamedSharding(mesh, PartitionSpec())


def sharding_of(mesh: Mesh, value: Any) -> NamedSharding:
    """The place of a weight, or of its moments: dealt out by its last axis that "model" divides evenly, the units.

    Small values, and those with no such axis, are whole on every device.
    """
    parts = mesh.shape["model"]
    for axis in reversed(range(value.ndim)):
        if parts > 1 and value.size >= 256 and value.shape[axis] % parts == 0:
            return NamedSharding(mesh, PartitionSpec(*[None] * axis, "model"))
    return whole_on(mesh)


def shardings(mesh: Mesh, values: Any) -> Any:
    """The place of each value of a tree."""
    return jax.tree.map(partial(sharding_of, mesh), values)


def placed(mesh: Mesh, values: Any) -> Any:
    """Values that every process holds on its host, in their places; each device takes its part."""

    def place(value: Any) -> Any:
        host = np.asarray(value)
        return jax.make_array_from_callback(
            host.shape, sharding_of(mesh, host), lambda part: np.array(host[part])
        )

    return jax.tree.map(place, values)


def own_rows(mesh: Mesh, batch: int) -> range:
    """The rows of a batch that this process reads, the batch filled up to a multiple of "data"."""
    parts = mesh.shape["data"]
    size = -(-batch // parts) * parts
    dealt = NamedSharding(mesh, PartitionSpec("data"))
    rows = [part[0] for part in dealt.addressable_devices_indices_map((size,)).values()]
    return range(
        min(row.start or 0 for row in rows),
        max(size if row.stop is None else row.stop for row in rows),
    )


def batches_on(
    mesh: Mesh | None, fields: Mapping[str, Any], batch: int, order: np.ndarray, timed: tuple[str, ...]
) -> Iterator[dict[str, Any]]:
    """The batches of `iterate_batches`, on a mesh dealt out over its devices by their samples."""
    if mesh is None:
        yield from iterate_batches(fields, batch, order, timed)
        return
    first = NamedSharding(mesh, PartitionSpec("data"))
    second = NamedSharding(mesh, PartitionSpec(None, "data"))
    rows = own_rows(mesh, batch)
    for part in iterate_batches(fields, batch, order, timed, rows):
        yield {
            name: jax.make_array_from_process_local_data(second if name in timed else first, a)
            for name, a in part.items()
        }


def on_mesh(function: Any, places: Any, donate: tuple[int, ...] = ()) -> Callable[..., Any]:
    """`function` compiled for several devices, its results at `places`."""
    call = jax.jit(function, out_shardings=places, donate_argnums=donate)
    if jax.default_backend() != "cpu":
        return call
    # devices of a CPU share its threads: of two calls under way, each could wait for the other
    return lambda *given: jax.block_until_ready(call(*given))
