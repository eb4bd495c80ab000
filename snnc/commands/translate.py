"""`snnc compile` and `snnc explain`: what the compiler makes of a file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from snnc.commands.console import say
from snnc.commands.opening import open_model
from snnc.commands.options import AllowExtern, DataDir, EntryName, ModelFile, Settings, parse_settings
from snnc.diagnostics import Code

_CODE = re.compile(r"[EW]\d{4}", re.IGNORECASE)
_PAGES = Path(__file__).resolve().parent.parent / "explain"


def compile_file(
    file: ModelFile,
    name: EntryName = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", metavar="OUT.py", dir_okay=False, help="File to write; NAME.py here where not given."
        ),
    ] = None,
    dump: Annotated[
        str | None, typer.Option(metavar="PHASE", help="Print what the compiler holds after a phase, and stop.")
    ] = None,
    settings: Settings = None,
    data_dir: DataDir = None,
    allow_extern: AllowExtern = False,
) -> None:
    """Compile to one readable Python file that needs jax, optax and numpy only."""
    overrides = parse_settings(settings)
    if dump is not None:
        from snnc import pipeline

        if dump not in pipeline.PHASES:
            raise typer.BadParameter(f"{dump!r} is none of {', '.join(pipeline.PHASES)}", param_hint="--dump")
        program = pipeline.load(file, allow_extern=allow_extern)
        text = pipeline.dump(program, pipeline.choose(program, name), dump, overrides)
        typer.echo(text.rstrip("\n"))
        return
    from snnc.harness.files import write_atomically

    compiled = open_model(file, name, overrides, allow_extern, data_dir).compiled
    path = out or Path(f"{compiled.name}.py")
    write_atomically(path, compiled.text)
    typer.echo(path)


def explain(
    subject: Annotated[str, typer.Argument(metavar="FILE|CODE", help="A .snn file, or a code such as E0302.")],
    name: EntryName = None,
    settings: Settings = None,
    allow_extern: AllowExtern = False,
) -> None:
    """Explain a file (updates, decays, shapes, schedule) or the code of a message."""
    if _CODE.fullmatch(subject):
        _explain_code(subject.upper())
        return
    file = Path(subject)
    if not file.is_file():
        raise typer.BadParameter(f"{subject!r} is neither a file nor a code such as E0302", param_hint="FILE|CODE")
    from snnc import pipeline

    program = pipeline.load(file, allow_extern=allow_extern)
    text = pipeline.explain(program, pipeline.choose(program, name), parse_settings(settings))
    typer.echo(text.rstrip("\n"))


def _explain_code(code: str) -> None:
    known = {item.value: item for item in Code}
    if code not in known:
        raise typer.BadParameter(f"there is no code {code}", param_hint="FILE|CODE")
    page = _PAGES / f"{code}.md"
    if not page.is_file():
        title = known[code].name.lower().replace("_", " ")
        say(f"{code} ({title}): the page of this code is not written yet")
        raise typer.Exit(1)
    typer.echo(page.read_text(encoding="utf-8").rstrip("\n"))
