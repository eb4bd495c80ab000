"""Watches the numbers of a training and stops it when one is no longer finite."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from snnc.harness.processes import on_host

GRADIENT_NORM = "grad_norm."


class DivergedError(Exception):
    """The metrics `lost` of one update (1-based, within its epoch) were not finite, or the `weights` after it."""

    def __init__(self, epoch: int, update: int, lost: tuple[str, ...] = (), weights: tuple[str, ...] = ()) -> None:
        self.epoch, self.update, self.lost, self.weights = epoch, update, lost, weights
        super().__init__(self.what)

    @property
    def what(self) -> str:
        """Say what was lost, and when."""
        when = f"in epoch {self.epoch}, update {self.update}"
        gradients = [name.removeprefix(GRADIENT_NORM) for name in self.lost if name.startswith(GRADIENT_NORM)]
        if self.weights:
            return f"the new value of {_listed(self.weights)} is not finite {when}"
        if "loss" in self.lost or not gradients:
            return f"the loss is no longer finite {when}"
        return f"the gradient of {_listed(gradients)} is no longer finite {when}"


class FiniteWatch:
    """Keeps the loss and the gradient norms of the last updates on the device and looks at them together.

    Looking waits for the device, so it happens every `every` updates and when `check` is called.
    """

    def __init__(self, every: int = 50) -> None:
        self._every = every
        self._unseen: list[tuple[int, int, dict[str, Any]]] = []

    def add(self, epoch: int, update: int, metrics: Mapping[str, Any]) -> None:
        """Note the metrics of one update (both numbers are 1-based, `update` within its epoch).

        Raises:
            DivergedError: with the first epoch and update at which a number was not finite.
        """
        watched = {name: value for name, value in metrics.items() if name == "loss" or name.startswith(GRADIENT_NORM)}
        self._unseen.append((epoch, update, watched))
        if len(self._unseen) >= self._every:
            self.check()

    def check(self) -> None:
        """Look at all updates noted since the last look; raises as `add` does."""
        unseen, self._unseen = self._unseen, []
        for epoch, update, watched in unseen:
            lost = tuple(name for name, value in watched.items() if not math.isfinite(float(np.asarray(value))))
            if lost:
                raise DivergedError(epoch, update, lost)


def check_weights(epoch: int, update: int, names: Sequence[str], params: Any) -> None:
    """Look at all weights after an update; `names` are theirs. Waits for the device.

    Raises:
        DivergedError: with the names of those that are not finite.
    """
    values = zip(names, on_host(params), strict=True)
    lost = tuple(name for name, value in values if not np.isfinite(value).all())
    if lost:
        raise DivergedError(epoch, update, weights=lost)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names[:4]) + (", …" if len(names) > 4 else "")
