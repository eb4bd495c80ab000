"""Several processes that train one model: how they find each other, what they tell each other, and how they leave.

A process is told of the others by `snnc launch` (or by whoever sets the same variables of the environment), by SLURM, by
an indexed Job of Kubernetes, by Open MPI, or by Cloud TPU. All of them run the same updates; process 0 alone writes.
"""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from snnc.diagnostics import Code, CompileError, fail
from snnc.harness.files import whole_file

# Variables of the environment; the address of process 0 is JAX's own.
COUNT, NUMBER, STARTER, ADDRESS = "SNNC_PROCESSES", "SNNC_PROCESS", "SNNC_STARTER", "JAX_COORDINATOR_ADDRESS"
RAY = "Ray Train"
_PATIENCE = 3.0  # seconds that a process which gives up waits for the others to do so too
_LOST = ("gloo", "nccl", "connection closed", "connection reset", "socket closed", "unavailable", "heartbeat")


@dataclass(frozen=True, slots=True)
class Cluster:
    """Who started this process among others; `count` and `number` are None where only JAX can find them out."""

    name: str
    count: int | None
    number: int | None
    address: str | None = None


def cluster_of(environment: Mapping[str, str]) -> Cluster | None:
    """Return what the environment says of other processes, None where this one is alone.

    >>> cluster_of({"SNNC_PROCESSES": "2", "SNNC_PROCESS": "1", "JAX_COORDINATOR_ADDRESS": "node7:5000"})
    Cluster(name='snnc launch', count=2, number=1, address='node7:5000')
    >>> cluster_of({"SLURM_JOB_ID": "9", "SLURM_STEP_NODELIST": "n[1-2]", "SLURM_NTASKS": "2", "SLURM_PROCID": "0"})
    Cluster(name='SLURM', count=2, number=0, address=None)
    >>> cluster_of({"HOME": "/root"})
    """
    if COUNT in environment:
        name = environment.get(STARTER, "snnc launch")
        found = Cluster(name, int(environment[COUNT]), int(environment[NUMBER]), environment.get(ADDRESS))
    elif "SLURM_STEP_NODELIST" in environment and "SLURM_PROCID" in environment:
        tasks = environment.get("SLURM_STEP_NUM_TASKS") or environment.get("SLURM_NTASKS", "1")
        found = Cluster("SLURM", int(tasks), int(environment["SLURM_PROCID"]))
    elif "OMPI_COMM_WORLD_SIZE" in environment:
        found = Cluster("MPI", int(environment["OMPI_COMM_WORLD_SIZE"]), int(environment["OMPI_COMM_WORLD_RANK"]))
    elif "KUBERNETES_SERVICE_HOST" in environment and "JOB_COMPLETION_INDEX" in environment:
        found = Cluster("Kubernetes", None, int(environment["JOB_COMPLETION_INDEX"]))
    elif "," in environment.get("TPU_WORKER_HOSTNAMES", "") or "MEGASCALE_COORDINATOR_ADDRESS" in environment:
        found = Cluster("Cloud TPU", None, None)
    else:
        return None
    return None if found.count == 1 else found


