"""Plasticity as the strings that `plasticity.py.jinja` prints: one function for each rule, one call of it for each edge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from snnc import model
from snnc.emit.names import class_name, field_name, function_name, identifier, local_name
from snnc.emit.plasticity_text import RuleLines
from snnc.emit.pytext import number_text, python_text
from snnc.emit.readouts import signals_spelling
from snnc.emit.state import buffer_update
from snnc.emit.statement_text import FieldView, LineView, chain_text, joined_doc, place
from snnc.emit.tensor_text import TensorPrinter
from snnc.expr import variables
from snnc.lower.plasticity import PlasticBody, lower_edge
from snnc.plan import StepPlan
from snnc.semantics.parameters import parameter_values
from snnc.semantics.tensors import signal_names
from snnc.units import unit_name

SIZES = {"pre": "[B, pre]", "post": "[B, post]", "synapse": "[B, pre, post]"}
SHAPES = {"pre": "(batch, pre)", "post": "(batch, post)", "synapse": "(batch, pre, post)"}


@dataclass(frozen=True, slots=True)
class RuleView:
    """One rule, with the functions that make its constants, its traces and its step."""

    name: str
    function: str
    title: str
    doc: str
    parameters: tuple[FieldView, ...]
    constants: tuple[FieldView, ...]
    coefficients: tuple[LineView, ...]
    constant_values: str
    traces: tuple[FieldView, ...]
    starts: tuple[LineView, ...]
    formals: str  # third factors
    lines: tuple[LineView, ...]
    next_values: str


@dataclass(frozen=True, slots=True)
class EdgeView:
    """One plastic operation."""

    field: str
    weight: str  # its field of `Params`
    comment: str
    type: str
    function: str
    make: str  # the constants
    sizes: str
    arguments: str  # pre, post and third factors


@dataclass(frozen=True, slots=True)
class PlasticityView:
    """All that `plasticity.py.jinja` may mention besides the model."""

    rules: tuple[RuleView, ...]
    edges: tuple[EdgeView, ...]
    end: str  # the name of the last state, "_" where nothing reads it
    buffer_update: str


def plasticity_view(plan: StepPlan) -> PlasticityView | None:
    """Return the view of the plasticity of a network; None where it has none."""
    if not plan.network.plastic:
        return None
    taken = {class_name(body.name) for body in plan.types}
    named: list[tuple[str, PlasticBody]] = []
    edges = []
    for edge in plan.network.plastic:
        body = lower_edge(edge)
        name = next((n for n, other in named if _same(other, body)), None)
        if name is None:
            name = _free_name(edge.rule.name, taken)
            taken.add(class_name(name))
            named.append((name, body))
        edges.append(_edge(edge, body, name, plan.network))
    update = buffer_update(plan, parts=True)
    return PlasticityView(
        tuple(_rule(name, body) for name, body in named), tuple(edges), "end" if update else "_", update
    )


def _same(a: PlasticBody, b: PlasticBody) -> bool:
    """Whether two bodies differ at most in the values of parameters."""
    same = (a.rule.name, a.rule.clip, a.rule.total, a.rule.traces) == (
        b.rule.name,
        b.rule.clip,
        b.rule.total,
        b.rule.traces,
    )
    return same and (a.coefficients, a.steps, a.kinds) == (b.coefficients, b.steps, b.kinds)


def _free_name(name: str, taken: set[str]) -> str:
    tried, k = name, 2
    while class_name(tried) in taken:
        tried, k = f"{name}{k}", k + 1
    return tried


def _used(body: PlasticBody) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the constants that a step reads, and the parameters that make them."""
    exprs = [move.value for moves in body.steps for move in moves.moves]
    exprs += [trace.init for trace in body.rule.traces]
    exprs += [*(body.rule.clip or ()), *([] if body.rule.total is None else [body.rule.total[0]])]
    read = {name for expr in exprs for name in variables(expr)}
    names = [*(p.name for p in body.rule.params), *(c.target for c in body.coefficients)]
    constants = tuple(name for name in names if name in read)
    made = {name for c in body.coefficients if c.target in read for name in variables(c.value)}
    return constants, tuple(p.name for p in body.rule.params if p.name in read | made)


