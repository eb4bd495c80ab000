"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def _check_setting(values: list[str] | None) -> list[str]:
    for value in values or []:
        path, equals, text = value.partition("=")
        if not (path.strip() and equals and text.strip()):
            raise typer.BadParameter(f"{value!r} has no value: write PATH=VALUE, as in baseline.batch=64")
    return values or []


ModelFile = Annotated[Path, typer.Argument(metavar="FILE", help="The .snn file.", exists=True, dir_okay=False)]
ModelFiles = Annotated[list[Path], typer.Argument(metavar="FILE…", help=".snn files.", exists=True, dir_okay=False)]
EntryName = Annotated[
    str | None, typer.Argument(metavar="NAME", help="The recipe or network to take, where the file has several.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Change a value of the file, as in Digits.h.tau='5 ms'. Repeatable.",
        callback=_check_setting,
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Folder of data files.", envvar="SNNC_DATA", exists=True, file_okay=False),
]
AllowExtern = Annotated[bool, typer.Option("--allow-extern", help="Let the file call Python functions it names.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result (or the findings) as JSON on stdout.")]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="Seed of all random draws.")]


def parse_settings(values: list[str] | None) -> tuple[tuple[str, str], ...]:
    """Split each PATH=VALUE at its first `=`.

    >>> parse_settings(["Digits.h.tau=5 ms"])
    (('Digits.h.tau', '5 ms'),)
    """
    pairs = (value.partition("=") for value in values or [])
    return tuple((path.strip(), text.strip()) for path, _, text in pairs)
