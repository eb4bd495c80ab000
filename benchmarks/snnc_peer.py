"""The emitted code as one implementation of the comparison with other libraries.

That comparison is a folder of its own, with a driver and one file an implementation. This file and the .snn files beside
it go into a copy of its `impl/`; the driver then runs it by the driver's protocol:

    cp -r FOLDER/peers PEERS && cp benchmarks/snnc_peer.py benchmarks/w?.snn PEERS/impl/ && cd PEERS
    python bench.py --python jax=VENV/bin/python --impl-env snnc_peer=jax --impls snnc_peer,snnc_peer:train_step \\
        --workloads W1,W2,W3,W4 --out results.json

It imports snnc, which the environment must have, and nothing of the folder that it lies in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from snnc.harness.runtime import prepare_runtime

NOTES = "emitted `run`, loss and Adam, batch time first; freed memory kept and compilation cache on, as `snnc train` sets them"
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "train_step": {"emitted": True},  # the emitted function as it is, with metrics and norms of gradients
}
WEIGHTS = {"w_in": "x_h.dense.w", "w_rec": "h_h.dense.w", "w_out": "h_out.dense.w"}
CONVOLUTIONAL = {"k1": "x_c1.conv.w", "k2": "c1_c2.conv.w", "w_out": "c2_out.dense.w"}


def versions() -> dict[str, str]:
    """Return the versions that make the numbers."""
    return {name: version(name) for name in ("snnc", "jax", "jaxlib", "optax")}


def build(
    workload: Mapping[str, Any], data: Mapping[str, Any], weights: Mapping[str, Any], opts: Mapping[str, Any]
) -> Callable[[], float]:
    """Return a function that does one update on `data` (x [T, B, n] or [T, B, side, side, 1], y [B]) and returns its loss."""
    prepare_runtime()
    import jax
    import jax.numpy as jnp

    module = _compiled(Path(__file__).with_name(f"{workload['name'].lower()}.snn"))
    if "k1" in weights:
        data, weights = _channels_first(data, weights)
    names = CONVOLUTIONAL if "k1" in weights else WEIGHTS
    named = {names[name]: jnp.asarray(w) for name, w in weights.items()}
    params = module.Params(*(named[name] for name in module.PARAM_NAMES))
    count = len(data["y"])
    fields = {
        "label": jnp.asarray(data["y"]),
        "sample": jnp.arange(count),
        "weight": jnp.ones(count),
    }
    rule = module.optimizer(1, 1)
    if opts.get("emitted"):
        fields["x"] = jnp.asarray(data["x"])
        state = module.init_train_state(0, 1, 1)._replace(params=params)
        return _repeat(module.train_step, state, fields)

    def loss(params: Any, x: Any, fields: Any) -> Any:
        inputs = module.Inputs(x)
        signals, _ = module.run(params, module.Buffers(), inputs, train=True)
        return module.objective(params, signals, inputs, fields, x.shape[0])[0]

    def update(carry: Any, x: Any, fields: Any) -> Any:
        params, opt_state = carry
        value, gradient = jax.value_and_grad(loss)(params, x, fields)
        change, opt_state = rule.update(gradient, opt_state, params)
        return (jax.tree.map(jnp.add, params, change), opt_state), {"loss": value}

    return _repeat(jax.jit(update, donate_argnums=0), (params, rule.init(params)), jnp.asarray(data["x"]), fields)


def _channels_first(data: Mapping[str, Any], weights: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return images [T, B, C, H, W], and the last weights with their inputs in that order."""
    channels, n_out = weights["k2"].shape[-1], weights["w_out"].shape[-1]
    last = weights["w_out"].reshape(-1, channels, n_out).swapaxes(0, 1).reshape(-1, n_out)
    images = np.ascontiguousarray(np.moveaxis(data["x"], -1, 2))
    return {**data, "x": images}, {**weights, "w_out": np.ascontiguousarray(last)}


def _repeat(update: Callable[..., Any], carry: Any, *given: Any) -> Callable[[], float]:
    def step() -> float:
        nonlocal carry
        carry, measured = update(carry, *given)
        return float(measured["loss"])

    return step


def _compiled(source: Path) -> Any:
    from snnc import pipeline
    from snnc.harness.load_module import load_module

    program = pipeline.load(source)
    return load_module(pipeline.compile_entry(program, pipeline.choose(program, None)).text)
