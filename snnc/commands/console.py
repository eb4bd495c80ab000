"""All printing of the command line: findings and progress to stderr, results to stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import typer

from snnc.diagnostics import CompileError, Diagnostic
from snnc.harness.tracebacks import RunFailedError

Style = Literal["text", "json", "github"]

QUIET_METRICS = ("grad_norm.", "rate.", "silent.")


def say(text: str) -> None:
    """Print a line to stderr."""
    typer.echo(text, err=True)


def say_dim(text: str) -> None:
    """Print a line of lesser interest to stderr; nothing for an empty text."""
    if text:
        typer.secho(text, err=True, dim=True)


def style_of(as_json: bool, style: Style) -> Style:
    """Return how findings are printed; `--json` is short for `--format json`."""
    if as_json and style == "github":
        raise typer.BadParameter("give either --json or --format github, not both", param_hint="--format")
    return "json" if as_json else style


def show_findings(findings: Iterable[Diagnostic], style: Style = "text") -> None:
    """Print findings as an author reads them, to stderr, each followed by an empty line; or as annotations, to stdout."""
    for finding in findings:
        if style == "github":
            typer.echo(annotation(finding))
            continue
        head, _, rest = finding.render().partition("\n")
        kind, colon, message = head.partition(":")
        colour = typer.colors.RED if finding.is_error else typer.colors.YELLOW
        typer.echo(typer.style(kind, fg=colour, bold=True) + typer.style(colon + message, bold=True), err=True)
        typer.echo(rest + "\n", err=True)


def print_json(value: Any) -> None:
    """Print one line of JSON to stdout."""
    sys.stdout.write(json.dumps(value, allow_nan=False) + "\n")
    sys.stdout.flush()


def annotation(finding: Diagnostic) -> str:
    """Return a finding as a line that GitHub shows beside the line of the file in a pull request.

    >>> from snnc.diagnostics import Code
    >>> from snnc.source import Source, Span
    >>> found = Diagnostic(Code.UNKNOWN_UNIT, Span(Source("a,b.snn", "x = 3 furlong"), 4, 13), "unknown unit", "100%\\nsure")
    >>> print(annotation(found))
    ::error file=a%2Cb.snn,line=1,endLine=1,col=5,endColumn=14,title=E0301::unknown unit%0A100%25%0Asure
    """
    span = finding.span
    fields = {
        "file": span.source.path,
        "line": span.line,
        "endLine": span.line,
        "col": span.column,
        "endColumn": span.column + len(span.text.split("\n", 1)[0]),
        "title": finding.code.value,
    }
    listed = ",".join(f"{name}={_escaped(str(value), ',:')}" for name, value in fields.items())
    words = [finding.message, *(label.text for label in finding.labels), finding.note, finding.help or ""]
    text = _escaped("\n".join(word for word in words if word))
    return f"::{'error' if finding.is_error else 'warning'} {listed}::{text}"


def _escaped(text: str, further: str = "") -> str:
    return "".join(f"%{ord(c):02X}" if c in f"%\r\n{further}" else c for c in text)


@contextmanager
def findings_as(style: Style) -> Iterator[None]:
    """Where `style` is not text, print the findings of an error to stdout and leave with its exit code."""
    try:
        yield
    except CompileError as error:
        if style == "text":
            raise
        print_findings(error.diagnostics, style)
        raise typer.Exit(1) from None
    except RunFailedError as error:
        if style != "text":
            print_findings([error.finding], style)
        raise


def print_findings(findings: Iterable[Diagnostic], style: Style) -> None:
    """Print findings to stdout, as one JSON list or as annotations."""
    if style == "json":
        print_json([finding.as_json() for finding in findings])
    else:
        show_findings(findings, style)


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
