"""Draws what depends on itself, with the place of each part."""

from __future__ import annotations

from collections.abc import Sequence

from snnc.diagnostics import printable
from snnc.source import Span

_MAX_WIDTH = 100  # columns of one line of a drawing; the parts of a longer circle stand below each other


def draw_circle(parts: Sequence[tuple[str, Span]]) -> str:
    """Return a drawing of a circle of parts, each of which leads to the next, and the last to the first.

    >>> from snnc.source import Source
    >>> source = Source("m.snn", "a\\nb")
    >>> print(draw_circle((("a", Span(source, 0, 1)), ("b", Span(source, 2, 3)))))
    a (line 1) -> b (line 2) -+
    ^                         |
    +-------------------------+
    """
    home = parts[0][1].source
    words = [
        f"{name} (line {span.line})" if span.source is home else f"{name} ({printable(span.source.path)}:{span.line})"
        for name, span in parts
    ]
    line = " -> ".join(words) + " -+"
    if len(line) > _MAX_WIDTH:
        return "\n".join([f"+-> {words[0]}", *(f"|-> {word}" for word in words[1:]), "+-- and again"])
    return "\n".join([line, "^" + " " * (len(line) - 2) + "|", "+" + "-" * (len(line) - 2) + "+"])
