"""Spikes of a data set by their places, found once on the host; emitted files carry these texts as they stand here."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class EventLists:
    """Spikes [N, T, n] by their places, for batches of `batch` samples.

    Events of a sample follow one another by unit, then by step; those of sample s are starts[s] to starts[s + 1].
    """

    units: np.ndarray  # [N, T, K] the units that spike in a step, filled up with n
    counts: np.ndarray  # [N, n] events of each unit
    starts: np.ndarray  # [N + 1]
    unit: np.ndarray  # of each event, as `step`
    step: np.ndarray
    before: np.ndarray  # how many events of its unit in its sample come before it
    batch: int
    longest: int  # at least the events of a unit in a batch

    def __len__(self) -> int:
        return len(self.units)

    @property
    def density(self) -> float:
        return float(self.counts.mean() / self.units.shape[1])

    def of_batch(self, sample: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the units [T, B, K] and, for each unit, the rows t B + b [n, L] of its spikes, filled up with T B.

        Samples of weight 0 have no rows, for nothing is learned from them.
        """
        steps, width = self.units.shape[1:]
        units = np.empty((steps, self.batch, width), self.units.dtype)
        rows = np.full((self.counts.shape[1], self.longest), steps * self.batch, np.int32)
        filled = np.zeros(self.counts.shape[1], np.int32)
        for place, number in enumerate(sample):
            units[:, place] = self.units[number]
            if weight[place]:
                own = slice(self.starts[number], self.starts[number + 1])
                unit = self.unit[own]
                rows[unit, filled[unit] + self.before[own]] = self.step[own].astype(np.int32) * self.batch + place
                filled += self.counts[number]
        return units, rows


def list_lengths(spikes: np.ndarray, batch: int) -> tuple[int, int] | None:
    """Return the lengths K and L of the lists of spikes [N, T, n], multiples of 8; None if some are not 0 or 1."""
    most, counts = 0, []
    for sample in spikes:
        if not ((sample == 0) | (sample == 1)).all():
            return None
        spiking = sample != 0
        most = max(most, int(np.count_nonzero(spiking, axis=1).max(initial=0)))
        counts.append(np.count_nonzero(spiking, axis=0))
    longest = int(np.sort(counts, axis=0)[-batch:].sum(axis=0).max(initial=0))
    return max(8, -(-most // 8) * 8), max(8, -(-longest // 8) * 8)


def event_lists(spikes: np.ndarray, batch: int, share: float) -> EventLists | np.ndarray:
    """Return spikes [N, T, ...] by their places, or as they are if some are not 0 or 1 or lists would be too long.

    A list may be as long as `share` of what it stands for: of n units, or of the T B rows of a batch.
    """
    flat = spikes.reshape(*spikes.shape[:2], -1)
    number, steps, units = flat.shape
    lengths = list_lengths(flat, batch)
    if lengths is None or lengths[0] > share * units or lengths[1] > share * steps * batch:
        return spikes
    listed = np.full((number, steps, lengths[0]), units, np.min_scalar_type(units))
    counts = np.zeros((number, units), np.int32)
    parts = []
    for sample, found, count in zip(flat, listed, counts, strict=True):
        step, unit = np.divmod(np.flatnonzero(sample != 0).astype(np.int32), np.int32(units))
        found[step, _place_in_run(step, steps)] = unit
        count[:] = np.bincount(unit, minlength=units)
        order = np.argsort(unit.astype(listed.dtype), kind="stable")
        unit, step = unit[order], step[order]
        parts.append((unit, step, _place_in_run(unit, units)))
    unit, step, before = (np.concatenate(column) for column in zip(*parts, strict=True))
    small = np.min_scalar_type(steps)
    starts = np.concatenate([[0], np.cumsum(counts.sum(axis=1))])
    return EventLists(
        listed, counts, starts, unit.astype(listed.dtype), step.astype(small), before.astype(small), batch, lengths[1]
    )


def _place_in_run(sorted_numbers: np.ndarray, count: int) -> np.ndarray:
    """Return for each of some sorted numbers below `count` how many equal ones come before it."""
    many = np.bincount(sorted_numbers, minlength=count)
    return np.asarray(np.arange(len(sorted_numbers)) - (np.cumsum(many) - many)[sorted_numbers])
