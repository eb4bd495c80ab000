"""Resolves the `solve` clause of a neuron."""

from __future__ import annotations

from snnc import model
from snnc.diagnostics import Code, did_you_mean
from snnc.semantics.constants import constant
from snnc.semantics.expressions import resolve
from snnc.semantics.neuron_builder import Builder
from snnc.syntax import nodes

# Arguments of an instance that replace a clause and no parameter.
SOLVERS = ("auto", "exact", "exp_euler", "euler", "rk2", "rk4")


def read_solver(builder: Builder, clause: nodes.Dynamics | None, overrides: dict[str, nodes.Arg]) -> model.Solver:
    value: nodes.Expr
    if "solve" in overrides:
        value = overrides["solve"].value
    elif isinstance(clause, nodes.Solve):
        value = clause.value
    else:
        return model.Solver("auto", 1, builder.item.span)
    name = value.func if isinstance(value, nodes.Call) else value
    word = name.text if isinstance(name, nodes.Name) else "?"
    if word not in SOLVERS:
        builder.findings.add(
            Code.UNKNOWN_NAME, value.span, f"unknown solver `{word}`", help=did_you_mean(word, SOLVERS)
        )
        return model.Solver("euler", 1, value.span)
    substeps = 1
    if isinstance(value, nodes.Call):
        substeps = _substeps(builder, value, word)
    return model.Solver(word, substeps, value.span)


def _substeps(builder: Builder, call: nodes.Call, word: str) -> int:
    for arg in call.args:
        number = constant(resolve(arg.value, builder.scope()).expr)
        if arg.name not in (None, "substeps") or word in ("auto", "exact", "exp_euler"):
            builder.findings.add(
                Code.UNKNOWN_ARGUMENT, arg.span, f"`{word}` has no such argument",
                help="`euler`, `rk2` and `rk4` take `substeps = n`",
            )  # fmt: skip
        elif number is None or not 1 <= number <= 1000 or number != int(number):
            builder.findings.add(
                Code.BAD_VALUE, arg.value.span, "`substeps` is a whole number from 1 to 1000", help="write one"
            )
        else:
            return int(number)
    return 1
