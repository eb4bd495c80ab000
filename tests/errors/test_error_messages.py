"""Every wrong model of `cases/` prints exactly the text kept beside it."""

from __future__ import annotations

from pathlib import Path

import pytest
from compile_case import findings

from snnc.diagnostics import Code

CASES = sorted((Path(__file__).parent / "cases").glob("*.snn"))

# Raised only while data are read or a training runs: tests/commands/test_run_time_messages.py keeps their messages.
AT_RUN_TIME = sorted((Path(__file__).parent.parent / "commands" / "messages").glob("E*.txt"))


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_the_message_is_the_one_kept_beside_the_model(case, golden, monkeypatch):
    monkeypatch.chdir(case.parent)

    text = "\n\n".join(finding.render() for finding in findings(Path(case.name)))

    golden(text + "\n", case.with_suffix(".txt"))


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_the_code_in_the_name_comes_first_and_alone(case, monkeypatch):
    monkeypatch.chdir(case.parent)

    codes = [finding.code.value for finding in findings(Path(case.name))]

    expected = case.name[:5]
    assert codes[0] == expected or "several" in case.name
    assert codes == [expected] or "several" in case.name or expected == "E0101"


def test_every_code_has_a_case():
    covered = {case.name[:5] for case in CASES} | {file.stem for file in AT_RUN_TIME}

    assert sorted(code.value for code in Code) == sorted(covered)


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_every_message_is_in_house_style(case, monkeypatch):
    """Lower case, no full stop, says what to do, and its caret stands under something."""
    monkeypatch.chdir(case.parent)

    for finding in findings(Path(case.name)):
        assert not finding.message.endswith(".")
        assert finding.message[0] in "`" or not finding.message[0].isupper()
        assert finding.help or finding.note or finding.labels
        assert finding.span.source.path == case.name or finding.span.source.path == "--set"
