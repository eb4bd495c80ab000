"""From a file and a name to a compiled model, with its warnings shown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from snnc.commands.console import Style, show_findings

if TYPE_CHECKING:
    from snnc.diagnostics import Diagnostic
    from snnc.pipeline import Compiled, Program
    from snnc.plan import Kernel


@dataclass(frozen=True, slots=True)
class OpenModel:
    """A compiled entry of a file; `run_name` names its run folder, `start_name` that of the recipe it starts from."""

    compiled: Compiled
    run_name: str
    start_name: str | None
    warnings: tuple[Diagnostic, ...]
    program: Program


def open_model(
    file: Path,
    name: str | None,
    settings: tuple[tuple[str, str], ...] = (),
    allow_extern: bool = False,
    data_dir: Path | None = None,
    style: Style = "text",
    kernel: Kernel = "scan",
) -> OpenModel:
    """Compile the entry `name` of `file` (its only one, without a name) and print its warnings.

    Raises:
        CompileError: with every finding of the first phase that had any.
    """
    from snnc import pipeline

    program = pipeline.load(file, allow_extern=allow_extern)
    entry = pipeline.choose(program, name)
    compiled = pipeline.compile_entry(program, entry, settings, data_dir, kernel)
    warnings = tuple(dict.fromkeys((*program.warnings, *compiled.warnings)))
    show_findings(warnings, style)
    chosen = entry.recipe if len(program.recipes) > 1 else entry.network if len(program.networks) > 1 else None
    start = None if compiled.recipe is None else compiled.recipe.start
    start_name = None if start is None else _run_name(file, start)
    return OpenModel(compiled, _run_name(file, chosen), start_name, warnings, program)


def _run_name(file: Path, chosen: str | None) -> str:
    """Return the name of a run folder: that of the file, and of the recipe or network where the file has several."""
    return file.stem if chosen is None else f"{file.stem}-{chosen}"
