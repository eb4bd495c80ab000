"""Runs the tutorial as a reader does: files are saved, commands are typed, in the order of the pages.

    python docs/run_tutorial.py [--write] [--quick] [--fresh CHECKOUT] [--data-dir DIR] FOLDER

FOLDER must be empty or new. Blocks are marked by the words after the fence:

- `snn save NAME`, `python save NAME`: the text becomes that file;
- `sh setup`: makes the environment; run only with --fresh, where CHECKOUT is put into FOLDER as `snnc`;
- `sh quick`: commands that the ordinary tests run too; `sh`: commands that only the whole run has;
- `sh data`: needs `mnist.npz`; left out without --data-dir;
- `text output`: what the commands above it print; a line `…` stands for lines that are left out.

With --write the outputs on the pages and the figures in docs/images are replaced by those of this run. A figure is named
after its file: `runs/digits/curves.png` is `images/runs-digits-curves.png`. Without --write an output that differs, numbers
aside, or an accuracy that differs by more than 0.02, ends the run with exit code 1.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fenced import Block, blocks_of

DOCS = Path(__file__).resolve().parent
PAGES = (DOCS / "tutorial" / "index.md", *sorted((DOCS / "tutorial").glob("[0-9]*.md")))
DOTS = "…"
_HIDDEN = re.compile(r"^(freed memory kept|compiled programs cached|memory kept|Writing to)")
_NUMBER = re.compile(r"\d[\d,]*(\.\d+)?(e[-+]?\d+)?")
_IMAGE = re.compile(r"!\[[^\]]*\]\(\.\./images/([^)]+)\)")
_ACCURACY = re.compile(r"accuracy: (\d\.\d+)")


@dataclass(frozen=True)
class Done:
    """A block of commands that ran: the output block below it on the page, if any, and what was printed."""

    block: Block
    expected: Block | None
    printed: str
    seconds: float


class TutorialError(Exception):
    """A command failed."""


def steps(quick: bool, fresh: bool, data: bool) -> Iterator[tuple[Block, Block | None]]:
    """Give the blocks to save or run in their order, each with the output block that follows it."""
    for page in PAGES:
        blocks = blocks_of(page)
        for block, after in zip(blocks, [*blocks[1:], None], strict=True):
            language, word, *_ = (*block.words, "", "")
            saved = word == "save"
            wanted = {"setup": fresh, "quick": True, "data": data and not quick, "": not quick}
            run = language == "sh" and wanted[word]
            if saved or run:
                yield block, after if after is not None and after.words == ("text", "output") else None


def run(
    folder: Path, *, quick: bool = False, fresh: Path | None = None, data_dir: Path | None = None
) -> Iterator[Done]:
    """Follow the tutorial in `folder`; give each block of commands after it ran.

    Raises:
        TutorialError: a command failed; the message has the command and what it printed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    assert not any(folder.iterdir()), f"{folder} is not empty"
    environment = {**os.environ, "JAX_PLATFORMS": os.environ.get("JAX_PLATFORMS", "cpu")}
    if fresh is None:
        commands, place = _commands(folder / ".commands"), folder
    else:
        (folder / "snnc").symlink_to(fresh.resolve())
        commands, place = folder / "snnc-env" / "bin", folder / "tutorial"
        environment.pop("PYTHONPATH", None)
    for block, expected in steps(quick, fresh is not None, data_dir is not None):
        if block.words[1:2] == ("save",):
            (place / block.words[2]).write_text(block.text, encoding="utf-8")
            continue
        setup = block.words[1:2] == ("setup",)
        if block.words[1:2] == ("data",) and data_dir is not None and not (place / "data").exists():
            (place / "data").mkdir()
            shutil.copy(data_dir / "mnist.npz", place / "data")
        path = os.environ["PATH"] if setup else f"{commands}{os.pathsep}{os.environ['PATH']}"
        began = time.perf_counter()
        process = subprocess.run(
            ["bash", "-euc", block.text],
            cwd=folder if setup else place,
            env={**environment, "PATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        printed = "\n".join(line.rstrip() for line in process.stdout.splitlines() if not _HIDDEN.match(line))
        if process.returncode != 0:
            raise TutorialError(f"{block.name}: exit code {process.returncode}\n{block.text}\n{printed}")
        yield Done(block, expected, printed, time.perf_counter() - began)


def _commands(folder: Path) -> Path:
    """Write `snnc` and `python` as commands of this interpreter; return their folder."""
    folder.mkdir()
    for name, words in (("snnc", "-m snnc "), ("python", "")):
        (folder / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words}"$@"\n')
        (folder / name).chmod(0o755)
    return folder


def shortened(printed: str, shown: str) -> str:
    """Return what was printed with as many first and last lines as the page shows around a line of dots.

    >>> shortened("a\\nb\\nc\\nd", "1\\n…\\n9\\n")
    'a\\n…\\nd\\n'
    """
    lines, old = printed.splitlines(), shown.splitlines()
    if DOTS in old:
        head, tail = old.index(DOTS), len(old) - old.index(DOTS) - 1
        lines = [*lines[:head], DOTS, *lines[len(lines) - tail :]] if len(lines) > head + tail else lines
    return "".join(f"{line}\n" for line in lines)


def differs(done: Done) -> str:
    """Return in words how the output differs from the page's, "" where it does not."""
    if done.expected is None:
        return ""
    found, shown = shortened(done.printed, done.expected.text), done.expected.text
    if _masked(found) != _masked(shown):
        return f"{done.expected.name}: the page shows\n{shown}\nand the command printed\n{found}"
    for new, old in zip(_ACCURACY.findall(found), _ACCURACY.findall(shown), strict=True):
        if abs(float(new) - float(old)) > 0.02:
            return f"{done.expected.name}: accuracy {old} on the page, {new} now"
    return ""


def _masked(text: str) -> list[list[str]]:
    """Return the words of each line with every number replaced, and marks of selected epochs left out."""
    return [
        [word for word in _NUMBER.sub("#", line).split() if word != "*" and set(word) != {"-"}]
        for line in text.splitlines()
    ]


def figures() -> list[str]:
    """Return the names of the tutorial's figures in docs/images."""
    return sorted({name for page in PAGES for name in _IMAGE.findall(page.read_text(encoding="utf-8"))})


def figure_file(folder: Path, name: str) -> Path | None:
    """Return the file of a tutorial's folder that a figure was made from."""
    files = [file for file in folder.rglob("*.png") if "-".join(file.relative_to(folder).parts) == name]
    return files[0] if files else None


def write_back(finished: list[Done], place: Path) -> None:
    """Replace the outputs on the pages and the figures by those of this run."""
    for page in PAGES:
        lines = page.read_text(encoding="utf-8").splitlines(keepends=True)
        for done in reversed([d for d in finished if d.expected is not None and d.block.page == page]):
            assert done.expected is not None
            lines[done.expected.line : done.expected.end - 1] = [shortened(done.printed, done.expected.text)]
        page.write_text("".join(lines), encoding="utf-8")
    for name in figures():
        file = figure_file(place, name)
        if file is None:
            print(f"no command made {name}")
        else:
            shutil.copy(file, DOCS / "images" / name)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--fresh", type=Path)
    parser.add_argument("--data-dir", type=Path)
    given = parser.parse_args()
    finished, wrong = [], []
    for done in run(given.folder, quick=given.quick, fresh=given.fresh, data_dir=given.data_dir):
        finished.append(done)
        print(f"{done.seconds:7.1f} s  {done.block.name}  {done.block.text.strip().splitlines()[0]}", flush=True)
        if not given.write and (text := differs(done)):
            wrong.append(text)
    print(f"{sum(done.seconds for done in finished):7.1f} s  in all")
    if given.write:
        write_back(finished, given.folder / "tutorial" if given.fresh else given.folder)
    print("\n".join(wrong), end="")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
