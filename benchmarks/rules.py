"""Times one update by each learning rule on the same layers, and what it holds: `python -m benchmarks.rules --rounds 11`.

One process, the rules in turn. 100 inputs, 128 hidden neurons, 10 readouts, batch 32; the hidden neurons are LIF, for
eventprop, which needs a current between spike and membrane, CubaLIF. The memory is XLA's
temporary buffer of one update at 100 and at 1,000 steps. `--figure FILE` draws that memory from 100 to 10,000 steps instead.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any

from snnc.harness.load_module import load_module
from snnc.harness.runtime import prepare_runtime
from snnc.pipeline import choose, compile_entry, load

STEPS, LONG, BATCH, INPUTS = 100, 1000, 32, 100
LENGTHS = (100, 300, 1000, 3000, 10000)
RULES = (
    "bptt()", "bptt(checkpoint = auto)", "tbptt(20)", "eventprop()", "eprop()", "eprop(online = true)", "ottt()", "ostl()",
    "d_rtrl()", "decolle()",
)  # fmt: skip
TEXT = """\
edition 2026
import std.neurons (LIF, LI, CubaLIF, CubaLI)

network Net {{
  dt = 1 ms
  input x : spikes[{inputs}]
  layer h = {hidden}
  layer out = {readout}
  x -> dense(init = kaiming_uniform(3)) -> h
  h -> dense(init = kaiming_uniform(3)) -> out
  output logits = mean_over_time(out.v)
}}

data d = randman(classes = 10, units = {inputs}, steps = {steps}, samples = 10, test = 0.2)

train t of Net on d {{
  batch = {batch}
  learn = {rule}
  loss = {loss}
  optimizer = adam(1e-3)
}}
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.rules", description="Time updates by each learning rule."
    )
    parser.add_argument("--rounds", type=int, default=11, help="timed updates by each rule")
    parser.add_argument("--rules", default=";".join(RULES), help="as in `learn`, joined by semicolons")
    parser.add_argument("--out", type=Path, help="JSON file for all figures")
    parser.add_argument("--figure", type=Path, help="draw the memory over the steps into this file, and time nothing")
    options = parser.parse_args()
    prepare_runtime()
    import jax

    rules = options.rules.split(";")
    if options.figure is not None:
        _draw(rules, options.figure)
        return
    updates = {rule: _Update(rule, STEPS) for rule in rules}
    for update in updates.values():
        update.timed()  # the first is not counted
    times: dict[str, list[float]] = {rule: [] for rule in rules}
    for _ in range(options.rounds):
        for rule, update in updates.items():
            times[rule].append(update.timed())
    report: dict[str, Any] = {"jax": jax.__version__, "rounds": options.rounds, "rules": {}}
    first = statistics.median(times[rules[0]])
    print(
        f"| rule | ms an update, median (least) | of `{rules[0]}` | MiB at {STEPS} steps | MiB at {LONG} |\n|---|---|---|---|---|"
    )
    for rule in rules:
        median, least = statistics.median(times[rule]), min(times[rule])
        held = [updates[rule].mebibytes, _Update(rule, LONG).mebibytes]
        report["rules"][rule] = {"ms_median": median, "ms_min": least, "mib": held}
        print(f"| `{rule}` | {median:.1f} ({least:.1f}) | {median / first:.2f} | {held[0]:.1f} | {held[1]:.1f} |")
    if options.out is not None:
        options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def _draw(rules: list[str], path: Path) -> None:
    """Draw the temporary memory of one update over the steps of a sample, and print it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot(
        xscale="log", yscale="log", xlabel="steps of a sample", ylabel="temporary memory of an update, MiB"
    )
    for rule in rules:
        held = [_Update(rule, steps).mebibytes for steps in LENGTHS]
        print(f"{rule:26}", "  ".join(f"{steps}: {size:.2f} MiB" for steps, size in zip(LENGTHS, held, strict=True)))
        axes.plot(LENGTHS, held, marker="o", label=rule)
    axes.legend()
    figure.savefig(path, dpi=110)


class _Update:
    """One compiled update by a rule, its state and a batch of random spikes at 5 %."""

    def __init__(self, rule: str, steps: int) -> None:
        import numpy as np

        module = _module(rule, steps)
        rng = np.random.default_rng(0)
        spikes = (rng.random((steps, BATCH, INPUTS)) < 0.05).astype(np.float32)
        self.batch = {
            "spikes": spikes,
            "x": spikes,
            "label": np.arange(BATCH) % 10,
            "weight": np.ones(BATCH, np.float32),
            "sample": np.arange(BATCH, dtype=np.int32),
        }
        state = module.init_train_state(0, 10)
        self.compiled = module.train_step.lower(state, self.batch).compile()
        self.mebibytes = self.compiled.memory_analysis().temp_size_in_bytes / 2**20
        self.state = state

    def timed(self) -> float:
        """Return the milliseconds of one update."""
        import jax

        start = time.perf_counter()
        self.state, _ = jax.block_until_ready(self.compiled(self.state, self.batch))
        return 1000 * (time.perf_counter() - start)


def _module(rule: str, steps: int) -> ModuleType:
    timed = rule.startswith("eventprop")
    text = TEXT.format(
        inputs=INPUTS, steps=steps, batch=BATCH, rule=rule,
        hidden="CubaLIF[128](tau_m = 20 ms, tau_s = 5 ms)" if timed else "LIF[128](tau = 20 ms)",
        readout="CubaLI[10]()" if timed else "LI[10](tau = 20 ms)",
        loss="cross_entropy(logits, label)" if timed else "cross_entropy(out.v, label)",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rules.snn"
        path.write_text(text, encoding="utf-8")
        program = load(path)
        return load_module(compile_entry(program, choose(program, None)).text)


if __name__ == "__main__":
    main()