def join(cluster: Cluster, timeout: int) -> None:
    """Meet the other processes; call it before JAX computes anything. A silent one counts as dead after `timeout` s.

    Those that are not there yet are waited for three times as long. The workers of Ray have met before, or never will.

    Raises:
        CompileError: E0704 if not all of them came.
    """
    import jax

    if cluster.name == RAY or joined():
        check_joined(cluster.count, process_count(), cluster.name)
        return
    _keep_stdout_clean()
    jax.config.update("jax_enable_preemption_service", False)  # type: ignore[no-untyped-call]  # its handler of SIGTERM would take the place of ours
    known: dict[str, Any] = {"coordinator_address": cluster.address} if cluster.address else {}
    if cluster.count is not None and cluster.address:
        known |= {
            "num_processes": cluster.count,
            "process_id": cluster.number,
            "cluster_detection_method": "deactivate",
        }
    try:
        jax.distributed.initialize(**known, heartbeat_timeout_seconds=timeout, initialization_timeout=3 * timeout)
    except (RuntimeError, ValueError, OSError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise _not_joined(f"this process did not find the others that {cluster.name} started: {reason}") from error
    check_joined(cluster.count, jax.process_count(), cluster.name)


def check_joined(wanted: int | None, found: int, starter: str) -> None:
    """Raise E0704 unless the processes that were started train together: apart, each would train a copy of its own."""
    if wanted is not None and wanted != found:
        met = "each of them is alone" if found == 1 else f"{found} have met"
        raise _not_joined(f"{starter} started {wanted} processes to train one model, and {met}")


def process_count() -> int:
    return int(_jax().process_count()) if joined() else 1


def is_first() -> bool:
    """Whether this process prints and writes; true where it is alone."""
    return not joined() or bool(_jax().process_index() == 0)


def joined() -> bool:
    """Whether this process has met others. It imports nothing, so that a process that never does starts at once."""
    return "jax" in sys.modules and bool(_jax().distributed.is_initialized())


def exchange(values: np.ndarray) -> np.ndarray:
    """Return what each process gives, one row a process; every process must call this at the same place."""
    if process_count() == 1:
        return values[None]
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.process_allgather(values))


def on_host(values: Any) -> Any:
    """Return whole NumPy arrays of their own; what is dealt out over processes is gathered, by all of them."""
    import jax
    from jax.experimental import multihost_utils

    def whole(value: Any) -> Any:
        if isinstance(value, jax.Array) and not (value.is_fully_addressable or value.is_fully_replicated):
            return multihost_utils.process_allgather(value, tiled=True)
        return np.array(value)

    return jax.tree.map(whole, values)


def check_agreement(what: str, ready: CompileError | None) -> None:
    """Return when all processes are ready for the same training, which the text `what` describes.

    Raises:
        CompileError: `ready`, if that is an error; else E0704 if another process failed or would train something else.
    """
    digest = np.frombuffer(hashlib.sha256(what.encode()).digest(), np.int32)
    heard = exchange(np.concatenate([[ready is not None], digest]).astype(np.int32))
    if ready is not None:
        raise ready
    failed = [str(number) for number in np.nonzero(heard[:, 0])[0]]
    if failed:
        raise _not_joined(f"process {', '.join(failed)} of {len(heard)} could not start; its own message says why")
    others = [str(number) for number in np.nonzero((heard != heard[0]).any(axis=1))[0]]
    if others:
        raise _not_joined(
            f"process {', '.join(others)} of {len(heard)} was started with other settings, data or versions, or sees "
            "another run folder, than process 0"
        )


def is_lost_process(error: BaseException) -> bool:
    """Whether an error of JAX means that another process has gone."""
    return process_count() > 1 and any(word in str(error).lower() for word in _LOST)


def process_lost(error: BaseException, command: str) -> CompileError:
    """Return E0705 for an update that another process left."""
    reason = next(iter(str(error).splitlines()), "")[:200]
    return fail(
        Code.PROCESS_LOST,
        whole_file("training"),
        "another process of this training has ended",
        note=reason,
        help=f"start all of them again; `{command} --resume` goes on from the last checkpoint",
    )


def leave(code: int) -> None:
    """End a process that gives up, `code` not 0, without waiting for others that may never come."""
    if code == 0 or not joined():
        return
    goodbye = threading.Thread(target=_jax().distributed.shutdown, daemon=True)
    goodbye.start()
    goodbye.join(_PATIENCE)
    if goodbye.is_alive():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _keep_stdout_clean() -> None:
    """Let what libraries write to the file of stdout go to stderr; Gloo talks there of every connection."""
    try:
        kept = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding=sys.stdout.encoding)
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        sys.stdout = kept
    except (OSError, ValueError):
        pass  # they are no files here


def _jax() -> Any:
    return sys.modules["jax"]


def _not_joined(message: str) -> CompileError:
    return fail(
        Code.NOT_JOINED,
        whole_file("training"),
        message,
        help="start all processes with the same command on the same files; `--alone` trains in one process by itself",
    )
