"""Findings as a user gets them: for people, as JSON, as annotations of a pull request; all of a file at once."""

import json
from pathlib import Path

import pytest

import snnc as package

CASES = Path(package.__file__).parent.parent / "tests" / "errors" / "cases"
ONE_WARNING = """edition 2026

neuron A {
  param unused = 2
  state v = 0
  v' = -v / 10 ms
}
"""


def take(case, folder):
    """Copy a wrong model into a folder."""
    (folder / f"{case}.snn").write_text((CASES / f"{case}.snn").read_text(encoding="utf-8"), encoding="utf-8")
    return f"{case}.snn"


def test_every_mistake_of_a_file_is_reported_and_nothing_that_only_follows(snnc, tmp_path):
    """Seven independent mistakes: two brackets, a word, a character, a derivative, a unit, a missing value."""
    done = snnc("check", take("E0103_several_syntax_errors", tmp_path), "--json")

    assert done.returncode == 1
    assert [(found["code"], found["line"]) for found in json.loads(done.stdout)] == [
        ("E0103", 2),
        ("E0101", 5),
        ("E0106", 7),
        ("E0102", 7),
        ("E0109", 8),
        ("E0103", 9),
        ("E0101", 15),
    ]


def test_mistakes_of_meaning_are_reported_together_too(snnc, tmp_path):
    done = snnc("check", take("E0201_several_errors", tmp_path), "--json")

    codes = [found["code"] for found in json.loads(done.stdout)]
    assert codes == ["E0301", "E0201", "E0201", "E0201", "E0204", "E0302", "E0201"]


def test_one_unknown_name_is_one_error_however_often_it_is_used(snnc, tmp_path):
    done = snnc("check", take("E0201_several_uses_of_one_name", tmp_path), "--json")

    (found,) = json.loads(done.stdout)
    assert (found["code"], found["line"]) == ("E0201", 7)
    assert len(found["also"]) == 8
    assert {place["line"] for place in found["also"]} == {8, 9, 10, 11, 12, 13}


def test_an_annotation_is_one_line_with_file_line_column_and_code(snnc, tmp_path):
    done = snnc("check", take("E0301_furlong", tmp_path), "--format", "github")

    line, summary = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (1, "")
    assert line.startswith(
        "::error file=E0301_furlong.snn,line=4,endLine=4,col=15,endColumn=24,title=E0301::unknown unit `furlong`%0Aunits are"
    )
    assert summary == "E0301_furlong.snn: 1 error, 0 warnings"


def test_what_ends_an_annotation_early_is_escaped(snnc, tmp_path):
    (tmp_path / "a,b%.snn").write_text("edition 2026\nconst x = 50 %% 2\n")

    done = snnc("check", "a,b%.snn", "--format", "github")

    assert done.stdout.startswith("::error file=a%2Cb%25.snn,line=2,")
    assert "::unexpected `%25`%0A" in done.stdout


@pytest.mark.parametrize("command", ["check", "compile"])
def test_a_warning_is_an_annotation_of_its_own_kind(snnc, tmp_path, command):
    network = "network N {\n  dt = 1 ms\n  input x : real[2]\n  x -> bias() as y\n  output z = mean_over_time(y)\n}\n"
    (tmp_path / "a.snn").write_text(ONE_WARNING + network)

    done = snnc(command, "a.snn", "--format", "github")

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("::warning file=a.snn,line=4,endLine=4,col=3,endColumn=19,title=W0104::nothing reads")


@pytest.mark.parametrize("command", ["compile", "train"])
def test_other_commands_report_in_the_same_formats(snnc, tmp_path, command):
    file = take("E0201_unknown_loss", tmp_path)

    as_json, as_lines = snnc(command, file, "--json"), snnc(command, file, "--format", "github")

    assert (as_json.returncode, as_lines.returncode) == (1, 1)
    assert (as_json.stderr, as_lines.stderr) == ("", "")
    assert [found["code"] for found in json.loads(as_json.stdout)] == ["E0201"]
    assert as_lines.stdout.startswith(f"::error file={file},line=18,")


def test_a_compiled_file_and_its_warnings_are_one_json_object(snnc, tmp_path):
    network = "network N {\n  dt = 1 ms\n  input x : real[2]\n  x -> bias() as y\n  output z = mean_over_time(y)\n}\n"
    (tmp_path / "a.snn").write_text(ONE_WARNING + network)

    done = snnc("compile", "a.snn", "--format", "json")

    result = json.loads(done.stdout)
    assert (done.returncode, result["file"]) == (0, "a.py")
    assert [found["code"] for found in result["warnings"]] == ["W0104"]


def test_two_formats_at_once_are_refused(snnc, tmp_path):
    (tmp_path / "a.snn").write_text(ONE_WARNING)

    assert snnc("check", "a.snn", "--json", "--format", "github").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (("trian", "a.snn"), "train"),
        (("check", "a.snn", "--jsn"), "--json"),
        (("compile", "a.snn", "--dump", "plam"), "`plan`"),
        (("explain", "E0320"), "`E0303`"),
        (("explain", "aa.snn"), "`a.snn`"),
    ],
)
def test_a_misspelled_word_of_the_command_line_is_guessed(snnc, tmp_path, arguments, meant):
    (tmp_path / "a.snn").write_text(ONE_WARNING)

    done = snnc(*arguments)

    assert done.returncode == 2
    assert meant in done.stderr
