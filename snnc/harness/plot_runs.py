"""Draws several trainings into one picture: their validation curves, one panel a metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from snnc.harness.finished_runs import FinishedRun
from snnc.harness.plot_style import colour, dashes, figure, grid_of, legend_beside, whole_numbers


def draw_runs(path: Path, runs: Sequence[FinishedRun], labels: Sequence[str], names: Sequence[str]) -> Path:
    """Draw the metrics `names` of every run over its epochs: on the validation split, else in training."""
    beside = 0.6 + 0.085 * max(map(len, labels))  # inches for the legend
    with figure(path, 4.2 * len(names) + beside, 3.4) as drawing:
        panels = grid_of(drawing, len(names), len(names))
        for axes, name in zip(panels, names, strict=True):
            for index, (run, label) in enumerate(zip(runs, labels, strict=True)):
                epochs = [record["epoch"] for record in run.history]
                values = [_value(record, name) for record in run.history]
                axes.plot(epochs, values, color=colour(index), linestyle=dashes(index), label=label)
            split = "val" if any(name in record["val"] for run in runs for record in run.history) else "train"
            axes.set(title=f"{split} {name}", xlabel="epoch")
            whole_numbers(axes)
        legend_beside(panels[-1], len(runs))
    return path


def _value(record: Mapping[str, Any], name: str) -> float:
    """Return a metric of one epoch, NaN where it has none or was not finite."""
    value = record["val"].get(name, record["train"].get(name))
    return np.nan if value is None else float(value)
