"""Files that are whole or absent, and the place of a whole file in a message."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from snnc.source import Source, Span


def write_atomically(path: Path, content: bytes | str) -> None:
    """Replace `path` by `content`; a reader sees the old file or the new one, never a part. Text is UTF-8.

    The new file is on the disk when this returns, and the old one is not given up before.

    Raises:
        OSError: it names `path` and the reason; the old file is as it was.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "its folder does not exist", str(path))
    place = Path(os.path.realpath(path))  # what a link leads to is replaced, and not the link
    if place.exists() and not place.is_file():
        raise OSError(errno.EINVAL, "it is a folder, a pipe or a device, and only files are written", str(path))
    try:
        _replace(place, content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise naming(error, path) from error


def naming(error: OSError, path: Path) -> OSError:
    """Return the error as one of its own kind that names `path`: a full disk does not say which file it stopped."""
    return OSError(error.errno, error.strerror or str(error), str(path))


def leftovers(path: Path) -> tuple[Path, ...]:
    """Return what killed processes left of their attempts to write `path`."""
    return tuple(path.parent.glob(f".{path.name}.*"))


def whole_file(path: Path | str) -> Span:
    """Return the span of findings about a file that is no text of the author's (weights, arrays, a run)."""
    return Span(Source(str(path), ""), 0, 0)


def _replace(path: Path, data: bytes) -> None:
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, path.stat().st_mode & 0o777 if path.exists() else _new_file_mode())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return  # elsewhere a folder cannot be opened
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _new_file_mode() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
