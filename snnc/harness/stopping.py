"""Ctrl-C and SIGTERM while a training runs: asked once, it saves and leaves; asked twice, it leaves at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_SHOW_CURSOR = "\x1b[?25h"


class StoppedError(BaseException):
    """The process was asked to end by the signal `number`. Like KeyboardInterrupt it is no fault that others may explain."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(signal.Signals(number).name)


@dataclass(slots=True)
class StopRequest:
    """The signal that asked for the end, None before one has."""

    number: int | None = None

    def leave_if_asked(self) -> None:
        if self.number is not None:
            raise StoppedError(self.number)


@contextmanager
def ends_by_error() -> Iterator[None]:
    """Make SIGTERM raise StoppedError where the process stands, as SIGINT raises KeyboardInterrupt."""

    def stop(number: int, _: object) -> None:
        raise StoppedError(number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


@contextmanager
def deferred_stop(tell: Callable[[str], None]) -> Iterator[StopRequest]:
    """Give the request that the first SIGINT or SIGTERM fills in; the second one ends the process.

    A thread hears of them, so both are heard while the main thread compiles and cannot run Python.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request  # signals belong to the main thread
        return
    receiver, sender = os.pipe()
    os.set_blocking(sender, False)
    listener = threading.Thread(target=_listen, args=(receiver, request, tell), daemon=True)
    listener.start()
    before = {number: signal.signal(number, _leave_to_listener) for number in (signal.SIGINT, signal.SIGTERM)}
    woken = signal.set_wakeup_fd(sender, warn_on_full_buffer=False)
    try:
        yield request
    finally:
        signal.set_wakeup_fd(woken)
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
        os.close(sender)
        listener.join()
        os.close(receiver)
    request.leave_if_asked()


def _leave_to_listener(number: int, _: object) -> None:
    """Handle a signal: that a handler of Python is set makes its number appear in the pipe."""


def _listen(receiver: int, request: StopRequest, tell: Callable[[str], None]) -> None:
    while heard := os.read(receiver, 1):
        number = heard[0]
        if number not in (signal.SIGINT, signal.SIGTERM):
            continue
        if request.number is not None:
            if sys.stderr.isatty():
                os.write(2, _SHOW_CURSOR.encode())
            os._exit(128 + number)
        request.number = number
        tell("stopping after the running update; Ctrl-C again leaves at once, without saving")
