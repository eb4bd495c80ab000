"""Plots of a training: learning curves, gradient norms, activity of the layers, the confusion matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from snnc.harness.divergence import GRADIENT_NORM
from snnc.harness.plot_style import INK, PALETTE, colour, dashes, figure, grid_of, legend_beside, whole_numbers
from snnc.harness.records import EpochRecord

RATE = "rate."
SILENT = "silent."
_MARKERS_UP_TO = 30  # epochs; more points than that are a line
_NUMBERS_UP_TO = 20  # classes; more than that leaves no room for counts


def draw_training(folder: Path, history: Sequence[EpochRecord], final: Mapping[str, Any]) -> tuple[Path, ...]:
    """Write every plot that `history` has numbers for, and the confusion matrices of `final`; return their paths."""
    written = [draw_curves(folder / "curves.png", history)]
    if any(name.startswith(GRADIENT_NORM) for name in history[0].train):
        written.append(draw_gradients(folder / "gradients.png", history))
    if any(name.startswith(RATE) for name in history[0].train):
        written.append(draw_activity(folder / "activity.png", history))
    for name, value in final.items():
        if np.ndim(value) == 2:
            written.append(draw_confusion(folder / f"{name}.png", np.asarray(value)))
    return tuple(written)


def draw_curves(path: Path, history: Sequence[EpochRecord]) -> Path:
    """Draw the loss and every metric over the epochs, training and validation in one panel; mark the selected epoch."""
    names = [
        name
        for name, value in history[0].train.items()
        if np.ndim(value) == 0 and not name.startswith((GRADIENT_NORM, RATE, SILENT))
    ]
    names.sort(key=lambda name: name != "loss")
    columns = min(len(names), 3)
    rows = -(-len(names) // columns)
    selected = [record.epoch for record in history if record.selected][-1:]
    with figure(path, 4.6 * columns, 3.3 * rows) as drawing:
        for axes, name in zip(grid_of(drawing, len(names), columns), names, strict=True):
            _line(axes, history, [record.train.get(name) for record in history], "train", 0)
            if any(name in record.val for record in history):
                _line(axes, history, [record.val.get(name) for record in history], "val", 1)
                for epoch in selected:
                    axes.axvline(epoch, color="#BBBBBB", linewidth=1, zorder=1)
                    place = axes.get_xaxis_transform()
                    axes.text(epoch, 1.01, "selected", transform=place, ha="center", fontsize=8, color="#777777")
            axes.set(title=name, xlabel="epoch")
            axes.legend(loc="best")
            whole_numbers(axes)
    return path


def draw_gradients(path: Path, history: Sequence[EpochRecord]) -> Path:
    """Draw the mean gradient norm of every parameter over the epochs, on a logarithmic axis."""
    names = [name for name in history[0].train if name.startswith(GRADIENT_NORM)]
    with figure(path, 8.0, max(3.4, 0.16 * len(names) + 1.5)) as drawing:
        axes = drawing.add_subplot()
        for index, name in enumerate(names):
            values = [record.train.get(name) for record in history]
            _line(axes, history, [value or np.nan for value in values], name.removeprefix(GRADIENT_NORM), index)
        axes.set(title="Gradient norm", xlabel="epoch", ylabel="‖gradient‖, mean over updates", yscale="log")
        legend_beside(axes, len(names))
        whole_numbers(axes)
    return path


def draw_activity(path: Path, history: Sequence[EpochRecord]) -> Path:
    """Draw the mean firing rate (Hz) and the fraction of silent neurons of each layer over the epochs."""
    layers = [name.removeprefix(RATE) for name in history[0].train if name.startswith(RATE)]
    with figure(path, 9.6, max(3.3, 0.16 * len(layers) + 1.5)) as drawing:
        rates, silent = grid_of(drawing, 2, 2)
        for index, layer in enumerate(layers):
            _line(rates, history, [record.train.get(RATE + layer) for record in history], layer, index)
            values = [record.train.get(SILENT + layer) for record in history]
            _line(silent, history, [None if value is None else 100 * value for value in values], layer, index)
        rates.set(title="Firing rate", xlabel="epoch", ylabel="mean rate (Hz)")
        rates.set_ylim(bottom=0)
        silent.set(title="Silent neurons", xlabel="epoch", ylabel="share of the layer (%)", ylim=(-3, 103))
        legend_beside(silent, len(layers))
        for axes in (rates, silent):
            whole_numbers(axes)
    return path


def draw_confusion(path: Path, counts: np.ndarray) -> Path:
    """Draw a [true class, predicted class] count matrix; colours are shares of the true class, numbers are counts."""
    from matplotlib.colors import LinearSegmentedColormap

    classes = len(counts)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shown = LinearSegmentedColormap.from_list("blues", ["#FFFFFF", "#A9CDE6", PALETTE[0]])
    side = min(9.0, max(3.6, 0.42 * classes + 1.4))
    with figure(path, side + 0.6, side) as drawing:
        axes = drawing.add_subplot()
        image = axes.imshow(100 * shares, cmap=shown, vmin=0, vmax=100)
        axes.grid(False)
        axes.set(title="Confusion", xlabel="predicted class", ylabel="true class")
        if classes <= _NUMBERS_UP_TO:
            axes.set(xticks=range(classes), yticks=range(classes))
            for true, predicted in np.argwhere(counts > 0):
                text_colour = "white" if shares[true, predicted] > 0.6 else INK
                label = f"{counts[true, predicted]:.0f}"
                axes.text(predicted, true, label, ha="center", va="center", color=text_colour, fontsize=8)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        bar = drawing.colorbar(image, ax=axes, shrink=0.8, label="share of the true class (%)")
        bar.outline.set_visible(False)
    return path


def _line(axes: Any, history: Sequence[EpochRecord], values: Sequence[Any], label: str, index: int) -> None:
    epochs = [record.epoch for record in history]
    numbers = [np.nan if value is None else float(value) for value in values]
    marker = "o" if len(epochs) <= _MARKERS_UP_TO else ""
    axes.plot(epochs, numbers, color=colour(index), linestyle=dashes(index), marker=marker, markersize=3.5, label=label)
