"""Watches the numbers of a training and stops it when one is no longer finite."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from snnc.diagnostics import Code, CompileError, fail
from snnc.source import Span

GRADIENT_NORM = "grad_norm."


class FiniteWatch:
    """Keeps the loss and the gradient norms of the last updates on the device and looks at them together.

    Looking waits for the device, so it happens every `every` updates and at the end of an epoch.
    """

    def __init__(self, place: Span, every: int = 50) -> None:
        self._place = place
        self._every = every
        self._unseen: list[tuple[int, int, dict[str, Any]]] = []

    def add(self, epoch: int, update: int, metrics: Mapping[str, Any]) -> None:
        """Note the metrics of one update (both numbers are 1-based, `update` within its epoch).

        Raises:
            CompileError: E0609, naming the first epoch and update at which a number was not finite.
        """
        watched = {name: value for name, value in metrics.items() if name == "loss" or name.startswith(GRADIENT_NORM)}
        self._unseen.append((epoch, update, watched))
        if len(self._unseen) >= self._every:
            self.check()

    def check(self) -> None:
        """Look at all updates noted since the last look; raises as `add` does."""
        unseen, self._unseen = self._unseen, []
        for epoch, update, watched in unseen:
            lost = [name for name, value in watched.items() if not math.isfinite(float(np.asarray(value)))]
            if lost:
                raise diverged(self._place, f"in epoch {epoch}, update {update}", lost)


def check_epoch(place: Span, epoch: int, train: Mapping[str, Any]) -> None:
    """Raise E0609 if the epoch's mean loss or gradient norms are not finite."""
    lost = [
        name
        for name, value in train.items()
        if (name == "loss" or name.startswith(GRADIENT_NORM)) and not math.isfinite(float(value))
    ]
    if lost:
        raise diverged(place, f"in epoch {epoch}", lost)


def diverged(place: Span, when: str, lost: list[str]) -> CompileError:
    """Return E0609 for the metrics `lost`, which were not finite `when`."""
    gradients = [name.removeprefix(GRADIENT_NORM) for name in lost if name.startswith(GRADIENT_NORM)]
    if "loss" in lost or not gradients:
        message = f"the loss is no longer finite {when}"
    else:
        names = ", ".join(f"`{name}`" for name in gradients[:4]) + (", …" if len(gradients) > 4 else "")
        message = f"the gradient of {names} is no longer finite {when}"
    return fail(
        Code.DIVERGED,
        place,
        message,
        help="lower the learning rate, clip the gradient (`clip_norm = 1`) or bound the parameters (`in (low, high)`)",
    )
