"""Finds the file that a `.snn` text names, inside the folders that the user named and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from snnc.data.binning import Binning
from snnc.diagnostics import Code, CompileError, fail
from snnc.limits import MAX_DATA_BYTES
from snnc.memory import available_bytes
from snnc.source import Span


@dataclass(frozen=True, slots=True)
class LoadContext:
    """Where a source may look: the call in the text, the folder of the `.snn` file, the user's data folder.

    A source of events has `binning`, which says how they become sequences.
    """

    span: Span
    folder: Path
    data_dir: Path | None
    binning: Binning | None = None

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folders searched, in order."""
        return (self.folder,) if self.data_dir is None else (self.data_dir, self.folder)


def find_file(context: LoadContext, name: str) -> Path:
    """Return the regular file `name` in the first folder that has it, links resolved.

    Raises:
        CompileError: E0604 if no folder has it; E0605 if it leads out of the folders or is no regular file.
    """
    return _find(context, name, Path.is_file, ("file", "folder"))


def find_folder(context: LoadContext, name: str) -> Path:
    """Return the folder `name`, found and refused as a file is by `find_file`."""
    return _find(context, name, Path.is_dir, ("folder", "file"))


def _find(context: LoadContext, name: str, fits: Callable[[Path], bool], words: tuple[str, str]) -> Path:
    """Return what `fits` in the first folder that has it; `words` are what is wanted and what may lie there instead."""
    wanted, other = words
    searched = ", ".join(f"`{folder}`" for folder in context.folders)
    escaped: list[Path] = []
    try:
        for folder in context.folders:
            root = folder.resolve()
            path = (root / name).resolve()
            if not path.is_relative_to(root):
                escaped.append(path)
            elif fits(path):
                return path
            elif path.exists():
                message, help = f"`{name}` is not a {wanted}", f"name a {wanted}, not a {other}"
                raise fail(Code.BAD_DATA, context.span, message, help=help)
        # A path in one of two folders leaves the other one: refuse only what leaves both, or a link that leads out.
        refused = len(escaped) == len(context.folders) or any(path.exists() for path in escaped)
    except (OSError, ValueError, RuntimeError) as error:  # too long, a null character, a circle of links
        raise unreadable(context.span, name, error) from error
    if refused:
        raise fail(
            Code.BAD_DATA,
            context.span,
            f"`{name}` leads out of the folders of this file and its data",
            help=f"put the {wanted} into one of {searched}, or name its folder by `--data-dir`",
        )
    raise fail(
        Code.NO_DATA,
        context.span,
        f"there is no {wanted} `{name}`",
        help=f"searched in {searched}; name the folder of the data by `--data-dir` or `SNNC_DATA`",
    )


def unreadable(span: Span, name: str, error: Exception) -> CompileError:
    """Return the finding for a file that the system or a decoder could not read."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
    return fail(
        Code.BAD_DATA,
        span,
        f"`{name[:200]}` cannot be read: {reason}",
        help="the file may be damaged or cut short: fetch or write it again",
    )


def check_bytes(size: int, span: Span, name: str) -> None:
    """Refuse, with E0605, a file that declares more than `MAX_DATA_BYTES`, or more than this computer has room for."""
    free = available_bytes()
    if size > MAX_DATA_BYTES:
        most = f"at most {MAX_DATA_BYTES // 2**30} GiB are read"
    elif free is not None and size > free:
        most = f"this computer has {free / 2**30:.1f} GiB free"
    else:
        return
    raise fail(
        Code.BAD_DATA,
        span,
        f"`{name}` declares {size / 2**30:.1f} GiB of data; {most}",
        help="store fewer samples or a smaller type, such as uint8",
    )
