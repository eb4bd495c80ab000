"""`extern loader`: refused without --allow-extern, also when it is imported; with it, the function gives the data."""

import json

FILE = """edition 2026
import std.neurons (LIF, LI)

extern loader blobs(count, seed = 0) = python "my_blobs:load"

network Net {
  dt = 1 ms
  input x : real[4]
  x -> dense(8) -> LIF() as h -> dense(2) -> LI() as out
  output logits = mean_over_time(out.v)
}

data made = blobs(60, seed = 3) -> hold(duration = 5 ms)

train it of Net on made {
  epochs = 40
  batch = 20
  optimizer = adam(lr = 1e-2)
  loss = cross_entropy(logits, label)
  metric accuracy = accuracy(logits, label)
}
"""
LOADER = """import numpy as np

def load(count, seed):
    label = np.arange(count) % 2
    x = np.random.default_rng(seed).normal(size=(count, 4)) + 2 * label[:, None]
    return {"x": x.astype(np.float32), "label": label, "split": (np.arange(count) % 3 == 0) * 2}
"""


def test_an_extern_loader_runs_only_when_it_is_allowed(run_in, tmp_path):
    (tmp_path / "model.snn").write_text(FILE)
    (tmp_path / "my_blobs.py").write_text("raise SystemExit('this must not run')")

    refused = run_in(tmp_path, "train", "model.snn")

    assert refused.returncode == 1
    assert "error[E0207]: `blobs` would run Python code that is not in this file" in refused.stderr
    (tmp_path / "my_blobs.py").write_text(LOADER)
    done = run_in(tmp_path, "train", "model.snn", "--allow-extern", "--json", "--no-plots")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["test"]["accuracy"] > 0.5


def test_an_imported_extern_is_refused_too(run_in, tmp_path):
    (tmp_path / "other.snn").write_text(FILE)
    (tmp_path / "model.snn").write_text('edition 2026\nimport "./other.snn" as other\nconst n = 3\n')

    done = run_in(tmp_path, "check", "model.snn")

    assert done.returncode == 1
    assert "E0207" in done.stderr


def test_what_a_loader_does_wrong_is_a_finding(run_in, tmp_path):
    (tmp_path / "model.snn").write_text(FILE)
    (tmp_path / "my_blobs.py").write_text("def load(count, seed):\n    raise ValueError('no disk')\n")

    done = run_in(tmp_path, "train", "model.snn", "--allow-extern")

    assert done.returncode == 1
    assert "error[E0605]: `my_blobs:load` failed: ValueError: no disk" in done.stderr
    assert "Traceback" not in done.stderr
