"""Emitted files: the same text every time, clean for ruff and mypy, and kept as readable golden files."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from snnc.pipeline import choose, compile_entry, load
from snnc.plan import Kernel
from snnc.resources import resource_folder
from snnc.semantics.elaboration import stands_alone
from snnc.syntax import nodes

HERE = Path(__file__).parent
CASES = sorted((HERE / "models").glob("*.snn"))
MODELS = sorted(resource_folder("models").glob("*.snn"))


def emitted(path: Path, kernel: Kernel = "scan") -> str:
    program = load(path)
    return compile_entry(program, choose(program, next(iter(program.recipes), None)), kernel=kernel).text


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_the_emitted_file_is_the_golden_one(case, golden):
    golden(emitted(case), HERE / "golden" / f"{case.stem}.py")


@pytest.fixture(scope="module")
def twice():
    """The texts that two processes emit, by the path of the model."""
    code = "import json, sys; from pathlib import Path; from snnc.pipeline import *; found = {}\n"
    code += "for path in sys.argv[1:]:\n  p = load(Path(path)); name = next(iter(p.recipes), None)\n"
    code += "  found[path] = compile_entry(p, choose(p, name)).text\n"
    code += "json.dump(found, sys.stdout)"
    return [
        json.loads(
            subprocess.run(
                [sys.executable, "-c", code, *map(str, [*CASES, *MODELS])],
                env={"PYTHONHASHSEED": seed, "PATH": "/usr/bin:/bin", "PYTHONPATH": str(HERE.parents[1])},
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        for seed in ("1", "2")
    ]


@pytest.mark.parametrize("case", [*CASES, *MODELS], ids=lambda path: path.stem)
def test_two_processes_emit_the_same_text(case, twice):
    first, second = (texts[str(case)] for texts in twice)

    assert first == second
    assert str(case.parent) not in first


def test_emitted_files_are_clean_for_ruff_and_mypy(tmp_path):
    texts = {f"emitted_{case.stem}": emitted(case) for case in [*CASES, *MODELS]}
    texts |= {f"kernels_{case.stem}": emitted(case, "pallas") for case in CASES}
    names = []
    for name, text in texts.items():
        path = tmp_path / f"{name}.py"
        path.write_text(text, encoding="utf-8")
        names.append(str(path))

    for command in (
        ["ruff", "format", "--isolated", "--check"],
        ["ruff", "check", "--isolated"],
        [
            "mypy",
            "--strict",
            "--disable-error-code=import-untyped",
            "--config-file=",
            "--cache-dir",
            str(tmp_path / "c"),
        ],
    ):
        done = subprocess.run([sys.executable, "-m", *command, *names], capture_output=True, text=True, check=False)

        assert done.returncode == 0, done.stdout + done.stderr


def test_an_emitted_file_trains_without_snnc(tmp_path):
    """`python digits.py --data digits.npz` where importing snnc is impossible."""
    model = resource_folder("models") / "digits.snn"
    (tmp_path / "digits.py").write_text(emitted(model), encoding="utf-8")
    subprocess.run([sys.executable, "-m", "snnc", "data", str(model), "-o", "digits.npz"], cwd=tmp_path, check=True)
    code = "import sys, runpy; sys.modules['snnc'] = None; sys.argv = sys.argv[1:];"
    code += "runpy.run_path(sys.argv[0], run_name='__main__')"
    command = [sys.executable, "-c", code, "digits.py", "--data", "digits.npz", "--epochs", "3", "--out", "weights.npz"]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert "epoch 3: train" in done.stdout
    assert (tmp_path / "weights.npz").exists()


def test_no_network_of_a_model_file_is_skipped():
    """Each is trained by a recipe of its file, or is a block of one that is."""
    for path in MODELS:
        program = load(path)
        trained = [item.network.text for item in program.module.own.values() if isinstance(item, nodes.Train)]
        for name in program.networks:
            assert name in trained or not stands_alone(program.module.own[name], program.module), (path.name, name)
