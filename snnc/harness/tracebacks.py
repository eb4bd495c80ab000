"""What an emitted file raises, shown at the line of the `.snn` that it stands for.

Every emitted line that comes from a model has a comment above it, as in `# v' = (I - v) / tau  (std/neurons.snn:47)`. The
innermost emitted frame of a traceback that has one says where.
"""

from __future__ import annotations

import linecache
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import NamedTuple

from snnc.diagnostics import Code, CompileError, Diagnostic, Label
from snnc.resources import resource_folder
from snnc.source import Source, Span

MODULE_PREFIX = "snnc_model_"  # of the names that `load_module` gives
_PLACE = re.compile(r"#.*\(([^()\s]+\.snn):(\d+)\)\s*$")
_BYTES = re.compile(r"allocat\w* (?:size )?(\d+)")
_MAX_CAUSES = 10  # exceptions that are followed from one to the one before it


class RunFailedError(Exception):
    """An emitted file failed, and not for a reason that its author could change; `finding` says where."""

    def __init__(self, finding: Diagnostic) -> None:
        self.finding = finding
        super().__init__(finding.render())


class _Frame(NamedTuple):
    """A place in an emitted file: the lines of the function it is in, from its first line to the failing one."""

    file: str
    line: int
    first: int
    names: dict[str, object]  # the globals of the emitted module

    def text(self) -> str:
        return linecache.getline(self.file, self.line).strip()


@contextmanager
def run_failures_explained(file: Path) -> Iterator[None]:
    """Turn what an emitted model of `file` raises into words; exceptions from elsewhere pass as they are.

    Raises:
        CompileError: E0701 where memory ran out, E0609 where JAX was told to look for NaN and found one.
        RunFailedError: E0702 for anything else.
    """
    try:
        yield
    except CompileError:
        raise
    except Exception as error:
        if hasattr(error, "exit_code"):
            raise  # how a command leaves
        finding = explain_failure(error, file)
        if finding is None:
            raise
        raise (RunFailedError(finding) if finding.code is Code.RUN_FAILED else CompileError([finding])) from error


def explain_failure(error: Exception, file: Path) -> Diagnostic | None:
    """Return what to say about an exception, None if no emitted file took part in it and memory did not run out."""
    frames = _emitted_frames(error)
    causes = list(_causes(error))
    memory = next((cause for cause in causes if _is_out_of_memory(cause)), None)
    if not frames and memory is None:
        return None
    span, labels = _places(frames, file)
    where = [f"{Path(frame.file).name}:{frame.line}: {frame.text()}" for frame in frames[:1]]
    if memory is not None:
        return Diagnostic(
            Code.OUT_OF_MEMORY, span, f"the memory of this device is not enough{_wanted(str(memory))}",
            "make the batch smaller (`--batch 16`), the samples shorter or the layers smaller", labels=labels,
        )  # fmt: skip
    cause = f"{type(error).__name__}: {_first_line(error)}"
    if any(isinstance(cause, FloatingPointError) for cause in causes):
        help = "lower the learning rate, clip the gradient (`clip_norm = 1`) or bound the parameters (`in (low, high)`)"
        return Diagnostic(
            Code.DIVERGED, span, f"a number is no longer finite here: {_first_line(error)}", help, labels=labels
        )
    help = "\n".join(["what was emitted for this line failed when it ran", *where])
    return Diagnostic(Code.RUN_FAILED, span, f"the compiled model failed: {cause}", help, labels=labels)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the exception and those behind it, the newest first."""
    for _ in range(_MAX_CAUSES):
        if error is None:
            return
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)


def _wanted(message: str) -> str:
    """Return how much memory was asked for, in words, if the message says it.

    >>> _wanted("RESOURCE_EXHAUSTED: Out of memory allocating 51200000000 bytes.")
    ': 51.2 GB were asked for at once'
    """
    found = _BYTES.search(message)
    return f": {int(found[1]) / 1e9:,.1f} GB were asked for at once" if found else ""


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else "no message"


def _emitted_frames(error: BaseException) -> list[_Frame]:
    """Return the frames that lie in emitted files, the innermost first, of the first exception that has any.

    There are none where an emitted file called back into snnc, and that failed.
    """
    for cause in _causes(error):
        frames: list[_Frame] = []
        ours = False
        for frame, line in _walk(cause.__traceback__):
            name = str(frame.f_globals.get("__name__", ""))
            if name.startswith(MODULE_PREFIX):
                ours = False
                frames.append(_Frame(frame.f_code.co_filename, line, frame.f_code.co_firstlineno, frame.f_globals))
            elif name.startswith("snnc."):
                ours = True
        if frames:
            return [] if ours else frames[::-1]
    return []


def _walk(trace: TracebackType | None) -> Iterator[tuple[FrameType, int]]:
    while trace is not None:
        yield trace.tb_frame, trace.tb_lineno
        trace = trace.tb_next


def _places(frames: list[_Frame], file: Path) -> tuple[Span, tuple[Label, ...]]:
    """Return the line that failed, and the line of the author's own file that led there if that is another."""
    spans = [span for frame in frames if (span := _line_above(frame, file)) is not None]
    if not spans:
        return _recipe(frames, file), ()
    own = next((span for span in spans if span.source.path == str(file)), spans[0])
    return spans[0], () if own == spans[0] or _same_line(own, spans[0]) else (Label(own, "used here"),)


def _same_line(first: Span, second: Span) -> bool:
    return first.source.path == second.source.path and first.line == second.line


def _line_above(frame: _Frame, file: Path) -> Span | None:
    """Return the line of the `.snn` that the nearest comment above the failing line, in its function, names."""
    for number in range(frame.line, frame.first - 1, -1):
        found = _PLACE.search(linecache.getline(frame.file, number))
        if found is not None:
            return _line(found[1], int(found[2]), file)
    return None


def _line(name: str, line: int, file: Path) -> Span | None:
    """Return the text of a line of `file`, of a file beside it, or of the standard library."""
    path = resource_folder("models") / name if name.startswith("std/") else file.parent / name
    source = _source(path, name if name.startswith("std/") else str(path))
    if source is None:
        return None
    start = sum(len(text) + 1 for text in source.text.split("\n")[: line - 1])
    text = source.line_text(line)
    return Span(source, start + len(text) - len(text.lstrip()), start + len(text.rstrip()))


def _recipe(frames: list[_Frame], file: Path) -> Span:
    """Return the line of the recipe that ran, the first of the file where none is found."""
    source = _source(file, str(file)) or Source(str(file), "")
    recipe = frames[0].names.get("RECIPE") if frames else None
    found = re.search(rf"^[ \t]*train\s+{re.escape(str(recipe))}\b[^{{\n]*", source.text, re.MULTILINE)
    if found is None:
        return Span(source, 0, source.text.find("\n") if "\n" in source.text else len(source.text))
    start = found.start() + len(found[0]) - len(found[0].lstrip())
    return Span(source, start, found.start() + len(found[0].rstrip()))


def _source(path: Path, shown: str) -> Source | None:
    try:
        return Source(shown, path.read_text(encoding="utf-8-sig").replace("\r\n", "\n").replace("\r", "\n"))
    except (OSError, UnicodeDecodeError):
        return None
