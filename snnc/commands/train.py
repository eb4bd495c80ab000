"""`snnc train`, `snnc eval` and `snnc data`: a recipe with its data set."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated, Literal, cast

import typer

from snnc.commands.console import findings_as, headline, number_text, print_json, say, say_dim, style_of
from snnc.commands.launch import LAUNCHED
from snnc.commands.opening import open_model
from snnc.commands.options import (
    AllowExtern,
    DataDir,
    Devices,
    EntryName,
    Format,
    Json,
    KernelChoice,
    ModelFile,
    Seed,
    Settings,
    SplitLayers,
    parse_settings,
    refuse_own_input,
)
from snnc.harness.tracebacks import run_failures_explained
from snnc.limits import MAX_COUNT
from snnc.plan import Kernel


def train(
    file: ModelFile,
    name: EntryName = None,
    settings: Settings = None,
    epochs: Annotated[int | None, typer.Option(min=1, max=MAX_COUNT, help="Epochs, instead of the recipe's.")] = None,
    seed: Seed = None,
    batch: Annotated[
        int | None, typer.Option(min=1, max=MAX_COUNT, help="Batch size, instead of the recipe's.")
    ] = None,
    kernel: KernelChoice = "scan",
    devices: Devices = None,
    split_layers: SplitLayers = 1,
    data_dir: DataDir = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Run folder; where not given, runs/FILE, or runs/FILE-NAME of several."),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="Start from these weights, or from those of a checkpoint.", exists=True, dir_okay=False),
    ] = None,
    no_plots: Annotated[bool, typer.Option("--no-plots", help="Write no PNG files.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoint in the run folder, to the same numbers.")
    ] = False,
    checkpoint_every: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", min=0.0, help="How often to save a checkpoint within an epoch; 0: after each update."
        ),
    ] = 60.0,
    alone: Annotated[
        bool, typer.Option("--alone", help="Train in this process by itself, even where a cluster started several.")
    ] = False,
    heartbeat: Annotated[
        int,
        typer.Option(metavar="SECONDS", min=1, max=86400, help="After how long a silent process counts as dead."),
    ] = 100,
    allow_extern: AllowExtern = False,
    as_json: Json = False,
    style: Format = "text",
) -> None:
    """Train a recipe, and evaluate its selected weights on the test split.

    The run folder gets model.py, metrics.jsonl, weights.safetensors, result.json and plots.
    A recipe with `start = OTHER` begins with the selected weights in the run folder of OTHER.
    It saves checkpoints there: after epochs, every 60 seconds, on Ctrl-C and on SIGTERM.
    The same command with --resume goes on from the last one to the same numbers.
    File, settings and data must be as they were; --epochs may be raised, unless the
    learning rate depends on it.
    With --json, the last line of stdout is one JSON object with the final metrics.
    """
    style = style_of(as_json, style)
    with findings_as(style), run_failures_explained(file):
        overrides = parse_settings(settings)
        model = open_model(file, name, overrides, allow_extern, data_dir, style, kernel)

        from snnc.harness.devices import Layout, make_cpu_devices
        from snnc.harness.joining import together
        from snnc.harness.processes import cluster_of, is_first
        from snnc.harness.runtime import prepare_runtime

        layout = Layout(devices, split_layers)
        prepared = prepare_runtime()
        command = _command(
            file,
            name,
            overrides,
            epochs,
            seed,
            batch,
            kernel,
            devices,
            split_layers,
            data_dir,
            out,
            no_plots,
            allow_extern,
        )
        cluster = None if alone else cluster_of(os.environ)
        make_cpu_devices(layout, cluster is None)
        from snnc.commands.progress import progress
        from snnc.harness.records import TrainOptions
        from snnc.harness.stopping import StoppedError, ends_by_error
        from snnc.harness.train import train as run_training

        options = TrainOptions(
            source=file,
            folder=out or Path("runs") / model.run_name,
            data_dir=data_dir,
            epochs=epochs,
            batch=batch,
            seed=seed,
            kernel=kernel,
            overrides=overrides,
            weights=weights,
            start=None if model.start_name is None else Path("runs") / model.start_name,
            plots=not no_plots,
            resume=resume,
            checkpoint_every=checkpoint_every,
            command=command,
            layout=layout,
        )
        try:
            with ends_by_error(), together(cluster, heartbeat, command), progress() as report:
                if is_first():
                    say_dim(", ".join(prepared))
                result = run_training(model.compiled, options, report)
        except (KeyboardInterrupt, StoppedError) as stop:
            if is_first():
                say(f"interrupted; what was reached is in {options.folder}\ngo on with: {command} --resume")
            raise typer.Exit(128 + stop.number if isinstance(stop, StoppedError) else 130) from None
    if not is_first():
        return
    if style == "json":
        print_json(result.as_json())
        return
    for split, metrics in (("val", result.val), ("test", result.test)):
        for metric, value in headline(metrics).items():
            typer.echo(f"{split} {metric}: {number_text(value)}")
    typer.echo(f"{result.seconds:.1f} s, weights of epoch {result.epoch} in {result.weights}")


def evaluate(
    file: ModelFile,
    name: EntryName = None,
    *,
    weights: Annotated[Path, typer.Option(help="Weights to evaluate (.safetensors).", exists=True, dir_okay=False)],
    split: Annotated[Literal["train", "val", "test"], typer.Option(help="Samples to evaluate on.")] = "test",
    settings: Settings = None,
    data_dir: DataDir = None,
    allow_extern: AllowExtern = False,
    as_json: Json = False,
    style: Format = "text",
) -> None:
    """Evaluate saved weights on one split of the recipe's data set."""
    style = style_of(as_json, style)
    with findings_as(style), run_failures_explained(file):
        model = open_model(file, name, parse_settings(settings), allow_extern, data_dir, style)

        from snnc.harness.datasets import require_recipe
        from snnc.harness.emitted import TrainableModule
        from snnc.harness.load_module import load_module
        from snnc.harness.run_folder import plain
        from snnc.harness.runtime import prepare_runtime
        from snnc.harness.simulate import evaluate_split

        require_recipe(model.compiled, file)
        prepare_runtime()
        module = cast(TrainableModule, load_module(model.compiled.text))
        metrics, samples = evaluate_split(module, model.compiled, file, data_dir, weights, split)
    if style == "json":
        print_json({split: plain(metrics), "samples": samples, "weights": str(weights)})
        return
    typer.echo(f"{split}: {samples:,} samples")
    for metric, value in sorted(metrics.items(), key=lambda item: item[0] != "loss"):
        typer.echo(f"{metric}: {number_text(value)}" if metric in headline({metric: value}) else _quiet(metric, value))


