"""A body as the strings that `neuron.py.jinja` prints."""

from __future__ import annotations

from dataclasses import dataclass

from snnc import model
from snnc.emit.adjoint_view import AdjointView, adjoint_view
from snnc.emit.names import class_name, field_name, function_name, local_name, surrogate_name
from snnc.emit.pytext import python_text
from snnc.emit.statement_text import FieldView, LineView, comment_of, joined_doc, one_line, place, statement_text
from snnc.expr import Expr, Num, variables
from snnc.lower.body import expressions
from snnc.plan import CHANCE, Adjoint, Assign, Body, Integrate, Locate, Slot, Statement, targets_of
from snnc.units import unit_name


@dataclass(frozen=True, slots=True)
class NeuronView:
    """All that `neuron.py.jinja` may mention."""

    name: str  # class of the constants
    function: str  # stem of the functions
    title: str
    doc: str
    method: str
    parameters: tuple[FieldView, ...]
    constants: tuple[FieldView, ...]
    coefficients: tuple[LineView, ...]
    constant_values: str
    states: tuple[FieldView, ...]
    signals: tuple[FieldView, ...]
    formals: str  # of the step function, after p and s
    start_formals: str
    starts: tuple[LineView, ...]
    state_values: str
    statements: tuple[LineView, ...]
    next_values: str
    signal_values: str
    kept_type: str
    kept_values: str
    adjoint: AdjointView | None


@dataclass(frozen=True, slots=True)
class SurrogateView:
    """All that `surrogate.py.jinja` may mention."""

    name: str
    fire: str
    doc: str
    formals: str
    extra_formals: str
    arguments: str
    body: str
    place: str


def neuron_view(body: Body, adjoint: Adjoint | None) -> NeuronView:
    """Return the view of one neuron type; without an adjoint JAX differentiates its time loop."""
    neuron = body.neuron
    units = {p.name: unit_name(p.dimension) for p in neuron.params}
    docs = {p.name: one_line(p.doc) for p in neuron.params}
    kept = _kept(body)

    def field(name: str) -> FieldView:
        note = next((a.note for a in body.coefficients if a.target == name), "")
        formula = next((_plain(a.value) for a in body.coefficients if a.target == name), "")
        if name in units:
            return FieldView(field_name(name), f"{units[name]}{'; ' + docs[name] if docs[name] else ''}")
        return FieldView(field_name(name), note or formula)

    back = None if adjoint is None else adjoint_view(body, adjoint)
    doc = joined_doc(neuron.doc, f"One step of {neuron.name}.")
    return NeuronView(
        name=class_name(body.name),
        function=function_name(body.name),
        title=f"{neuron.name} ({place(neuron.span)})",
        doc=doc,
        method=body.method,
        parameters=tuple(FieldView(local_name(name), units[name]) for name in bound_parameters(body)),
        constants=tuple(field(name) for name in kept),
        coefficients=tuple(_coefficient(a) for a in body.coefficients),
        constant_values=", ".join(f"{field_name(name)}={local_name(name)}" for name in kept),
        states=tuple(FieldView(field_name(s.name), _slot_comment(s)) for s in body.slots),
        signals=tuple(FieldView(field_name(p.name.replace(".", "_")), p.unit) for p in body.published),
        formals="".join(f", {local_name(port)}: Array" for port in body.ports)
        + (", chance: Array" if body.random else "")
        + (", *_shifts: Array" if body.drifts else ""),  # nothing by themselves: they carry a gradient
        start_formals=", keys: Array, name: int" if draws_states(body) else "",
        starts=tuple(_start(slot, body) for slot in body.slots),
        state_values=", ".join(local_name(slot.name) for slot in body.slots),
        statements=_statements(body, body.statements if adjoint is None else adjoint.statements),
        next_values=", ".join(local_name(slot.name) for slot in body.slots),
        signal_values=", ".join(local_name(p.variable) for p in body.published),
        kept_type="tuple[()]" if back is None else f"{class_name(body.name)}Kept",
        kept_values="()" if back is None else f"{class_name(body.name)}Kept({back.kept_values})",
        adjoint=back,
    )


