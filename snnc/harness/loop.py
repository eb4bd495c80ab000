"""The loop over the emitted `fit`: the log, the selected weights, checkpoints, and what becomes of numbers that are lost.

After every epoch its line is in the log, and then the selected weights and a checkpoint are written, in this order; of
epochs shorter than a second, not of every one. Within an epoch a checkpoint follows every so many seconds.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import snnc
from snnc.diagnostics import Code, CompileError, fail
from snnc.harness.agreement import Agreement
from snnc.harness.checkpoint import About, damaged, load_checkpoint, read_about, save_checkpoint
from snnc.harness.datasets import sample_count
from snnc.harness.devices import choose_devices, devices_text, mesh_of, placed
from snnc.harness.diagnosis import explained, find_cause, too_large_a_step
from snnc.harness.divergence import DivergedError, FiniteWatch, check_weights
from snnc.harness.emitted import Epoch, Fields, Progress, TrainableModule, fresh_state
from snnc.harness.event_lists import with_event_lists
from snnc.harness.files import whole_file
from snnc.harness.identity import Identity
from snnc.harness.processes import exchange, is_first, is_lost_process, on_host, process_lost
from snnc.harness.records import EpochRecord, Reporter, RunPlan, TrainOptions
from snnc.harness.run_folder import RunFolder
from snnc.harness.stopping import StopRequest
from snnc.harness.weights import load_matching, load_weights, save_weights
from snnc.pipeline import Compiled

_SHORT = 1.0  # seconds; writing after every epoch that is shorter would take a good part of it


@dataclass(slots=True)
class _EpochClock:
    """When this process began the running epoch, what it had taken and done before, and when its last update was done."""

    began: float = field(default_factory=time.perf_counter)
    seconds_before: float = 0.0
    samples_before: int = 0
    trained: float | None = None

    def seconds(self) -> float:
        return self.seconds_before + time.perf_counter() - self.began


class TrainingRun:
    """One training: `history` has every finished epoch, `selected` the one whose weights are kept, `told` words on its data.

    `begin` or `go_on` gives it its start, `fit` runs it to the end.
    """

    def __init__(
        self,
        compiled: Compiled,
        module: TrainableModule,
        parts: Mapping[str, Fields],
        identity: Identity,
        options: TrainOptions,
        report: Reporter,
    ) -> None:
        self.compiled, self.module = compiled, module
        self.mesh = mesh_of(module, options.layout)
        self.parts, self.told = dict(parts), list[str]()
        if self.mesh is None:
            self.parts, self.told = with_event_lists(compiled, module, parts, identity.batch)
        self.identity, self.options, self.report = identity, options, report
        self.folder = RunFolder(options.folder, writes=is_first())
        self.history: list[EpochRecord] = []
        self.samples = sample_count(parts["train"])
        self.updates = -(-self.samples // identity.batch)
        self._began = self._saved = time.perf_counter()
        self._clock = _EpochClock()
        self._watch = FiniteWatch()
        self._start: Progress | None = None
        self._kept: tuple[EpochRecord, Any, Any] | None = None
        self._kept_is_saved = True

    @property
    def selected(self) -> EpochRecord:
        assert self._kept is not None, "fit yielded no epoch"
        return self._kept[0]

    @property
    def seconds(self) -> float:
        """What the training took so far, in all its processes."""
        return time.perf_counter() - self._began

    def plan(self) -> RunPlan:
        import jax

        assert self._start is not None
        devices = jax.devices()[:1] if self.mesh is None else choose_devices(self.options.layout)
        return RunPlan(
            model=self.module.MODEL,
            recipe=self.module.RECIPE,
            epochs=self.identity.epochs,
            samples={name: sample_count(fields) for name, fields in self.parts.items()},
            parameters=sum(leaf.size for leaf in jax.tree.leaves(self._start.state.params)),
            device=devices_text(devices, self.options.layout.split),
            folder=self.folder.path,
            epoch=len(self.history) + 1,
            done=self._clock.samples_before,
        )

    def begin(self, start: Path | None) -> str:
        """Stand before the first update, with weights of `start` if given, and save that; return words about it.

        The weights of another recipe (`start = OTHER`) are taken where they match by name and shape.
        """
        identity = self.identity
        state, told = (
            fresh_state(self.module, identity.seed, self.updates, identity.epochs, identity.batch, self.mesh),
            "",
        )
        if start is not None:
            state, told = self._with_weights(state, start)
        self._start = self.module.Progress(state)
        exchange(np.zeros(0, np.int32))  # every process has read what process 0 now replaces
        self._save(self._start)
        self.folder.clear(source=self.options.source.name)
        return told

    def go_on(self, about: About) -> str:
        """Stand where a checkpoint stands, the folder too; return words about it.

        Raises:
            CompileError: E0611 if the checkpoint or the log is damaged.
        """
        self._start = load_checkpoint(self.folder.checkpoint, self.module, about, self.updates, self.mesh)
        self.history = self._read_log(about.epoch)
        exchange(np.zeros(0, np.int32))  # every process has read what process 0 now replaces
        if about.selected_epoch is not None:
            assert self._start.selected is not None
            self._kept = (self.history[about.selected_epoch - 1], *map(on_host, self._start.selected))
        self.folder.clear(about.epoch, self.options.source.name)
        if self._kept is not None:
            self._save_weights()
        self._began -= about.seconds
        done = min(about.update * self.identity.batch, self.samples)
        self._clock = _EpochClock(seconds_before=about.epoch_seconds, samples_before=done)
        return f"goes on after {about.place(self.updates)}"

    def first_update(self) -> tuple[Any, Fields]:
        """Return the state in which `fit` begins an epoch, and its first batch."""
        assert self._start is not None
        identity = self.identity
        batches = self.module.epoch_batches(self.parts["train"], 1, identity.batch, identity.seed, mesh=self.mesh)
        return self._start.state, next(batches)

    def fit(self, stop: StopRequest) -> None:
        """Run all epochs that are left, or until `stop` is asked for.

        Raises:
            CompileError: E0609 for numbers that are not finite.
            StoppedError: the process was asked to end, and what was reached is saved.
        """
        assert self._start is not None
        start, rule = self._start, self._start.state.rule
        identity, agreement = self.identity, Agreement(stop, self.options.checkpoint_every)
        epochs = self.module.fit(
            self.parts,
            epochs=identity.epochs,
            batch=identity.batch,
            seed=identity.seed,
            start=start,
            on_update=lambda progress: self._after_update(progress, stop, agreement),
            mesh=self.mesh,
        )
        agreement.after_epoch(False)
        stop.leave_if_asked()
        try:
            for epoch in epochs:
                self._after_epoch(epoch, stop, agreement)
        except DivergedError as error:
            if not is_first():
                raise fail(Code.DIVERGED, whole_file(self.options.source), error.what) from error
            raise self._explained(error, rule) from error
        except Exception as error:
            if is_lost_process(error):
                raise process_lost(error, self.options.command) from error
            raise

    def evaluate(self, part: str) -> dict[str, Any]:
        """Return the metrics of the kept weights on one split, {} where the data set has none."""
        if part not in self.parts:
            return {}
        assert self._kept is not None
        _, params, buffers = self._kept
        if self.mesh is not None:
            params, buffers = placed(self.module, self.mesh, (params, buffers))
        identity = self.identity
        return self.module.evaluate(
            params, buffers, self.parts[part], batch=identity.batch, seed=identity.seed, mesh=self.mesh
        )

    def _after_update(self, progress: Progress, stop: StopRequest, agreement: Agreement) -> None:
        update = len(progress.metrics)
        epoch = len(self.history) + 1
        self._watch.add(epoch, update, progress.metrics[-1])
        if update == self.updates:
            self._watch.check()  # waits for the last update, so that the rate of the epoch is that of finished work
            self._clock.trained = time.perf_counter()
        self.report.update(min(update * self.identity.batch, self.samples), progress.metrics[-1])
        if not agreement.after_update(time.perf_counter() - self._saved >= self.options.checkpoint_every):
            return
        self._watch.check()
        check_weights(epoch, update, self.module.PARAM_NAMES, progress.state.params)
        self._save(progress)
        stop.leave_if_asked()

    def _after_epoch(self, epoch: Epoch, stop: StopRequest, agreement: Agreement) -> None:
        self._watch.check()
        check_weights(epoch.epoch, self.updates, self.module.PARAM_NAMES, epoch.progress.state.params)
        clock, self._clock = self._clock, _EpochClock()
        trained = clock.trained or self._clock.began
        selected = epoch.improved or self.module.SELECT is None
        record = EpochRecord(
            epoch=epoch.epoch,
            seconds=clock.seconds(),
            samples_per_s=(self.samples - clock.samples_before) / max(trained - clock.began, 1e-9),
            train=dict(epoch.train),
            val=dict(epoch.val),
            selected=selected,
        )
        self.history.append(record)
        self.folder.log(asdict(record))
        if selected or self._kept is None:
            # Copies: without selection these are the arrays of the training state, which the next update donates.
            self._kept = (record, *map(on_host, (epoch.selected_params, epoch.selected_buffers)))
            self._kept_is_saved = False
        self.report.epoch(record)
        pause = min(_SHORT, self.options.checkpoint_every)
        last = epoch.epoch == self.identity.epochs
        if agreement.after_epoch(last or time.perf_counter() - self._saved >= pause):
            self._save(epoch.progress)
            stop.leave_if_asked()

    def _save(self, progress: Progress) -> None:
        whole = on_host(progress)
        self._saved = time.perf_counter()
        if not self.folder.writes:
            return
        if not self._kept_is_saved:
            self._save_weights()
        self.folder.settle_log()
        about = About(
            identity=self.identity,
            epoch=len(self.history),
            update=len(progress.metrics),
            selected_epoch=None if self._kept is None else self._kept[0].epoch,
            seconds=self.seconds,
            epoch_seconds=self._clock.seconds() if progress.metrics else 0.0,
        )
        save_checkpoint(self.folder.checkpoint, self.module, whole, about)
        self._saved = time.perf_counter()

    def _save_weights(self) -> None:
        assert self._kept is not None
        if not self.folder.writes:
            return
        record, params, buffers = self._kept
        about = {"recipe": self.module.RECIPE, "epoch": str(record.epoch), "snnc": snnc.__version__}
        save_weights(self.folder.weights, self.module, params, buffers, about)
        self._kept_is_saved = True

    def _read_log(self, epochs: int) -> list[EpochRecord]:
        """Return the first `epochs` lines of the log; E0611 if they are not there."""
        try:
            lines = self.folder.metrics.read_text(encoding="utf-8").splitlines()[:epochs] if epochs else []
            records = [_record(json.loads(line)) for line in lines]
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise damaged(self.folder.metrics, str(error)) from error
        if [record.epoch for record in records] != list(range(1, epochs + 1)):
            raise damaged(self.folder.metrics, f"the checkpoint is of epoch {epochs}, and not every epoch has its line")
        return records

    def _with_weights(self, fresh: Any, weights: Path) -> tuple[Any, str]:
        """Return a fresh TrainState with saved weights, and words about it."""
        import jax

        left: tuple[str, ...] = ()
        if self.options.weights is not None:
            params, buffers = load_weights(weights, self.module)
        else:
            params, buffers, left = load_matching(weights, self.module, fresh.params, fresh.buffers)
        params, buffers = jax.tree.map(jax.numpy.array, (params, buffers))
        memory = self.module.optimizer(self.updates, self.identity.epochs).init(params)
        if self.mesh is not None:
            params, buffers, memory = placed(self.module, self.mesh, (params, buffers, memory))
        told = f"starts from {weights}" + (f"; fresh: {', '.join(left)}" if left else "")
        return fresh._replace(params=params, buffers=buffers, opt_state=memory), told

    def _explained(self, error: DivergedError, rule: Any) -> CompileError:
        """Return E0609 with the place where the numbers were lost: the last updates are done again from the checkpoint."""
        self.report.stage("looking for the cause")
        if not self._kept_is_saved:
            self._save_weights()
        about = read_about(self.folder.checkpoint)
        go_on = ""
        if about.epoch or about.update:
            go_on = (
                f"the checkpoint of {about.place(self.updates)} is kept; to go on from its weights after a change:\n"
                f"`{self.options.command} --weights {self.folder.checkpoint}`"
            )
        if error.weights:
            return explained(error, too_large_a_step(self.compiled, error.weights[0]), go_on)
        state, batch = self._lost_update(error, about, rule)
        return explained(error, find_cause(self.compiled, self.module, state, batch, error.lost), go_on)

    def _lost_update(self, error: DivergedError, about: About, rule: Any) -> tuple[Any, Fields]:
        """Return the state before the update that was lost, and its batch."""
        import jax

        state = load_checkpoint(self.folder.checkpoint, self.module, about, self.updates).state
        state = state._replace(rule=rule)  # that of the training, for which `train_step` is compiled
        train, identity = self.parts["train"], self.identity
        for epoch in range(about.epoch + 1, error.epoch + 1):
            done = about.update if epoch == about.epoch + 1 else 0
            batches = self.module.epoch_batches(train, epoch, identity.batch, identity.seed, done)
            for update, batch in enumerate(batches, done + 1):
                if (epoch, update) == (error.epoch, error.update):
                    return state, batch
                state, _ = self.module.train_step(state, batch)
            state = state._replace(epoch=jax.numpy.asarray(epoch, jax.numpy.int32))
        raise AssertionError(f"epoch {error.epoch} has no update {error.update}")


def _record(line: Mapping[str, Any]) -> EpochRecord:
    """Return the record that a line of the log holds; a number that was not finite is not a number again."""

    def numbers(values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: math.nan if value is None else value for name, value in values.items()}

    return EpochRecord(**{**line, "train": numbers(line["train"]), "val": numbers(line["val"])})
