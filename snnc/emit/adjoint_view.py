"""The adjoint of a body as the strings that `neuron.py.jinja` prints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from snnc.emit.names import field_name, local_name
from snnc.emit.pytext import python_text
from snnc.emit.statement_text import FieldView, LineView, comment_of, emission_text, slope_lines
from snnc.expr import Num
from snnc.lower.gradients import state_by_ports
from snnc.plan import KEPT, NEXT, OUT, Adjoint, Assign, Body, Pullback


@dataclass(frozen=True, slots=True)
class AdjointView:
    """All that the template may mention of an adjoint."""

    kept: tuple[FieldView, ...]
    kept_values: str
    lines: tuple[LineView, ...]
    slots: str  # the arguments of `_replace`, "" if no slot has a cotangent
    ports: str
    by_ports: bool  # whether the cotangents of all slots follow from those of the ports
    shifts: bool  # whether those of the ports are followed by those of the times of what arrives
    learned: str
    spike: str  # the spikes as a method of what is kept sees them; "" if they do not follow


def adjoint_view(body: Body, adjoint: Adjoint) -> AdjointView:
    """Return the view of one adjoint."""
    name = names_of(body, {k.name for k in adjoint.kept if k.half})
    halves = [k for k in adjoint.kept if k.half]
    like = field_name(body.slots[0].name) if body.slots else ""
    lines = [
        LineView("", f"{local_name(k.variable)} = k.{field_name(k.name)}.astype(d_next.{like}.dtype)") for k in halves
    ]
    lines += [LineView("", f"{local_name(a.target)} = {python_text(a.value, name)}") for a in adjoint.again]
    last = ""
    for statement in adjoint.transposed:
        comment = comment_of(statement.integrate if isinstance(statement, Pullback) else statement)
        code = _pullback(statement, name) if isinstance(statement, Pullback) else _assign(statement, name)
        lines.append(LineView("" if comment == last else comment, code))
        last = comment
    ports = dict(adjoint.ports)
    shifts = [python_text(e, name) for _, e in adjoint.shifts]
    comma = "," if len(body.ports) + len(shifts) == 1 else ""
    return AdjointView(
        kept=tuple(
            FieldView(field_name(k.name), "true or false" if k.truth else "16 bits" if k.half else "")
            for k in adjoint.kept
        ),
        kept_values=", ".join(
            f"half({local_name(k.variable)})" if k.half else local_name(k.variable) for k in adjoint.kept
        ),
        lines=tuple(lines),
        slots=", ".join(f"{field_name(s)}={python_text(e, name)}" for s, e in adjoint.slots),
        ports=", ".join([*(python_text(ports.get(p, Num(0.0)), name) for p in body.ports), *shifts]) + comma,
        by_ports=state_by_ports(body, adjoint),
        shifts=bool(shifts),
        learned="{" + ", ".join(f'"{field_name(c)}": {python_text(e, name)}' for c, e in adjoint.learned) + "}",
        spike=""
        if adjoint.spike is None
        else emission_text(adjoint.spike, lambda text: f"self.{name(text).removeprefix('k.')}"),
    )


def names_of(body: Body, widened: set[str]) -> Callable[[str], str]:
    constants = set(body.constants)

    def name(text: str) -> str:
        if text.startswith(KEPT) and text.removeprefix(KEPT) in widened:
            return local_name(text.removeprefix(KEPT))
        for prefix, holder in ((KEPT, "k"), (NEXT, "d_next"), (OUT, "d_out")):
            if text.startswith(prefix):
                return f"{holder}.{field_name(text.removeprefix(prefix).replace('.', '_'))}"
        if text == "dt":
            return "DT"
        return f"p.{field_name(text)}" if text in constants else local_name(text)

    return name


def _assign(assign: Assign, name: Callable[[str], str]) -> str:
    return f"{local_name(assign.target)} = {python_text(assign.value, name)}"


def _pullback(statement: Pullback, name: Callable[[str], str]) -> str:
    """The discrete adjoint of an explicit method, by JAX, of this one statement."""
    integrate = statement.integrate
    names = [read for read, _ in statement.reads]
    formals = ", ".join(f"{local_name(n)}: Array" for n in names)
    inner = set(names)

    def local(text: str) -> str:
        return local_name(text) if text in inner else name(text)

    start = ", ".join(local_name(t) for t in integrate.targets)
    comma = "," if len(integrate.targets) == 1 else ""
    body = "\n        ".join(slope_lines(integrate, local).splitlines())
    first = python_text(statement.reads[0][1], name)  # a target, whose shape is that of the layer
    values = ", ".join(
        f"jnp.broadcast_to({python_text(e, name)}, {first}.shape)"
        if name(read).startswith("p.")
        else python_text(e, name)
        for read, e in statement.reads
    )
    cotangents = ", ".join(
        "jnp.zeros_like(" + python_text(e, name) + ")" if g == Num(0.0) else python_text(g, name)
        for g, (_, e) in zip(statement.cotangents, statement.reads, strict=False)
    )
    results = ", ".join(local_name(r) for r in statement.results)
    return (
        f"def advance({formals}) -> tuple[Any, ...]:\n"
        f"        {body}\n"
        f"        return {integrate.method}(slope, ({start}{comma}), DT, {integrate.substeps})\n\n"
        f"    pull = jax.vjp(advance, {values})[1]\n"
        f"    {results}{',' if len(statement.results) == 1 else ''} = pull(({cotangents}{comma}))"
    )
