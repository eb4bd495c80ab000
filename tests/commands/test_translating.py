"""`snnc check`, `compile`, `explain` and `run` on real files, each in a process of its own."""

import json
from pathlib import Path

import numpy as np
import pytest

import snnc as package
from snnc.pipeline import PHASES

MODELS = Path(package.__file__).parent.parent / "models"
WARNED = "edition 2026\n\nneuron Idle {\n  param unused = 1\n  state v = 0\n  v' = -v / (10 ms)\n}\n"
WRONG = (
    "edition 2026\n\nneuron Wrong {\n  state v = 0 mV\n  v' = -v / (10 mV)\n}\n\nneuron Other {\n  state u = tua\n}\n"
)

# One mistake each, as they are made: the training of such a file ends in words.
BROKEN = {
    "E0101": ("layer out = LI", "layer = LI"),
    "E0201": ("h -> dense()", "hh -> dense()"),
    "E0302": ("tau = 9.5 ms", "tau = 9.5 mV"),
    "E0401": ("real[8]", "real[7]"),
    "E0206": (
        "train baseline",
        "train twin of Blobs on blobs {\n  loss = cross_entropy(logits, label)\n}\n\ntrain baseline",
    ),
}


@pytest.mark.parametrize("code", BROKEN)
def test_training_a_broken_file_ends_in_words(snnc, tmp_path, write_model, code):
    write_model(tmp_path, replaced=BROKEN[code])
    result = snnc("train", "blobs.snn")

    assert (result.returncode, result.stdout) == (1, "")
    assert f"error[{code}]: " in result.stderr
    assert not (tmp_path / "runs").exists()


def test_several_recipes_without_a_name_are_listed(snnc, tmp_path, write_model):
    write_model(tmp_path, "\ntrain twin of Blobs on blobs {\n  loss = cross_entropy(logits, label)\n}\n")
    several, unknown = snnc("compile", "blobs.snn"), snnc("compile", "blobs.snn", "twins")

    assert (several.returncode, unknown.returncode) == (1, 1)
    assert "this file has several recipes: `baseline`, `twin`" in several.stderr
    assert "did you mean `twin`?" in unknown.stderr
    assert snnc("compile", "blobs.snn", "twin").stdout == "blobs.py\n"


def test_check_counts_errors_and_warnings_of_all_files(snnc, tmp_path):
    (tmp_path / "warned.snn").write_text(WARNED)
    (tmp_path / "wrong.snn").write_text(WRONG)
    both, warned = snnc("check", "warned.snn", "wrong.snn"), snnc("check", "warned.snn")

    assert both.returncode == 1
    assert both.stdout == "warned.snn: 0 errors, 1 warning\nwrong.snn: 2 errors, 0 warnings\n"
    assert "warning[W0104]: " in both.stderr
    assert "error[E0302]: " in both.stderr
    assert "error[E0201]: " in both.stderr
    assert warned.returncode == 0


def test_check_gives_findings_as_json(snnc, tmp_path):
    (tmp_path / "warned.snn").write_text(WARNED)
    (tmp_path / "wrong.snn").write_text(WRONG)
    result = snnc("check", "--json", "warned.snn", "wrong.snn")

    findings = json.loads(result.stdout)
    places = [(f["file"], f["line"], f["severity"], f["code"]) for f in findings]
    assert places == [
        ("warned.snn", 4, "warning", "W0104"),
        ("wrong.snn", 5, "error", "E0302"),
        ("wrong.snn", 9, "error", "E0201"),
    ]
    assert (result.returncode, result.stderr) == (1, "")


def test_every_model_of_the_repository_is_checked_and_formatted(snnc):
    files = sorted(MODELS.rglob("*.snn"))
    check, fmt = snnc("check", *files), snnc("fmt", "--check", *files)

    assert check.returncode == 0
    warnings = [line for line in check.stderr.splitlines() if line.startswith(("warning", "error"))]
    assert warnings == ["warning[W0106]: `accuracy` judges another readout than the loss trains"]  # tutorial5, as there
    assert len(check.stdout.splitlines()) == len(files) > 3
    assert fmt.stderr == ""
    assert fmt.returncode == 0


