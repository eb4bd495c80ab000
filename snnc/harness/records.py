"""What goes into a training and what comes out: options, the plan, a record for each epoch, the result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from snnc.harness.devices import Layout
from snnc.harness.run_folder import plain
from snnc.plan import Kernel


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """What the command line says about a run; None means: as the recipe says.

    `start` is the run folder of the recipe that this one starts from; `weights` take its place. `resume` goes on from
    the checkpoint, of which one is saved every `checkpoint_every` seconds and after each epoch. `command` is what the
    author would type to do this again, for messages; `layout` says on which devices.
    """

    source: Path
    folder: Path
    data_dir: Path | None = None
    epochs: int | None = None
    batch: int | None = None
    seed: int | None = None
    kernel: Kernel = "scan"
    overrides: tuple[tuple[str, str], ...] = ()
    weights: Path | None = None
    start: Path | None = None
    plots: bool = True
    resume: bool = False
    checkpoint_every: float = 60.0
    command: str = "snnc train"
    layout: Layout = field(default_factory=Layout)


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What a reporter knows before the first update; `epoch` is running, `done` samples of it are behind."""

    model: str
    recipe: str
    epochs: int
    samples: dict[str, int]
    parameters: int
    device: str
    folder: Path
    epoch: int = 1
    done: int = 0


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """One finished epoch: means over its updates (`train`), and the validation split after it (`val`, may be empty)."""

    epoch: int
    seconds: float
    samples_per_s: float
    train: dict[str, Any]
    val: dict[str, Any]
    selected: bool


@dataclass(frozen=True, slots=True)
class TrainResult:
    """Metrics of the selected weights: `train` as means over their epoch, `val` and `test` evaluated at the end."""

    train: dict[str, Any]
    val: dict[str, Any]
    test: dict[str, Any]
    epochs: int
    epoch: int
    seconds: float
    weights: Path
    folder: Path

    def as_json(self) -> dict[str, Any]:
        return {
            "train": plain(self.train),
            "val": plain(self.val),
            "test": plain(self.test),
            "epochs": self.epochs,
            "epoch": self.epoch,
            "seconds": round(self.seconds, 3),
            "weights": str(self.weights),
            "run": str(self.folder),
        }


class Reporter(Protocol):
    """Hears of the progress of a training. Values of `update` live on the device: reading one waits for it."""

    def start(self, plan: RunPlan) -> None: ...
    def update(self, samples_done: int, metrics: Mapping[str, Any]) -> None: ...
    def epoch(self, record: EpochRecord) -> None: ...
    def stage(self, text: str) -> None: ...
    def note(self, text: str) -> None: ...
