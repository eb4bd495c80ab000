"""Shows a training as it runs: a live bar on a terminal, one plain line an epoch elsewhere. Both write to stderr."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from snnc.commands.console import metric_text, say
from snnc.harness.processes import is_first
from snnc.harness.records import EpochRecord, Reporter, RunPlan

if TYPE_CHECKING:
    from rich.progress import Progress

_REFRESH = 0.15  # seconds; reading a metric waits for the device


@contextmanager
def progress() -> Iterator[Reporter]:
    """Give the reporter that fits stderr; the terminal is as before when it ends, whatever happened."""
    if not is_first():
        yield NoProgress()
        return
    if not sys.stderr.isatty():
        yield PlainProgress()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("[dim]{task.fields[state]}"),
        console=Console(stderr=True, highlight=False),
        transient=True,
        auto_refresh=False,
    )
    with bar:
        yield LiveProgress(bar)


class NoProgress:
    """Says nothing: another process of the same training does."""

    def start(self, plan: RunPlan) -> None: ...
    def update(self, samples_done: int, metrics: Mapping[str, Any]) -> None: ...
    def epoch(self, record: EpochRecord) -> None: ...
    def stage(self, text: str) -> None: ...
    def note(self, text: str) -> None: ...


class PlainProgress:
    """One line an epoch."""

    def __init__(self) -> None:
        self._epochs = 0

    def start(self, plan: RunPlan) -> None:
        self._epochs = plan.epochs
        say(plan_text(plan))

    def update(self, samples_done: int, metrics: Mapping[str, Any]) -> None:
        pass

    def epoch(self, record: EpochRecord) -> None:
        say(epoch_text(record, self._epochs))

    def stage(self, text: str) -> None:
        pass

    def note(self, text: str) -> None:
        say(text)


class LiveProgress:
    """One line an epoch above a bar with samples/s, loss and metrics of the running one."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=None, state="")
        self._plan: RunPlan | None = None
        self._epoch = 1
        self._before = 0  # samples of the running epoch that another process did
        self._began = self._shown = time.perf_counter()

    def start(self, plan: RunPlan) -> None:
        self._plan = plan
        self._epoch, self._before = plan.epoch, plan.done
        self._bar.console.print(plan_text(plan), style="dim", markup=False)
        self._bar.update(self._task, total=plan.samples["train"])
        self._show(plan.done, "compiling …")

    def update(self, samples_done: int, metrics: Mapping[str, Any]) -> None:
        now = time.perf_counter()
        if now - self._shown < _REFRESH:
            return
        rate = (samples_done - self._before) / max(now - self._began, 1e-9)
        shown = {name: float(value) for name, value in metrics.items() if getattr(value, "ndim", 0) == 0}
        self._show(samples_done, f"{rate:,.0f} samples/s  {metric_text(shown)}")

    def epoch(self, record: EpochRecord) -> None:
        assert self._plan is not None
        self._bar.console.print(epoch_text(record, self._plan.epochs), markup=False)
        self._epoch, self._before = record.epoch + 1, 0
        self._began = time.perf_counter()
        if self._epoch <= self._plan.epochs:
            self._show(0, "")

    def stage(self, text: str) -> None:
        self._bar.update(self._task, description=f"{text} …", total=None, state="")
        self._bar.refresh()

    def note(self, text: str) -> None:
        self._bar.console.print(text, markup=False)

    def _show(self, done: int, state: str) -> None:
        assert self._plan is not None
        description = f"epoch {self._epoch}/{self._plan.epochs}"
        self._bar.update(self._task, description=description, completed=done, state=state)
        self._bar.refresh()
        self._shown = time.perf_counter()


def plan_text(plan: RunPlan) -> str:
    """Return the line that opens a training."""
    samples = " + ".join(f"{count:,} {name}" for name, count in plan.samples.items())
    return f"{plan.model} · {plan.recipe} · {plan.parameters:,} parameters · {samples} samples · {plan.device}"


def epoch_text(record: EpochRecord, epochs: int) -> str:
    """Return the line of one epoch; `*` marks weights that were selected.

    >>> epoch_text(EpochRecord(3, 0.5, 2400.0, {"loss": 0.25}, {"loss": 0.3, "accuracy": 0.9}, True), 60)
    'epoch  3/60  loss 0.2500  val loss 0.3000  accuracy 0.9000 *  2,400 samples/s'
    """
    width = int(math.log10(max(epochs, 1))) + 1
    parts = [f"epoch {record.epoch:{width}}/{epochs}", metric_text(record.train)]
    if record.val:
        parts.append(f"val {metric_text(record.val)} {'*' if record.selected else ' '}")
    parts.append(f"{record.samples_per_s:,.0f} samples/s")
    return "  ".join(parts)
