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
from snnc.harness.processes import check_joined, process_lost

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


def kill_one_and_resume(folder, start, run_in, epochs, number):
    """Kill process `number` of two in the middle, look at what is said, and go on to the end."""
    many = ("train", "blobs.snn", "--no-plots", "--epochs", epochs, "--checkpoint-every", "0.5")
    launched = start("launch", "-n", "2", *many, "--heartbeat", "5")
    wait_for_epochs(folder, 2, launched)
    os.kill(children_of(launched)[number], signal.SIGKILL)
    _, said = launched.communicate(timeout=100)

    assert launched.returncode == 1
    assert "process " in said
    assert " of 2 has ended " in said
    assert f"train blobs.snn --epochs {epochs} --no-plots --resume" in said
    assert "Traceback" not in said
    assert 2 <= len(losses_of(folder / "runs" / "blobs")) < epochs
    again = run_in(folder, "launch", "-n", "2", *many, "--resume")
    assert again.returncode == 0, again.stderr
    assert "goes on after" in again.stderr


def test_a_killed_process_ends_the_others_and_resume_goes_on(folder, run_in, start):
    """The other process hears of it from Gloo, or else by the heartbeat, and says how to go on."""
    kill_one_and_resume(folder, start, run_in, 30, 1)

    assert len(losses_of(folder / "runs" / "blobs")) == 30


@pytest.mark.long
@pytest.mark.parametrize("number", [0, 1])
def test_what_was_killed_and_resumed_has_the_uninterrupted_numbers(folder, run_in, start, tmp_path, number):
    whole = run_in(folder, "launch", "-n", "2", *TRAIN[:3], "--epochs", "60", "--out", "whole")
    assert whole.returncode == 0, whole.stderr
    kill_one_and_resume(folder, start, run_in, 60, number)

    found, expected = weights_of(folder / "runs" / "blobs"), weights_of(folder / "whole")
    assert all(np.array_equal(found[name], value) for name, value in expected.items())
    assert losses_of(folder / "runs" / "blobs") == losses_of(folder / "whole")


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
        (("launch", "-n", "0", "train", "blobs.snn"), "should be greater than or equal to 1"),
        (("train", "blobs.snn", "--devices", "0"), "should be greater than or equal to 1"),
    ],
)
def test_wrong_use_says_what_is_right(folder, run_in, arguments, words):
    done = run_in(folder, *arguments)

    assert done.returncode == 2
    assert words in re.sub(r"[\s│]+", " ", done.stderr)


@pytest.mark.long
def test_sigterm_ends_all_processes_in_order(folder, start):
    launched = start("launch", "-n", "2", "train", "blobs.snn", "--no-plots", "--epochs", "5000")
    wait_for_epochs(folder, 2, launched)
    launched.terminate()
    _, said = launched.communicate(timeout=60)

    assert launched.returncode == 143
    assert "go on with: snnc launch -n 2 train blobs.snn --epochs 5000 --no-plots --resume" in said


def test_a_lost_process_is_explained(golden):
    error = RuntimeError("UNKNOWN: Gloo all-reduce failed: [pair.cc:538] Read error: Connection reset by peer")
    [finding] = process_lost(error, "snnc launch -n 2 train blobs.snn").diagnostics

    golden(finding.render() + "\n", MESSAGES / "E0705.txt")
