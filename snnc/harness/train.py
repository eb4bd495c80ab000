"""Trains a compiled recipe: data, the emitted `fit`, logs, weights, plots.

Before: the model is compiled. After: the run folder holds model.py, the .snn source, config.json, metrics.jsonl,
weights.safetensors, result.json and the plots.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np

import snnc
from snnc.diagnostics import Code, CompileError, fail
from snnc.harness.datasets import load_parts, require_recipe, sample_count
from snnc.harness.divergence import FiniteWatch, check_epoch
from snnc.harness.emitted import Epoch, Fields, TrainableModule
from snnc.harness.files import write_atomically
from snnc.harness.load_module import load_module
from snnc.harness.records import EpochRecord, Reporter, RunPlan, TrainOptions, TrainResult
from snnc.harness.run_folder import RunFolder
from snnc.harness.weights import load_matching, load_weights, save_weights
from snnc.pipeline import Compiled
from snnc.source import Span


def train(compiled: Compiled, options: TrainOptions, report: Reporter) -> TrainResult:
    """Train to the end and return the metrics of the selected weights.

    On Ctrl-C and on divergence the run folder keeps the weights selected so far, the log and (on divergence) the plots.

    Raises:
        CompileError: no recipe, no such data, weights that do not fit, a loss or gradient that is not finite (E0609).
    """
    began = time.perf_counter()
    recipe = require_recipe(compiled, options.source)
    start = options.weights or _weights_of(compiled, options)
    parts = load_parts(compiled, options.source, options.data_dir)
    folder = RunFolder(options.folder)
    module = cast(TrainableModule, load_module(compiled.text, folder.path))
    run = _Run(
        module=module,
        folder=folder,
        place=recipe.span,
        report=report,
        epochs=options.epochs or module.EPOCHS,
        batch=options.batch or module.BATCH,
        seed=module.SEED if options.seed is None else options.seed,
    )
    state, told = run.state_from(start, parts, whole=options.weights is not None) if start else (None, "")
    folder.start()
    plan = run.plan(parts)
    _write_config(folder, plan, options, run, start)
    report.start(plan)
    if told:
        report.note(told)
    try:
        run.fit(parts, state)
    except CompileError:
        if options.plots:
            _draw(folder, run.history, {})
        raise
    report.stage("evaluating")
    val = run.evaluate(parts, "val")
    test = run.evaluate(parts, "test")
    selected = run.selected
    result = TrainResult(
        train=selected.train,
        val=val,
        test=test,
        epochs=run.epochs,
        epoch=selected.epoch,
        seconds=time.perf_counter() - began,
        weights=folder.weights,
        folder=folder.path,
    )
    folder.write_json(folder.result, result.as_json())
    if options.plots:
        report.stage("drawing")
        _draw(folder, run.history, test or val)
    return result


@dataclass(slots=True)
class _EpochClock:
    """When the running epoch began and when its last update was done."""

    began: float = field(default_factory=time.perf_counter)
    trained: float | None = None
    updates: int = 0


class _Run:
    """The loop over `fit`: `history` has every finished epoch, `selected` the one whose weights are kept."""

    def __init__(
        self,
        module: TrainableModule,
        folder: RunFolder,
        place: Span,
        report: Reporter,
        epochs: int,
        batch: int,
        seed: int,
    ) -> None:
        self.module, self.folder, self.place, self.report = module, folder, place, report
        self.epochs, self.batch, self.seed = epochs, batch, seed
        self.history: list[EpochRecord] = []
        self._kept: tuple[EpochRecord, Any, Any] | None = None

    @property
    def selected(self) -> EpochRecord:
        assert self._kept is not None, "fit yielded no epoch"
        return self._kept[0]

    def plan(self, parts: Mapping[str, Fields]) -> RunPlan:
        import jax

        shapes = jax.tree.leaves(jax.eval_shape(self.module.init_params, jax.random.key(0)))
        return RunPlan(
            model=self.module.MODEL,
            recipe=self.module.RECIPE,
            epochs=self.epochs,
            samples={name: sample_count(fields) for name, fields in parts.items()},
            parameters=sum(leaf.size for leaf in shapes),
            device=str(jax.devices()[0].device_kind),
            folder=self.folder.path,
        )

    def state_from(self, weights: Path, parts: Mapping[str, Fields], whole: bool) -> tuple[Any, str]:
        """Return a training state before its first epoch with saved weights and a fresh optimiser, and words about it.

        Without `whole`, only parameters that match by name and shape are taken.
        """
        import jax

        updates = -(-sample_count(parts["train"]) // self.batch)
        fresh = self.module.init_train_state(self.seed, updates, self.epochs)
        left: tuple[str, ...] = ()
        if whole:
            params, buffers = load_weights(weights, self.module)
        else:
            params, buffers, left = load_matching(weights, self.module, fresh.params, fresh.buffers)
        params, buffers = jax.tree.map(jax.numpy.asarray, (params, buffers))
        optimizer_state = self.module.optimizer(updates, self.epochs).init(params)
        told = f"starts from {weights}" + (f"; fresh: {', '.join(left)}" if left else "")
        return fresh._replace(params=params, buffers=buffers, opt_state=optimizer_state), told

    def fit(self, parts: Mapping[str, Fields], state: Any) -> None:
        """Run all epochs; after each one the log and, if it was selected, the weights are on disk."""
        samples = sample_count(parts["train"])
        watch = FiniteWatch(self.place)
        clock = _EpochClock()

        def on_batch(samples_done: int, metrics: Mapping[str, Any]) -> None:
            clock.updates += 1
            watch.add(len(self.history) + 1, clock.updates, metrics)
            if samples_done >= samples:
                watch.check()  # waits for the last update, so that the rate below is that of finished work
                clock.trained = time.perf_counter()
            self.report.update(samples_done, metrics)

        epochs = self.module.fit(
            parts, epochs=self.epochs, batch=self.batch, seed=self.seed, state=state, on_batch=on_batch
        )
        for epoch in epochs:
            watch.check()
            check_epoch(self.place, epoch.epoch, epoch.train)
            self._finish_epoch(epoch, clock, samples)
            clock = _EpochClock()

    def _finish_epoch(self, epoch: Epoch, clock: _EpochClock, samples: int) -> None:
        now = time.perf_counter()
        trained = clock.trained or now
        selected = epoch.improved or self.module.SELECT is None
        record = EpochRecord(
            epoch=epoch.epoch,
            seconds=now - clock.began,
            samples_per_s=samples / max(trained - clock.began, 1e-9),
            train=dict(epoch.train),
            val=dict(epoch.val),
            selected=selected,
        )
        self.history.append(record)
        self.folder.log(asdict(record))
        if selected or self._kept is None:
            # Copies: without selection these are the arrays of the training state, which the next update donates.
            self._kept = (record, *map(_on_host, (epoch.selected_params, epoch.selected_buffers)))
            self.save()
        self.report.epoch(record)

    def save(self) -> None:
        assert self._kept is not None
        record, params, buffers = self._kept
        about = {"recipe": self.module.RECIPE, "epoch": str(record.epoch), "snnc": snnc.__version__}
        save_weights(self.folder.weights, self.module, params, buffers, about)

    def evaluate(self, parts: Mapping[str, Fields], part: str) -> dict[str, Any]:
        """Return the metrics of the kept weights on one split, {} where the data set has none."""
        if part not in parts:
            return {}
        assert self._kept is not None
        _, params, buffers = self._kept
        return self.module.evaluate(params, buffers, parts[part], batch=self.batch, seed=self.seed)


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


def _on_host(values: Any) -> Any:
    return type(values)(*(np.array(value) for value in values))


def _write_config(folder: RunFolder, plan: RunPlan, options: TrainOptions, run: _Run, start: Path | None) -> None:
    """Keep what is needed to run again: the settings, the versions, the device, and the text beside them."""
    import platform
    from importlib.metadata import version

    import jax

    write_atomically(folder.path / options.source.name, options.source.read_bytes())
    record = {
        "source": str(options.source),
        "model": plan.model,
        "recipe": plan.recipe,
        "model_hash": run.module.MODEL_HASH,
        "overrides": dict(options.overrides),
        "epochs": run.epochs,
        "batch": run.batch,
        "seed": run.seed,
        "start": start,
        "samples": plan.samples,
        "parameters": plan.parameters,
        "device": plan.device,
        "versions": {
            "snnc": snnc.__version__,
            "python": platform.python_version(),
            "jax": jax.__version__,
            "optax": version("optax"),
            "numpy": np.__version__,
        },
    }
    folder.write_json(folder.config, record)


def _draw(folder: RunFolder, history: list[EpochRecord], final: Mapping[str, Any]) -> None:
    from snnc.harness.plots import draw_training

    if history:
        draw_training(folder.path, history, final)
