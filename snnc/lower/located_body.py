"""The step of a neuron whose spikes are located: it runs to its crossing, is reset there, and runs on to the end of the step."""

from __future__ import annotations

from snnc import model
from snnc.expr import Expr, Num, Var, substitute, variables
from snnc.lower.body import Extra, expressions
from snnc.lower.crossings import Dynamics, NoCrossingError, crossing_of, dynamics
from snnc.lower.derivatives import ZERO, added, product
from snnc.lower.located import refusal, series_order, system_matrix
from snnc.lower.solve import ordered
from snnc.plan import Assign, Body, Locate, Published, Slot, Statement
from snnc.units import unit_name

FLOOR = 0.005  # per ms, the least rise of a margin that counts in a derivative


def lower_located(layer: model.Layer, name: str, connected: tuple[str, ...], extra: Extra, dt: float) -> Body:
    """Return the body of a spiking layer of a located network (`snnc.lower.located.on_the_grid`).

    Raises:
        CompileError: E0901 with what keeps its spikes from being located.
    """
    neuron = layer.neuron
    rule = neuron.spikes[0]
    wrong = (
        "has several `spike` blocks" if len(neuron.spikes) > 1
        else "fires at random" if rule.margin is None
        else "is refractory" if neuron.refractory is not None
        else "emits spikes of different sizes" if rule.emit is not None
        else "fires when its condition `rising`" if rule.rising
        else f"is read as `{extra.tested[0]}.pre`" if extra.tested
        else "has a name `rest`, which is that of the time after a spike"
        if "rest" in {*(s.name for s in neuron.states), *connected, *(p.name for p in neuron.params)}
        else ""
    )  # fmt: skip
    if wrong:
        raise refusal(layer.span, f"`{neuron.name}` {wrong}", "use `events = grid`")
    ports = tuple(port.name for port in neuron.ports if port.name in connected)
    defaults = {p.name: p.default or Num(0.0) for p in neuron.ports if p.name not in connected}
    try:
        system = dynamics(neuron, connected)
        crossing_of(neuron, rule, system, 0, 0.0)
    except NoCrossingError as error:
        raise refusal(layer.span, f"`{neuron.name}` {error.reason}", error.help) from None
    order = series_order(system_matrix(layer, dt), dt)
    assert order is not None  # refused before
    assert rule.margin is not None
    if any(p.kind != "event" and p.name in ports for p in neuron.ports):
        raise refusal(layer.span, f"`{layer.name}` has an edge to an input port", "use `events = grid`")
    names = tuple(s.name for s in neuron.states)
    coefficients: list[Assign] = []
    slopes = tuple(_slope(n, names, system, coefficients) for n in names)
    after: dict[str, Expr] = {n: Var(n) for n in names} | {u.target: u.value for u in rule.resets}
    notes = (*(u.span.text for u in neuron.equations), rule.span.text.replace("\n", " "))
    located = Locate(
        names, slopes, rule.margin, tuple(after[n] for n in names), order, FLOOR, notes,
        rule.span,
    )  # fmt: skip
    jumps = tuple(Assign(u.target, substitute(u.value, defaults), u.span.text, u.span) for u in neuron.end_jumps)
    statements: list[Statement] = [located, *ordered(tuple(j for j in jumps if j.value != Var(j.target)))]
    used = {v for s in statements for e in expressions(s) for v in variables(e)}
    units = {p.name: unit_name(p.dimension) for p in neuron.ports}
    published = [Published("spike", "spike", "1"), Published("rest", "rest", "ms")]
    published += [Published(s.name, s.name, unit_name(s.dimension)) for s in neuron.states]
    published += [Published(port, port, units[port]) for port in extra.ports]
    return Body(
        name, neuron, ports,
        tuple(Slot(s.name, unit_name(s.dimension), s.init, carry=s.carry) for s in neuron.states),
        tuple(coefficients), (*(p.name for p in neuron.params if p.name in used), *(c.target for c in coefficients)),
        tuple(statements), tuple(published), False,
        f"exact, spikes located by a series of order {order}",
    )  # fmt: skip


def _slope(state: str, names: tuple[str, ...], system: Dynamics, coefficients: list[Assign]) -> Expr:
    """Return a row of A x + b with its entries as coefficients: products are faster than quotients in each step."""
    total: Expr = ZERO
    for name in names:
        value = system.matrix[state].get(name, ZERO)
        if value != ZERO:
            target = f"{state}_slope_by_{name}"
            coefficients.append(Assign(target, value))
            total = added(total, product(Var(target), Var(name)))
    if system.rests[state] != ZERO:
        coefficients.append(Assign(f"{state}_slope", system.rests[state]))
        total = added(total, Var(f"{state}_slope"))
    return total
