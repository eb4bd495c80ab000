"""Times one update by each learning rule on the same layers, and what it holds: `python -m benchmarks.rules --rounds 11`.

One process, the rules in turn. 100 inputs, 128 hidden neurons, 10 readouts, batch 32; the hidden neurons are LIF, for
eventprop, which needs a current between spike and membrane, CubaLIF. The memory is XLA's
temporary buffer of one update at 100 and at 1,000 steps. `--figure FILE` draws that memory from 100 to 10,000 steps instead;
`--models FILE[:NAME] …` times the updates of these files, each with a batch of its own data.
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

from snnc.harness.datasets import load_parts
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
    options = _parse()
    prepare_runtime()
    if options.figure is not None:
        _draw(options.rules.split(";"), options.figure)
        return
    if options.models:
        updates = {name: _of_model(*name.split(":")) for name in options.models}
        longer: dict[str, _Update] = {}
    else:
        updates = {rule: _of_rule(rule, STEPS) for rule in options.rules.split(";")}
        longer = {rule: _of_rule(rule, LONG) for rule in updates}
    times: dict[str, list[float]] = {name: [] for name in updates}
    for turn in range(options.rounds + 1):
        for name, update in updates.items():
            taken = update.timed()
            times[name] += [taken] if turn else []  # the first is not counted
    first = next(iter(times))
    print(f"| | ms an update, median (least) | of `{first}` | MiB |{f' MiB at {LONG} steps |' if longer else ''}")
    print(f"|{'---|' * (5 if longer else 4)}")
    report = {}
    for name, taken_by in times.items():
        median, held = statistics.median(taken_by), [u[name].mebibytes for u in (updates, longer) if name in u]
        report[name] = {"ms_median": median, "ms_min": min(taken_by), "mib": held}
        share = median / statistics.median(times[first])
        memory = " | ".join(f"{size:.1f}" for size in held)
        print(f"| `{name}` | {median:.1f} ({min(taken_by):.1f}) | {share:.2f} | {memory} |")
    if options.out is not None:
        options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.rules", description="Time updates by each learning rule."
    )
    parser.add_argument("--rounds", type=int, default=11, help="timed updates by each rule")
    parser.add_argument("--rules", default=";".join(RULES), help="as in `learn`, joined by semicolons")
    parser.add_argument(
        "--models", nargs="+", help="time the updates of these files instead; FILE:NAME for one of several recipes"
    )
    parser.add_argument("--out", type=Path, help="JSON file for all numbers")
    parser.add_argument("--figure", type=Path, help="draw the memory over the steps into this file, and time nothing")
    return parser.parse_args()


def _draw(rules: list[str], path: Path) -> None:
    """Draw the temporary memory of one update over the steps of a sample, and print it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot(
        xscale="log", yscale="log", xlabel="steps of a sample", ylabel="temporary memory of an update, MiB"
    )
    for rule in rules:
        held = [_of_rule(rule, steps).mebibytes for steps in LENGTHS]
        print(f"{rule:26}", "  ".join(f"{steps}: {size:.2f} MiB" for steps, size in zip(LENGTHS, held, strict=True)))
        axes.plot(LENGTHS, held, marker="o", label=rule)
    axes.legend()
    figure.savefig(path, dpi=110)


class _Update:
    """One compiled update with its state and a batch."""

    def __init__(self, module: ModuleType, batch: dict[str, Any]) -> None:
        self.batch, self.state = batch, module.init_train_state(0, 10)
        self.compiled = module.train_step.lower(self.state, batch).compile()
        self.mebibytes = self.compiled.memory_analysis().temp_size_in_bytes / 2**20

    def timed(self) -> float:
        """Return the milliseconds of one update."""
        import jax

        start = time.perf_counter()
        self.state, _ = jax.block_until_ready(self.compiled(self.state, self.batch))
        return 1000 * (time.perf_counter() - start)


def _of_rule(rule: str, steps: int) -> _Update:
    """An update by a rule, with random spikes at 5 %."""
    import numpy as np

    timed = rule.startswith("eventprop")
    text = TEXT.format(
        inputs=INPUTS, steps=steps, batch=BATCH, rule=rule,
        hidden="CubaLIF[128](tau_m = 20 ms, tau_s = 5 ms)" if timed else "LIF[128](tau = 20 ms)",
        readout="CubaLI[10]()" if timed else "LI[10](tau = 20 ms)",
        loss="cross_entropy(logits, label)" if timed else "cross_entropy(out.v, label)",
    )  # fmt: skip
    batch = {
        "x": (np.random.default_rng(0).random((steps, BATCH, INPUTS)) < 0.05).astype(np.float32),
        "label": np.arange(BATCH) % 10,
        "weight": np.ones(BATCH, np.float32),
        "sample": np.arange(BATCH, dtype=np.int32),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rules.snn"
        path.write_text(text, encoding="utf-8")
        program = load(path)
        return _Update(load_module(compile_entry(program, choose(program, None)).text), batch)


def _of_model(file: str, name: str | None = None) -> _Update:
    """An update of a model, with the first batch of its data."""
    path = Path(file)
    program = load(path)
    compiled = compile_entry(program, choose(program, name))
    module: Any = load_module(compiled.text)
    train = load_parts(compiled, path, None)["train"]
    return _Update(module, next(iter(module.epoch_batches(train, 1, module.BATCH, module.SEED))))


if __name__ == "__main__":
    main()
