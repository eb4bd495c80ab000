"""What the command line says of a fault of ours: short words, with the whole traceback in a file or on request."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import traceback

import snnc
from snnc.commands.console import say, show_findings
from snnc.diagnostics import printable
from snnc.harness.tracebacks import RunFailedError

TRACEBACK = "SNNC_TRACEBACK"  # the variable of the environment; `--traceback` sets it


def show_failure(error: Exception) -> None:
    """Print an internal error: where it happened if that is known, how to report it, the traceback if it is wanted."""
    wanted = os.environ.get(TRACEBACK, "") not in ("", "0")
    if wanted:
        traceback.print_exception(error)
    if isinstance(error, RunFailedError):
        show_findings([error.finding])
    else:
        message = next(iter(str(error).splitlines()), "")
        say(printable(f"internal error: {type(error).__name__}: {message}".rstrip(": ")))
    say("this is most likely a fault of snnc and not of your file: please report it, with your .snn file")
    if not wanted:
        kept = _keep(error)
        say(f"and with {kept}, which holds the traceback" if kept else f"and with what {TRACEBACK}=1 prints")


def _keep(error: Exception) -> str:
    """Write what a report needs to a new file, and return its path; "" where nothing can be written."""
    lines = [
        f"snnc {snnc.__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}\n",
        f"arguments: {sys.argv[1:]}\n\n",
        *traceback.format_exception(error),
    ]
    try:
        handle, path = tempfile.mkstemp(prefix="snnc-traceback-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(lines)
    except OSError:
        return ""
    return path
