"""What goes wrong while a model runs is shown at its line of the `.snn`, and a fault of ours says how to report it."""

import json
import subprocess
import sys

import pytest

# Runs the command line with one text of the emitted file replaced by another, as if the compiler had a fault.
BROKEN = """\
import dataclasses, sys
from snnc import pipeline
from snnc.cli import main
old, new, *sys.argv[1:] = sys.argv[1:]
compile_entry = pipeline.compile_entry
def broken(*arguments):
    compiled = compile_entry(*arguments)
    assert old in compiled.text
    return dataclasses.replace(compiled, text=compiled.text.replace(old, new))
pipeline.compile_entry = broken
main()
"""
# The process may take 64 GB of addresses, so that a terabyte is refused wherever the test runs.
LIMITED = "import resource\nresource.setrlimit(resource.RLIMIT_AS, (64 * 10**9, 64 * 10**9))\n" + BROKEN
PLAIN = "from snnc.cli import main\nmain()\n"
FAULTY = "from snnc import cli, pipeline\npipeline.load = lambda *_, **__: [][1]\ncli.main()\n"
READOUT = ("h_out_dense = dense_over_time(h.spike", "h_out_dense = dense_over_time(h.spike[..., :3]")
TRAIN = ("train", "blobs.snn", "--no-plots")


@pytest.fixture
def run_program(tmp_path, environment, write_model):
    """Run a program of Python in a folder with blobs.snn and its data."""

    def run(program, *arguments, **variables):
        write_model(tmp_path)
        return subprocess.run(
            [sys.executable, "-c", program, *arguments],
            cwd=tmp_path,
            env={**environment, "TMPDIR": str(tmp_path), **variables},
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


def test_a_failure_inside_a_neuron_is_shown_there_and_at_its_layer(run_program, tmp_path):
    done = run_program(BROKEN, "v = v + x", "v = v + x[:, :3]", *TRAIN)

    assert done.returncode == 3
    assert "error[E0702]: the compiled model failed: TypeError: add got incompatible shapes" in done.stderr
    assert "--> std/neurons.snn:" in done.stderr
    assert "|   on x at end { v += x }" in done.stderr
    assert "::: blobs.snn:9:3" in done.stderr
    assert "|   layer h = PLIF[hidden]()" in done.stderr
    assert "v = v + x[:, :3]" in done.stderr
    assert "please report it" in done.stderr
    assert "Traceback" not in done.stderr
    (kept,) = tmp_path.glob("snnc-traceback-*.txt")
    assert "Traceback (most recent call last)" in kept.read_text()
    assert "snnc 0." in kept.read_text()


def test_a_failure_inside_a_helper_is_shown_at_the_edge_that_calls_it(run_program):
    done = run_program(BROKEN, *READOUT, *TRAIN, "--format", "github")

    assert done.returncode == 3
    (line,) = done.stdout.splitlines()
    assert line.startswith(
        "::error file=blobs.snn,line=13,endLine=13,col=3,endColumn=22,title=E0702::the compiled model"
    )


def test_a_failure_as_json_is_a_list_of_one_finding(run_program):
    done = run_program(BROKEN, *READOUT, *TRAIN, "--json")

    (found,) = json.loads(done.stdout)
    assert done.returncode == 3
    assert (found["code"], found["file"], found["line"]) == ("E0702", "blobs.snn", 13)


@pytest.mark.parametrize("where", ["first", "last", "variable"])
def test_the_whole_traceback_is_printed_on_request(run_program, tmp_path, where):
    arguments = {"first": ("--traceback", "check", "blobs.snn"), "last": ("check", "blobs.snn", "--traceback")}
    variables = {"SNNC_TRACEBACK": "1"} if where == "variable" else {}
    done = run_program(FAULTY, *arguments.get(where, ("check", "blobs.snn")), **variables)

    assert done.returncode == 3
    assert done.stderr.startswith("Traceback (most recent call last)")
    assert "internal error: IndexError: list index out of range" in done.stderr
    assert not list(tmp_path.glob("snnc-traceback-*.txt"))


def test_a_fault_of_ours_is_told_in_three_lines(run_program, tmp_path):
    done = run_program(FAULTY, "check", "blobs.snn")

    (kept,) = tmp_path.glob("snnc-traceback-*.txt")
    assert done.returncode == 3
    assert done.stderr.splitlines() == [
        "internal error: IndexError: list index out of range",
        "this is most likely a fault of snnc and not of your file: please report it, with your .snn file",
        f"and with {kept}, which holds the traceback",
    ]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits its own memory")
def test_memory_that_runs_out_is_a_finding(run_program):
    done = run_program(
        LIMITED, "dense_over_time(h.spike", "np.empty((10**7, 10**7)).sum() * dense_over_time(h.spike", *TRAIN
    )

    assert done.returncode == 1
    assert "error[E0701]: the memory of this device is not enough" in done.stderr
    assert "--> blobs.snn:13:3" in done.stderr
    assert "|   h -> dense() -> out" in done.stderr
    assert "= help: make the batch smaller" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_nan_that_jax_was_told_to_look_for_is_shown_at_its_line(run_program):
    done = run_program(PLAIN, *TRAIN, "--set", "baseline.optimizer.lr=1e38", JAX_DEBUG_NANS="1")

    assert done.returncode == 1
    assert "error[E0609]: a number is no longer finite here" in done.stderr
    assert "--> blobs.snn:" in done.stderr
    assert "Traceback" not in done.stderr
