"""`snnc surrogates`: every surrogate of the standard library side by side, with its peak, half-width and area."""

from __future__ import annotations

from dataclasses import dataclass
from math import isinf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes

    from snnc import model

SHOWN = 2.5  # margins drawn, on either side of the threshold
LOW, TOP = 0.1, 1.25  # peaks outside are drawn at height 1, by a factor that the panel names
COLUMNS = 5


@dataclass(frozen=True, slots=True)
class Facts:
    """A surrogate at its defaults: `half_width` is the largest distance with half the peak, `area` may be infinite."""

    name: str
    formula: str
    peak: float
    half_width: float
    area: float
    use: model.SurrogateUse


def surrogates(
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE.png", help="Draw all of them into this picture.")
    ] = None,
) -> None:
    """List the surrogate gradients of the standard library with peak, half-width and area at their defaults."""
    facts = [measure(use, formula) for use, formula in standard_surrogates()]
    width = max(len(fact.name) for fact in facts)
    typer.echo(f"{'name':<{width}} {'peak':>10} {'half-width':>11} {'area':>10}")
    for fact in facts:
        numbers = (_number(fact.peak), _number(fact.half_width), _number(fact.area))
        typer.echo(f"{fact.name:<{width}} {numbers[0]:>10} {numbers[1]:>11} {numbers[2]:>10}")
    if out is not None:
        draw_surrogates(out, facts)
        typer.echo(out)


def standard_surrogates() -> tuple[tuple[model.SurrogateUse, str], ...]:
    """Return each surrogate of std.surrogates at its defaults, with its formula as the author wrote it."""
    from snnc import model
    from snnc.diagnostics import Findings
    from snnc.semantics.expressions import resolve
    from snnc.semantics.modules import standard_module
    from snnc.semantics.scope import Scope
    from snnc.semantics.surrogates import surrogate_function
    from snnc.syntax import nodes

    module = standard_module("surrogates")
    scope = Scope({}, module, Findings())
    found = []
    for name in module.defined(nodes.Surrogate):
        item = module.own[name]
        assert isinstance(item, nodes.Surrogate)
        defaults = [formal.default for formal in item.formals[1:]]
        args = tuple(resolve(default, scope).expr for default in defaults if default is not None)
        assert len(args) == len(defaults), f"a parameter of {name} has no default"
        formula = " ".join(item.body.span.text.split())
        found.append((model.SurrogateUse(surrogate_function(item, module, scope), args), formula))
    scope.findings.stop_on_errors()
    return tuple(found)


def measure(use: model.SurrogateUse, formula: str = "") -> Facts:
    """Return peak, half-width and area of a surrogate with constant arguments."""
    from snnc.surrogate_facts import measure_surrogate

    facts = measure_surrogate(use, {})
    return Facts(use.function.name, formula, facts.peak, facts.half_width, facts.area, use)


def draw_surrogates(path: Path, facts: list[Facts]) -> Path:
    """Draw every surrogate over the margin in a panel of its own, all on the same axes."""
    from snnc.harness.plot_style import figure, grid_of

    rows = -(-len(facts) // COLUMNS)
    with figure(path, 3.1 * COLUMNS, 2.2 * rows + 0.3) as drawing:
        panels = grid_of(drawing, len(facts), COLUMNS)
        for index, (axes, fact) in enumerate(zip(panels, facts, strict=True)):
            signed = _draw(axes, fact)
            axes.tick_params(labelleft=signed or index % COLUMNS == 0, labelbottom=index + COLUMNS >= len(facts))
        drawing.supxlabel("margin (state − threshold) / scale", fontsize=10)
        drawing.supylabel("derivative of the spike", fontsize=10)
    return path


def _draw(axes: Axes, fact: Facts) -> bool:
    """Draw one panel; return whether its vertical axis differs from the others', which have no negative half."""
    import numpy as np

    from snnc.harness.plot_style import FAINT, colour

    margins = np.linspace(-SHOWN, SHOWN, 2001)
    values = _values(fact.use, margins)
    factor = 1.0 if LOW < fact.peak <= TOP else 1 / fact.peak
    jumps = np.abs(np.diff(values, append=values[-1])) > 0.2 * fact.peak
    line = np.where(jumps, np.nan, values * factor)  # no vertical strokes where the function jumps
    signed = bool(values.min() < -0.5 * fact.peak)
    axes.axvline(0, color="#C8C8C8", linewidth=0.8, zorder=1)
    axes.fill_between(margins, 0, values * factor, color=colour(0), alpha=0.12, linewidth=0)
    axes.plot(margins, line, color=colour(0))
    axes.set(
        xlim=(-SHOWN, SHOWN), ylim=(-1.3, 1.3) if signed else (-0.15, 1.3), yticks=(-1, 0, 1) if signed else (0, 0.5, 1)
    )
    axes.set_title(fact.name, pad=27)
    small: Any = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "top"}
    formula: Any = {"fontsize": 7, "color": "#555555", "family": "monospace"}
    axes.annotate(_wrapped(fact.formula), (0, 1), (0, 20), **small, **formula)
    note = f"peak {_number(fact.peak)}\narea {_number(fact.area)}" + ("" if factor == 1 else f"\ndrawn × {factor:.3g}")
    axes.annotate(note, (1, 1), (-4, -3), **small, ha="right", fontsize=7.5, color=FAINT)
    return signed


def _values(use: model.SurrogateUse, margins: np.ndarray) -> np.ndarray:
    from snnc.surrogate_facts import surrogate_values

    return surrogate_values(use, margins, {})


def _wrapped(formula: str, width: int = 42) -> str:
    """Shorten a formula to two lines.

    >>> _wrapped("1 / (1 + beta * abs(x))^2")
    '1 / (1 + beta * abs(x))^2'
    """
    from textwrap import wrap

    lines = wrap(formula, width)
    return "\n".join(lines) if len(lines) < 3 else "\n".join((lines[0], f"{lines[1][: width - 2]} …"))


def _number(value: float) -> str:
    """Return a fact in four digits.

    >>> _number(2.0), _number(float("inf"))
    ('2', 'unbounded')
    """
    return "unbounded" if isinf(value) else f"{value:.4g}"
