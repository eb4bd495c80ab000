"""Text with a name, and places in it: what every diagnostic and every emitted source line points to."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """One file: `path` as the author wrote it (shown in messages), `text` as read."""

    path: str
    text: str = field(repr=False)

    def position(self, offset: int) -> tuple[int, int]:
        """Return the 1-based line and column of `offset`.

        >>> Source("m.snn", "a\\nbc").position(3)
        (2, 2)
        """
        before = self.text[:offset]
        return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1

    def line_text(self, line: int) -> str:
        """Return the 1-based `line` without its newline; empty past the end."""
        lines = self.text.split("\n")
        return lines[line - 1] if line <= len(lines) else ""


@dataclass(frozen=True, slots=True)
class Span:
    """The characters `start:end` of `source`."""

    source: Source
    start: int
    end: int

    @property
    def line(self) -> int:
        return self.source.position(self.start)[0]

    @property
    def column(self) -> int:
        return self.source.position(self.start)[1]

    @property
    def text(self) -> str:
        return self.source.text[self.start : self.end]

    def to(self, other: Span) -> Span:
        """Return the span from the start of this one to the end of `other`."""
        return Span(self.source, self.start, other.end)

    def __str__(self) -> str:
        return f"{self.source.path}:{self.line}"


NOWHERE = Span(Source("<nowhere>", ""), 0, 0)
