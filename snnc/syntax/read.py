"""A file on disk to a `Source`; what cannot be text is refused before anything reads it."""

from __future__ import annotations

import stat
from pathlib import Path

from snnc.diagnostics import Code, CompileError, fail
from snnc.limits import MAX_SOURCE_BYTES
from snnc.source import Source, Span


def read_source(path: Path, shown: str | None = None) -> Source:
    """Return the text of `path`: UTF-8, with or without a byte order mark, every line end as a newline.

    Messages call the file `shown`. Nothing but a regular file is opened: a pipe would wait, a device never end.

    Raises:
        CompileError: E0203 if there is no such file, E0107 if it is larger than a megabyte, E0108 if it is not text.
    """
    name = str(path) if shown is None else shown
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise _refused(name, Code.BAD_IMPORT, "this is a folder, not a file", "name a file that ends in `.snn`")
        if not stat.S_ISREG(mode):
            help = "save the text in a file that ends in `.snn`"
            raise _refused(name, Code.BAD_IMPORT, "this is a pipe or a device, not a file", help)
        with path.open("rb") as file:
            data = file.read(MAX_SOURCE_BYTES + 1)
            size = max(len(data), path.stat().st_size)
    except FileNotFoundError:
        raise _refused(name, Code.BAD_IMPORT, "there is no such file", "check the path") from None
    except (OSError, ValueError) as error:  # a ValueError: a path with a NUL
        reason = getattr(error, "strerror", None) or str(error)
        raise _refused(name, Code.BAD_IMPORT, f"cannot read this file: {reason.lower()}", None) from None
    if size > MAX_SOURCE_BYTES:
        raise too_large(Source(name, ""), size)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _refused(name, Code.NOT_TEXT, "this file is UTF-16 text, not UTF-8", _ENCODING)
    if 0 in data:
        raise _refused(name, Code.NOT_TEXT, "this is not a text file: it contains NUL bytes", _ENCODING)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _refused(name, Code.NOT_TEXT, f"this file is not UTF-8 text, see line {line}", _ENCODING) from None
    return Source(name, text.replace("\r\n", "\n").replace("\r", "\n"))


def too_large(source: Source, size: int) -> CompileError:
    """Return the error for a text of `size` bytes or characters."""
    message = f"this file is too large: {size / 1e6:.1f} MB"
    help = f"a model is at most {MAX_SOURCE_BYTES / 1e6:g} MB of text; keep data in files"
    return fail(Code.TOO_LARGE, Span(source, 0, 0), message, help=help)


_ENCODING = "save it as UTF-8 text"


def _refused(name: str, code: Code, message: str, help: str | None) -> CompileError:
    return fail(code, Span(Source(name, ""), 0, 0), message, help=help)
