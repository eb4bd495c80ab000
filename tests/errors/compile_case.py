"""A wrong model to its findings: what `snnc compile` would print."""

from __future__ import annotations

from pathlib import Path

from snnc import pipeline
from snnc.diagnostics import CompileError, Diagnostic


def findings(path: Path) -> list[Diagnostic]:
    """Load `path` and compile what it offers; a third line `# --set PATH=VALUE` overrides a value.

    A file without networks is only loaded, unless its name says that this is the error.
    """
    found: list[Diagnostic] = []
    try:
        program = pipeline.load(path)
        found += program.warnings
        if program.networks or path.name.startswith("E0606"):
            compiled = pipeline.compile_entry(program, pipeline.choose(program, None), _overrides(path))
            found += compiled.warnings
    except CompileError as error:
        found += error.diagnostics
    return [finding for k, finding in enumerate(found) if finding not in found[:k]]


def compile_all(path: Path) -> None:
    """Load `path` and compile every network and recipe; a wrong file raises `CompileError`, and nothing else."""
    program = pipeline.load(path)
    for name in (*program.networks, *program.recipes):
        pipeline.compile_entry(program, pipeline.choose(program, name))


def _overrides(path: Path) -> tuple[tuple[str, str], ...]:
    line = path.read_text().split("\n")[2]
    if not line.startswith("# --set "):
        return ()
    name, value = line.removeprefix("# --set ").split("=", 1)
    return ((name, value),)