def test_compile_writes_one_python_file(snnc, tmp_path):
    first, second = (snnc("compile", MODELS / "digits.snn", "-o", name) for name in ("one.py", "two.py"))

    assert (first.returncode, first.stdout) == (0, "one.py\n")
    assert second.returncode == 0
    text = (tmp_path / "one.py").read_text()
    assert text == (tmp_path / "two.py").read_text()
    assert str(tmp_path) not in text
    assert "import snnc" not in text


def test_compile_does_not_leave_half_a_file_in_a_folder_that_is_not_there(snnc):
    result = snnc("compile", MODELS / "digits.snn", "-o", "no/such/folder.py")

    assert result.returncode in (1, 2)
    assert "no" in result.stderr


@pytest.mark.parametrize("phase", PHASES)
def test_every_phase_can_be_printed(snnc, phase):
    result = snnc("compile", MODELS / "digits.snn", "--dump", phase)

    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.strip()


def test_an_unknown_phase_lists_those_there_are(snnc):
    result = snnc("compile", MODELS / "digits.snn", "--dump", "optimised")

    assert result.returncode == 2
    for phase in PHASES:
        assert phase in result.stderr


def test_explain_tells_updates_and_shapes(snnc):
    result = snnc("explain", MODELS / "digits.snn")

    assert (result.returncode, result.stderr) == (0, "")
    assert "h" in result.stdout
    assert "tau" in result.stdout


def test_a_network_runs_on_generated_input(snnc, tmp_path, write_model):
    write_model(tmp_path)
    result = snnc("run", "blobs.snn", "--input", "pixels=poisson:300", "--duration", "50 ms", "--out", "sim")

    assert result.returncode == 0, result.stderr
    assert result.stdout == "sim/signals.npz\nsim/raster.png\nsim/traces.png\n"
    with np.load(tmp_path / "sim" / "signals.npz") as signals:
        shapes = {name: array.shape for name, array in signals.items()}
        assert shapes == {"time": (50,), "h.spike": (50, 1, 16), "h.v": (50, 1, 16), "out.v": (50, 1, 3)}
        np.testing.assert_array_equal(np.arange(1, 51), signals["time"])


def test_a_network_runs_on_a_sample_of_its_recipe(snnc, tmp_path, write_model):
    write_model(tmp_path)
    result, beyond = snnc("run", "blobs.snn", "--sample", "7"), snnc("run", "blobs.snn", "--sample", "999")

    assert result.returncode == 0, result.stderr
    with np.load(tmp_path / "runs" / "blobs-run" / "signals.npz") as signals:
        assert signals["out.v"].shape == (10, 1, 3)
    assert beyond.returncode == 1
    assert "the data set has no sample 999" in beyond.stderr


def test_a_network_runs_on_arrays(snnc, tmp_path, write_model):
    write_model(tmp_path)
    np.savez(tmp_path / "x.npz", pixels=np.ones((30, 2, 8), np.float32))
    np.savez(tmp_path / "wrong.npz", pixels=np.ones((30, 2, 9), np.float32))
    np.savez(tmp_path / "named.npz", pixel=np.ones((30, 2, 8), np.float32))
    result = snnc("run", "blobs.snn", "--data", "x.npz")
    wrong, named = snnc("run", "blobs.snn", "--data", "wrong.npz"), snnc("run", "blobs.snn", "--data", "named.npz")

    assert result.returncode == 0, result.stderr
    with np.load(tmp_path / "runs" / "blobs-run" / "signals.npz") as signals:
        assert signals["h.v"].shape == (30, 2, 16)
    assert (wrong.returncode, named.returncode) == (1, 1)
    assert "error[E0401]" in wrong.stderr
    assert "error[E0602]" in named.stderr
    assert "did you mean `pixels`?" in named.stderr


def test_a_network_without_a_recipe_asks_for_input_and_length(snnc, tmp_path, write_model):
    text = write_model(tmp_path)
    (tmp_path / "only.snn").write_text(text[: text.index("data blobs")])
    run = snnc("run", "only.snn", "--input", "pixels=constant:1", "--duration", "20 steps", "--out", "sim")
    silent = snnc("run", "only.snn", "--duration", "20 steps")
    endless = snnc("run", "only.snn", "--input", "pixels=constant:1")
    train = snnc("train", "only.snn")

    assert run.returncode == 0, run.stderr
    assert (silent.returncode, endless.returncode, train.returncode) == (1, 2, 1)
    assert "nothing is said of the input `pixels`" in silent.stderr
    assert "how long?" in endless.stderr
    assert "error[E0606]" in train.stderr
