"""Times a training step of each workload: `python -m benchmarks.run --workloads W1,W2 --rounds 11 --out results.json`.

One process, the programs in turn: the scanned `step`, `run` with JAX's gradient, `run` with derived adjoints, the
emitted `train_step`, with the input dense and as event lists, `run` in parts with derived adjoints, and the matrix products
alone.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.workloads import WORKLOADS, Workload, draw
from snnc.harness.runtime import prepare_runtime


def main() -> None:
    options = _parse()
    settings = prepare_runtime()
    import jax

    report: dict[str, Any] = {
        "jax": jax.__version__,
        "python": platform.python_version(),
        "device": str(jax.devices()[0].device_kind),
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "rounds": options.rounds,
        "started": time.strftime("%Y-%m-%d %H:%M"),
        "workloads": {},
    }
    print(
        f"JAX {jax.__version__}, {report['cores']} cores, load {report['load'][0]:.1f}; {settings[0]}; {options.rounds} rounds"
    )
    for name in options.workloads.split(","):
        report["workloads"][name] = _measure(_sized(name, options), options)
        if options.out is not None:
            options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description="Time training steps.")
    parser.add_argument("--workloads", default=",".join(WORKLOADS), help="names, joined by commas")
    parser.add_argument("--rounds", type=int, default=11, help="timed steps of each program")
    parser.add_argument("--out", type=Path, help="JSON file for all figures")
    parser.add_argument("--steps", type=int, help="steps of a sequence, instead of the workload's")
    parser.add_argument("--batch", type=int, help="samples of a batch, instead of the workload's")
    parser.add_argument("--no-first-step", action="store_true", help="leave out the fresh processes")
    options = parser.parse_args()
    unknown = [name for name in options.workloads.split(",") if name not in WORKLOADS]
    if unknown:
        parser.error(f"unknown workload {', '.join(unknown)}; there are {', '.join(WORKLOADS)}")
    return options


def _sized(name: str, options: argparse.Namespace) -> Workload:
    found = WORKLOADS[name]
    return replace(found, steps=options.steps or found.steps, batch=options.batch or found.batch)


def _measure(workload: Workload, options: argparse.Namespace) -> dict[str, Any]:
    from benchmarks.floor import floor
    from benchmarks.measure import first_steps, interleaved
    from benchmarks.programs import emitted_text, in_parts, programs

    n_in, n_hidden, n_out = workload.sizes
    print(f"\n{workload.name}: T {workload.steps}, batch {workload.batch}, {n_in}-{n_hidden}-{n_out}", flush=True)
    drawn = draw(workload)
    text = emitted_text(workload.source)
    rows = interleaved([*programs(text, drawn), *in_parts(workload, drawn), floor(workload, drawn)], options.rounds)
    _print_rows(rows)
    result: dict[str, Any] = {"steps": workload.steps, "batch": workload.batch, "programs": rows}
    if not options.no_first_step:
        result["first_step"] = first_steps(workload, text)
        _print_first_steps(result["first_step"])
    sys.stdout.flush()
    return result


def _print_rows(rows: dict[str, dict[str, Any]]) -> None:
    print("  program       ms median   (min)   / naive  / floor   (min)  temp MiB  gradient error  first loss")
    for name, row in rows.items():
        times = f"{row['ms_median']:12.1f} ({row['ms_min']:6.1f}) {row['to_naive']:9.2f} {row['to_floor']:8.2f}"
        line = f"  {name:11}{times} ({row['min_to_floor']:5.2f}) {row['temp_bytes'] / 2**20:9.1f}"
        if "first_loss" in row:
            line += f" {max(row['gradient_error'].values()):15.1e} {row['first_loss']:11.4f}"
        print(line)


def _print_first_steps(found: dict[str, list[dict[str, float]]]) -> None:
    for kind, tries in found.items():
        best = min(tries, key=lambda parts: parts["first_update"])
        parts = ", ".join(
            f"{name} {value:.2f}" for name, value in best.items() if name not in ("first_update", "process")
        )
        all_tries = ", ".join(f"{parts['first_update']:.2f}" for parts in tries)
        print(
            f"  first update, {kind} cache: {all_tries} s from the first import ({parts}; process {best['process']:.2f})"
        )


if __name__ == "__main__":
    main()
