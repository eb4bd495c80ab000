"""Trains a compiled recipe: data, the emitted `fit`, logs, weights, checkpoints, plots.

Before: the model is compiled. After: the run folder holds model.py, the .snn source, config.json, metrics.jsonl,
weights.safetensors, checkpoint.safetensors, result.json and the plots.
"""

from __future__ import annotations

import errno
import json
import platform
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import numpy as np

import snnc
from snnc import model
from snnc.diagnostics import Code, CompileError, Diagnostic, fail
from snnc.harness.checkpoint import About, damaged, read_about
from snnc.harness.datasets import load_parts, require_recipe
from snnc.harness.devices import check_kernel, choose_devices, devices_text
from snnc.harness.emitted import Fields, TrainableModule
from snnc.harness.files import whole_file, write_atomically
from snnc.harness.identity import OF_ALL_EPOCHS, Identity, data_digests, differences, digest, first_changed_line
from snnc.harness.load_module import load_module
from snnc.harness.lock import sole_training
from snnc.harness.loop import TrainingRun
from snnc.harness.processes import check_agreement, is_first
from snnc.harness.records import EpochRecord, Reporter, RunPlan, TrainOptions, TrainResult
from snnc.harness.room import check_room_to_train
from snnc.harness.rounding import rounding_loss
from snnc.harness.run_folder import RunFolder
from snnc.harness.stopping import deferred_stop
from snnc.lower.kernels import chosen_kernel
from snnc.ops.delays import WithTimes
from snnc.ops.precision import LOW
from snnc.pipeline import Compiled
from snnc.source import Span


@dataclass(frozen=True, slots=True)
class _Ready:
    """What a training starts from: `about` is that of the checkpoint which it goes on from."""

    parts: Mapping[str, Fields]
    identity: Identity
    about: About | None
    weights: Path | None


def train(compiled: Compiled, options: TrainOptions, report: Reporter) -> TrainResult:
    """Train to the end and return the metrics of the selected weights; with `options.resume` from the checkpoint on.

    However it ends, the run folder keeps the last checkpoint, the weights selected so far and the log; on divergence it
    gets the plots.

    Raises:
        CompileError: no recipe, no such data, weights that do not fit, a loss or gradient that is not finite (E0609), a
            run that cannot be gone on with (E0611), another training in the folder (E0612), no way to write (E0613), no
            such devices (E0703), other processes that did not join (E0704) or have ended (E0705).
        StoppedError: the process was asked to end, and what was reached is saved.
    """
    with ExitStack() as held:
        ready, failure = None, None
        try:
            ready = _prepare(compiled, options, held)
        except CompileError as error:
            failure = error
        except OSError as error:
            failure = _cannot_write(error, options)
        check_agreement("" if ready is None else json.dumps([asdict(ready.identity), str(ready.about)]), failure)
        assert ready is not None
        try:
            return _train(compiled, ready, options, report)
        except OSError as error:
            raise _cannot_write(error, options) from error


def _prepare(compiled: Compiled, options: TrainOptions, held: ExitStack) -> _Ready:
    """Read what the training starts from; from here on, and until `held` ends, no other may use the folder."""
    recipe = require_recipe(compiled, options.source)
    parts = load_parts(compiled, options.source, options.data_dir)
    devices = choose_devices(options.layout)
    check_room_to_train(compiled.network, recipe, parts, options.batch, len(devices))
    if is_first():
        held.enter_context(sole_training(options.folder))
    about = _saved(RunFolder(options.folder)) if options.resume else None
    weights = options.weights or (_weights_of(compiled, options) if about is None else None)
    identity = _identity(compiled, parts, options, weights)
    check_kernel(identity.kernel, devices)
    if about is not None:
        _check_same(about.identity, identity, compiled, options)
        identity = replace(identity, start=about.identity.start)
    return _Ready(parts, identity, about, weights)


