"""`snnc fold`: a trained model without the norms that its weights can take over."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from snnc.commands.console import say
from snnc.commands.opening import open_model
from snnc.commands.options import AllowExtern, DataDir, EntryName, ModelFile, Settings, parse_settings
from snnc.diagnostics import CompileError
from snnc.source import Source

if TYPE_CHECKING:
    from snnc.pipeline import Program

WRITTEN = "# Norms folded into the weights by `snnc fold`"  # begins each file that the command writes, and may replace


def fold(
    file: ModelFile,
    name: EntryName = None,
    *,
    weights: Annotated[Path, typer.Option(help="Trained weights (.safetensors).", exists=True, dir_okay=False)],
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", metavar="FOLDER", file_okay=False, help="Folder to write into; that of FILE if none."
        ),
    ] = None,
    settings: Settings = None,
    data_dir: DataDir = None,
    allow_extern: AllowExtern = False,
) -> None:
    """Fold norms into the weights before them: a model with the same results in evaluation.

    Writes FILE_folded.snn and FILE_folded.safetensors; FILE-NAME_folded where the file has several recipes or networks.
    A norm of kind batch or tdbn is folded where it stands directly behind dense, conv, depthwise or sparse.
    The others stay, and it says why.
    """
    overrides = parse_settings(settings)
    opened = open_model(file, name, overrides, allow_extern, data_dir)

    from snnc.semantics.folding import find_folds, renamed, text_without

    module = opened.program.module
    network = opened.compiled.network
    folds, kept = find_folds(network, opened.compiled.recipe, module.file)
    for norm in kept:
        say(f"{norm.span}: `{norm.span.text}` stays: {norm.reason}")
    if not folds:
        say(f"error: {file}: {'none of its norms can be folded' if kept else 'there is no norm to fold'}")
        raise typer.Exit(1)
    folder = out or file.parent
    text_path = folder / f"{opened.run_name}_folded.snn"
    weights_path = text_path.with_suffix(".safetensors")
    _refuse_to_part(file, folder, opened.program)
    _refuse_others_files(text_path, weights_path)
    folded = text_without(module.file, folds, str(text_path))
    folded = Source(folded.path, f"{WRITTEN} from {file.name!r}.\n{folded.text}")

    from snnc import pipeline
    from snnc.harness.emitted import ModelModule
    from snnc.harness.files import write_atomically
    from snnc.harness.folded_weights import FOLDED_FROM, fold_weights
    from snnc.harness.load_module import load_module
    from snnc.harness.runtime import prepare_runtime
    from snnc.harness.weights import load_weights, save_weights

    prepare_runtime()
    old = cast(ModelModule, load_module(opened.compiled.text))
    params, buffers = load_weights(weights, old)
    try:
        program = pipeline.load_text(folded, file.parent, allow_extern=allow_extern)
        compiled = pipeline.compile_entry(program, pipeline.choose(program, name), overrides, data_dir)
    except CompileError:
        say("error: the file says something of a norm that would be gone, and nothing is written; change this first:")
        raise
    new = cast(ModelModule, load_module(compiled.text))
    result = fold_weights(old, new, folds, renamed(network, compiled.network, folds), params, buffers)
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(weights_path, new, *result, {FOLDED_FROM: old.MODEL_HASH})
    write_atomically(text_path, folded.text)
    places = {fold.norm.span.start: str(fold.norm.span) for fold in folds}
    say(f"folded: {', '.join(places[start] for start in sorted(places))}")
    typer.echo(text_path)
    typer.echo(weights_path)


def _refuse_others_files(text_path: Path, weights_path: Path) -> None:
    """Refuse to write over files that this command has not written."""
    from snnc.harness.folded_weights import is_folded

    own_text = not text_path.exists() or (text_path.is_file() and text_path.read_bytes().startswith(WRITTEN.encode()))
    for path, own in ((text_path, own_text), (weights_path, not weights_path.exists() or is_folded(weights_path))):
        if not own:
            raise typer.BadParameter(
                f"{path} exists and was not written by `snnc fold`; give another folder", param_hint="-o"
            )


def _refuse_to_part(file: Path, folder: Path, program: Program) -> None:
    """Refuse another folder than that of the file if it imports files, which are looked for beside it."""
    from snnc.syntax import nodes

    home = file.parent.resolve()
    for item in program.module.file.items:
        if isinstance(item, nodes.Import) and isinstance(item.module, nodes.String) and folder.resolve() != home:
            raise typer.BadParameter(
                f"{file} imports {item.module.value!r}, which lies beside it: leave -o out", param_hint="-o"
            )
