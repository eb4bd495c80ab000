"""A training that was broken off goes on to the numbers of one that was not."""

import dataclasses
import errno
import json
import os

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file

from snnc.diagnostics import CompileError
from snnc.harness import train as training
from snnc.harness.checkpoint import read_about
from snnc.harness.load_module import load_module
from snnc.harness.lock import sole_training
from snnc.harness.records import TrainOptions
from snnc.harness.simulate import evaluate_split
from snnc.harness.train import train

TIMES = {"seconds", "samples_per_s"}


class Broken(BaseException):
    """Stands for a death of the process that nothing can catch."""


@pytest.fixture(autouse=True, scope="module")
def _compile_once(tmp_path_factory):
    """Every training executes its module anew; let them share compiled programs."""
    from jax.experimental.compilation_cache import compilation_cache

    settings = {
        "jax_compilation_cache_dir": str(tmp_path_factory.mktemp("programs")),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": 0,
        "jax_persistent_cache_enable_xla_caches": "none",
    }
    before = {name: getattr(jax.config, name) for name in settings}
    for name, value in settings.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


@pytest.fixture
def options(tmp_path, source):
    return TrainOptions(
        source=source, folder=tmp_path / "run", plots=False, checkpoint_every=0.0, command="snnc train x"
    )


@pytest.fixture
def breaks_after(report):
    """Make the reporter break the training off after so many updates."""

    def after(updates):
        broken = type(report)()
        heard = broken.update

        def update(samples, metrics):
            heard(samples, metrics)
            if len(broken.samples) == updates:
                raise Broken

        broken.update = update
        return broken

    return after


@pytest.fixture
def modules(monkeypatch):
    """The emitted modules that trainings have executed."""
    found = []

    def load(*arguments):
        found.append(load_module(*arguments))
        return found[-1]

    monkeypatch.setattr(training, "load_module", load)
    return found


@pytest.fixture
def misses():
    """What was compiled since the test began, for it was not in the cache."""
    found = []

    def hear(name, **_):
        if name.endswith("cache_misses"):
            found.append(name)

    jax.monitoring.register_event_listener(hear)
    yield found
    jax.monitoring.unregister_event_listener(hear)


