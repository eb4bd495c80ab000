"""One training at a time in a run folder."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from snnc.diagnostics import Code, CompileError, fail
from snnc.harness.files import whole_file

LOCK = ".lock"


@contextmanager
def sole_training(folder: Path) -> Iterator[None]:
    """Make `folder` and keep other trainings out of it; the kernel ends that however this process ends.

    Where the file system or the platform has no locks, nothing is kept out.

    Raises:
        CompileError: E0612, naming the process that is there.
        OSError: the folder cannot be made or written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if not _locked(handle):
            raise _in_use(folder, handle)
        os.ftruncate(handle, 0)
        began = datetime.now().astimezone().isoformat(" ", "seconds")
        os.write(handle, json.dumps({"pid": os.getpid(), "began": began}).encode())
        yield
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL):
            raise
    return True


def _in_use(folder: Path, handle: int) -> CompileError:
    try:
        holder = json.loads(os.read(handle, 1000))
        who = f"process {int(holder['pid'])} has trained there since {holder['began']}"
    except (ValueError, KeyError, TypeError):
        who = "another process has just begun to train there"
    return fail(
        Code.FOLDER_IN_USE,
        whole_file(folder),
        f"two trainings cannot share a run folder: {who}",
        help="wait until it has ended, stop it, or give this run a folder of its own by `--out FOLDER`",
    )
