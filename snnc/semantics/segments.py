"""Adds the operations between two named nodes of a chain, with their names and the units of their weights."""

from __future__ import annotations

import re
from dataclasses import dataclass

from snnc import model
from snnc.diagnostics import Code, Label, did_you_mean
from snnc.semantics.elaboration import Elaboration, PendingOp
from snnc.semantics.operations.binding import bind, read_options
from snnc.semantics.operations.elementwise import scale_dimension
from snnc.semantics.operations.table import OPERATIONS
from snnc.source import Span
from snnc.syntax import nodes
from snnc.units import ONE, Dimension, dimension_name, unit_quantity


@dataclass(frozen=True, slots=True)
class Flow:
    """What flows along a chain: one signal or, at its head, several; `stem` names the operations after it."""

    signals: tuple[model.Signal, ...]
    stem: str


@dataclass(frozen=True, slots=True)
class Target:
    """A place where a segment ends and that asks for a unit: a port of a layer, an input of a block."""

    span: Span
    text: str  # as in a message: "`x` of `h`"
    dimension: Dimension
    port: Span


def segment_names(e: Elaboration, stem: str, target: str, instances: list[nodes.Instance]) -> list[str]:
    """Name the operations between two named nodes `SOURCE_TARGET.OP`, a second of a kind `OP2`."""
    names: list[str] = []
    for instance in instances:
        start = f"{stem.replace('.', '_')}_{target}.{_kind(instance)}"
        name, k = start, 2
        while e.full(name) in e.places or name in names:
            name, k = f"{start}{k}", k + 1
        names.append(name)
    return names


def _kind(instance: nodes.Instance) -> str:
    """Return the name of an operation or block, in lower case; of `repeat`, that of its block."""
    name = instance.func
    if name.text == "repeat" and len(instance.args) > 1 and isinstance(instance.args[1].value, nodes.Call):
        name = instance.args[1].value.func
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.parts[-1]).lower()


def add_operations(
    e: Elaboration,
    chain: nodes.Chain,
    flow: Flow,
    named: list[tuple[str, nodes.Instance]],
    target: Target | None,
) -> Flow:
    """Add the operations of a segment, with the units of their weights; return what flows out of it."""
    ops: list[PendingOp] = []
    text = " ".join(chain.span.text.split())
    signals = flow.signals
    for name, instance in named:
        spec = OPERATIONS[instance.func.text]
        if len(signals) < spec.least:
            e.findings.add(
                Code.MISSING_ARGUMENT, instance.span,
                f"`{spec.name}` joins {spec.least} or more sources, and one flows into it here",
                help=f"let it begin a chain and name them: `{spec.name}(a, b) -> …`",
            )  # fmt: skip
        bound = bind(instance, spec, e.scope, head=len(signals) > 1)
        options = read_options(spec, bound, e.scope)
        shares = _shared(e, bound.get("share"))
        ops.append(PendingOp(e.full(name), spec, instance, bound, options, signals, text, e.scope, shares=shares))
        signals = (model.Signal(e.full(name)),)
    _set_dimensions(e, flow.signals, ops, target)
    for op in ops:
        e.ops[op.name] = op
        e.places.setdefault(op.name, op.instance.span)
        if op.name not in e.order:
            e.order.append(op.name)
    return Flow(signals, named[-1][0] if named else flow.stem)


def _shared(e: Elaboration, arg: nodes.Arg | None) -> str:
    """Return the operation whose weights another one takes, `share = NAME`; "" where there is none, and after a finding."""
    if arg is None:
        return ""
    if isinstance(arg.value, nodes.Name) and e.full(arg.value.text) in e.ops:
        return e.full(arg.value.text)
    named = [e.local(name) for name in e.ops if name.startswith(e.prefix)]
    e.findings.add(
        Code.UNKNOWN_NAME, arg.span, "`share` is the name of an operation that stands before this one",
        help=did_you_mean(arg.value.span.text, named) or "give it a name: `dense(64) as d -> …`, then `dense(share = d)`",
    )  # fmt: skip
    return ""


def _set_dimensions(
    e: Elaboration,
    sources: tuple[model.Signal, ...],
    ops: list[PendingOp],
    target: Target | None,
) -> None:
    """Carry units along a segment; its last product takes the unit that the port asks for."""
    dimension = e.dimension_of(sources[0])
    for other in sources[1:]:
        if e.dimension_of(other) != dimension and ops:
            e.findings.add(
                Code.UNIT_MISMATCH, ops[0].instance.span, f"`{ops[0].spec.name}` joins {dimension_name(dimension)} and "
                f"{dimension_name(e.dimension_of(other))}", help="its sources need one unit: put a `scale(…)` before one of them",
            )  # fmt: skip
            return
    last = max((i for i, op in enumerate(ops) if op.spec.carries_unit), default=None)
    factors = [scale_dimension(op.bound, e.scope) if op.spec.name in ("scale", "inhibit") else ONE for op in ops]
    for i, op in enumerate(ops):
        if i == last and target is not None:
            after = ONE
            for factor in factors[i:]:
                after = after * factor
            op.weight = target.dimension / after / dimension
        dimension = dimension * factors[i] * op.weight
        op.dimension = dimension
    if target is not None and dimension != target.dimension:
        e.findings.add(
            Code.UNIT_MISMATCH, target.span,
            f"{target.text} is {dimension_name(target.dimension)}, but {dimension_name(dimension)} arrives",
            note=dimension_name(target.dimension),
            help=f"multiply on the way: `-> scale({unit_quantity(target.dimension / dimension)}) ->`, "
            "or let a `dense()` carry the unit",
            labels=(Label(target.port, "the port"),),
        )  # fmt: skip
