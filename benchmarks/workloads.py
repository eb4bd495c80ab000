"""The workloads: sizes, data and initial weights. The networks stand beside this file, w1.snn to w5.snn.

W1, W2 and W4 draw the same numbers as the comparison with other libraries, so that losses can be compared: 3.0684, 3.0463
and 2.3760 before the first update. W5 is drawn in the same way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Workload:
    """One network with its data: `sizes` are inputs, hidden and output units, `density` the share of input spikes.

    `tau` in steps is the time constant that the initial weights are fitted to, `gain` and `recurrent` their scale;
    without `recurrent` the network is feed-forward.
    """

    name: str
    steps: int
    batch: int
    sizes: tuple[int, int, int]
    density: float
    tau: float
    gain: float = 1.0
    recurrent: float | None = None
    first_loss: float | None = None

    @property
    def source(self) -> Path:
        return FOLDER / f"{self.name.lower()}.snn"


W3 = "W3"  # needs a convolution: the runner asks the compiler, and says what is missing

WORKLOADS = {
    w.name: w
    for w in (
        Workload("W1", 100, 128, (700, 256, 20), 0.05, 10.0, first_loss=3.0684),
        Workload("W2", 250, 64, (700, 256, 20), 0.02, 20.0, 0.25, 0.5, first_loss=3.0463),
        Workload("W4", 50, 16, (1024, 4096, 10), 0.05, 10.0, first_loss=2.3760),
        Workload("W5", 2000, 8, (128, 128, 10), 0.05, 20.0, recurrent=0.5),
    )
}


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """`x` [T, B, n] of 0 and 1, `label` [B], weights by the names that the compiler gives them."""

    x: np.ndarray
    label: np.ndarray
    weights: dict[str, np.ndarray]


def draw(workload: Workload, seed: int = 0) -> Drawn:
    """Return the data and the weights of a workload, float32 and int32."""
    rng = np.random.default_rng(seed)
    n_in, n_hidden, n_out = workload.sizes
    decay = math.exp(-1.0 / workload.tau)
    amplification = math.sqrt(1.0 / (1.0 - decay * decay))  # of the deviation, by a leaky integrator

    def weights(fan_in: int, fan_out: int, density: float, gain: float) -> np.ndarray:
        std = gain / (amplification * math.sqrt(fan_in * density))
        return (std * rng.standard_normal((fan_in, fan_out))).astype(np.float32)

    x = (rng.random((workload.steps, workload.batch, n_in)) < workload.density).astype(np.float32)
    drawn = {"x_h.dense.w": weights(n_in, n_hidden, workload.density, workload.gain)}
    if workload.recurrent is not None:
        drawn["h_h.dense.w"] = weights(n_hidden, n_hidden, 1.0, workload.recurrent)
    drawn["h_out.dense.w"] = weights(n_hidden, n_out, 1.0, 1.0)
    label = rng.integers(0, n_out, workload.batch).astype(np.int32)
    return Drawn(x, label, drawn)
