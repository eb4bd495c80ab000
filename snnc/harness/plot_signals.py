"""Plots of a simulation: spikes of the layers over time, and traces of their states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from snnc.harness.plot_style import colour, figure

_NEURONS = 400  # rows of a raster beyond which it is thinned
_TRACES = 5  # neurons drawn of each state


def draw_raster(path: Path, spikes: Mapping[str, np.ndarray], dt: float) -> Path:
    """Draw the spikes of each layer: arrays [T, ...] by layer, step n at time (n + 1)·dt (ms)."""
    layers = {name: values.reshape(len(values), -1) for name, values in spikes.items()}
    heights = [np.clip(values.shape[1] / 40, 0.8, 3.0) for values in layers.values()]
    with figure(path, 8.0, 0.9 + 1.25 * sum(heights)) as drawing:
        panels = drawing.subplots(len(layers), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
        for index, (axes, (name, values)) in enumerate(zip(panels, layers.items(), strict=True)):
            steps, neurons = values.shape
            drawn = np.unique(np.linspace(0, neurons - 1, min(neurons, _NEURONS)).astype(int))
            step, row = np.nonzero(values[:, drawn])
            length = np.clip(130 * heights[index] / len(drawn), 1.5, 10.0)
            axes.plot((step + 1) * dt, drawn[row], "|", color=colour(index), markersize=length, markeredgewidth=1.0)
            rate = np.count_nonzero(values) / (neurons * steps * dt * 1e-3)
            axes.set_title(name)
            axes.set_title(f"{rate:.3g} Hz", loc="right", fontweight="normal", fontsize=9)
            axes.set(ylabel="neuron", ylim=(-0.7, neurons - 0.3), xlim=(0, (steps + 1) * dt))
            axes.yaxis.get_major_locator().set_params(integer=True, nbins=4)
            axes.grid(axis="y", visible=False)
        panels[-1].set_xlabel("time (ms)")
    return path


def draw_traces(path: Path, states: Mapping[str, np.ndarray], units: Mapping[str, str], dt: float) -> Path:
    """Draw the states, arrays [T, ...] by dotted name, a few neurons each; row n stands at time (n + 1)·dt (ms)."""
    neurons: dict[str, Sequence[int]] = {}  # the same ones in every state of a layer
    with figure(path, 8.0, 0.7 + 1.65 * len(states)) as drawing:
        panels = drawing.subplots(len(states), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (name, values) in zip(panels, states.items(), strict=True):
            flat = values.reshape(len(values), -1)
            times = (np.arange(len(flat)) + 1) * dt
            layer = name.rpartition(".")[0]
            chosen = neurons.setdefault(layer, most_varied(flat, _TRACES))
            for index, neuron in enumerate(chosen):
                axes.plot(times, flat[:, neuron], color=colour(index), linewidth=1.3, label=f"{neuron}")
            axes.set_title(name)
            axes.set(ylabel=unit_label(units.get(name, "1")), xlim=(0, (len(flat) + 1) * dt))
            if flat.shape[1] > 1:
                title = "neuron" if len(chosen) == flat.shape[1] else f"{len(chosen)} of {flat.shape[1]}"
                axes.legend(
                    loc="center left",
                    bbox_to_anchor=(1.01, 0.5),
                    title=title,
                    title_fontsize=8.5,
                    fontsize=8.5,
                    handlelength=1.2,
                    labelspacing=0.25,
                    borderaxespad=0,
                )
        panels[-1].set_xlabel("time (ms)")
    return path


def most_varied(values: np.ndarray, count: int) -> Sequence[int]:
    """Return, in ascending order, the `count` columns of [T, n] that vary most; the first ones where they are equal.

    >>> most_varied(np.array([[0.0, 0.0, 1.0], [0.0, 2.0, 0.0]]), 2)
    [1, 2]
    """
    order = np.argsort(-np.std(values, axis=0), kind="stable")
    return sorted(int(column) for column in order[:count])


def unit_label(unit: str) -> str:
    """Return an axis label: the unit, or nothing to read for a number without one.

    >>> unit_label("mV"), unit_label("1")
    ('mV', 'value')
    """
    return "value" if unit == "1" else unit
