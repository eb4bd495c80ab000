"""The pages under docs/ and the README: their models check, their links lead somewhere, their tables and examples are true.

What stands after ``` decides how a block is checked:

- `snn`: a complete file, which has no error and no warning;
- `snn save NAME`, `snn beside`: a complete file too, which the tutorial saves, or which stands beside another library's model;
- `snn starter NAME`: what `snnc new NAME` writes;
- `snn fragment plain`: items of a file; the edition line and the neurons of `std.neurons` are put before them;
- `snn fragment neuron`: the clauses of one neuron;
- `snn fragment network`: statements of a network with `dt = 1 ms` and `input x : spikes[10]`;
- `snn fragment train`: settings of a recipe on the digits, with `layer h`, `layer out` and `output logits`;
- `error CODE` after any of these: the block is refused (or warned of), and its first finding has that code;
- `snn file PATH`: the text of that file, word for word;
- `python emitted PATH`: lines of what PATH compiles to, in their order; a line of dots stands for what is left out;
- `python function PATH NAME`: that function of what PATH compiles to, written by `docs/tables.py`;
- `python example PATH`: runs in a folder that holds the emitted file of PATH;
- `text dump PHASE PATH`: lines of what `snnc compile --dump PHASE PATH` prints, as in `python emitted`;
- `sh …`, `python save NAME`, `text output`: commands of the tutorial, see `docs/run_tutorial.py`;
- `python simulates …`, `python runs …`, `nestml parses`: see `test_coming_from.py`.
"""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from snnc import pipeline
from snnc.cli import app
from snnc.diagnostics import CompileError

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs"))

import run_tutorial  # noqa: E402
from fenced import Block, blocks_of  # noqa: E402

PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
NEURONS = "import std.neurons (LI, CubaLI, IF, LIF, PLIF, ALIF, CubaLIF)\n"
DIGITS = """\
network Digits {
  dt = 1 ms
  input pixels : real[64]
  layer h   = LIF[16]()
  layer out = LI[10]()
  pixels -> dense() -> h -> dense() -> out
  output logits = mean_over_time(out.v)
}
data digits8 = digits(val = 0.1, test = 0.25) -> hold(duration = 25 ms)
"""


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def select(*words: str) -> list[Block]:
    return [block for block in BLOCKS if block.words[: len(words)] == words]


def complete(block: Block) -> str:
    """Return the file that a block stands for."""
    words = block.words[1:]
    if words[:1] != ("fragment",):
        assert block.text.startswith("edition 2026"), f"{block.name}: a complete file starts with its edition"
        return block.text
    head = "edition 2026\n"
    match words[1]:
        case "plain":
            return head + ("" if "import" in block.text else NEURONS) + block.text
        case "neuron":
            return f"{head}neuron Cell {{\n{block.text}}}\n"
        case "network":
            return f"{head}{NEURONS}network Net {{\ndt = 1 ms\ninput x : spikes[10]\n{block.text}}}\n"
        case "train":
            return f"{head}{NEURONS}{DIGITS}train t of Digits on digits8 {{\n{block.text}}}\n"
        case kind:
            raise AssertionError(f"{block.name}: there are no fragments of kind {kind!r}")


def emitted(path: str) -> str:
    program = pipeline.load(ROOT / path)
    return pipeline.compile_entry(program, pipeline.choose(program, None)).text


@pytest.mark.parametrize("block", [b for b in select("snn") if b.words[1:2] != ("file",)], ids=lambda b: b.name)
def test_a_model_of_the_documentation_checks(block, tmp_path):
    file = tmp_path / "block.snn"
    file.write_text(complete(block), encoding="utf-8")
    expected = block.words[block.words.index("error") + 1] if "error" in block.words else None

    try:
        findings = pipeline.load(file).warnings
    except CompileError as error:
        findings = error.diagnostics

    found = next((finding for finding in findings), None)
    assert expected == (found.code.value if found else None), found and found.render()


@pytest.mark.parametrize("block", select("snn", "file"), ids=lambda b: b.name)
def test_a_quoted_file_is_the_file(block):
    assert (ROOT / block.words[2]).read_text(encoding="utf-8") == block.text


@pytest.mark.parametrize("block", select("python", "emitted"), ids=lambda b: b.name)
def test_quoted_code_is_emitted(block):
    lines = iter(emitted(block.words[2]).splitlines())
    quoted = [line for line in block.text.splitlines() if line.strip() and line.strip().strip(".…")]

    missing = [line for line in quoted if line not in lines]

    assert missing == []


@pytest.mark.parametrize("block", select("text", "dump"), ids=lambda b: b.name)
def test_a_quoted_dump_is_printed(block):
    phase, path = block.words[2:]
    program = pipeline.load(ROOT / path)
    lines = iter(pipeline.dump(program, pipeline.choose(program, None), phase).splitlines())
    quoted = [line for line in block.text.splitlines() if line.strip() and line.strip().strip(".…")]

    missing = [line for line in quoted if line not in lines]

    assert missing == []


@pytest.mark.parametrize("block", select("snn", "starter"), ids=lambda b: b.name)
def test_the_starter_file_is_what_the_command_writes(block, tmp_path):
    command = [sys.executable, "-m", "snnc", "new", block.words[2]]
    subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)

    assert (tmp_path / f"{block.words[2]}.snn").read_text(encoding="utf-8") == block.text


@pytest.mark.parametrize("block", select("python", "example"), ids=lambda b: b.name)
def test_an_example_runs(block, tmp_path):
    path = block.words[2]
    (tmp_path / Path(path).with_suffix(".py").name).write_text(emitted(path), encoding="utf-8")
    (tmp_path / "example.py").write_text(block.text, encoding="utf-8")
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": ""}

    run = subprocess.run(
        [sys.executable, "example.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )

    assert run.returncode == 0, run.stderr


def anchor(title: str) -> str:
    """Return the name that GitHub gives to a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    return {anchor(line.lstrip("# ")) for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("#")}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    broken = []
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"`[^`\n]*`", "", text)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, part = link.partition("#")
        if "://" in link:
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (part and part not in anchors(target)):
            broken.append(link)

    assert broken == []


def test_the_generated_tables_are_up_to_date():
    spec = importlib.util.spec_from_file_location("docs_tables", ROOT / "docs" / "tables.py")
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)

    stale = [page.name for page in tables.pages() if tables.fill(page.read_text()) != page.read_text()]

    assert stale == [], "run `python docs/tables.py`"


def test_every_figure_is_made_by_a_command():
    shown = {path for page in PAGES for path in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page.read_text())}
    figures = {Path(path).name for path in shown}
    figures -= {"digits.png", "rules_memory.png"}  # made by docs/figures.py, and by the command above the figure
    kept = {path.name for path in (ROOT / "docs" / "images").iterdir()}

    assert "--figure docs/rules_memory.png" in (ROOT / "docs" / "results.md").read_text()
    assert figures == kept == set(run_tutorial.figures())  # the whole tutorial (test_tutorial.py) makes each of them


def test_every_phase_that_is_named_can_be_dumped():
    named = {phase for page in PAGES for phase in re.findall(r"--dump (\w+)", page.read_text()) if phase != "PHASE"}

    assert set(pipeline.PHASES) == named


def test_the_readme_names_every_command():
    named = set(re.findall(r"`snnc (\w+)", (ROOT / "README.md").read_text()))
    commands = {command.name for command in app.registered_commands}

    assert commands == named
