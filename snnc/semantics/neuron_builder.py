"""What the rules of a neuron share while its clauses are read one after the other."""

from __future__ import annotations

from dataclasses import dataclass, field

from snnc import model
from snnc.diagnostics import Code, Findings, Label, did_you_mean
from snnc.expr import Var, apply
from snnc.semantics.expressions import resolve
from snnc.semantics.modules import Module
from snnc.semantics.quantities import expect
from snnc.semantics.scope import Scope, Typed
from snnc.source import Span
from snnc.syntax import nodes
from snnc.units import ONE, Dimension

# Arguments of an instance that replace a clause and no parameter.
CLAUSE_ARGUMENTS = ("surrogate", "solve", "refractory", "detach")
BEFORE = "spike.before"  # the published spike of the previous step, read inside `step` and `let`


@dataclass(slots=True)
class Builder:
    """The parts of a neuron or of a plasticity rule while its clauses are read, one after the other."""

    item: nodes.Neuron | nodes.Plasticity
    home: Module
    findings: Findings
    where: str
    names: dict[str, Typed] = field(default_factory=dict)
    spans: dict[str, Span] = field(default_factory=dict)
    states: list[model.State] = field(default_factory=list)
    ports: list[model.Port] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)  # names whose unit is not known after an error

    def bind(self, name: str, dimension: Dimension | None) -> None:
        """Let `name` be read; after an error about it, whatever is done with it is not another error."""
        self.names[name] = Typed(Var(name), None if name in self.unknown else dimension)

    def scope(self, extra: dict[str, Typed] | None = None) -> Scope:
        return Scope({**self.names, **(extra or {})}, self.home, self.findings, self.where)

    def declare(self, name: str, typed: Typed, span: Span) -> None:
        if name in ("dt", "time", "spike") or name in self.spans:
            first = self.spans.get(name)
            self.findings.add(
                Code.RESERVED_NAME if first is None else Code.DUPLICATE_NAME,
                span,
                f"`{name}` is a name of the language" if first is None else f"`{name}` is declared twice",
                help="choose another name",
                labels=() if first is None else (Label(first, "first declared here"),),
            )
            self.unknown.append(name)
            return
        self.names[name] = typed
        self.spans[name] = span

    def state(self, name: str, span: Span, what: str) -> model.State | None:
        for state in self.states:
            if state.name == name:
                return state
        self.findings.add(
            Code.UNKNOWN_NAME, span, f"{what} `{name}`, but there is no state `{name}`",
            help=did_you_mean(name, [s.name for s in self.states]) or f"declare it: `state {name} = 0`",
            cause=f"{name} {self.where}",
        )  # fmt: skip
        return None


def read_block(
    builder: Builder, body: tuple[nodes.Assign, ...], scope: Scope, what: str, once: bool = True
) -> list[model.Update]:
    """Resolve the assignments of one block; `v += e` becomes `v = v + e`."""
    updates: list[model.Update] = []
    for assign in body:
        state = builder.state(assign.name, assign.span, f"{what} assigns")
        typed = resolve(assign.value, scope)
        if state is None:
            continue
        wanted = None if state.name in builder.unknown else state.dimension
        where = f"the value of `{state.name}` in {what}"
        if assign.op in ("*=", "/="):
            wanted, where = ONE, f"the factor of `{assign.op}`"
        target = Span(assign.span.source, assign.span.start, assign.span.start + len(assign.name))
        expect(typed, wanted, assign.value.span, builder.findings, where, target)
        value = typed.expr
        if assign.op != "=":
            value = apply(assign.op[0], Var(assign.name), value, span=assign.span)
        if once and any(u.target == assign.name for u in updates):
            builder.findings.add(
                Code.DOUBLE_ASSIGNMENT, assign.span, f"{what} assigns `{assign.name}` twice",
                help="assignments of one block happen at once; join the two",
            )  # fmt: skip
        updates.append(model.Update(assign.name, value, assign.span))
    return updates
