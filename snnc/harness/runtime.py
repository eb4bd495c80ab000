"""Sets up the process before JAX computes anything: the allocator, how XLA copies, and the cache of compiled programs.

JAX writes an entry of its cache in place, so a second process may read half of it, and a killed one leaves it broken
for good. Each process therefore works on its own folder of hard links to the shared entries, and moves what it added
to the shared folder when it ends: an entry there is always whole.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import shutil
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

_ENTRIES = "*-cache"
_ABANDONED = 24 * 3600.0  # seconds after which a private folder belongs to a killed process
_SHARED_BYTES = 512 * 2**20

FEW_COPIES = "--xla_cpu_copy_insertion_use_region_analysis"
_VERSIONS_WITH_FEW_COPIES = ((0, 10), (0, 11))  # of jaxlib, first and last that were looked at


def prepare_runtime() -> tuple[str, ...]:
    """Return what was set, a few words each. Call it before the first JAX computation of the process."""
    done = []
    if keep_freed_memory():
        done.append("freed memory kept")
    if update_loops_in_place():
        done.append("loops updated in place")
    folder = cache_folder()
    if use_compilation_cache(folder):
        done.append(f"compiled programs cached in {folder}")
    return tuple(done)


def keep_freed_memory() -> bool:
    """Keep freed buffers in the process instead of returning them to the kernel; False where that cannot be set.

    XLA on CPU allocates outputs and temporaries afresh in every call, and the page faults on them cost more than the
    arithmetic. No effect on results; the process keeps its peak memory. Linux with glibc only.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    trim_threshold, mmap_max, arena_max = -1, -4, -8  # malloc.h
    return all((mallopt(arena_max, 1), mallopt(mmap_max, 0), mallopt(trim_threshold, 2**31 - 1)))


def update_loops_in_place() -> bool:
    """Let XLA update the states of a loop without copying them first; False where it may not be asked to.

    XLA knows from the order of a loop's instructions which copies are needless, and asks itself so on GPUs but not on
    CPUs. No effect on results; a time loop of small layers takes a fifth less time. A flag that XLA does not know ends the
    process, hence only the versions that know it are asked; what `XLA_FLAGS` says already stays.
    """
    first, last = _VERSIONS_WITH_FEW_COPIES
    flags = os.environ.get("XLA_FLAGS", "")
    if not first <= tuple(map(int, version("jaxlib").split(".")[:2])) <= last:
        return False
    if FEW_COPIES not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {FEW_COPIES}=true".strip()
    return f"{FEW_COPIES}=true" in os.environ["XLA_FLAGS"]


def cache_folder() -> Path:
    """Return the folder of compiled programs: `SNNC_CACHE`, else the user's cache folder of the platform."""
    if named := os.environ.get("SNNC_CACHE"):
        return Path(named)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "snnc"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "snnc" / "cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "snnc"


def use_compilation_cache(folder: Path) -> bool:
    """Let JAX keep compiled programs of this process in `folder`; False where it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        private = _private_view(folder)
    except OSError:
        return False
    atexit.register(_publish, private, folder)

    import jax

    settings = {
        "jax_compilation_cache_dir": str(private),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": 0,
        "jax_persistent_cache_enable_xla_caches": "none",  # they are no entries, and would be lost
    }
    for name, value in settings.items():
        jax.config.update(name, value)  # type: ignore[no-untyped-call]
    return True


def _private_view(folder: Path) -> Path:
    now = time.time()
    for old in folder.glob("run-*"):
        if now - old.stat().st_mtime > _ABANDONED:
            shutil.rmtree(old, ignore_errors=True)
    private = Path(tempfile.mkdtemp(prefix="run-", dir=folder))
    try:
        for entry in folder.glob(_ENTRIES):
            os.link(entry, private / entry.name)
    except FileNotFoundError:
        pass  # another process pruned an entry: a miss, no more
    except OSError:
        shutil.rmtree(private, ignore_errors=True)
        raise
    return private


def _publish(private: Path, folder: Path) -> None:
    """Move new entries into the shared folder, drop its oldest ones beyond the limit, remove the private folder."""
    try:
        for entry in private.glob(_ENTRIES):
            if not (folder / entry.name).exists():
                os.replace(entry, folder / entry.name)
        total = 0
        for _, size, entry in sorted(((*_age_and_size(e), e) for e in folder.glob(_ENTRIES)), reverse=True):
            total += size
            if total > _SHARED_BYTES:
                entry.unlink(missing_ok=True)
    except OSError:
        pass  # the cache only saves time
    finally:
        shutil.rmtree(private, ignore_errors=True)


def _age_and_size(entry: Path) -> tuple[float, int]:
    status = entry.stat()
    return status.st_mtime, status.st_size
