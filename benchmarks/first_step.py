"""The first update of a fresh process: `python -m benchmarks.first_step MODEL.py WORKLOAD STEPS BATCH` prints its seconds.

The order is that of `snnc train`: allocator and cache first, then the module, weights, one update.
"""

import time

START = time.perf_counter()

import json  # noqa: E402
import sys  # noqa: E402
from dataclasses import replace  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402

from benchmarks.workloads import WORKLOADS, draw  # noqa: E402


def main() -> None:
    file, name, steps, batch = sys.argv[1:]
    before = time.perf_counter()
    drawn = draw(replace(WORKLOADS[name], steps=int(steps), batch=int(batch)))
    count = len(drawn.label)
    fields = {
        "x": drawn.x,
        "label": drawn.label,
        "sample": np.arange(count, dtype=np.int32),
        "weight": np.ones(count, np.float32),
    }
    drawing = time.perf_counter() - before
    times = {"import_numpy": before - START}

    def mark(name: str) -> None:
        times[name] = time.perf_counter() - START - drawing - sum(times.values())

    from snnc.harness.load_module import load_module
    from snnc.harness.runtime import prepare_runtime

    prepare_runtime()
    mark("import_jax")
    module = load_module(Path(file).read_text(encoding="utf-8"))
    mark("import_model")
    state = module.init_train_state(0, 1, 1)
    mark("init_train_state")
    _, metrics = module.train_step(state, fields)
    float(metrics["loss"])
    mark("train_step")
    ended = {"ended": time.time(), "drawing": drawing}
    print(json.dumps({**times, "first_update": sum(times.values()), **ended}))


if __name__ == "__main__":
    main()
