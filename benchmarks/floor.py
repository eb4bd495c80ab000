"""The floor: the matrix products of one update and nothing else.

Forward, the gradient of each weight, and of each hidden activity; none of the input. The products of a recurrence stand in
a bare scan, forward with the weights and backward with their transpose; its weight gradient is one product after it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from benchmarks.programs import Program, temp_bytes
from benchmarks.workloads import KERNEL, Drawn, Workload


def floor(workload: Workload, drawn: Drawn) -> Program:
    """Return the products of a workload as one compiled program, on dense arrays of its shapes."""
    steps, batch = drawn.x.shape[:2]
    n_in, n_hidden, n_out = workload.sizes
    rng = np.random.default_rng(1)

    def array(*shape: int) -> Array:
        return jnp.asarray(rng.standard_normal(shape), jnp.float32)

    if workload.channels is not None:
        return _of_convolutions(workload, steps * batch, array)
    given = {
        "x": jnp.asarray(drawn.x).reshape(-1, n_in),
        "w_in": array(n_in, n_hidden),
        "w_out": array(n_hidden, n_out),
        "spikes": array(steps * batch, n_hidden),
        "d_hidden": array(steps * batch, n_hidden),
        "d_out": array(steps * batch, n_out),
    }
    if workload.recurrent is not None:  # orthogonal, so that repeated products neither grow nor fade
        given["w_rec"] = jnp.asarray(np.linalg.qr(rng.standard_normal((n_hidden, n_hidden)))[0], jnp.float32)
        given["start"] = array(batch, n_hidden)

    def products(_: Any, a: dict[str, Array]) -> Any:
        found = {
            "hidden": a["x"] @ a["w_in"],
            "out": a["spikes"] @ a["w_out"],
            "d_spikes": a["d_out"] @ a["w_out"].T,
            "d_w_out": a["spikes"].T @ a["d_out"],
            "d_w_in": a["x"].T @ a["d_hidden"],
        }
        if "w_rec" in a:
            found["forward"] = _repeated(a["start"], a["w_rec"], steps)
            found["backward"] = _repeated(a["start"], a["w_rec"].T, steps)
            found["d_w_rec"] = a["spikes"].T @ a["d_hidden"]
        return None, {**found, "loss": jnp.zeros(())}

    return _program(products, given)


def _of_convolutions(workload: Workload, images: int, array: Callable[..., Array]) -> Program:
    """The products of the convolutions alone, their windows given as columns; none of the first image."""
    assert workload.channels is not None
    first, second = workload.channels
    _, n_hidden, n_out = workload.sizes
    side = math.isqrt(workload.sizes[0])
    places = ((side - KERNEL + 1) ** 2, ((side - KERNEL + 1) // 2 - KERNEL + 1) ** 2)
    given = {
        "windows1": array(KERNEL**2, images * places[0]),
        "windows2": array(KERNEL**2 * first, images * places[1]),
        "w1": array(KERNEL**2, first),
        "w2": array(KERNEL**2 * first, second),
        "w_out": array(n_hidden, n_out),
        "d1": array(first, images * places[0]),
        "d2": array(second, images * places[1]),
        "spikes": array(images, n_hidden),
        "d_out": array(images, n_out),
    }

    def products(_: Any, a: dict[str, Array]) -> Any:
        found = {
            "c1": a["w1"].T @ a["windows1"],
            "c2": a["w2"].T @ a["windows2"],
            "out": a["spikes"] @ a["w_out"],
            "d_spikes": a["d_out"] @ a["w_out"].T,
            "d_w_out": a["spikes"].T @ a["d_out"],
            "d_windows2": a["w2"] @ a["d2"],
            "d_w2": a["windows2"] @ a["d2"].T,
            "d_w1": a["windows1"] @ a["d1"].T,
        }
        return None, {**found, "loss": jnp.zeros(())}

    return _program(products, given)


def _program(products: Callable[..., Any], given: dict[str, Array]) -> Program:
    compiled = jax.jit(products).lower(None, given).compile()
    return Program("floor", compiled, None, (given,), None, temp_bytes(compiled))


def _repeated(start: Array, w: Array, steps: int) -> Array:
    end, _ = lax.scan(lambda s, _: (s @ w, None), start, length=steps)
    return end
