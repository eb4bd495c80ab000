"""What is found only while data are read or a training runs: each code with its exact message, by the real command.

What differs between machines and runs stands as <process>, <time>, <free>, <number>, <folder> and <name>.
"""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from snnc.harness.lock import sole_training

MESSAGES = Path(__file__).parent / "messages"
TRAIN = ("train", "blobs.snn", "--no-plots")


def no_data(folder, snnc):
    (folder / "blobs.npz").unlink()
    return snnc(*TRAIN)


def bad_data(folder, snnc):
    np.savez(folder / "blobs.npz", pixels=np.full((60, 8), np.nan), label=np.arange(60) % 3)
    return snnc(*TRAIN)


def bad_weights(folder, snnc):
    (folder / "weights.safetensors").write_bytes(b"these are no weights")
    return snnc("eval", "blobs.snn", "--weights", "weights.safetensors")


def diverged(folder, snnc):
    return snnc(*TRAIN, "--set", "baseline.optimizer=sgd(lr = 1e38)")


def cannot_resume(folder, snnc):
    assert snnc(*TRAIN, "--epochs", "1").returncode == 0
    return snnc(*TRAIN, "--epochs", "1", "--seed", "7", "--resume")


def folder_in_use(folder, snnc):
    with sole_training(folder / "runs" / "blobs"):
        return snnc(*TRAIN)


def cannot_write(folder, snnc):
    (folder / "taken").write_text("a file where a folder is wanted")
    return snnc(*TRAIN, "--out", "taken/run")


def missing_package(folder, snnc):
    (folder / "h5py.py").write_text("raise ModuleNotFoundError(\"No module named 'h5py'\", name='h5py')\n")
    text = (folder / "blobs.snn").read_text()
    (folder / "blobs.snn").write_text(
        re.sub(r"npz.*", 'events("a.h5", units = 8, val = 0.1) -> bin(duration = 10 ms)', text, count=1)
    )
    return snnc(*TRAIN)


def out_of_memory(folder, snnc):
    return snnc(*TRAIN, "--set", "Blobs.hidden=4096", "--batch", "90000000")


def run_failed(folder, snnc, environment):
    broken = (
        "import dataclasses, sys\nfrom snnc import pipeline\nfrom snnc.cli import main\n"
        "compile_entry = pipeline.compile_entry\n"
        "def faulty(*given):\n    compiled = compile_entry(*given)\n"
        "    return dataclasses.replace(compiled, text=compiled.text.replace('v = v + x', 'v = v + x[:, :3]'))\n"
        "pipeline.compile_entry = faulty\nmain()\n"
    )
    return subprocess.run(
        [sys.executable, "-c", broken, *TRAIN],
        cwd=folder, env={**environment, "TMPDIR": str(folder)}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def no_such_devices(folder, snnc):
    return snnc(*TRAIN, "--devices", "3", "--split-layers", "2")


CASES = {
    "E0604": no_data,
    "E0605": bad_data,
    "E0608": bad_weights,
    "E0609": diverged,
    "E0611": cannot_resume,
    "E0612": folder_in_use,
    "E0613": cannot_write,
    "E0614": missing_package,
    "E0701": out_of_memory,
    "E0702": run_failed,
    "E0703": no_such_devices,
}


@pytest.mark.parametrize("code", CASES)
def test_the_message_is_the_one_that_is_kept(code, tmp_path, write_model, run_in, environment, golden):
    write_model(tmp_path)

    def snnc(*arguments):
        return run_in(tmp_path, *arguments)

    case = CASES[code]
    done = case(tmp_path, snnc, environment) if case is run_failed else case(tmp_path, snnc)

    assert done.returncode == (3 if case is run_failed else 1)
    assert f"error[{code}]: " in done.stderr
    text = "error[" + done.stderr.split("error[", 1)[1]
    text = re.sub(r"process \d+", "process <process>", text)
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\S*", "<time>", text)
    text = re.sub(r"[\d.,]+ GB are free", "<free> are free", text)
    text = re.sub(r"`--batch \d+`", "`--batch <number>`", text)
    text = text.replace(str(tmp_path), "<folder>")
    golden(re.sub(r"snnc-traceback-\w+", "snnc-traceback-<name>", text), MESSAGES / f"{code}.txt")
