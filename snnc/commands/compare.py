"""`snnc compare`: finished trainings side by side, as a table and as curves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from snnc.commands.console import headline, number_text, say

if TYPE_CHECKING:
    from snnc.harness.finished_runs import FinishedRun


def compare(
    folders: Annotated[
        list[Path], typer.Argument(metavar="FOLDER…", help="Run folders of `snnc train`.", exists=True, file_okay=False)
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE.png", help="Draw their curves into this picture.")
    ] = None,
) -> None:
    """Compare finished trainings: what was set in each, and what came out.

    Metrics are those of the test split, or of the validation split where the data set has no test split.
    """
    from snnc.harness.finished_runs import NotARunError, differences, read_run

    try:
        runs = [read_run(folder) for folder in folders]
    except NotARunError as error:
        say(f"error: {error}")
        raise typer.Exit(1) from None
    texts = differences(runs)
    shown = [name for run in runs for name in headline(run.test or run.val) if not name.startswith("penalty_")]
    names = list(dict.fromkeys(shown))
    rows = [_row(run, text, names) for run, text in zip(runs, texts, strict=True)]
    for line in columns([_heads(runs, names), *rows]):
        typer.echo(line)
    if out is not None:
        from snnc.harness.plot_runs import draw_runs

        labels = [text or run.folder.name for text, run in zip(texts, runs, strict=True)]
        draw_runs(out, runs, labels, names)
        typer.echo(out)


def columns(rows: list[list[str]]) -> list[str]:
    """Return rows as lines of even columns: the first two start at the left, numbers end at the right.

    >>> columns([["run", "set", "loss"], ["runs/a", "seed = 1", "0.5"]])
    ['run     set       loss', 'runs/a  seed = 1   0.5']
    """
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if place < 2 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _heads(runs: list[FinishedRun], names: list[str]) -> list[str]:
    split = "test" if any(run.test for run in runs) else "val"
    return ["run", "differs in", "epoch", *(f"{split} {name}" for name in names), "seconds"]


def _row(run: FinishedRun, text: str, names: list[str]) -> list[str]:
    found = headline(run.test or run.val)
    metrics = [number_text(found[name]) if name in found else "-" for name in names]
    return [str(run.folder), text, f"{run.epoch}/{run.epochs}", *metrics, f"{run.seconds:.1f}"]
