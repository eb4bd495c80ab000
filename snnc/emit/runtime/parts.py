"""Sequences in parts, each computed again for its gradient: memory for time."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax


def in_parts(
    part: Callable[..., Any], state: Any, x: Any, steps: int, length: int
) -> tuple[Any, Any]:
    """A sequence in parts of `length` steps, each computed again for its gradient.

    part(state, x, steps) -> state, signals. Kept are the states between the parts
    and the signals that are read; with `length` 0 it is `part_length(steps)`.
    """
    length = min(length or part_length(steps), steps)
    count = steps // length
    held = tuple(a.shape[0] == 1 and steps > 1 for a in x)

    def piece(first: int, last: int) -> Any:
        pairs = zip(x, held, strict=True)
        return type(x)(*(a if h else a[first:last] for a, h in pairs))

    def again(size: int) -> Callable[..., Any]:
        return jax.checkpoint(lambda s, now: part(s, now, size), prevent_cse=False)

    def body(state: Any, moving: Any) -> Any:
        at = iter(moving)
        now = type(x)(*(a if h else next(at) for a, h in zip(x, held, strict=True)))
        return again(length)(state, now)

    whole = [a for a, h in zip(piece(0, count * length), held, strict=True) if not h]
    moving = [a.reshape(count, length, *a.shape[1:]) for a in whole]
    state, parts = lax.scan(body, state, moving, length=count)
    activity = jax.tree.map(lambda a: a.sum(0), parts.activity)
    joined = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), parts)
    if count * length < steps:
        state, rest = again(steps - count * length)(state, piece(count * length, steps))
        activity = jax.tree.map(jnp.add, activity, rest.activity)
        joined = jax.tree.map(lambda *both: jnp.concatenate(both), joined, rest)
    return state, joined._replace(activity=activity)


def part_length(steps: int) -> int:
    """The divisor of `steps` nearest to its root, up to a factor 2; else the root."""
    root = steps**0.5
    fitting = [n for n in range(1, steps + 1) if steps % n == 0 and root / 2 <= n]
    fitting = [n for n in fitting if n <= 2 * root]
    return min(fitting, key=lambda n: max(n / root, root / n), default=round(root))
