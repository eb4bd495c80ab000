"""Spikes that are known before training, by their places: a product reads only what they point at.

With n units, T steps and B samples, the rows of a sequence [T, B, n] are numbered t B + b.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax


class Events(NamedTuple):
    """A sequence of 0 and 1 as the places of its ones; each list is a multiple of 8 long."""

    units: Any  # [T, B, K] the units that spike in a row, filled up with n
    rows: Any  # [n, L] the rows in which a unit spikes, filled up with T B

    @property
    def shape(self) -> tuple[int, ...]:
        """[T, B, n], that of the sequence."""
        return (*self.units.shape[:2], self.rows.shape[0])


def event_dense(x: Events, w: Array) -> Array:
    """The product of a sequence and w [n, m]: [T, B, m]. It passes no gradient to x."""

    @jax.custom_vjp
    def product(x: Events, w: Array) -> Array:
        return sums_of_rows(w, x.units.reshape(-1, x.units.shape[-1]))

    def forward(x: Events, w: Array) -> tuple[Array, Array]:
        return product(x, w), x.rows

    def backward(rows: Array, d: Array) -> tuple[None, Array]:
        return None, sums_of_rows(d, rows)

    product.defvjp(forward, backward)
    return product(x, w).reshape(*x.shape[:2], -1)


def sums_of_rows(table: Array, lists: Array) -> Array:
    """For each list in [S, 8 k] the sum of its rows of `table` [R, m]; R names none."""
    table = jnp.concatenate([table, jnp.zeros_like(table[:1])])
    eights = lists.astype(jnp.int32).T.reshape(-1, 8, lists.shape[0])

    def add(total: Array, eight: Array) -> tuple[Array, None]:
        first, *others = (table.at[k].get(mode="promise_in_bounds") for k in eight)
        return total + sum(others, first), None

    zeros = jnp.zeros((lists.shape[0], table.shape[1]), table.dtype)
    return lax.scan(add, zeros, eights)[0]