def _kept(body: Body) -> tuple[str, ...]:
    """Constants of the step and parameters that initial states read."""
    read: list[str] = list(body.constants)
    names = {p.name for p in body.neuron.params}
    for slot in body.slots:
        exprs = slot.init.args if isinstance(slot.init, model.Drawn) else (slot.init,)
        for expr in exprs:
            read += [n for n in variables(expr) if n in names and n not in read]
    return tuple(read)


def bound_parameters(body: Body) -> tuple[str, ...]:
    """Return the parameters whose values a layer of this type must give, in the author's order."""
    kept = set(_kept(body)) | {v for a in body.coefficients for v in variables(a.value)}
    return tuple(p.name for p in body.neuron.params if p.name in kept)


def draws_states(body: Body) -> bool:
    """Whether the start of a sample is random."""
    return any(isinstance(slot.init, model.Drawn) for slot in body.slots)


def _plain(expr: Expr) -> str:
    return python_text(expr, lambda n: n).replace("jnp.", "").replace("**", "^")


def _coefficient(assign: Assign) -> LineView:
    return LineView("", f"{local_name(assign.target)} = {python_text(assign.value, _outside)}")


def _outside(name: str) -> str:
    return "DT" if name == "dt" else local_name(name)


def _slot_comment(slot: Slot) -> str:
    if slot.hidden:
        return {"refractory": "steps left"}.get(slot.name, "memory of the step")
    return slot.unit


def _start(slot: Slot, body: Body) -> LineView:
    target = local_name(slot.name)
    params = {p.name for p in body.neuron.params}

    def name(text: str) -> str:
        if text == "dt":
            return "DT"
        return f"p.{field_name(text)}" if text in params else local_name(text)

    if isinstance(slot.init, model.Drawn):
        args = ", ".join(python_text(arg, name) for arg in slot.init.args)
        number = f"name + {[s.name for s in body.slots].index(slot.name)}"
        draw = f"lambda key: draw_{slot.init.name}(stream(key, {number}), shape[1:], {args})"
        return LineView("", f"{target} = jax.vmap({draw})(keys)")
    if slot.init == Num(0.0):
        return LineView("", f"{target} = jnp.zeros(shape)")
    return LineView("", f"{target} = jnp.full(shape, {python_text(slot.init, name)})")


def _statements(body: Body, statements: tuple[Statement, ...]) -> tuple[LineView, ...]:
    """Print the statements; a slot that has not been assigned yet is read from the old state."""
    slots = {slot.name for slot in body.slots}
    constants = set(body.constants)
    written: set[str] = set()
    lines: list[LineView] = []

    def name(text: str) -> str:
        if text in ("dt", CHANCE):
            return "DT" if text == "dt" else "chance"
        if text in constants:
            return f"p.{field_name(text)}"
        if text in slots and text not in written:
            return f"s.{field_name(text)}"
        return local_name(text)

    shaped = slots | set(body.ports)  # names that hold a value for each neuron of each sample
    last = ""
    for statement in statements:
        comment = comment_of(statement)
        code = statement_text(statement, name)
        read = {v for e in expressions(statement) for v in variables(e)}
        if read & shaped or isinstance(statement, Integrate | Locate) or CHANCE in read:
            shaped |= set(targets_of(statement))
        elif isinstance(statement, Assign) and statement.target in slots:
            value = python_text(statement.value, name)
            code = f"{local_name(statement.target)} = jnp.full_like(s.{field_name(statement.target)}, {value})"
        lines.append(LineView("" if comment == last else comment, code))
        last = comment
        written |= set(targets_of(statement))
    for slot in body.slots:
        if slot.name not in written:
            lines.append(LineView("", f"{local_name(slot.name)} = s.{field_name(slot.name)}"))
    return tuple(lines)


def surrogate_view(function: model.SurrogateFn) -> SurrogateView:
    """Return the view of one surrogate and of the spike function that uses it."""
    margin, *others = (local_name(f) for f in function.formals)
    names = {f: local_name(f) for f in function.formals}
    doc = joined_doc(function.doc, f"Derivative of the step at margin {margin}.")
    return SurrogateView(
        name=surrogate_name(function.name),
        fire=f"fire_{surrogate_name(function.name)}",
        doc=doc,
        formals=", ".join([f"{margin}: Array", *(f"{o}: Value" for o in others)]),
        extra_formals="".join(f", {o}: Value" for o in others),
        arguments="".join(f", {o}" for o in others),
        body=python_text(function.body, lambda n: names[n]),
        place=place(function.span),
    )