def _train(compiled: Compiled, ready: _Ready, options: TrainOptions, report: Reporter) -> TrainResult:
    folder = RunFolder(options.folder, writes=is_first())
    identity, about = ready.identity, ready.about
    if about is not None and about.epoch == identity.epochs and folder.result.exists():
        report.note(f"this run is finished: its {about.epoch} epochs are done")
        return _finished(folder)
    module = cast(TrainableModule, load_module(compiled.text, folder.path if folder.writes else None))
    run = TrainingRun(compiled, module, ready.parts, identity, options, report)
    with deferred_stop(report.note) as stop:
        told = [run.begin(ready.weights) if about is None else run.go_on(about)]
        plan = run.plan()
        _write_config(folder, plan, options, identity, module.MODEL_HASH)
        if about is None:
            told.append(_measure_rounding(compiled, module, run, folder))
        report.start(plan)
        told += run.told
        if about is not None:
            told.append(identity.version_note(about.identity))
        elif options.resume:
            told.append("nothing was saved yet: starts from the beginning")
        for note in filter(None, told):
            report.note(note)
        try:
            run.fit(stop)
        except CompileError:
            if options.plots and folder.writes:
                _draw(folder, run.history, {})
            raise
    report.stage("evaluating")
    val = run.evaluate("val")
    test = run.evaluate("test")
    result = TrainResult(
        train=run.selected.train,
        val=val,
        test=test,
        epochs=identity.epochs,
        epoch=run.selected.epoch,
        seconds=run.seconds,
        weights=folder.weights,
        folder=folder.path,
    )
    if options.plots and folder.writes:
        report.stage("drawing")
        _draw(folder, run.history, test or val)
    folder.write_json(folder.result, result.as_json())
    return result


def _measure_rounding(compiled: Compiled, module: TrainableModule, run: TrainingRun, folder: RunFolder) -> str:
    """Keep what a precision of 16 bits costs in accuracy in the folder; return words about it, "" in float32."""
    if folder.writes:
        folder.rounding.unlink(missing_ok=True)
    if require_recipe(compiled, run.options.source).precision not in LOW:
        return ""
    found = rounding_loss(compiled, module, *run.first_update(), run.options.kernel)
    folder.write_json(folder.rounding, asdict(found))
    return found.words()


def _saved(folder: RunFolder) -> About | None:
    """Return what the checkpoint of a folder says, None where a run has saved nothing yet.

    Raises:
        CompileError: E0611 for a folder that has results and no checkpoint: going on would lose them.
    """
    if folder.checkpoint.exists():
        return read_about(folder.checkpoint)
    results = [file for file in (folder.weights, folder.result) if file.exists()]
    if results:
        raise fail(
            Code.CANNOT_RESUME,
            whole_file(folder.checkpoint),
            f"there is no checkpoint to go on from, and {results[0].name} of an earlier training lies there",
            help="leave out `--resume` to train anew, which replaces it, or give another folder by `--out FOLDER`",
        )
    return None


def _identity(compiled: Compiled, parts: Mapping[str, Fields], options: TrainOptions, weights: Path | None) -> Identity:
    import jax

    recipe = require_recipe(compiled, options.source)
    return Identity(
        recipe=recipe.name,
        source=recipe.span.source.text,
        overrides=dict(options.overrides),
        epochs=options.epochs or recipe.epochs,
        batch=options.batch or recipe.batch,
        seed=recipe.seed if options.seed is None else options.seed,
        start=None if weights is None else str(weights),
        data=data_digests(parts),
        emitted=digest(compiled.text),
        versions={
            "snnc": snnc.__version__,
            "python": platform.python_version(),
            "jax": jax.__version__,
            "optax": version("optax"),
            "numpy": np.__version__,
            "device": devices_text(choose_devices(options.layout), options.layout.split),
        },
        stretches=_stretches(recipe.optimizer, compiled.network),
        kernel=chosen_kernel(options.kernel),
    )


def _stretches(optimizer: model.Optimizer, network: model.Network) -> bool:
    """Whether more epochs leave the learning rates and the widths of kernels of the first ones as they are."""
    if any(isinstance(node.op, WithTimes) and node.op.times.schedule is not None for node in network.operations):
        return False
    rates = (optimizer.lr, *(group.lr for group in optimizer.groups))
    return not any(isinstance(rate, model.Call) and rate.name in OF_ALL_EPOCHS for rate in rates)


