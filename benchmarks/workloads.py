"""The workloads: sizes, data and initial weights. The networks stand beside this file, w1.snn to w5.snn.

W1 to W4 draw the same numbers as the comparison with other libraries, so that losses can be compared: 3.0684, 3.0463, 4.1300
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
    without `recurrent` the network is feed-forward. With `channels` it has two convolutions of 5 x 5 over a square image, each
    with a pool of 2 x 2 after it. With `parts` it is also trained by `checkpoint = auto`.
    """

    name: str
    steps: int
    batch: int
    sizes: tuple[int, int, int]
    density: float
    tau: float
    gain: float = 1.0
    recurrent: float | None = None
    channels: tuple[int, int] | None = None
    first_loss: float | None = None
    parts: bool = False

    @property
    def source(self) -> Path:
        return FOLDER / f"{self.name.lower()}.snn"


KERNEL = 5  # places along each axis
HIDDEN_RATE = 0.05  # of the units between convolutions

WORKLOADS = {
    w.name: w
    for w in (
        Workload("W1", 100, 128, (700, 256, 20), 0.05, 10.0, first_loss=3.0684),
        Workload("W2", 250, 64, (700, 256, 20), 0.02, 20.0, 0.25, 0.5, first_loss=3.0463),
        Workload("W3", 20, 32, (784, 512, 10), 0.2, 10.0, channels=(12, 32), first_loss=4.1300),
        Workload("W4", 50, 16, (1024, 4096, 10), 0.05, 10.0, first_loss=2.3760),
        Workload("W5", 2000, 8, (128, 128, 10), 0.05, 20.0, recurrent=0.5, parts=True),
    )
}


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """`x` [T, B, n] or [T, B, 1, side, side] of 0 and 1, `label` [B], weights by the names that the compiler gives them."""

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

    def spikes(*shape: int) -> np.ndarray:
        return (rng.random((workload.steps, workload.batch, *shape)) < workload.density).astype(np.float32)

    def labels() -> np.ndarray:
        return rng.integers(0, n_out, workload.batch).astype(np.int32)

    if workload.channels is not None:
        first, second = workload.channels
        side = math.isqrt(n_in)
        places = n_hidden // second
        x = spikes(1, side, side)
        k1 = weights(KERNEL**2, first, workload.density, 1.0)
        k2 = weights(KERNEL**2 * first, second, HIDDEN_RATE, 1.0)
        last = weights(n_hidden, n_out, HIDDEN_RATE, 1.0).reshape(places, second, n_out)  # there channels come last
        drawn = {
            "x_c1.conv.w": k1.reshape(KERNEL, KERNEL, 1, first),
            "c1_c2.conv.w": k2.reshape(KERNEL, KERNEL, first, second),
            "c2_out.dense.w": last.swapaxes(0, 1).reshape(n_hidden, n_out),
        }
        return Drawn(x, labels(), drawn)
    x = spikes(n_in)
    drawn = {"x_h.dense.w": weights(n_in, n_hidden, workload.density, workload.gain)}
    if workload.recurrent is not None:
        drawn["h_h.dense.w"] = weights(n_hidden, n_hidden, 1.0, workload.recurrent)
    drawn["h_out.dense.w"] = weights(n_hidden, n_out, 1.0, 1.0)
    return Drawn(x, labels(), drawn)
