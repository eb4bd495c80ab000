"""One training on several devices and in several processes, by the real command: the numbers are those of one device.

float32, 50 updates: sums over a batch are taken in another order, so the weights agree to 1e-4 and not to the last bit.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from snnc.diagnostics import CompileError
from snnc.harness.processes import check_joined

TRAIN = ("train", "blobs.snn", "--no-plots", "--epochs", "10")  # 144 samples in batches of 32, the last one short
MESSAGES = Path(__file__).parent / "messages"
TOLERANCE = 1e-4


def weights_of(folder):
    """The weights after the last update."""
    tensors = load_file(folder / "checkpoint.safetensors")
    return {name: value for name, value in tensors.items() if name.startswith("weights/")}


def losses_of(folder):
    return [json.loads(line)["train"]["loss"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


def assert_close(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=0, atol=TOLERANCE, err_msg=name)


@pytest.fixture(scope="module")
def one_device(tmp_path_factory, write_model, run_in):
    """The run folder of a training on one device."""
    folder = tmp_path_factory.mktemp("one")
    write_model(folder)
    assert run_in(folder, *TRAIN).returncode == 0
    return folder / "runs" / "blobs"


@pytest.fixture
def folder(tmp_path, write_model):
    write_model(tmp_path)
    return tmp_path


@pytest.fixture
def start(folder, environment):
    """Start `python -m snnc ARGUMENTS` and do not wait for its end; whatever still runs at the end is killed."""
    started = []

    def begin(*arguments, **further):
        command = [sys.executable, "-W", "error", "-m", "snnc", *map(str, arguments)]
        own = {**environment, **further}
        process = subprocess.Popen(
            command, cwd=folder, env=own, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()


def children_of(process):
    """The processes that `snnc launch` has started, in their order."""
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(number) for number in listed]


def wait_for_epochs(folder, count, process):
    log = folder / "runs" / "blobs" / "metrics.jsonl"
    deadline = time.monotonic() + 100
    while not log.exists() or len(log.read_text().splitlines()) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_eight_devices_learn_what_one_does(folder, run_in, one_device):
    done = run_in(folder, *TRAIN, "--devices", "8")

    run = folder / "runs" / "blobs"
    assert done.returncode == 0, done.stderr
    assert "8 × cpu (virtual devices of the CPU)" in done.stderr
    assert_close(weights_of(run), weights_of(one_device))
    np.testing.assert_allclose(losses_of(run), losses_of(one_device), rtol=1e-3)


def test_two_processes_of_two_devices_learn_what_one_device_does(folder, run_in, one_device):
    done = run_in(folder, "launch", "-n", "2", "--devices", "2", *TRAIN, "--json")

    run = folder / "runs" / "blobs"
    assert done.returncode == 0, done.stderr
    assert "4 × cpu (2 processes, virtual devices of the CPU)" in done.stderr
    assert done.stderr.count("epoch 10/10") == 1  # process 0 alone speaks
    assert json.loads(done.stdout)["epochs"] == 10
    assert len(losses_of(run)) == 10
    assert_close(weights_of(run), weights_of(one_device))


def test_a_killed_process_ends_the_others_and_resume_goes_on(folder, run_in, start, golden):
    """The training that was broken off ends with the numbers of one device that was not."""
    many = ("train", "blobs.snn", "--no-plots", "--epochs", "200", "--checkpoint-every", "0.2")
    launched = start("launch", "-n", "2", *many, "--heartbeat", "5")
    wait_for_epochs(folder, 2, launched)
    os.kill(children_of(launched)[1], signal.SIGKILL)
    _, said = launched.communicate(timeout=60)

    assert launched.returncode == 1
    assert "process 1 of 2 has ended by signal SIGKILL, so the training ends" in said
    # it hears of it from Gloo, or else by the heartbeat; both say how to go on
    assert "snnc launch -n 2 train blobs.snn --epochs 200 --no-plots --resume" in said
    assert "Traceback" not in said
    before = len(losses_of(folder / "runs" / "blobs"))
    assert 2 <= before < 200

    again = run_in(folder, "launch", "-n", "2", *many[:3], "--epochs", str(before + 5), "--resume")
    assert again.returncode == 1  # the run was begun with 200 epochs
    again = run_in(folder, "launch", "-n", "2", *many, "--epochs", "200", "--resume")
    assert again.returncode == 0, again.stderr
    assert "goes on after" in again.stderr
    assert len(losses_of(folder / "runs" / "blobs")) == 200


def test_processes_that_differ_do_not_train(folder, start, golden):
    with socket.socket() as server:
        server.bind(("localhost", 0))
        address = f"localhost:{server.getsockname()[1]}"
    shared = {"SNNC_PROCESSES": "2", "JAX_COORDINATOR_ADDRESS": address}
    both = [start(*TRAIN, "--seed", seed, SNNC_PROCESS=str(seed), **shared) for seed in (0, 1)]
    said = [process.communicate(timeout=60)[1] for process in both]

    assert [process.returncode for process in both] == [1, 1], said
    text = "error[" + said[0].split("error[", 1)[1].split("\n\n")[0] + "\n"
    golden(text, MESSAGES / "E0704.txt")
    assert not (folder / "runs" / "blobs" / "metrics.jsonl").exists()


def test_workers_that_did_not_meet_are_refused(folder, run_in, environment):
    """Ray on a CPU starts workers that never join; each would train a copy of its own."""
    own = {**environment, "SNNC_PROCESSES": "2", "SNNC_PROCESS": "0", "SNNC_STARTER": "Ray Train"}
    command = [sys.executable, "-W", "error", "-m", "snnc", *TRAIN]
    done = subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, timeout=120)

    assert done.returncode == 1
    assert "error[E0704]: Ray Train started 2 processes to train one model, and each of them is alone" in done.stderr
    assert not (folder / "runs").exists()


@pytest.mark.parametrize(("wanted", "found"), [(2, 1), (4, 3)])
def test_a_world_of_another_size_is_refused(wanted, found):
    check_joined(wanted, wanted, "Ray Train")
    with pytest.raises(CompileError, match="E0704"):
        check_joined(wanted, found, "Ray Train")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("launch", "-n", "2", "check", "blobs.snn"), "only `train` runs in several processes"),
        (("launch", "-n", "2", "--ray", "train", "blobs.snn"), "pip install 'snnc[ray]'"),
        (("launch", "-n", "0", "train", "blobs.snn"), "0 is not in the range"),
        (("train", "blobs.snn", "--devices", "0"), "0 is not in the range"),
    ],
)
def test_wrong_use_says_what_is_right(folder, run_in, arguments, words):
    done = run_in(folder, *arguments)

    assert done.returncode == 2
    assert words in re.sub(r"[\s│]+", " ", done.stderr)


def test_sigterm_ends_all_processes_in_order(folder, start):
    launched = start("launch", "-n", "2", "train", "blobs.snn", "--no-plots", "--epochs", "5000")
    wait_for_epochs(folder, 2, launched)
    launched.terminate()
    _, said = launched.communicate(timeout=60)

    assert launched.returncode == 143
    assert "go on with: snnc launch -n 2 train blobs.snn --epochs 5000 --no-plots --resume" in said
