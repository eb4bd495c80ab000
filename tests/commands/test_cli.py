"""The command line as a user meets it: exit codes, words and files, without a model compiled."""

import subprocess
import sys

import pytest

from snnc.diagnostics import Code

COMMANDS = ("new", "check", "fmt", "explain", "compile", "train", "eval", "run", "data")
UNFORMATTED = "edition 2026\n\n\n\nneuron A{ # leaky\nstate v=-1\nv'=-v/9ms }\n"


def test_help_lists_every_command(snnc):
    result = snnc("--help")

    assert result.returncode == 0
    for command in COMMANDS:
        assert f" {command} " in result.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(snnc, command):
    result = snnc(command, "--help")

    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize(
    "arguments",
    [
        ("no-such-command",),
        ("train",),
        ("train", "missing.snn"),
        ("check", "missing.snn"),
        ("fmt", "missing.snn"),
        ("explain", "missing.snn"),
        ("explain", "E9999"),
        ("new", "2fast"),
        ("new", "no/such/folder"),
    ],
)
def test_wrong_usage_exits_with_2_and_no_traceback(snnc, arguments):
    result = snnc(*arguments)

    assert result.returncode == 2
    assert result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "--epochs", "0"),
        ("train", "--set", "batch"),
        ("train", "--weights", "missing.safetensors"),
        ("train", "--data-dir", "missing"),
        ("eval",),
        ("eval", "--weights", "a.snn", "--split", "tset"),
        ("run", "--input", "pixels=loud"),
        ("run", "--input", "pixels=zero", "--data", "recipe"),
        ("data",),
    ],
)
def test_wrong_options_exit_with_2(snnc, tmp_path, arguments):
    (tmp_path / "a.snn").write_text(UNFORMATTED)
    command, *options = arguments
    result = snnc(command, "a.snn", *options)

    assert result.returncode == 2
    assert "Traceback" not in result.stderr


def test_a_code_has_its_page_or_says_that_it_lacks_one(snnc):
    result = snnc("explain", Code.UNIT_MISMATCH.value.lower())

    assert "E0302" in result.stdout + result.stderr
    assert "Traceback" not in result.stderr


def test_fmt_check_writes_nothing_and_names_the_file(snnc, tmp_path):
    file = tmp_path / "a.snn"
    file.write_text(UNFORMATTED)
    result = snnc("fmt", "--check", "a.snn")

    assert (result.returncode, result.stderr) == (1, "a.snn: not formatted\n")
    assert file.read_text() == UNFORMATTED


def test_fmt_formats_in_place_and_then_has_nothing_to_do(snnc, tmp_path):
    (tmp_path / "a.snn").write_text(UNFORMATTED)
    first, second, check = snnc("fmt", "a.snn"), snnc("fmt", "a.snn"), snnc("fmt", "--check", "a.snn")

    assert (first.returncode, first.stdout) == (0, "a.snn: formatted\n")
    assert (second.returncode, second.stdout) == (0, "")
    assert check.returncode == 0


def test_fmt_goes_on_after_a_file_with_an_error(snnc, tmp_path):
    (tmp_path / "bad.snn").write_text("edition 2026\nneuron {\n")
    (tmp_path / "good.snn").write_text(UNFORMATTED)
    result = snnc("fmt", "bad.snn", "good.snn")

    assert (result.returncode, result.stdout) == (1, "good.snn: formatted\n")
    assert result.stderr.startswith("error[E01")


def test_new_writes_a_formatted_file_once(snnc, tmp_path):
    first, again, check = snnc("new", "my-net"), snnc("new", "my-net.snn"), snnc("fmt", "--check", "my-net.snn")

    assert (first.returncode, first.stdout) == (0, "my-net.snn: try `snnc train my-net.snn`\n")
    assert "network MyNet(" in (tmp_path / "my-net.snn").read_text()
    assert again.returncode == 2
    assert "exists already" in again.stderr
    assert (check.returncode, check.stderr) == (0, "")


def test_the_command_line_loads_nothing_heavy(environment):
    heavy = "{'jax', 'numpy', 'matplotlib', 'optax', 'safetensors', 'rich'}"
    program = f"import sys, snnc.cli; print(sorted({heavy} & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )

    assert result.stdout == "[]\n"
