"""A training among other processes: it joins them, and has words for every way in which they can be lost."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from snnc.harness.processes import Cluster, join

_WAIT = "import sys; sys.stdin.read() or sys.stderr.write(sys.argv[1])"


@contextmanager
def together(cluster: Cluster | None, heartbeat: int, command: str) -> Iterator[None]:
    """Join the others of `cluster`, if there is one; `command` is what the author would type, for messages.

    JAX aborts a process that loses the others, and no Python runs after that. So a small process of its own waits for the
    end of this one, and speaks if this one does not leave in order.

    Raises:
        CompileError: E0704 if not all of them came.
    """
    if cluster is None:
        yield
        return
    number = "" if cluster.number is None else f" {cluster.number}"
    message = (
        f"process{number} of this training was ended: it was killed, or it lost another process, or one did not come\n"
        f"start all of them again; `{command} --resume` goes on from the last checkpoint"
    )
    speaker = [sys.executable, "-I", "-S", "-c", _WAIT, f"{message}\n"]
    guardian = subprocess.Popen(speaker, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        join(cluster, heartbeat)
        yield
    finally:
        guardian.communicate(b"left in order")
