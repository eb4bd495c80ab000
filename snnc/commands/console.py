"""All printing of the command line: findings and progress to stderr, results to stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import typer

from snnc.diagnostics import CompileError, Diagnostic

QUIET_METRICS = ("grad_norm.", "rate.", "silent.")


def say(text: str) -> None:
    """Print a line to stderr."""
    typer.echo(text, err=True)


def say_dim(text: str) -> None:
    """Print a line of lesser interest to stderr; nothing for an empty text."""
    if text:
        typer.secho(text, err=True, dim=True)


def show_findings(findings: Iterable[Diagnostic]) -> None:
    """Print findings to stderr as an author reads them, each followed by an empty line."""
    for finding in findings:
        head, _, rest = finding.render().partition("\n")
        kind, colon, message = head.partition(":")
        colour = typer.colors.RED if finding.is_error else typer.colors.YELLOW
        typer.echo(typer.style(kind, fg=colour, bold=True) + typer.style(colon + message, bold=True), err=True)
        typer.echo(rest + "\n", err=True)


def print_json(value: Any) -> None:
    """Print one line of JSON to stdout."""
    sys.stdout.write(json.dumps(value, allow_nan=False) + "\n")
    sys.stdout.flush()


@contextmanager
def findings_as_json(wanted: bool) -> Iterator[None]:
    """Where `wanted`, print the findings of a CompileError as a JSON list to stdout and leave with exit code 1."""
    try:
        yield
    except CompileError as error:
        if not wanted:
            raise
        print_json([finding.as_json() for finding in error.diagnostics])
        raise typer.Exit(1) from None


def headline(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the metrics that a reader watches, the loss first: single numbers but norms, rates and silent fractions.

    >>> headline({"accuracy": 0.9, "loss": 0.5, "rate.h": 12.0, "confusion": [[1, 0], [0, 1]]})
    {'loss': 0.5, 'accuracy': 0.9}
    """
    return {
        name: float(value)
        for name, value in sorted(metrics.items(), key=lambda item: item[0] != "loss")
        if not name.startswith(QUIET_METRICS) and getattr(value, "ndim", 0) == 0 and not isinstance(value, list)
    }


def metric_text(metrics: Mapping[str, Any]) -> str:
    """Return headline metrics in one line of even width.

    >>> metric_text({"loss": 0.51234, "accuracy": 0.9})
    'loss 0.5123  accuracy 0.9000'
    """
    return "  ".join(f"{name} {number_text(value)}" for name, value in headline(metrics).items())


def number_text(value: float) -> str:
    """Return a number in four decimals, or in scientific form where those would say little.

    >>> number_text(0.97), number_text(3.2e-6), number_text(0.0)
    ('0.9700', '3.20e-06', '0.0000')
    """
    plain = value == 0 or 1e-3 <= abs(value) < 1e4
    return f"{value:.4f}" if plain else f"{value:.2e}"
