"""Prints statements of a body, and the small views that every template uses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from snnc import model
from snnc.emit.names import local_name, surrogate_name
from snnc.emit.pytext import python_text
from snnc.expr import Expr, Var, substitute
from snnc.plan import Assign, Fire, Integrate, Locate, Statement
from snnc.source import Span


@dataclass(frozen=True, slots=True)
class FieldView:
    """One field of a NamedTuple with its comment."""

    name: str
    comment: str


@dataclass(frozen=True, slots=True)
class LineView:
    """One emitted line, or several, under a comment (empty: none)."""

    comment: str
    code: str


def place(span: Span) -> str:
    """Return `file:line` without folders, for comments.

    The standard library keeps its `std/`.
    """
    path = span.source.path
    short = path if path.startswith("std/") else path.rsplit("/", 1)[-1]
    return f"{file_word(short)}:{span.line}"


def file_word(name: str) -> str:
    """Return the name of a file, safe inside comments, docstrings and strings: a file may be called anything.

    >>> file_word('say "hi".snn')
    "say 'hi'.snn"
    """
    return one_line(name).replace('"', "'").replace("\\", "/")


def one_line(text: str) -> str:
    """Return text on one line, safe inside a comment."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def chain_text(node: model.OpNode) -> str:
    """Return the chain in which an operation stands, cut to fit a comment; a long one shows the operation alone."""
    text = one_line(node.text)
    return text if len(text) <= 60 else f"{node.name} in {text[:40]}..."


def doc_lines(text: str) -> tuple[str, ...]:
    """Return lines of a doc comment that are safe inside a docstring."""
    lines = [one_line(line).replace("\\", "\\\\").replace('"""', "'''").rstrip('"') for line in text.splitlines()]
    return tuple(line for line in lines if line)


def joined_doc(text: str, default: str) -> str:
    """Return a doc comment as the inside of a docstring that is indented by four."""
    lines = doc_lines(text) or (default,)
    return lines[0] if len(lines) == 1 else "\n    ".join([lines[0], *lines[1:], ""])


def comment_of(statement: Statement) -> str:
    """Return the author's clause that a statement computes, with its place."""
    note = "; ".join(statement.notes) if isinstance(statement, Integrate | Locate) else statement.note
    if not note:
        return ""
    where = f"  ({place(statement.span)})" if statement.span.source.text else ""
    text = one_line(note)
    return (text if len(text) <= 70 else text[:67] + "...") + where


def statement_text(statement: Statement, name: Callable[[str], str]) -> str:
    """Return a statement as Python, indented by four after its first line."""
    match statement:
        case Assign(target, value):
            return f"{local_name(target)} = {python_text(value, name)}"
        case Fire(target):
            return f"{local_name(target)} = {emission_text(statement, name)}"
        case Integrate(targets, _, method, substeps):
            comma = "," if len(targets) == 1 else ""
            start = ", ".join(name(t) for t in targets)
            slope = "\n    ".join(slope_lines(statement, name).splitlines())
            left = ", ".join(local_name(t) for t in targets)
            return f"{slope}\n\n    {left}{comma} = {method}(slope, ({start}{comma}), DT, {substeps})"
        case Locate():
            return located_text(statement, name)


def located_text(located: Locate, name: Callable[[str], str]) -> str:
    """Return a step through a spike inside it."""
    targets = located.targets
    spelled = [
        function_text("slope", targets, located.slopes, name),
        function_text("margin", targets, (located.margin,), name),
        function_text("reset", targets, located.resets, name),
    ]
    functions = "\n\n    ".join("\n    ".join(text.splitlines()) for text in spelled)
    comma = "," if len(targets) == 1 else ""
    start = ", ".join(name(t) for t in targets)
    left = ", ".join(local_name(t) for t in targets)
    call = f"located_step(slope, margin, reset, ({start}{comma}), DT, {located.order}, {located.floor!r})"
    return f"{functions}\n\n    spike, rest, ({left}{comma}) = {call}"


def emission_text(fire: Fire, name: Callable[[str], str]) -> str:
    """Return the call that makes a spike."""
    args = [python_text(fire.margin, name), python_text(fire.condition, name)]
    function = "silent_gradient"
    if fire.surrogate is not None:
        function = f"fire_{surrogate_name(fire.surrogate.function.name)}"
        args += [python_text(arg, name) for arg in fire.surrogate.args]
    return f"{function}({', '.join(args)})"


def slope_lines(integrate: Integrate, name: Callable[[str], str]) -> str:
    """Return the function of the derivatives of `integrate`, not indented."""
    return function_text("slope", integrate.targets, integrate.slopes, name)


def function_text(function: str, targets: tuple[str, ...], exprs: tuple[Expr, ...], name: Callable[[str], str]) -> str:
    """Return a function of `targets` that gives `exprs`: one as it is if it is the margin, else a tuple."""
    local = {t: Var(f"{t}.local") for t in targets}

    def inner(text: str) -> str:
        return local_name(text.removesuffix(".local")) if text.endswith(".local") else name(text)

    values = ", ".join(python_text(substitute(expr, local), inner) for expr in exprs)
    formals = ", ".join(f"{local_name(t)}: Array" for t in targets)
    if function == "margin":
        return f"def margin({formals}) -> Array:\n    return {values}"
    comma = "," if len(exprs) == 1 else ""
    kind = "Any" if function == "reset" else "Array"
    return f"def {function}({formals}) -> tuple[{kind}, ...]:\n    return ({values}{comma})"
