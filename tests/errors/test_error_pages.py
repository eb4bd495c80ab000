"""Every code has a page for `snnc explain CODE`, whose wrong example gives that code and whose right one gives nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from compile_case import findings

import snnc
from snnc.diagnostics import Code

PAGES = Path(snnc.__file__).parent / "explain"

# What cannot be shown in a fenced block: a text of a megabyte, bytes, files that are missing, a command line.
WITHOUT_EXAMPLE = {
    Code.TOO_LARGE, Code.NOT_TEXT, Code.NO_DATA, Code.BAD_DATA, Code.BAD_WEIGHTS, Code.DIVERGED, Code.BAD_PATH,
    Code.CANNOT_RESUME, Code.FOLDER_IN_USE, Code.CANNOT_WRITE, Code.MISSING_PACKAGE,
    Code.OUT_OF_MEMORY, Code.RUN_FAILED, Code.NO_SUCH_DEVICES, Code.NOT_JOINED, Code.PROCESS_LOST,
}  # fmt: skip
WITH_EXAMPLE = [code for code in Code if code not in WITHOUT_EXAMPLE]

# Examples are parts of a file; this is the rest of it.
NETWORK = """
network Net {
  dt = 1 ms
  input pixels : real[64]
  layer out = LI[10]()
  pixels -> dense() -> out
  output logits = mean_over_time(out.v)
}
"""
DATA = "\ndata digits8 = digits(val = 0.1, test = 0.25) -> hold(duration = 25 ms)\n"


def blocks(code: Code) -> list[str]:
    return re.findall(r"```snn\n(.*?)```", (PAGES / f"{code.value}.md").read_text(encoding="utf-8"), re.DOTALL)


def whole_file(example: str, code: Code) -> str:
    """Add what an example leaves out."""
    if code is not Code.NO_EDITION and not example.startswith("edition"):
        imports = "" if "import" in example else "import std.neurons (LIF, LI)\n"
        example = f"edition 2026\n{imports}\n{example}"
    if "of Net" in example and "network Net" not in example:
        example += NETWORK
    if "on digits8" in example and "data digits8" not in example:
        example += DATA
    return example


def codes_of(example: str, code: Code, folder: Path) -> list[str]:
    path = folder / f"{code.value}.snn"
    path.write_text(whole_file(example, code), encoding="utf-8")
    return [finding.code.value for finding in findings(path)]


def test_every_code_has_a_page_and_every_page_a_code():
    assert sorted(code.value for code in Code) == sorted(page.stem for page in PAGES.glob("*.md"))


@pytest.mark.parametrize("code", list(Code), ids=lambda code: code.value)
def test_a_page_is_titled_by_its_code_and_short(code):
    text = (PAGES / f"{code.value}.md").read_text(encoding="utf-8")

    assert text.startswith(f"# {code.value}: ")
    assert len(text.splitlines()) <= 60
    assert len(blocks(code)) == (0 if code in WITHOUT_EXAMPLE else 2)


@pytest.mark.parametrize("code", WITH_EXAMPLE, ids=lambda code: code.value)
def test_the_wrong_example_gives_the_code(code, tmp_path):
    assert codes_of(blocks(code)[0], code, tmp_path) == [code.value]


@pytest.mark.parametrize("code", WITH_EXAMPLE, ids=lambda code: code.value)
def test_the_right_example_gives_nothing(code, tmp_path):
    assert codes_of(blocks(code)[1], code, tmp_path) == []
