"""`snnc compare`: what was set, what came out, and what is no finished training."""

import json

import pytest


@pytest.fixture(scope="module")
def runs(tmp_path_factory, run_in, write_model):
    folder = tmp_path_factory.mktemp("compare")
    write_model(folder)
    for name, seed in (("a", 0), ("b", 1)):
        done = run_in(folder, "train", "blobs.snn", "--seed", seed, "--no-plots", "--out", name)
        assert done.returncode == 0, done.stderr
    return folder


def test_runs_are_listed_by_what_differs_and_what_came_out(runs, run_in):
    done = run_in(runs, "compare", "a", "b", "-o", "both.png")

    assert done.returncode == 0, done.stderr
    head, first, second, picture = done.stdout.splitlines()
    assert head.split() == ["run", "differs", "in", "epoch", "test", "loss", "test", "accuracy", "seconds"]
    result = json.loads((runs / "a" / "result.json").read_text())
    place = f"{result['epoch']}/{result['epochs']}"
    assert first.split()[:5] == ["a", "seed", "=", "0", place]
    assert f"{result['test']['accuracy']:.4f}" in first.split()
    assert second.split()[:4] == ["b", "seed", "=", "1"]
    assert picture == "both.png"
    assert (runs / "both.png").read_bytes().startswith(b"\x89PNG")


def test_a_folder_without_a_finished_training_is_refused(runs, run_in):
    (runs / "empty").mkdir()
    (runs / "broken").mkdir()
    for name in ("config.json", "metrics.jsonl", "result.json"):
        (runs / "broken" / name).write_text("[1, 2]")

    empty = run_in(runs, "compare", "a", "empty")
    broken = run_in(runs, "compare", "broken")

    assert (empty.returncode, empty.stdout) == (1, "")
    assert empty.stderr == "error: empty is not the folder of a finished training: there is no config.json in it\n"
    assert (broken.returncode, broken.stdout) == (1, "")
    assert broken.stderr == "error: broken cannot be read: its files are not those of `snnc train`\n"
