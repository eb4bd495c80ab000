"""Spikes of a data set by their places, made once on the host; emitted files carry these texts as they stand here."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class EventLists:
    """Spikes [N, T, n] by their places, for batches of one size B; `of_batch` gives those of some samples.

    An event is a spike. Those of a sample follow one another by unit, then by step; `starts` [N + 1] says where they
    begin.
    """

    units: np.ndarray  # [N, T, K] the units that spike in a step, filled up with n
    counts: np.ndarray  # [N, n] events of each unit
    starts: np.ndarray
    unit: np.ndarray  # [events]
    before: np.ndarray  # [events] events of its unit in its sample that come before it
    step: np.ndarray  # [events]
    batch: int
    longest: int  # events of one unit in a batch, at most

    def __len__(self) -> int:
        return len(self.units)

    def of_batch(self, sample: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return units [T, B, K] and, for each unit, the rows t B + b [n, L] of its spikes, filled up with T B."""
        steps, width = self.units.shape[1:]
        units = np.empty((steps, self.batch, width), self.units.dtype)
        rows = np.full((self.counts.shape[1], self.longest), steps * self.batch, np.int32)
        filled = np.zeros(self.counts.shape[1], np.int32)
        for place, number in enumerate(sample):
            units[:, place] = self.units[number]
            own = slice(self.starts[number], self.starts[number + 1])
            unit = self.unit[own]
            rows[unit, filled[unit] + self.before[own]] = self.step[own] * np.int32(self.batch) + np.int32(place)
            filled += self.counts[number]
        return units, rows
