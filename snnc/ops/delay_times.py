"""Delays that differ between units or synapses: how they are drawn, and how a delay between two steps weighs the steps.

A delay d (in steps) reads the past through taps, a weight for each of the steps `first` … `last`, the oldest step first. Fixed
delays, and trained ones in evaluation, are whole: one tap is 1. In training a kernel spreads them, so that they have a gradient:

    gaussian:  w_k proportional to exp(-((k - d) / sigma)^2 / 2), normalised over the taps    (DCLS, Hammouamri et al. 2024)
    linear:    1 - frac(d) at floor(d), frac(d) at floor(d) + 1
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

KERNELS = ("gaussian", "linear")


@dataclass(frozen=True, slots=True)
class Sigma:
    """The width of a Gaussian kernel in steps: from `start` exponentially to `end` in the share `over` of the epochs.

    It stays as it is where both are the same.
    """

    start: float
    end: float
    over: float

    @property
    def changes(self) -> bool:
        return self.start != self.end


@dataclass(frozen=True, slots=True)
class DelayTimes:
    """One delay for each place of `shape`, in ms: drawn from `draw` with its arguments `start`, or with draw "" all alike.

    They lie in the interval (low, high); `via` is its bijector. `first` and `last` are the shortest and the longest in steps.
    """

    shape: tuple[int, ...]
    draw: str  # uniform | normal | lognormal | ""
    start: tuple[float, ...]
    low: float
    high: float
    via: str  # auto | exp | clip
    trainable: bool
    kernel: str  # one of KERNELS, for trainable ones
    sigma: Sigma | None  # of the Gaussian kernel
    first: int
    last: int

    @property
    def taps(self) -> int:
        return self.last - self.first + 1

    @property
    def centre(self) -> float:
        """The number about which they begin."""
        return sum(self.start) / 2 if self.draw == "uniform" else self.start[0]

    @property
    def schedule(self) -> Sigma | None:
        """The width, if it changes during a training."""
        return self.sigma if self.sigma is not None and self.sigma.changes else None

    def tap_values(self, delay: Any, sigma: float | None, train: bool) -> Any:
        """The weights [taps, *shape] of delays in steps; `sigma` is the width of the running epoch."""
        steps = np.arange(self.last, self.first - 1, -1.0).reshape(-1, *(1 for _ in self.shape))
        if not (self.trainable and train):
            return (steps == np.clip(np.floor(delay + 0.5), self.first, self.last)).astype(float)
        if self.kernel == "linear":
            lower = np.floor(delay)
            return np.where(steps == lower, 1 - (delay - lower), np.where(steps == lower + 1, delay - lower, 0.0))
        assert sigma is not None
        bell = np.exp(-0.5 * ((steps - delay) / sigma) ** 2)
        return bell / bell.sum(axis=0)
