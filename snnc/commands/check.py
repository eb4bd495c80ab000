"""`snnc check` and `snnc fmt`: fast, and without anything heavy imported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from snnc.commands.console import print_json, say, show_findings, style_of
from snnc.commands.options import AllowExtern, Format, Json, ModelFiles
from snnc.diagnostics import CompileError

if TYPE_CHECKING:
    from snnc.diagnostics import Diagnostic


def check(files: ModelFiles, allow_extern: AllowExtern = False, as_json: Json = False, style: Format = "text") -> None:
    """Check files: syntax, names, units, shapes, dynamics.

    The exit code is 1 if a file has an error; warnings leave it at 0.
    """
    from snnc import pipeline

    style = style_of(as_json, style)
    findings: list[Diagnostic] = []
    for file in files:
        try:
            found = pipeline.load(file, allow_extern=allow_extern).warnings
        except CompileError as error:
            found = error.diagnostics
        findings += found
        if style != "json":
            show_findings(found, style)
            errors = sum(finding.is_error for finding in found)
            typer.echo(f"{file}: {_count(errors, 'error')}, {_count(len(found) - errors, 'warning')}")
    if style == "json":
        print_json([finding.as_json() for finding in findings])
    if any(finding.is_error for finding in findings):
        raise typer.Exit(1)


def fmt(
    files: ModelFiles,
    check_only: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit code 1 if a file is not formatted.")
    ] = False,
) -> None:
    """Format files in place.

    Comments stay, and formatting twice changes nothing.
    """
    from snnc.harness.files import write_atomically
    from snnc.syntax.format import format_text
    from snnc.syntax.read import read_source

    failed = False
    for file in files:
        try:
            text = format_text(read_source(file))
        except CompileError as error:
            show_findings(error.diagnostics)
            failed = True
            continue
        if text.encode() == file.read_bytes():
            continue
        if check_only:
            say(f"{file}: not formatted")
            failed = True
        else:
            write_atomically(file, text)
            typer.echo(f"{file}: formatted")
    if failed:
        raise typer.Exit(1)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
