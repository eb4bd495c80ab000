"""Draws the figures of the documentation: `python docs/figures.py` trains models/digits.snn and writes docs/digits.png."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

HERE = Path(__file__).resolve().parent
MODEL = HERE.parent / "models" / "digits.snn"
BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#b0b0b0"


def simulate(folder: Path) -> dict[str, np.ndarray]:
    """Train the model, run it on one test digit and return its signals."""
    snnc = [sys.executable, "-m", "snnc"]
    subprocess.run([*snnc, "train", str(MODEL), "--no-plots", "--out", str(folder / "run")], check=True)
    weights = folder / "run" / "weights.safetensors"
    subprocess.run([*snnc, "run", str(MODEL), "--weights", str(weights), "--out", str(folder / "one")], check=True)
    with np.load(folder / "one" / "signals.npz") as file:
        return {name: file[name] for name in file.files}


def draw(signals: dict[str, np.ndarray]) -> Figure:
    """Hidden spikes above, outputs below; one axis of time."""
    spikes, outputs = np.squeeze(signals["h.spike"]), np.squeeze(signals["out.v"])
    time = np.arange(1, len(spikes) + 1)
    figure = Figure(figsize=(8, 4.6), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[1.3, 1])
    step, neuron = np.nonzero(spikes)
    above.scatter(time[step], neuron, s=4, marker="|", color=BLUE, linewidths=1.2)
    above.set(ylabel="hidden neuron", title="One digit through the trained network")
    best = int(outputs.mean(axis=0).argmax())
    for k in range(outputs.shape[1]):
        below.plot(time, outputs[:, k], color=ORANGE if k == best else GREY, linewidth=2.2 if k == best else 1.0)
    below.annotate(
        f"output {best}", (time[-1], outputs[-1, best]), xytext=(4, 0), textcoords="offset points", color=ORANGE
    )
    below.set(xlabel="time (ms)", ylabel="output potential")
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        draw(simulate(Path(folder))).savefig(HERE / "digits.png")


if __name__ == "__main__":
    main()
