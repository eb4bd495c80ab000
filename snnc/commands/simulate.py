"""`snnc run`: simulate a network and show what its neurons do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import typer

from snnc.commands.console import say_dim
from snnc.commands.opening import OpenModel, open_model
from snnc.commands.options import AllowExtern, DataDir, EntryName, ModelFile, Settings, parse_settings
from snnc.harness.tracebacks import run_failures_explained
from snnc.limits import MAX_SEED


def simulate(
    file: ModelFile,
    name: EntryName = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input", metavar="NAME=SIGNAL", help="zero, constant:1.5 (its unit) or poisson:20 (Hz). Repeatable."
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="recipe|FILE.npz",
            help="The recipe's data set, or one array [steps, …] or [steps, samples, …] for each input.",
        ),
    ] = None,
    sample: Annotated[int, typer.Option(min=0, help="Sample of the recipe's data set.")] = 0,
    duration: Annotated[
        str | None, typer.Option(help="As in '200 ms'; where not given, that of the recipe or of the arrays.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Trained weights (.safetensors).", exists=True, dir_okay=False)
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Seed of initial weights and generated input.")] = 0,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder to write; runs/NAME-run where not given.")
    ] = None,
    settings: Settings = None,
    data_dir: DataDir = None,
    allow_extern: AllowExtern = False,
) -> None:
    """Simulate a network; write raster.png, traces.png and signals.npz.

    Without --input and --data, a file with a recipe runs on a sample of its data set.
    """
    if inputs and data:
        raise typer.BadParameter("give either --input or --data, not both")
    from snnc.harness.inputs import parse_generator

    try:
        generators = tuple(parse_generator(text) for text in inputs or [])
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--input") from None
    model = open_model(file, name, parse_settings(settings), allow_extern, data_dir)
    recipe = model.compiled.recipe
    if recipe is not None and recipe.rule.name == "ttfs" and (inputs or data not in (None, "recipe")):
        raise typer.BadParameter(f"`{recipe.name}` learns by `ttfs`, which takes the one spike a unit of its data set")

    from snnc.harness.inputs import generate_inputs, parse_duration, read_inputs, steps_of
    from snnc.harness.load_module import load_module
    from snnc.harness.room import check_room_to_run
    from snnc.harness.runtime import prepare_runtime
    from snnc.harness.simulate import draw_simulation
    from snnc.harness.simulate import simulate as run_simulation

    say_dim(", ".join(prepare_runtime()))
    module = cast(Any, load_module(model.compiled.text))
    steps: int | None = module.STEPS
    if duration is not None:
        try:
            steps = parse_duration(duration, module.DT)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--duration") from None
    with run_failures_explained(file):
        arrays: dict[str, Any]
        if data == "recipe" or (data is None and not inputs and model.compiled.recipe is not None):
            arrays = _sample_inputs(model, module, file, data_dir, sample, seed)
            steps = _known((duration and steps) or steps_of(arrays) or steps)
        elif data is not None:
            if not Path(data).is_file():
                raise typer.BadParameter(f"there is no file {data!r}", param_hint="--data")
            arrays = read_inputs(module, Path(data))
            steps = _known((duration and steps) or steps_of(arrays) or steps)
        else:
            steps = _known(steps)
            check_room_to_run(model.compiled.network, steps)
            arrays = generate_inputs(module, generators, steps, seed)
        check_room_to_run(model.compiled.network, steps)
        folder = out or Path("runs") / f"{model.run_name}-run"
        for path in draw_simulation(folder, module, run_simulation(module, arrays, steps, weights, seed)):
            typer.echo(path)


def _sample_inputs(
    model: OpenModel, module: Any, file: Path, data_dir: Path | None, sample: int, seed: int
) -> dict[str, Any]:
    from snnc.harness.datasets import load_dataset
    from snnc.harness.simulate import encode_sample

    return encode_sample(module, load_dataset(model.compiled, file, data_dir), sample, seed, file)


def _known(steps: int | None) -> int:
    if steps is None:
        raise typer.BadParameter("how long? give --duration, as in --duration '200 ms'", param_hint="--duration")
    return steps
