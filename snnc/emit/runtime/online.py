"""What rules need that learn while the network runs: traces of synapses, and the gradients that they make."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array


def over_pairs(traces: Array, d: Array) -> Array:
    """As `over_synapses` from traces of all neurons by each synapse: [B, k, n, m] and d [B, k]."""
    return jnp.einsum("bkij,bk->ij", traces, d)


def beside(entry: Array) -> Array:
    """What each neuron has, [B, m] or [m], beside traces of its synapses [B, n, m]."""
    column: Array = jnp.expand_dims(jnp.atleast_1d(entry), -2)
    return column


def before(entry: Array) -> Array:
    """What each neuron has, [B, k] or [k], beside traces of all neurons by each synapse [B, k, n, m]."""
    block: Array = jnp.expand_dims(jnp.atleast_1d(entry), (-2, -1))
    return block


def drive_of_own(x: Array, of_spike: Array, w: Array) -> Array:
    """What a port gets by each synapse: x [B, n], and what its neuron tells itself through w [m, m]: [B, n, m]."""
    drive: Array = x[:, :, None] + jnp.diagonal(w) * of_spike
    return drive


def drive_of_all(x: Array, of_spike: Array, w: Array) -> Array:
    """What the port of each neuron k gets by each synapse: x [B, n] at its own, and from all others by w [k', k]."""
    own = jnp.eye(w.shape[0])[:, None, :] * x[:, None, :, None]
    return own + jnp.einsum("bkij,kl->blij", of_spike, w)


def nothing(values: Any) -> Any:
    """The same tree with 0 everywhere."""
    zeros: Any = jax.tree.map(jnp.zeros_like, values)
    return zeros
