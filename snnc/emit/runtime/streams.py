"""States that go on from batch to batch, and steps before which no gradient passes."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax


def going_on(state: Any, carried: Any) -> Any:
    """The first state of a batch with the states that `carried` has, if these go on."""
    before = carried._asdict()
    goes_on = before.pop("goes_on")
    now = {name: getattr(state, name) for name in before}

    def chosen(old: Array, new: Array) -> Array:
        return jnp.where(goes_on, old, new)

    return state._replace(**jax.tree.map(chosen, before, now))


def after_burn_in(
    part: Callable[..., Any],
    rest: Callable[..., Any],
    state: Any,
    x: Any,
    steps: int,
    burn_in: int,
    kept: tuple[str, ...] = (),
) -> tuple[Any, Any]:
    """A sequence of which the first `burn_in` steps get no gradient.

    `part` runs these and `rest` the others: (state, x, steps) -> state, signals. The
    states between them are constants, except for the fields in `kept`.
    """
    held = [a.shape[0] == 1 and steps > 1 for a in x]
    pairs = list(zip(x, held, strict=True))
    before = type(x)(*(a if h else a[:burn_in] for a, h in pairs))
    after = type(x)(*(a if h else a[burn_in:] for a, h in pairs))
    middle, early = lax.stop_gradient(part(state, before, burn_in))
    middle = middle._replace(**{name: getattr(state, name) for name in kept})
    end, late = rest(middle, after, steps - burn_in)

    def joined(a: Array, b: Array) -> Array:
        first = jnp.broadcast_to(a, (burn_in, *a.shape[1:]))  # T is 1 for a held value
        second = jnp.broadcast_to(b, (steps - burn_in, *b.shape[1:]))
        return jnp.concatenate([first, second])

    return end, jax.tree.map(joined, early, late)
