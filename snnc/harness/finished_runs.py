"""Reads what finished trainings left in their run folders, to lay them side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snnc.harness.run_folder import RunFolder


class NotARunError(Exception):
    """A folder is not the run folder of a finished training; the message says why."""


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """One training: what was set (`settings`, by name), its result, and one record for each epoch."""

    folder: Path
    settings: Mapping[str, str]
    epochs: int
    epoch: int
    seconds: float
    val: Mapping[str, Any]
    test: Mapping[str, Any]
    history: Sequence[Mapping[str, Any]]


def read_run(path: Path) -> FinishedRun:
    """Return the training in a run folder.

    Raises:
        NotARunError: a file is missing, broken, or not what `snnc train` writes.
    """
    folder = RunFolder(path)
    try:
        config = json.loads(folder.config.read_text(encoding="utf-8"))
        result = json.loads(folder.result.read_text(encoding="utf-8"))
        records = [json.loads(line) for line in folder.metrics.read_text(encoding="utf-8").splitlines()]
        history = [{"epoch": int(r["epoch"]), "train": _finite(r["train"]), "val": _finite(r["val"])} for r in records]
        fixed = {name: str(config[name]) for name in ("source", "recipe", "batch", "seed")}
        return FinishedRun(
            folder=path,
            settings={**fixed, **{name: str(text) for name, text in config["overrides"].items()}},
            epochs=int(result["epochs"]),
            epoch=int(result["epoch"]),
            seconds=float(result["seconds"]),
            val=_finite(result["val"]),
            test=_finite(result["test"]),
            history=history,
        )
    except FileNotFoundError as error:
        missing = Path(error.filename).name
        raise NotARunError(f"{path} is not the folder of a finished training: there is no {missing} in it") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise NotARunError(f"{path} cannot be read: its files are not those of `snnc train`") from None


def _finite(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metrics that have a number, or a matrix of counts; one that was not finite is null in the file."""
    return {
        name: value if isinstance(value, list) else float(value) for name, value in metrics.items() if value is not None
    }


def differences(runs: Sequence[FinishedRun]) -> list[str]:
    """Return for each run the settings in which the runs differ, as `name = value`; "" where nothing differs.

    >>> run = lambda **settings: FinishedRun(Path(), settings, 1, 1, 0.0, {}, {}, ())
    >>> differences([run(seed="0", lr="1"), run(seed="0")])
    ['lr = 1', '']
    """
    names = dict.fromkeys(name for run in runs for name in run.settings)
    varied = [name for name in names if len({run.settings.get(name) for run in runs}) > 1]
    return [", ".join(f"{name} = {run.settings[name]}" for name in varied if name in run.settings) for run in runs]
