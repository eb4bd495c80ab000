"""Connections that are not from all to all, and what works on tokens."""

import jax
import jax.numpy as jnp
from jax import Array


def drawn_mask(seed: int, name: int, shape: tuple[int, ...], density: float) -> Array:
    """1 where a weight exists, each with probability `density`; by seed and name alone."""
    key = jax.random.fold_in(jax.random.key(seed), name)
    return (jax.random.uniform(key, shape) < density).astype(float)


def drawn_sources(seed: int, name: int, shape: tuple[int, ...], sources: int) -> Array:
    """1 where a weight exists, `sources` for each unit of the last axis."""
    draws = jax.random.uniform(jax.random.fold_in(jax.random.key(seed), name), shape)
    rank = jnp.argsort(jnp.argsort(draws, axis=0), axis=0)
    return (rank < sources).astype(float)


def listed_mask(shape: tuple[int, ...], pairs: tuple[tuple[int, int], ...]) -> Array:
    """1 where a weight exists: `pairs` of source and target."""
    sources, targets = zip(*pairs, strict=True)
    return jnp.zeros(shape).at[jnp.array(sources), jnp.array(targets)].set(1.0)


def from_others(x: Array) -> Array:
    """For each unit of the last axis, the sum of all the others."""
    return jnp.sum(x, axis=-1, keepdims=True) - x


def attention(q: Array, k: Array, v: Array, heads: int, scale: float) -> Array:
    """scale (q kᵀ) v over tokens [..., N, D], in `heads` slices of D, without softmax."""
    parts = (a.reshape(*a.shape[:-1], heads, -1) for a in (q, k, v))
    q, k, v = (jnp.moveaxis(a, -2, -3) for a in parts)
    joined = jnp.moveaxis((q @ jnp.swapaxes(k, -1, -2)) @ v, -3, -2)
    return scale * joined.reshape(*joined.shape[:-2], -1)


def embedded(x: Array, w: Array, rank: int) -> Array:
    """The rows of w that the whole numbers x name; a single number gives one row."""
    rows = jnp.take(w, x.astype(int), axis=0, mode="clip")
    return rows[..., 0, :] if rank == 1 else rows
