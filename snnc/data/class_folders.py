"""Lists the files of a folder that has one folder for each class."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from snnc.data.files import LoadContext, unreadable
from snnc.diagnostics import Code, fail

MAX_FILES = 10_000_000


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a class; `name` is what messages call it."""

    file: Path
    name: str
    label: int


def class_names(context: LoadContext, folder: Path, name: str) -> tuple[str, ...]:
    """Return the names of the folders in `folder`, in the order of the alphabet."""
    try:
        with os.scandir(folder) as entries:
            return tuple(sorted(e.name for e in entries if e.is_dir() and not e.name.startswith(".")))
    except OSError as error:
        raise unreadable(context.span, name, error) from error


def list_classes(
    context: LoadContext, folder: Path, name: str, endings: tuple[str, ...], classes: tuple[str, ...]
) -> list[Member]:
    """Return the files of the folders `classes`, labelled by their order: the first of each class, then the second of each.

    So the first samples of the list are of all classes.

    Raises:
        CompileError: E0605 if a class has no folder or no file, or a link leads out.
    """
    numbered: list[tuple[int, Member]] = []
    for label, class_name in enumerate(classes):
        place = folder / class_name
        try:
            with os.scandir(place) as entries:
                found = sorted((e.name, e.is_symlink()) for e in entries if e.name.endswith(endings) and e.is_file())
            links = [place, *(place / file for file, is_link in found if is_link)]
            outside = next((link for link in links if not link.resolve().is_relative_to(folder)), None)
        except (OSError, RuntimeError) as error:
            raise unreadable(context.span, f"{name}/{class_name}", error) from error
        if outside is not None:
            message, help = (
                f"`{outside.name}` of `{name}` is a link that leads out of the folder",
                "put the files themselves there",
            )
        elif not found:
            message = f"`{name}/{class_name}` has no file that ends with {' or '.join(f'`{end}`' for end in endings)}"
            help = "store one file for each sample in the folder of its class"
        else:
            members = (Member(place / file, f"{name}/{class_name}/{file}", label) for file, _ in found)
            numbered += enumerate(members)
            continue
        raise fail(Code.BAD_DATA, context.span, message, help=help)
    return [member for _, member in sorted(numbered, key=lambda pair: (pair[0], pair[1].label))]