def log_of(folder):
    """The lines of the log without times."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in TIMES} for line in lines]


def assert_same_run(one, two):
    """Weights bit by bit, every line of the log and the result."""
    first, second = (load_file(folder / "weights.safetensors") for folder in (one, two))
    assert sorted(first) == sorted(second)
    for name in first:
        assert first[name].tobytes() == second[name].tobytes()
    assert log_of(one) == log_of(two)
    results = [json.loads((folder / "result.json").read_text()) for folder in (one, two)]
    for name in ("train", "val", "test", "epochs", "epoch"):
        assert results[0][name] == results[1][name]


@pytest.mark.parametrize(
    "settings",
    [
        (),
        (("baseline.optimizer", "adamw(lr = cosine(2e-2, warmup = 2 updates), clip_norm = 1, weight_decay = 1e-2)"),),
    ],
    ids=["adam", "cosine"],
)
def test_a_training_broken_off_within_an_epoch_ends_as_if_it_had_not_been(
    compile_source, source, options, report, breaks_after, tmp_path, settings
):
    compiled = compile_source(source, settings)
    whole = train(compiled, dataclasses.replace(options, folder=tmp_path / "whole"), report)
    for update in (2, 3, 5):  # in all, within the first epoch, at its end, and within the second
        with pytest.raises(Broken):
            train(compiled, dataclasses.replace(options, resume=update != 2), breaks_after(update))
    result = train(compiled, dataclasses.replace(options, resume=True), report)

    assert_same_run(whole.folder, result.folder)


def test_epochs_after_the_last_checkpoint_are_done_again(compiled, options, report, breaks_after, tmp_path):
    seldom = dataclasses.replace(options, checkpoint_every=60.0)
    whole = train(compiled, dataclasses.replace(seldom, folder=tmp_path / "whole"), report)
    with pytest.raises(Broken):
        train(compiled, seldom, breaks_after(13))
    logged, about = len(log_of(seldom.folder)), read_about(seldom.folder / "checkpoint.safetensors")
    result = train(compiled, dataclasses.replace(seldom, resume=True), report)

    assert about.epoch <= logged == 2
    assert_same_run(whole.folder, result.folder)


def test_the_words_say_where_a_training_goes_on(compiled, options, report, breaks_after):
    with pytest.raises(Broken):
        train(compiled, options, breaks_after(8))
    train(compiled, dataclasses.replace(options, resume=True), report)

    assert report.notes == ["goes on after epoch 2, update 2 of 5"]
    assert report.plans[0].epoch == 2
    assert report.samples[:3] == [96, 128, 144]


def test_an_update_is_compiled_once_and_after_a_break_not_at_all(
    compiled, options, report, breaks_after, modules, misses
):
    resumed = dataclasses.replace(options, resume=True)
    jax.clear_caches()  # what earlier tests compiled is in no cache on disk
    with pytest.raises(Broken):
        train(compiled, options, breaks_after(8))
    updates_compiled = modules[0].train_step._cache_size()
    jax.clear_caches()
    misses.clear()
    train(compiled, resumed, report)

    assert updates_compiled == modules[1].train_step._cache_size() == 1  # the last of five batches is short
    assert misses == []


def test_resuming_where_nothing_was_saved_begins(compiled, options, report):
    result = train(compiled, dataclasses.replace(options, resume=True), report)

    assert report.notes == ["nothing was saved yet: starts from the beginning"]
    assert result.epochs == 3


def test_a_finished_run_says_so_and_gives_its_result(compiled, options, report):
    first = train(compiled, options, report)
    again = train(compiled, dataclasses.replace(options, resume=True), report)

    assert report.notes == ["this run is finished: its 3 epochs are done"]
    assert again.as_json() == first.as_json()


def test_more_epochs_go_on_from_the_end_of_a_run(compiled, options, report, tmp_path):
    train(compiled, options, report)
    more = train(compiled, dataclasses.replace(options, resume=True, epochs=5), report)
    whole = train(compiled, dataclasses.replace(options, folder=tmp_path / "whole", epochs=5), report)

    assert_same_run(whole.folder, more.folder)
    assert json.loads((options.folder / "config.json").read_text())["epochs"] == 5


def test_more_epochs_are_refused_where_the_learning_rate_depends_on_them(compile_source, source, options, report):
    cosine = compile_source(source, (("baseline.optimizer", "adam(lr = cosine(1e-2))"),))
    train(cosine, options, report)

    with pytest.raises(CompileError, match=r"epochs were 3, are 5 \(a learning rate by `cosine`"):
        train(cosine, dataclasses.replace(options, resume=True, epochs=5), report)


def test_every_difference_is_named(compile_source, source, options, report):
    train(compile_source(source), dataclasses.replace(options, epochs=1), report)
    source.write_text(source.read_text().replace("tau = 9.5 ms", "tau = 9 ms"))
    with np.load(source.with_name("blobs.npz")) as arrays:
        changed = {name: array.copy() for name, array in arrays.items()}
    changed["pixels"] += 1
    np.savez(source.with_name("blobs.npz"), **changed)
    overrides = (("Blobs.hidden", "16"),)
    changed = compile_source(source, overrides)
    before = (options.folder / "checkpoint.safetensors").read_bytes()

    with pytest.raises(CompileError) as caught:
        train(changed, dataclasses.replace(options, resume=True, batch=16, seed=1, overrides=overrides), report)
    (finding,) = caught.value.diagnostics
    assert finding.code == "E0611"
    assert "the .snn file has changed" in finding.message
    assert "`--set Blobs.hidden` was not given, is `16`" in finding.message
    assert "the batch was 32, is 16" in finding.message
    assert "the seed was 0, is 1" in finding.message
    assert "the data `train.pixels` have other values" in finding.message
    assert (finding.span.line, finding.note) == (10, "was `layer out = LI[3](tau = 9.5 ms)`")
    assert (options.folder / "checkpoint.safetensors").read_bytes() == before


def damage_cut(data):
    return data[: len(data) // 2]


def damage_bit(data):
    return data[:-1] + bytes([data[-1] ^ 1])


def damage_text(data):
    return b"not safetensors"


def damage_about(data):
    return data.replace(b"identity", b"identitY")


@pytest.mark.parametrize("damage", [damage_cut, damage_bit, damage_text, damage_about])
def test_a_damaged_checkpoint_is_told(compiled, options, report, damage):
    train(compiled, dataclasses.replace(options, epochs=1), report)
    path = options.folder / "checkpoint.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    again = dataclasses.replace(options, resume=True, epochs=2)

    with pytest.raises(CompileError, match=r"E0611.*cannot go on from this file"):
        train(compiled, again, report)


def test_a_log_that_lost_its_lines_is_told(compiled, options, report, breaks_after):
    with pytest.raises(Broken):
        train(compiled, options, breaks_after(12))
    (options.folder / "metrics.jsonl").write_text("")

    with pytest.raises(CompileError, match=r"E0611.*not every epoch has its line"):
        train(compiled, dataclasses.replace(options, resume=True), report)


def test_results_without_a_checkpoint_are_not_overwritten_by_resuming(compiled, options, report):
    train(compiled, dataclasses.replace(options, epochs=1), report)
    (options.folder / "checkpoint.safetensors").unlink()

    with pytest.raises(CompileError, match=r"E0611.*no checkpoint to go on from, and weights\.safetensors"):
        train(compiled, dataclasses.replace(options, resume=True, epochs=1), report)


def test_the_weights_of_a_checkpoint_start_another_training(compiled, options, report, breaks_after, tmp_path):
    with pytest.raises(Broken):
        train(compiled, options, breaks_after(4))
    checkpoint = options.folder / "checkpoint.safetensors"
    other = dataclasses.replace(options, weights=checkpoint, folder=tmp_path / "other", epochs=1)
    result = train(compiled, other, report)

    saved, about = load_file(checkpoint), read_about(checkpoint)
    assert (about.epoch, about.update, about.selected_epoch) == (0, 3, None)
    assert np.isfinite(saved["weights/h.tau"])
    assert report.notes == [f"starts from {checkpoint}"]
    assert result.train["loss"] < 2.0


def test_a_run_that_starts_from_its_own_weights_survives_a_break(compiled, options, report, breaks_after, tmp_path):
    first = train(compiled, options, report)
    start = tmp_path / "start.safetensors"
    start.write_bytes(first.weights.read_bytes())
    again = dataclasses.replace(options, weights=first.weights)
    with pytest.raises(Broken):
        train(compiled, again, breaks_after(1))
    result = train(compiled, dataclasses.replace(options, resume=True), report)
    whole = train(compiled, dataclasses.replace(options, weights=start, folder=tmp_path / "whole"), report)

    assert_same_run(whole.folder, result.folder)
    assert json.loads((options.folder / "config.json").read_text())["start"] == str(first.weights)


def test_a_second_training_in_a_folder_is_refused(compiled, options, report):
    with sole_training(options.folder), pytest.raises(CompileError) as caught:
        train(compiled, options, report)
    (finding,) = caught.value.diagnostics

    assert finding.code == "E0612"
    assert f"process {os.getpid()} has trained there since 2" in finding.message
    assert train(compiled, dataclasses.replace(options, epochs=1), report).epoch == 1


def test_a_full_disk_leaves_the_checkpoint_before_it(compiled, options, report, monkeypatch):
    full, writes = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), []
    sync = os.fsync

    def fill_up(handle):
        writes.append(handle)
        if len(writes) == 30:
            raise full
        sync(handle)

    monkeypatch.setattr(os, "fsync", fill_up)
    with pytest.raises(CompileError) as caught:
        train(compiled, options, report)
    (finding,) = caught.value.diagnostics
    monkeypatch.undo()
    names = {path.name for path in options.folder.iterdir()}
    train(compiled, dataclasses.replace(options, resume=True), report)

    assert finding.code == "E0613"
    assert "no space left on device" in finding.message
    assert finding.help == "free some space, then go on with `snnc train x --resume`"
    assert not [name for name in names if name.startswith(".") and name != ".lock"]


def test_a_folder_that_cannot_be_made_is_told(compiled, options, report, tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(CompileError, match=r"E0613.*cannot write"):
        train(compiled, dataclasses.replace(options, folder=tmp_path / "file" / "run"), report)


def test_a_divergence_says_how_to_go_on_from_the_last_good_checkpoint(compile_source, source, options, report, model):
    diverges = (("baseline.optimizer.lr", "step(1e-2, factor = 1e30, every = 2 epochs)"),)
    broken = compile_source(source, diverges)
    with pytest.raises(CompileError) as caught:
        train(broken, dataclasses.replace(options, epochs=4), report)
    (finding,) = caught.value.diagnostics
    metrics, _ = evaluate_split(model, broken, source, None, options.folder / "checkpoint.safetensors", "val")

    assert finding.code == "E0609"
    assert "the checkpoint of epoch " in finding.help
    assert f"`snnc train x --weights {options.folder / 'checkpoint.safetensors'}`" in finding.help
    assert np.isfinite(metrics["loss"])
