"""`snnc explain` of a gradient by spike times: the adjoint with its jumps, in the author's names, as text and LaTeX."""

from __future__ import annotations

from snnc.emit.latex import latex_name, latex_text
from snnc.emit.pytext import python_text
from snnc.expr import Apply, Expr, Num, Var
from snnc.lower.crossings import dynamics, times
from snnc.lower.derivatives import ZERO, added, negative
from snnc.plan import Body, Crossing, Fire

WORD = "l_"  # l_v is the derivative of the loss by v


def crossing_lines(body: Body) -> list[str]:
    """Return the adjoint of a body whose spikes stand for their times; nothing for other bodies."""
    crossings = [(s.note, s.crossing) for s in body.statements if isinstance(s, Fire) and s.crossing is not None]
    if not crossings and not body.drifts:
        return []
    lines = [
        "  gradient by spike times, backwards in time (l_a is the derivative of the loss by a, t that of a spike):"
    ]
    latex = []
    matrix = dynamics(body.neuron, body.ports).matrix
    for state in matrix:
        slope = _total([times(row[state], Var(WORD + other)) for other, row in matrix.items() if state in row])
        lines.append(f"    between spikes: -{WORD}{state}' = {_plain(slope)}")
        latex.append(rf"-\dot{{\lambda}}_{{{latex_name(state)}}} &= {latex_text(slope)}")
    for note, crossing in crossings:
        moved = _moved(crossing)
        lines.append(f"    at `{note}`: l_margin = {_plain(moved)}")
        latex.append(rf"\lambda_{{g}} &= {latex_text(moved)}")
    if crossings:
        lines.append("      with the states before the reset and l_a after it; then the reset transposed")
    for drift in body.drifts:
        by_time = _total([negative(times(term, Var(WORD + state))) for state, term in drift.terms])
        lines.append(f"    by the time of what arrives at {drift.port}, per size: {_plain(by_time)}")
        latex.append(rf"\partial_t {latex_name(drift.port)} &= {latex_text(by_time)}")
    lines += ["  as LaTeX:", r"    \begin{aligned}"]
    lines += [f"      {line} \\\\" for line in latex]
    lines.append(r"    \end{aligned}")
    return lines


def _moved(crossing: Crossing) -> Expr:
    """(sum of l_a change_a - l_t) / slope of the margin."""
    total = _total([times(change, Var(WORD + state)) for state, change in crossing.change])
    rise = Apply("max", (crossing.rise, Num(crossing.floor)))
    return Apply("/", (added(total, negative(Var("l_t"))), rise))


def _total(terms: list[Expr]) -> Expr:
    total: Expr = ZERO
    for term in terms:
        total = added(total, term)
    return total


def _plain(expr: Expr) -> str:
    return python_text(expr).replace("jnp.", "").replace("**", "^").replace("maximum", "max")
