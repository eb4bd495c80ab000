"""Finds the fenced blocks of a Markdown page; the words after the fence say what a block is for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Block:
    """A fenced block: the words after the fence, its text, and the numbers of its first and last line."""

    page: Path
    line: int
    end: int
    words: tuple[str, ...]
    text: str

    @property
    def name(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    """Return the blocks of a page in their order; a fence stands at the start of its line."""
    found: list[Block] = []
    words: tuple[str, ...] | None = None
    start, lines = 0, []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.startswith("```"):
            lines.append(line)
        elif words is None:
            words, start, lines = tuple(line[3:].split()), number, []
        else:
            found.append(Block(page, start, number, words, "".join(f"{line}\n" for line in lines)))
            words = None
    assert words is None, f"{page.name}:{start}: this block has no end"
    return found
