"""Times programs in turn, and the first update of a fresh process."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.programs import Program, gradient_error
from benchmarks.workloads import Workload

WARM_UP = 2  # rounds that are not counted


def interleaved(programs: list[Program], rounds: int) -> dict[str, dict[str, Any]]:
    """Return for each program its milliseconds, its ratios, temp memory, loss before the first update, and gradient error.

    In each round every program runs once, each round begins with another one. Ratios are of medians; the error is the
    greatest difference from the gradient of `naive` over its greatest value, for each parameter.
    """
    seconds: dict[str, list[float]] = {p.name: [] for p in programs}
    losses: dict[str, float] = {}
    for number in range(WARM_UP + rounds):
        shift = number % len(programs)
        for program in programs[shift:] + programs[:shift]:
            start = time.perf_counter()
            loss = program.advance()
            if number >= WARM_UP:
                seconds[program.name].append(time.perf_counter() - start)
            losses.setdefault(program.name, loss)
    gradients = {p.name: p.gradient() for p in programs if p.gradient is not None}
    medians = {name: statistics.median(found) for name, found in seconds.items()}
    rows: dict[str, dict[str, Any]] = {}
    for p in programs:
        rows[p.name] = {
            "ms_median": 1e3 * medians[p.name],
            "ms_min": 1e3 * min(seconds[p.name]),
            "to_naive": medians[p.name] / medians["naive"],
            "to_floor": medians[p.name] / medians["floor"],
            "min_to_floor": min(seconds[p.name]) / min(seconds["floor"]),
            "temp_bytes": p.temp_bytes,
        }
        if p.name in gradients:
            rows[p.name]["first_loss"] = losses[p.name]
            rows[p.name]["gradient_error"] = gradient_error(gradients[p.name], gradients["naive"])
    return rows


def first_steps(workload: Workload, text: str, tries: int = 2) -> dict[str, list[dict[str, float]]]:
    """Return the seconds to the first update of fresh processes: with an empty compilation cache, then with a full one.

    `text` is the emitted file; `process` counts from the start of Python, `first_update` from the first import.
    """
    found: dict[str, list[dict[str, float]]] = {"cold": [], "warm": []}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model.py")
        file.write_text(text, encoding="utf-8")
        for number in range(tries):
            cache = Path(folder, f"cache{number}")
            for kind in found:
                found[kind].append(_first_step(file, workload, cache))
    return found


def _first_step(file: Path, workload: Workload, cache: Path) -> dict[str, float]:
    command = [
        sys.executable,
        "-m",
        "benchmarks.first_step",
        str(file),
        workload.name,
        str(workload.steps),
        str(workload.batch),
    ]
    environment = {**os.environ, "SNNC_CACHE": str(cache)}
    start = time.time()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    result["process"] = result.pop("ended") - start - result.pop("drawing")
    return result
