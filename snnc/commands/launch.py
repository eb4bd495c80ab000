"""`snnc launch`: several processes on this computer that train one model, or the workers of a Ray cluster."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import IO, Annotated

import typer

from snnc.commands.console import say

LAUNCHED = "SNNC_LAUNCHED"  # the variable of the environment with the words that stand before `train` in messages
_LINES = 20  # of what a failed process printed
_POLL = 0.1  # seconds


def launch(
    words: Annotated[list[str], typer.Argument(metavar="train FILE …", help="The command to run in every process.")],
    processes: Annotated[int, typer.Option("-n", "--processes", min=1, max=4096, help="Number of processes.")],
    devices: Annotated[
        int | None, typer.Option(min=1, max=4096, help="Devices of each process, as `--devices` of `snnc train`.")
    ] = None,
    wait: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", min=1.0, help="How long the others may take to end by themselves when one has failed."
        ),
    ] = 120.0,
    ray: Annotated[
        bool, typer.Option("--ray", help="Start them as workers of Ray Train; needs `pip install snnc[ray]`.")
    ] = False,
) -> None:
    """Train one model in several processes: `snnc launch -n 2 train FILE`.

    Each of them takes its share of every batch, and all of them hold the same weights.
    Process 0 prints and writes. When one of them ends too early, the others end, too.
    On a cluster this command is not needed: SLURM, Kubernetes and Cloud TPU start
    `snnc train FILE` in every process, and the processes find each other.
    """
    if words[0] != "train":
        raise typer.BadParameter(f"only `train` runs in several processes, and not {words[0]!r}")
    said = shlex.join(["snnc", "launch", "-n", str(processes)])
    arguments = [*words, *(["--devices", str(devices)] if devices else [])]
    if ray:
        from snnc.harness.ray_workers import train_on_ray

        try:
            raise typer.Exit(train_on_ray(processes, arguments, {LAUNCHED: f"{said} --ray"}))
        except ImportError as error:
            missing = f"Ray Train is not installed here ({error}): pip install 'snnc[ray]'"
            raise typer.BadParameter(missing, param_hint="--ray") from error
    raise typer.Exit(_run(processes, arguments, {LAUNCHED: said}, wait))


def _run(count: int, arguments: Sequence[str], environment: dict[str, str], wait: float) -> int:
    """Run the processes to their end; return 0 if all did well, else the exit code of the one that failed first."""
    shared = {
        **os.environ,
        **environment,
        "SNNC_PROCESSES": str(count),
        "JAX_COORDINATOR_ADDRESS": f"localhost:{_free_port()}",
    }
    command = [sys.executable, "-m", "snnc", *arguments]
    with ExitStack() as held:
        logs: list[IO[bytes] | None] = [None]
        logs += [held.enter_context(tempfile.TemporaryFile()) for _ in range(1, count)]
        running: list[subprocess.Popen[bytes]] = []
        before = {number: signal.signal(number, _pass_on(running)) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            for number, log in enumerate(logs):
                own = {**shared, "SNNC_PROCESS": str(number)}
                running.append(subprocess.Popen(command, env=own, stdout=log, stderr=log))
            return _watch(running, logs, wait)
        finally:
            for process in running:
                if process.poll() is None:
                    process.kill()
                process.wait()
            for number, handler in before.items():
                signal.signal(number, handler)


def _watch(running: Sequence[subprocess.Popen[bytes]], logs: Sequence[IO[bytes] | None], wait: float) -> int:
    first: int | None = None
    deadline = float("inf")
    while any(process.poll() is None for process in running) and time.monotonic() < deadline:
        time.sleep(_POLL)
        failed = next((number for number, process in enumerate(running) if process.poll()), None)
        if first is None and failed is not None:
            first, deadline = failed, time.monotonic() + wait
            _tell(first, running[first].returncode, logs[first], len(running))
    if first is None:
        first = next((number for number, process in enumerate(running) if process.returncode), None)
        if first is None:
            return 0
        _tell(first, running[first].returncode, logs[first], len(running))
    late = [str(number) for number, process in enumerate(running) if process.poll() is None]
    if late:
        say(f"process {', '.join(late)} still waits for it after {wait:g} s, and is stopped")
    code = running[first].returncode
    return code if code > 0 else 1


def _tell(number: int, code: int, log: IO[bytes] | None, count: int) -> None:
    """Say which process ended, how, and what it printed, if that was not seen yet."""
    how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
    said: list[str] = []
    if log is not None:
        log.seek(0)
        said = log.read().decode(errors="replace").splitlines()
        said = [line for line in said if line.strip() and not line.startswith("[Gloo]")][-_LINES:]
    if code in (130, 143):
        return  # it was asked to end, and process 0 says so
    for line in said:
        say(f"process {number}: {line}")
    say(
        f"process {number} of {count} has ended {how}, so the training ends; `--resume` goes on from its last checkpoint"
    )


def _pass_on(running: Sequence[subprocess.Popen[bytes]]) -> Callable[[int, object], None]:
    """Return a handler that leaves Ctrl-C to the processes, which the terminal tells of it, and passes SIGTERM on."""

    def hear(number: int, _: object) -> None:
        for process in running:
            if number == signal.SIGTERM and process.poll() is None:
                process.send_signal(number)

    return hear


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("localhost", 0))
        return int(server.getsockname()[1])
