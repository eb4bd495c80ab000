"""The look that all plots share: figures without pyplot's global state, one palette, thin frames."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from snnc.harness.files import write_atomically

# Okabe & Ito (2008), ordered so that neighbours differ in lightness too; distinct for colour-blind readers.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#5B5B5B", "#8C6D1F")
INK = "#222222"
FAINT = "#8A8A8A"
_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E9E9E9",
    "grid.linewidth": 0.8,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "legend.fontsize": 9,
    "figure.facecolor": "white",
    "savefig.dpi": 150,
}


@contextmanager
def figure(path: Path, width: float, height: float) -> Iterator[Figure]:
    """Give a figure of that size in inches to draw on; write it to `path` at the end."""
    with matplotlib.rc_context(_STYLE):
        drawing = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(drawing)
        yield drawing
        picture = BytesIO()
        drawing.savefig(picture, format=path.suffix[1:] or "png")
        write_atomically(path, picture.getvalue())


def colour(index: int) -> str:
    """Return a colour of the palette; beyond its end it starts again (see `dashes`).

    >>> colour(0) == colour(8)
    True
    """
    return PALETTE[index % len(PALETTE)]


def dashes(index: int) -> Any:
    """Return the line style that tells apart lines of the same colour."""
    return ("-", (0, (5, 2)), (0, (1.2, 1.6)), (0, (5, 2, 1.2, 2)))[index // len(PALETTE) % 4]


def legend_beside(axes: Axes, entries: int) -> None:
    """Put the legend to the right of the axes, in as many columns as `entries` need."""
    axes.legend(
        loc="center left", bbox_to_anchor=(1.01, 0.5), ncols=1 + (entries - 1) // 16, handlelength=1.8, borderaxespad=0
    )


def grid_of(drawing: Figure, count: int, columns: int) -> tuple[Axes, ...]:
    """Return `count` axes in rows of `columns`; the unused places of the last row stay empty."""
    rows = -(-count // columns)
    return tuple(drawing.add_subplot(rows, columns, index + 1) for index in range(count))


def whole_numbers(axes: Axes) -> None:
    """Let the x axis tick at integers only: epochs."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
