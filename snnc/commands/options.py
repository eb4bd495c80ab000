"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from snnc.commands.console import Style
from snnc.limits import MAX_SEED
from snnc.plan import Kernel


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
Format = Annotated[
    Style,
    typer.Option(
        "--format", help="How findings are printed: for people, as JSON, or as annotations of a pull request."
    ),
]
KernelChoice = Annotated[
    Kernel,
    typer.Option(
        "--kernel",
        help="How layers run through the steps on an NVIDIA GPU: by a loop, or each by one Pallas kernel; auto: as measured.",
    ),
]
Devices = Annotated[
    int | None,
    typer.Option(
        "--devices",
        min=1,
        max=4096,
        help="Devices that each process takes, the samples of a batch dealt out over them; a CPU makes virtual ones.",
    ),
]
SplitLayers = Annotated[
    int,
    typer.Option(
        "--split-layers",
        metavar="M",
        min=1,
        max=4096,
        help="Deal the units and weights of each layer out over M of all devices, for layers too wide for one.",
    ),
]
Seed = Annotated[int | None, typer.Option("--seed", min=0, max=MAX_SEED, help="Seed of all random draws.")]


def parse_settings(values: list[str] | None) -> tuple[tuple[str, str], ...]:
    """Split each PATH=VALUE at its first `=`.

    >>> parse_settings(["Digits.h.tau=5 ms"])
    (('Digits.h.tau', '5 ms'),)
    """
    pairs = (value.partition("=") for value in values or [])
    return tuple((path.strip(), text.strip()) for path, _, text in pairs)


def refuse_own_input(out: Path, file: Path) -> None:
    """Refuse to write the result over the file that it is made from."""
    if out.exists() and out.samefile(file):
        raise typer.BadParameter(f"{str(out)!r} is the file that is read; give another name", param_hint="-o")
