"""`snnc explain FILE --rule RULE`: the traces that a rule derives from the equations, as text and LaTeX."""

from __future__ import annotations

from snnc import model
from snnc.emit.latex import latex_name, latex_text
from snnc.emit.pytext import python_text
from snnc.expr import Apply, Expr, Var, substitute, variables
from snnc.lower.derivatives import ZERO, added, product
from snnc.lower.traces import Jacobian
from snnc.plan import KEPT, OUT, StepPlan
from snnc.rules.paths import is_spiking
from snnc.rules.synapses import Synapses, jacobian_of, synapses_of

SOURCE, SPIKE = Var("s"), OUT + "spike"
SIGNALS = {
    "eprop": "L = the derivative of the loss of the step by the readouts, through their weights or the feedback",
    "decolle": "L = the derivative of the loss of a fixed random readout of the layer",
}
SPATIAL = "L = the derivative of the loss of the step by the spikes, through the layers above, not in time"


def explain_traces(plan: StepPlan, rule: model.Rule) -> str:
    """Return for each weight what its synapses remember and how its gradient adds up, step by step."""
    lines = [f"{rule.name}: traces of a synapse with weight w that carries s, in each step"]
    for synapses in synapses_of(plan, rule):
        lines += ["", *_synapses(plan, synapses, rule)]
    return "\n".join(lines) + "\n"


def _synapses(plan: StepPlan, synapses: Synapses, rule: model.Rule) -> list[str]:
    rows = jacobian_of(plan, synapses.layer)
    assert isinstance(rows, Jacobian)
    spiking = is_spiking(synapses.layer)
    late = f", late by {synapses.late} step{'s' * (synapses.late > 1)}" if synapses.late else ""
    lines = [f"{synapses.node.name}.w into {synapses.layer.name}.{synapses.port} ({synapses.layer.neuron.name}){late}"]
    drive: Expr = SOURCE
    if synapses.coupled:
        drive = Apply("+", (SOURCE, Apply("*", (Var("w_own" if synapses.coupled == "own" else "W"), Var("e")))))
        reach = (
            "its own weight to itself" if synapses.coupled == "own" else "the weights between the neurons of the layer"
        )
        lines.append(f"  a trace also holds what comes back through {reach} ({synapses.recurrent})")
    latex = []
    for slot in synapses.slots:
        value = _row(rows, slot, synapses, drive)
        kind = "one for each source" if slot in synapses.shared else "one for each synapse"
        lines.append(f"  eps_{slot} <- {_plain(value)}   (d{slot}/dw, {kind})")
        latex.append(rf"{_trace(slot)} &\leftarrow {_latex(value)}")
    if spiking:
        value = _row(rows, SPIKE, synapses, drive)
        lines.append(f"  e = {_plain(value)}   (dspike/dw, of the traces before the step)")
        latex.append(rf"e &= {_latex(value)}")
    if rule.name == "eprop" and spiking:
        lines.append("  held <- kappa * held + e   (kappa: what is left of a readout after a step)")
        latex.append(r"\bar{e} &\leftarrow \kappa\, \bar{e} + e")
        lines.append(f"  dw += sum over samples of L * held; {SIGNALS['eprop']}")
        latex.append(r"\Delta w &\mathrel{+}= L\, \bar{e}")
    elif spiking:
        lines.append(f"  dw += sum over samples of L * e; {SIGNALS.get(rule.name, SPATIAL)}")
        latex.append(r"\Delta w &\mathrel{+}= L\, e")
    elif not synapses.slots:
        lines.append("  dw += sum over samples of the derivative of the loss of the step by what arrives, times s")
        latex.append(r"\Delta w &\mathrel{+}= \frac{\partial \ell}{\partial x}\, s")
    else:
        lines.append(
            "  dw += sum over samples of the derivative of the loss of the step by each state, times its trace"
        )
        latex += [
            rf"\Delta w &\mathrel{{+}}= \frac{{\partial \ell}}{{\partial {latex_name(s)}}}\, {_trace(s)}"
            for s in synapses.slots
        ]
    again = [
        a for a in rows.again if any(a.target in variables(e) for e in (*rows.states.values(), *rows.ports.values()))
    ]
    lines += [f"  where {a.target} = {_plain(a.value)}" for a in again]
    return [
        *lines,
        "  as LaTeX:",
        r"    \begin{aligned}",
        *(f"      {line} \\\\" for line in latex),
        r"    \end{aligned}",
    ]


def _row(rows: Jacobian, row: str, synapses: Synapses, drive: Expr) -> Expr:
    """Return a row of the Jacobian times the traces and what acts on the port."""
    total: Expr = ZERO
    for (at, slot), entry in rows.states.items():
        if at == row and slot in synapses.slots:
            total = added(total, product(entry, Var(f"eps.{slot}")))
    entry = rows.ports.get((row, synapses.port), ZERO)
    return total if entry == ZERO else added(total, product(entry, drive))


def _trace(slot: str) -> str:
    return rf"\epsilon_{{{latex_name(slot)}}}"


def _plain(expr: Expr) -> str:
    named = substitute(expr, {v: Var(v.removeprefix(KEPT).replace("eps.", "eps_")) for v in variables(expr)})
    return python_text(named).replace("jnp.", "").replace("**", "^")


def _latex(expr: Expr) -> str:
    """Spell traces as epsilon, and surrogates by their names."""
    slots = [v for v in variables(expr) if v.startswith("eps.")]
    named = {v: Var(v.removeprefix(KEPT)) for v in variables(expr) if v.startswith(KEPT)}
    named |= {v: Var(f"TRACE{k}") for k, v in enumerate(slots)}
    text = latex_text(substitute(expr, named))
    for k, v in enumerate(slots):
        text = text.replace(f"TRACE{k}", _trace(v.removeprefix("eps.")))
    return text.replace(r"\operatorname{surrogate}", r"\psi")
