"""`snnc compile` and `snnc explain`: what the compiler makes of a file."""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import typer

from snnc.commands.console import findings_as, print_json, say, style_of
from snnc.commands.opening import open_model
from snnc.commands.options import (
    AllowExtern,
    DataDir,
    EntryName,
    Format,
    Json,
    KernelChoice,
    ModelFile,
    Settings,
    parse_settings,
    refuse_own_input,
)
from snnc.diagnostics import Code, did_you_mean

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
    kernel: KernelChoice = "scan",
    data_dir: DataDir = None,
    allow_extern: AllowExtern = False,
    as_json: Json = False,
    style: Format = "text",
) -> None:
    """Compile to one readable Python file that needs jax, optax and numpy only."""
    overrides = parse_settings(settings)
    style = style_of(as_json, style)
    with findings_as(style):
        if dump is not None:
            typer.echo(_dump(file, name, dump, overrides, allow_extern))
            return
        from snnc.harness.files import write_atomically

        opened = open_model(file, name, overrides, allow_extern, data_dir, style, kernel)
    path = out or Path(f"{opened.compiled.name}.py")
    refuse_own_input(path, file)
    write_atomically(path, opened.compiled.text)
    if style == "json":
        print_json({"file": str(path), "warnings": [finding.as_json() for finding in opened.warnings]})
    else:
        typer.echo(path)


def _dump(file: Path, name: str | None, phase: str, overrides: tuple[tuple[str, str], ...], allow_extern: bool) -> str:
    from snnc import pipeline

    if phase not in pipeline.PHASES:
        guess = did_you_mean(phase, pipeline.PHASES)
        raise typer.BadParameter(f"{phase!r} is none of {', '.join(pipeline.PHASES)}: {guess}", param_hint="--dump")
    program = pipeline.load(file, allow_extern=allow_extern)
    return pipeline.dump(program, pipeline.choose(program, name), phase, overrides).rstrip("\n")


def explain(
    subject: Annotated[str, typer.Argument(metavar="FILE|CODE", help="A .snn file, or a code such as E0302.")],
    name: EntryName = None,
    rule: Annotated[
        str | None,
        typer.Option(metavar="RULE", help="Show the traces that eprop, ottt, ostl, d_rtrl or decolle derives."),
    ] = None,
    settings: Settings = None,
    allow_extern: AllowExtern = False,
) -> None:
    """Explain a file (updates, decays, shapes, schedule; the traces of a rule) or the code of a message."""
    if _CODE.fullmatch(subject):
        _explain_code(subject.upper())
        return
    file = Path(subject)
    if not file.is_file():
        beside = [path.name for path in Path().glob("*.snn")]
        near = get_close_matches(subject, beside, n=1)
        guess = f": did you mean `{near[0]}`?" if near else ""
        raise typer.BadParameter(
            f"{subject!r} is neither a file nor a code such as E0302{guess}", param_hint="FILE|CODE"
        )
    from snnc import pipeline

    program = pipeline.load(file, allow_extern=allow_extern)
    text = pipeline.explain(program, pipeline.choose(program, name), parse_settings(settings), rule)
    typer.echo(text.rstrip("\n"))


def _explain_code(code: str) -> None:
    known = {item.value: item for item in Code}
    if code not in known:
        raise typer.BadParameter(f"there is no code {code}: {did_you_mean(code, known)}", param_hint="FILE|CODE")
    page = _PAGES / f"{code}.md"
    if not page.is_file():
        title = known[code].name.lower().replace("_", " ")
        say(f"{code} ({title}): the page of this code is not written yet")
        raise typer.Exit(1)
    typer.echo(page.read_text(encoding="utf-8").rstrip("\n"))
