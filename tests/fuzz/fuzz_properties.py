"""What must hold for every text: words instead of exceptions, in bounded time; formatting and printing keep the meaning."""

from __future__ import annotations

import json
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from snnc import pipeline
from snnc.diagnostics import CompileError, Diagnostic, Findings
from snnc.lower.schedule import lower_network
from snnc.semantics.checks import lint
from snnc.source import Source
from snnc.syntax.format import format_text
from snnc.syntax.lex import scan
from snnc.syntax.parse import parse
from snnc.syntax.read import read_source
from snnc.syntax.unparse import unparse

SECONDS = 10.0  # of processor time, for all that is done with one text


class TookTooLong(BaseException):
    """Raised by the clock; no `except Exception` catches it."""


def examine(text: str) -> str:
    """Return how far `text` came: "refused" by the parser, "wrong" for the checker, "checked" or "compiled".

    Raises:
        AssertionError: if formatting or printing is not stable.
        Exception: whatever the compiler raises beside `CompileError`.
        TookTooLong: after `SECONDS` of processor time.
    """
    with tempfile.TemporaryDirectory() as folder, _clock():
        path = Path(folder) / "m.snn"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            source = read_source(path)
            tree = parse(source)
        except CompileError as error:
            _check_findings(error.diagnostics)
            return "refused"
        formatted = format_text(source)
        assert format_text(Source("formatted", formatted)) == formatted, "formatting twice changes the text"
        assert parse(Source("formatted", formatted)) == tree, "formatting changes the meaning"
        assert _comments(formatted) == _comments(source.text), "formatting changes comments"
        printed = unparse(tree)
        assert parse(Source("printed", printed)) == tree, "printing changes the meaning"
        assert format_text(Source("printed", printed)) == printed, "what is printed is not formatted"
        try:
            program = pipeline.load(path)
        except CompileError as error:
            _check_findings(error.diagnostics)
            return "wrong"
        return _lower_all(program)


def _lower_all(program: pipeline.Program) -> str:
    """Go on to the step plan with the first two networks or recipes, where every last error of the author is found."""
    _check_findings(program.warnings)
    reached = "checked"
    for name in (*program.networks, *program.recipes)[:2]:
        findings = Findings()
        try:
            network, recipe, _ = pipeline.resolve_entry(program, pipeline.choose(program, name), (), findings)
            lint(network, recipe, findings)
            lower_network(network, ())
        except CompileError as error:
            findings.items += error.diagnostics
        else:
            reached = "compiled"
        _check_findings(findings.items)
    return reached


def _check_findings(findings: list[Diagnostic] | tuple[Diagnostic, ...]) -> None:
    assert len(findings) > 0 or isinstance(findings, tuple | list)
    for finding in findings:
        finding.render().encode("utf-8")
        json.dumps(finding.as_json())
        assert finding.message, f"a finding without words: {finding.code}"
        assert finding.help or finding.note or finding.labels, f"says not what to do: {finding.message}"


def _comments(text: str) -> list[str]:
    return [token.text.rstrip() for token in scan(Source("", text), Findings()) if token.kind == "COMMENT"]


@contextmanager
def _clock() -> Iterator[None]:
    def ring(number: int, frame: FrameType | None) -> None:
        raise TookTooLong(f"more than {SECONDS:.0f} s of processor time")

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, before)
