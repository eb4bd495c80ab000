"""What units answered to each class in training: an array of `Buffers` for each metric that assigns labels by it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from snnc import model
from snnc.emit.names import identifier
from snnc.emit.parameters import Stored
from snnc.emit.statement_text import place
from snnc.emit.tensor_text import TensorPrinter
from snnc.expr import Apply, walk

ASSIGNED = "assigned_accuracy"


@dataclass(frozen=True, slots=True)
class ResponsesView:
    """One such array and its update."""

    field: str
    update: str


def _uses(recipe: model.Recipe) -> list[tuple[model.Term, Apply]]:
    """Return the metrics that assign labels, each with its first call."""
    found = []
    for term in recipe.metrics:
        call = next((n for n in walk(term.value) if isinstance(n, Apply) and n.fn == ASSIGNED), None)
        if call is not None:
            found.append((term, call))
    return found


def response_buffers(recipe: model.Recipe, printer: TensorPrinter) -> tuple[Stored, ...]:
    """Return the fields of `Buffers` that hold responses."""
    found = []
    for term, call in _uses(recipe):
        name = f"{term.name}.responses"
        shape = (int(float(call.attr("classes") or 0)), 1 + printer.type_of(call.args[0]).shape[0])
        comment = f"{name}, {list(shape)}: samples of a class, and the sum of each unit's answers  ({place(term.span)})"
        found.append(Stored(name, identifier(name), shape, comment, f"jnp.zeros({shape!r})"))
    return tuple(found)


def with_responses(printer: TensorPrinter, term: model.Term) -> TensorPrinter:
    """Return the printer of one metric."""
    return replace(printer, responses=f"buffers.{identifier(f'{term.name}.responses')}")


def responses_view(recipe: model.Recipe, printer: TensorPrinter) -> tuple[ResponsesView, ...]:
    """Return what a batch does to the responses, printed where `buffers` and what an objective reads are at hand."""
    views = []
    for term, call in _uses(recipe):
        field = identifier(f"{term.name}.responses")
        counts, label = (printer.text(arg) for arg in call.args)
        options = ", ".join(f"{key}={float(value)!r}" for key, value in call.attrs)
        text = f"responses_after(buffers.{field}, {counts}, {label}, weight=weight, {options})"
        views.append(ResponsesView(field, text))
    return tuple(views)