def _check_same(then: Identity, now: Identity, compiled: Compiled, options: TrainOptions) -> None:
    """Raise E0611 with every difference between what a run was started with and what it would go on with."""
    found = differences(then, now)
    if not found:
        return
    recipe = require_recipe(compiled, options.source)
    changed, note = first_changed_line(then.source, now.source), ""
    span = recipe.span
    if changed is not None:
        number, old, _ = changed
        span, note = _line_span(recipe.span, number), f"was `{old.strip()}`" if old.strip() else "is new"
    raise CompileError(
        [
            Diagnostic(
                Code.CANNOT_RESUME,
                span,
                f"`{options.folder}` was started otherwise: {'; '.join(found)}",
                "give what it was started with; or leave out `--resume` to train anew in its place, or with `--out FOLDER` "
                "elsewhere",
                note,
            )
        ]
    )


def _line_span(inside: Span, number: int) -> Span:
    """Return a line of the file that `inside` lies in; the last line where the file has become shorter."""
    lines = inside.source.text.split("\n")
    number = min(number, len(lines))
    start = sum(len(line) + 1 for line in lines[: number - 1])
    text = lines[number - 1]
    return Span(inside.source, start + len(text) - len(text.lstrip()), start + len(text.rstrip()))


def _finished(folder: RunFolder) -> TrainResult:
    """Return the result of a run that has ended; E0611 if its file cannot be read."""
    try:
        record = json.loads(folder.result.read_text(encoding="utf-8"))
        names = ("train", "val", "test", "epochs", "epoch", "seconds")
        return TrainResult(**{name: record[name] for name in names}, weights=folder.weights, folder=folder.path)
    except (ValueError, KeyError, TypeError) as error:
        raise damaged(folder.result, str(error)) from error


def _weights_of(compiled: Compiled, options: TrainOptions) -> Path | None:
    """Return the weights that `start = OTHER` of the recipe means, None without one; E0608 if OTHER was not trained."""
    recipe = compiled.recipe
    if recipe is None or recipe.start is None or options.start is None:
        return None
    weights = RunFolder(options.start).weights
    if not weights.is_file():
        raise fail(
            Code.BAD_WEIGHTS,
            recipe.span,
            f"`{recipe.name}` starts from `{recipe.start}`, which has no weights yet: there is no {weights}",
            help=f"run `snnc train {options.source} {recipe.start}` first, or give weights by `--weights FILE`",
        )
    return weights


def _cannot_write(error: OSError, options: TrainOptions) -> CompileError:
    path = Path(str(error.filename)) if error.filename else options.folder
    reason = (error.strerror or str(error)).lower()
    help = "change its permissions, or give another folder by `--out FOLDER`"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        help = f"free some space, then go on with `{options.command} --resume`"
    return fail(Code.CANNOT_WRITE, whole_file(path), f"cannot write `{path.name}` of this run: {reason}", help=help)


def _write_config(folder: RunFolder, plan: RunPlan, options: TrainOptions, identity: Identity, model_hash: str) -> None:
    """Keep what is needed to run again: the settings, the versions, the device, and the text beside them."""
    if folder.writes:
        write_atomically(folder.path / options.source.name, options.source.read_bytes())
    versions = {name: text for name, text in identity.versions.items() if name != "device"}
    record: dict[str, Any] = {
        "source": str(options.source),
        "model": plan.model,
        "recipe": plan.recipe,
        "model_hash": model_hash,
        "overrides": identity.overrides,
        "epochs": identity.epochs,
        "batch": identity.batch,
        "seed": identity.seed,
        "kernel": identity.kernel,
        "start": identity.start,
        "samples": plan.samples,
        "parameters": plan.parameters,
        "device": plan.device,
        "versions": versions,
    }
    folder.write_json(folder.config, record)


def _draw(folder: RunFolder, history: list[EpochRecord], final: Mapping[str, Any]) -> None:
    from snnc.harness.plots import draw_training

    if history:
        draw_training(folder.path, history, final)