def _rule(name: str, body: PlasticBody) -> RuleView:
    rule = body.rule
    constants, parameters = _used(body)
    units = {p.name: unit_name(p.dimension) for p in rule.params}
    notes = {c.target: c.note for c in body.coefficients}
    lines = RuleLines(body, constants)
    bound = [f.name for f in rule.factors if any(f.name in lines.reads(s) for s in body.steps)]
    return RuleView(
        name=class_name(name),
        function=function_name(name),
        title=f"{rule.name} ({place(rule.span)})",
        doc=joined_doc(rule.doc, f"One step of {rule.name}: its traces and the weights."),
        parameters=tuple(FieldView(local_name(p), units[p]) for p in parameters),
        constants=tuple(FieldView(field_name(c), units.get(c) or notes.get(c, "")) for c in constants),
        coefficients=tuple(
            LineView("", f"{local_name(c.target)} = {python_text(c.value, _outside)}")
            for c in body.coefficients
            if c.target in constants
        ),
        constant_values=", ".join(f"{field_name(c)}={local_name(c)}" for c in constants),
        traces=tuple(FieldView(field_name(t.name), f"{SIZES[t.per]} {unit_name(t.dimension)}") for t in rule.traces),
        starts=tuple(_start(t, constants) for t in rule.traces),
        formals="".join(f", {local_name(f)}: Array" for f in bound),
        lines=lines.all(),
        next_values=", ".join(lines.local(t.name) for t in rule.traces),
    )


def _outside(name: str) -> str:
    return "DT" if name == "dt" else local_name(name)


def _start(trace: model.Trace, constants: tuple[str, ...]) -> LineView:
    value = python_text(trace.init, lambda n: f"p.{field_name(n)}" if n in constants else "DT")
    return LineView("", f"{field_name(trace.name)}=jnp.full({SHAPES[trace.per]}, {value}),")


def _edge(edge: model.PlasticEdge, body: PlasticBody, name: str, network: model.Network) -> EdgeView:
    node = network.node(edge.node)
    assert isinstance(node, model.OpNode)
    values = parameter_values(edge.rule.params, network.dt)
    make = ", ".join(f"{local_name(p)}={number_text(values[p])}" for p in _used(body)[1])
    lines = RuleLines(body, ())
    read = {name for step in body.steps for name in lines.reads(step)}
    factors = [_factor(factor, network) for factor in edge.factors if factor.name in read]
    texts = [_signal(edge.pre, network), _signal(edge.post, network), *factors]
    return EdgeView(
        field=identifier(edge.node),
        weight=identifier(node.path("w")),
        comment=f"{chain_text(node)}  ({place(node.span)})",
        type=class_name(name),
        function=function_name(name),
        make=f"{function_name(name)}({make})",
        sizes=f"{node.in_shapes[0][0]}, {node.shape[0]}",
        arguments=", ".join(texts),
    )


def _signal(signal: model.Signal, network: model.Network) -> str:
    spell = signals_spelling(network)
    node = network.node(signal.node)
    if isinstance(node, model.Layer):
        return spell(f"signal:{signal.node}.{signal.name}")
    return spell(f"{'input' if isinstance(node, model.Input) else 'op'}:{signal.node}")


def _factor(factor: model.Factor, network: model.Network) -> str:
    """Return a third factor as [B, pre], [B, post] or [B, 1]."""
    types: Mapping[str, model.TensorType] = dict(signal_names(network).values())
    printer = TensorPrinter(signals_spelling(network), types, {}, "")
    text = printer.text(factor.value)
    return text if printer.type_of(factor.value).shape else f"({text})[:, None]"


def plastic_operations(network: model.Network) -> frozenset[str]:
    """Return the operations whose results plasticity reads."""
    read = [edge.pre.node for edge in network.plastic]
    read += [
        v.removeprefix("op:") for e in network.plastic for f in e.factors for v in variables(f.value) if v[:3] == "op:"
    ]
    return frozenset(name for name in read if isinstance(network.node(name), model.OpNode))
