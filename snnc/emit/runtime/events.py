"""Spikes that are known before training, by their places: a product reads only what they point at.

With n units, T steps and B samples, the rows of a sequence [T, B, n] are numbered t B + b.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from snnc.emit.runtime.sequences import dense


class Events(NamedTuple):
    """A sequence of 0 and 1 as the places of its ones; lists have a multiple of 8 entries."""

    units: Array  # [T, B, K] the units that spike in a row, filled up with n
    rows: Array  # [n, L] the rows in which a unit spikes, filled up with T B

    @property
    def shape(self) -> tuple[int, int, int]:
        """[T, B, n], as of the sequence itself."""
        return (*self.units.shape[:2], self.rows.shape[0])


def dense_of_spikes(x: Array | Events, w: Array) -> Array:
    """As `dense`, of a sequence or of its events; those take no gradient."""
    if not isinstance(x, Events):
        return dense(x, w)
    events = x

    @jax.custom_vjp
    def product(w: Array) -> Array:
        return sums_of_rows(w, events.units.reshape(-1, events.units.shape[-1]))

    def forward(w: Array) -> tuple[Array, None]:
        return product(w), None

    def backward(_: None, d: Array) -> tuple[Array]:
        return (sums_of_rows(d, events.rows),)

    product.defvjp(forward, backward)
    return product(w).reshape(*x.shape[:2], -1)


def sums_of_rows(table: Array, lists: Array) -> Array:
    """For each of S lists [S, 8 k] the sum of those rows of `table` [R, m]; R is no row."""
    table = jnp.concatenate([table, jnp.zeros_like(table[:1])])
    eights = lists.astype(jnp.int32).T.reshape(-1, 8, len(lists))

    def add(total: Array, eight: Array) -> tuple[Array, None]:
        first, *others = (table.at[k].get(mode="promise_in_bounds") for k in eight)
        return total + sum(others, first), None

    zeros = jnp.zeros((len(lists), table.shape[1]), table.dtype)
    return jax.lax.scan(add, zeros, eights)[0]
