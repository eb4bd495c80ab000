"""Files that are whole or absent, and the place of a whole file in a message."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from snnc.source import Source, Span


def write_atomically(path: Path, content: bytes | str) -> None:
    """Replace `path` by `content`; a reader sees the old file or the new one, never a part. Text is UTF-8."""
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "its folder does not exist", str(path))
    data = content.encode() if isinstance(content, str) else content
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(temporary, path.stat().st_mode & 0o777 if path.exists() else _new_file_mode())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def whole_file(path: Path | str) -> Span:
    """Return the span of findings about a file that is no text of the author's (weights, arrays, a run)."""
    return Span(Source(str(path), ""), 0, 0)


def _new_file_mode() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
