"""Times the kernels of `--kernel pallas` against the scan, on the device that is there: `python -m benchmarks.gpu`.

W1 to W5: the programs of benchmarks.run and `kernels`, the emitted `run` with kernels. `layer`: forward and backward through
one layer of 16,384 neurons, batch 16, 500 steps. Without a GPU the variants with kernels run the loop that they fall back to,
so that their times say nothing.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.workloads import FOLDER, WORKLOADS, draw
from snnc.harness.runtime import prepare_runtime

LAYER = "layer"
WARM_UP = 2  # rounds that are not counted
SIZES = {"neurons": 16384, "batch": 16, "steps": 500}


def main() -> None:
    options = _parse()
    prepare_runtime()
    import jax

    device = jax.devices()[0]
    report: dict[str, Any] = {
        "jax": jax.__version__,
        "device": str(device.device_kind),
        "kernels": device.platform == "gpu",
        "rounds": options.rounds,
        "started": time.strftime("%Y-%m-%d %H:%M"),
        "workloads": {},
    }
    print(f"JAX {jax.__version__}, {report['device']}, {options.rounds} rounds")
    if not report["kernels"]:
        print("no GPU here: the variants with kernels run a loop instead")
    for name in options.workloads.split(","):
        measured = _layer(options) if name == LAYER else _workload(name, options)
        report["workloads"][name] = measured
        print(f"\n{name}")
        for variant, row in measured.items():
            error = "" if row["gradient_error"] is None else f"   gradient error {row['gradient_error']:.1e}"
            print(
                f"  {variant:12} {row['ms_median']:10.2f} ms ({row['ms_min']:.2f}), {row['to_naive']:5.2f} of naive{error}"
            )
        if options.out is not None:
            options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def _parse() -> argparse.Namespace:
    names = (*sorted(WORKLOADS), LAYER)
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description="Time kernels against the scan.")
    parser.add_argument("--workloads", default=",".join(names), help="names, joined by commas")
    parser.add_argument("--rounds", type=int, default=11, help="timed runs of each program")
    parser.add_argument("--out", type=Path, help="JSON file for all figures")
    parser.add_argument("--blocks", default="128", help="elements of a program of the kernel, for `layer`: 64,128,256")
    for name, size in SIZES.items():
        parser.add_argument(f"--{name}", type=int, help=f"instead of the workload's ({size} for `layer`)")
    options = parser.parse_args()
    unknown = [name for name in options.workloads.split(",") if name not in names]
    if unknown:
        parser.error(f"unknown workload {', '.join(unknown)}; there are {', '.join(names)}")
    return options


def _workload(name: str, options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    from benchmarks.floor import floor
    from benchmarks.measure import interleaved
    from benchmarks.programs import emitted_text, kernel_program, programs

    found = WORKLOADS[name]
    workload = replace(found, steps=options.steps or found.steps, batch=options.batch or found.batch)
    drawn = draw(workload)
    scanned, kernels = (emitted_text(workload.source, kernel) for kernel in ("scan", "pallas"))
    compared = [*programs(scanned, drawn), kernel_program(kernels, drawn), floor(workload, drawn)]
    rows = interleaved(compared, options.rounds)
    for row in rows.values():
        row["gradient_error"] = max(row["gradient_error"].values()) if "gradient_error" in row else None
    return rows


def _layer(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Time forward and backward through one layer; the loss weighs every spike."""
    import jax
    import jax.numpy as jnp

    neurons, batch, steps = (getattr(options, name) or size for name, size in SIZES.items())
    keys = jax.random.split(jax.random.key(0))
    x = 0.3 * jax.random.normal(keys[0], (steps, batch, neurons)) + 0.1
    share = jax.random.normal(keys[1], x.shape)
    compiled: dict[str, Callable[..., Any]] = {}
    for variant, spikes in _variants(neurons, options.blocks).items():

        def weighed(x: Any, share: Any, spikes: Callable[[Any], Any] = spikes) -> Any:
            return jnp.sum(share * spikes(x))

        compiled[variant] = jax.jit(jax.value_and_grad(weighed)).lower(x, share).compile()
    seconds: dict[str, list[float]] = {variant: [] for variant in compiled}
    for number in range(WARM_UP + options.rounds):
        for variant, advance in compiled.items():
            start = time.perf_counter()
            jax.block_until_ready(advance(x, share))
            if number >= WARM_UP:
                seconds[variant].append(time.perf_counter() - start)
    medians = {variant: statistics.median(found) for variant, found in seconds.items()}
    wanted = compiled["naive"](x, share)[1]
    return {
        variant: {
            "ms_median": 1e3 * medians[variant],
            "ms_min": 1e3 * min(seconds[variant]),
            "to_naive": medians[variant] / medians["naive"],
            "temp_bytes": int(advance.memory_analysis().temp_size_in_bytes),  # type: ignore[attr-defined]
            "gradient_error": float(jnp.max(jnp.abs(advance(x, share)[1] - wanted)) / jnp.max(jnp.abs(wanted))),
        }
        for variant, advance in compiled.items()
    }


def _variants(neurons: int, blocks: str) -> dict[str, Callable[[Any], Any]]:
    """Return spikes [T, B, n] of an input [T, B, n]: by the scanned `step`, by `run`, and by kernels of several blocks."""
    from jax import lax

    from benchmarks.programs import emitted_text
    from snnc.harness.load_module import load_module

    source = FOLDER / "layer.snn"
    overrides = (("Layer.neurons", str(neurons)),)
    scanned, kernels = (emitted_text(source, kernel, overrides) for kernel in ("scan", "pallas"))

    def naive(x: Any) -> Any:
        module: Any = load_module(scanned)

        def body(state: Any, now: Any) -> Any:
            state, signals, _ = module.step(module.Params(), module.Buffers(), state, module.Inputs(now))
            return state, signals.h.spike

        return lax.scan(body, module.init_state(module.Params(), module.Buffers(), x.shape[1]), x)[1]

    def whole(module: Any, x: Any) -> Any:
        return module.run(module.Params(), module.Buffers(), module.Inputs(x))[0].h.spike

    found: dict[str, Callable[[Any], Any]] = {"naive": naive, "scan": partial(whole, load_module(scanned))}
    for block in map(int, blocks.split(",")):
        module: Any = load_module(kernels)
        module.scan_kernel = partial(module.scan_kernel, block=block)
        found[f"kernels {block}"] = partial(whole, module)
    return found


if __name__ == "__main__":
    main()
