"""A file on disk to a `Source`; what cannot be text is refused before anything reads it."""

from __future__ import annotations

from pathlib import Path

from snnc.diagnostics import Code, CompileError, fail
from snnc.source import Source, Span

MAX_BYTES = 1_000_000


def read_source(path: Path) -> Source:
    """Return the text of `path`: UTF-8, with or without a byte order mark, every line end as a newline.

    Raises:
        CompileError: E0203 if there is no such file, E0107 if it is larger than a megabyte, E0108 if it is not text.
    """
    if path.is_dir():
        raise _refused(path, Code.BAD_IMPORT, "this is a folder, not a file", "name a file that ends in `.snn`")
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise too_large(Source(str(path), ""), size)
        data = path.read_bytes()
    except FileNotFoundError:
        raise _refused(path, Code.BAD_IMPORT, "there is no such file", "check the path") from None
    except (OSError, ValueError) as error:  # a ValueError: a path with a NUL
        reason = getattr(error, "strerror", None) or str(error)
        raise _refused(path, Code.BAD_IMPORT, f"cannot read this file: {reason.lower()}", None) from None
    if len(data) > MAX_BYTES:  # a device or a pipe has no size to ask for
        raise too_large(Source(str(path), ""), len(data))
    if 0 in data:
        raise _refused(path, Code.NOT_TEXT, "this is not a text file: it contains NUL bytes", _ENCODING)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _refused(path, Code.NOT_TEXT, f"this file is not UTF-8 text, see line {line}", _ENCODING) from None
    return Source(str(path), text.replace("\r\n", "\n").replace("\r", "\n"))


def too_large(source: Source, size: int) -> CompileError:
    """Return the error for a text of `size` bytes or characters."""
    message = f"this file is too large: {size / 1e6:.1f} MB"
    return fail(Code.TOO_LARGE, Span(source, 0, 0), message, help="a model is at most 1 MB of text; keep data in files")


_ENCODING = "save it as UTF-8 text"


def _refused(path: Path, code: Code, message: str, help: str | None) -> CompileError:
    return fail(code, Span(Source(str(path), ""), 0, 0), message, help=help)
