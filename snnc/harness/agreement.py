"""What all processes decide at the same update: to save, and to stop. A process that is alone decides by itself."""

from __future__ import annotations

import time

import numpy as np

from snnc.harness.processes import exchange, process_count
from snnc.harness.stopping import StopRequest

_PAUSE = 1.0  # seconds between two questions within an epoch: asking waits for all devices
_MOST = 1000  # updates


class Agreement:
    """Asks the processes about once a second; process 0 says when to save, and any of them that all shall stop."""

    def __init__(self, stop: StopRequest, save_every: float) -> None:
        self._stop = stop
        self._alone = process_count() == 1
        self._pause = min(_PAUSE, save_every)
        self._asked = time.perf_counter()
        self._done, self._until = 0, 1  # updates since the last question, and those after which the next one comes

    def after_update(self, due: bool) -> bool:
        """Whether to save now, where this process would if `due`; a stop that another one heard of fills in `stop`."""
        self._done += 1
        if self._alone:
            return due or self._stop.number is not None
        return self._done >= self._until and self._ask(due)

    def after_epoch(self, due: bool) -> bool:
        """As `after_update`; here the processes always ask."""
        if self._alone:
            return due or self._stop.number is not None
        self._done = max(self._done, 1)
        return self._ask(due)

    def _ask(self, due: bool) -> bool:
        now = time.perf_counter()
        wait = min(_MOST, max(1, round(self._pause * self._done / max(now - self._asked, 1e-6))))
        heard = exchange(np.asarray([self._stop.number or 0, due, wait], np.int32))
        self._stop.number = int(heard[:, 0].max()) or None
        self._asked, self._done, self._until = now, 0, int(heard[0, 2])
        return bool(heard[0, 1]) or self._stop.number is not None