def export(
    file: ModelFile,
    name: EntryName = None,
    *,
    out: Annotated[Path, typer.Option("-o", "--out", metavar="OUT.npz", dir_okay=False, help="File to write.")],
    settings: Settings = None,
    data_dir: DataDir = None,
    allow_extern: AllowExtern = False,
) -> None:
    """Export the recipe's data set.

    The file is what an emitted model trains on without snnc: python digits.py --data OUT.npz
    """
    refuse_own_input(out, file)
    model = open_model(file, name, parse_settings(settings), allow_extern, data_dir)

    from snnc.harness.datasets import load_dataset

    data = load_dataset(model.compiled, file, data_dir)
    data.save_npz(out)
    shapes = ", ".join(f"{field} {list(array.shape)}" for field, array in data.fields.items())
    typer.echo(f"{out}: {shapes}")


def _command(
    file: Path,
    name: str | None,
    overrides: tuple[tuple[str, str], ...],
    epochs: int | None,
    seed: int | None,
    batch: int | None,
    kernel: Kernel,
    devices: int | None,
    split_layers: int,
    data_dir: Path | None,
    out: Path | None,
    no_plots: bool,
    allow_extern: bool,
) -> str:
    """Return the command line of a training as the author would type it, without where it starts from.

    >>> _command(Path("my net.snn"), None, (("Net.h.tau", "5 ms"),), 3, None, None, "scan", 2, 1, None, None, True, False)
    "snnc train 'my net.snn' --set 'Net.h.tau=5 ms' --devices 2 --epochs 3 --no-plots"
    """
    words = [*shlex.split(os.environ.get(LAUNCHED, "snnc")), "train", str(file), *([name] if name else [])]
    for path, value in overrides:
        words += ["--set", f"{path}={value}"]
    words += [] if kernel == "scan" else ["--kernel", kernel]
    words += [] if devices is None else ["--devices", str(devices)]
    words += [] if split_layers == 1 else ["--split-layers", str(split_layers)]
    given = {"--epochs": epochs, "--seed": seed, "--batch": batch, "--data-dir": data_dir, "--out": out}
    for option, number_or_path in given.items():
        words += [] if number_or_path is None else [option, str(number_or_path)]
    flags = {"--no-plots": no_plots, "--allow-extern": allow_extern}
    return shlex.join([*words, *(flag for flag, wanted in flags.items() if wanted)])


def _quiet(metric: str, value: object) -> str:
    text = str(value)
    return f"{metric}:\n{text}" if "\n" in text else f"{metric}: {float(text):.4g}"
