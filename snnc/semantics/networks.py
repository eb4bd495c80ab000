"""Elaborates a network: reads its declarations, then its chains, infers shapes, checks ports and cycles."""

from __future__ import annotations

import math
from dataclasses import replace

from snnc import model
from snnc.diagnostics import Code, Findings, Label, did_you_mean, fail
from snnc.expr import Num, Var
from snnc.limits import MAX_PARTS, MAX_UNITS
from snnc.ops.operation import Shape
from snnc.semantics.blocks import expand_block
from snnc.semantics.chains import read_chain
from snnc.semantics.constants import constant
from snnc.semantics.elaboration import Elaboration, PendingLayer, PendingOp, find_neuron, report_unknown
from snnc.semantics.expressions import resolve, resolve_as
from snnc.semantics.modules import Module, name_span
from snnc.semantics.neurons import resolve_neuron
from snnc.semantics.norms import check_norms
from snnc.semantics.operations.binding import whole
from snnc.semantics.operations.spec import Build
from snnc.semantics.plastic_edges import read_plastic_edges
from snnc.semantics.scope import Scope, Typed
from snnc.semantics.segments import Flow
from snnc.semantics.shapes import infer_shapes
from snnc.semantics.tensors import resolve_outputs
from snnc.semantics.topology import check_channels, check_cycles, check_ports, check_sharing
from snnc.source import Span
from snnc.syntax import nodes
from snnc.units import DIMENSIONS, ONE, TIME

MIN_DT = 1e-9  # ms


def elaborate(item: nodes.Network, home: Module, findings: Findings) -> model.Network:
    """Return the resolved network, without its outputs (see `snnc.semantics.tensors`).

    Raises:
        CompileError: with every finding of this phase.
    """
    parts = sum(len(part.nodes) if isinstance(part, nodes.Chain) else 1 for part in item.body)
    if parts > MAX_PARTS:
        raise fail(
            Code.TOO_BIG, name_span(item), f"`{item.name}` has {parts} layers and operations, and at most {MAX_PARTS} are taken",
            help="a layer holds many neurons: `LIF[1000]()`",
        )  # fmt: skip
    e = Elaboration(item, home, findings, Scope({}, home, findings, f"in network `{item.name}`"), inside=(item,))
    _read_formals(e)
    for part in item.body:
        if isinstance(part, nodes.Port):
            _read_input(e, part)
    _read_body(e)
    findings.stop_on_errors()
    if e.layers and e.dt is None:
        findings.add(
            Code.NO_DT,
            name_span(e.item),
            f"network `{item.name}` has neurons and no time step",
            help="add a line such as `dt = 1 ms`",
        )
    infer_shapes(e)
    findings.stop_on_errors()
    network = _finish(e)
    findings.stop_on_errors()
    return network


def _read_body(e: Elaboration) -> None:
    """Read the settings, layers and chains of a network, or of a block in it."""
    _read_settings(e)
    for part in e.item.body:
        if isinstance(part, nodes.Layer):
            _read_layer(e, part.name, part.instance, part.doc, name_span(part))
        elif isinstance(part, nodes.Chain):
            for node in part.nodes:
                if isinstance(node, nodes.Instance) and find_neuron(e, node.func) is not None:
                    if node.alias is None:
                        e.findings.add(
                            Code.MISSING_ARGUMENT, node.span, "a layer inside a chain needs a name",
                            help=f"write `{node.func.text}(…) as NAME`",
                        )  # fmt: skip
                    else:
                        _read_layer(e, node.alias, node, part.doc, node.span)
    for part in e.item.body:
        if isinstance(part, nodes.Chain):
            read_chain(e, part, _expand)


def _expand(
    e: Elaboration, chain: nodes.Chain, instance: nodes.Instance, name: str, flow: Flow, head: bool
) -> Flow | None:
    return expand_block(e, instance, name, flow, head, _read_body)


def _read_formals(e: Elaboration) -> None:
    names: dict[str, Typed] = {}
    for formal in e.item.formals:
        if formal.default is None:
            e.findings.add(
                Code.MISSING_ARGUMENT, formal.span, f"`{formal.name}` has no default, so that `{e.item.name}` can "
                "only be used as a block of another network", help=f"give it a default: `{formal.name} = …`",
            )  # fmt: skip
            names[formal.name] = Typed(Num(1.0), None)
            continue
        if isinstance(formal.default, nodes.Name):
            found = e.home.find(formal.default)
            if found is not None and isinstance(found[0], nodes.Neuron):
                e.cells[formal.name] = (found[0], found[1])
                continue
        names[formal.name] = resolve(formal.default, e.scope.with_names(names))
    e.scope = e.scope.with_names(names)


def _read_settings(e: Elaboration) -> None:
    seen: dict[str, Span] = {}
    for part in e.item.body:
        if not isinstance(part, nodes.Setting):
            continue
        if part.path.text in seen:
            e.findings.add(
                Code.DUPLICATE_NAME, part.span, f"`{part.path.text}` is set twice", help="keep one of the two",
                labels=(Label(seen[part.path.text], "first set here"),),
            )  # fmt: skip
        seen[part.path.text] = part.span
        match part.path.text:
            case "dt":
                value = constant(resolve_as(part.value, TIME, e.scope, "`dt`"))
                if value is None or not MIN_DT <= value < math.inf:
                    e.findings.add(
                        Code.BAD_VALUE, part.value.span, "`dt` is a fixed time above 0", help="write `dt = 1 ms`"
                    )
                elif e.prefix and value != e.dt:
                    e.findings.add(
                        Code.BAD_VALUE, part.span, f"a block has the time step of the network around it, {e.dt or 1:g} ms",
                        help="take this line out, or make both alike",
                    )  # fmt: skip
                else:
                    e.dt = value
            case "events":
                word = part.value.text if isinstance(part.value, nodes.Name) else "?"
                if word == "located" and e.prefix:
                    e.findings.add(
                        Code.BAD_VALUE,
                        part.span,
                        "a block has the events of the network around it",
                        help="take this line out",
                    )
                e.located = word == "located"
                if word not in ("grid", "located"):
                    e.findings.add(
                        Code.UNKNOWN_NAME, part.value.span, f"unknown word `{word}`", help="`grid` or `located`"
                    )
            case name:
                e.findings.add(
                    Code.UNKNOWN_NAME, part.path.span, f"a network has no setting `{name}`",
                    help=did_you_mean(name, ["dt", "events"]),
                )  # fmt: skip
    e.scope = e.scope.with_names({"dt": Typed(Var("dt"), TIME)})


def _sizes(shape: tuple[nodes.Expr, ...], e: Elaboration, what: str) -> Shape | None:
    sizes = [whole(size, e.scope, f"the size of {what}") for size in shape]
    if any(size is None for size in sizes) or not sizes:
        return None
    known = tuple(size for size in sizes if size is not None)
    if math.prod(known) > MAX_UNITS:
        e.findings.add(
            Code.TOO_BIG, shape[0].span.to(shape[-1].span),
            f"{what} has {math.prod(known):.3g} units, and more than {MAX_UNITS:.3g} cannot be held",
            help="is this the number that was meant?",
        )  # fmt: skip
        return None
    return known


def _read_input(e: Elaboration, part: nodes.Port) -> None:
    e.add(part.name, name_span(part))
    e.broken.append(part.name)  # until the end of this function
    type_ = part.type
    if part.kind == "event" or type_ is None or part.default is not None:
        e.findings.add(
            Code.WRONG_KIND, part.span, "an input of a network has a type and a shape",
            help=f"write `input {part.name} : spikes[n]` or `: real[n]`",
        )  # fmt: skip
        return
    if type_.name not in ("spikes", *DIMENSIONS):
        e.findings.add(
            Code.UNKNOWN_NAME, Span(type_.span.source, type_.span.start, type_.span.start + len(type_.name)),
            f"unknown type `{type_.name}`",
            help=did_you_mean(type_.name, ["spikes", *DIMENSIONS]),
        )  # fmt: skip
        return
    if type_.shape is None:
        e.findings.add(
            Code.UNKNOWN_SHAPE, part.span, f"`{part.name}` has no shape, so that `{e.item.name}` can only be used as a block",
            help=f"write `input {part.name} : {type_.name}[n]`",
        )  # fmt: skip
        return
    shape = _sizes(type_.shape, e, f"input `{part.name}`")
    e.broken.remove(part.name)
    dimension = DIMENSIONS.get(type_.name, ONE)
    e.inputs[part.name] = model.Input(part.name, type_.name, dimension, shape or (1,), name_span(part))


def _read_layer(e: Elaboration, name: str, instance: nodes.Instance, doc: str, span: Span) -> None:
    e.add(name, span)
    full = e.full(name)
    if not e.prefix and (name in ("n", "key") or name.endswith(("_fold", "_kernel"))):
        e.findings.add(
            Code.RESERVED_NAME, span, f"`{name}` is what the emitted file calls a part of its own state",
            help="give the layer another name",
        )  # fmt: skip
    found = find_neuron(e, instance.func)
    if found is None:
        report_unknown(e, instance.func, "neuron")
        e.broken.append(full)
        return
    item, home = found
    neuron = resolve_neuron(item, home, instance.args, e.scope, e.dt, e.findings, span)
    shape = None
    if instance.shape is not None:
        shape = _sizes(instance.shape, e, f"layer `{name}`") or (1,)
    e.layers[full] = PendingLayer(full, neuron, shape, doc, span, e.scope)


def _finish(e: Elaboration) -> model.Network:
    found: list[model.Node] = []
    for name in e.order:
        if name in e.inputs:
            found.append(e.inputs[name])
        elif name in e.layers:
            layer = e.layers[name]
            check_ports(layer)
            check_channels(layer)
            assert layer.shape is not None
            ports = tuple((port, tuple(signals)) for port, signals in layer.edges.items())
            found.append(model.Layer(name, layer.neuron, layer.shape, ports, layer.doc, layer.span))
        elif name in e.ops:
            node = _finish_op(e, e.ops[name])
            if node is not None:
                found.append(node)
    e.findings.stop_on_errors()
    uses = tuple(e.uses)
    check_sharing(e, found)
    network = model.Network(
        e.item.name, e.item.doc, e.dt or 1.0, tuple(found), (), name_span(e.item), uses, located=e.located
    )
    check_cycles(e, network)
    network = replace(network, plastic=read_plastic_edges(e, network))
    check_norms(network, e.findings)
    return network


def _finish_op(e: Elaboration, op: PendingOp) -> model.OpNode | None:
    before = tuple(shape for shape in (e.shape_of(source.node) for source in op.sources) if shape is not None)
    assert len(before) == len(op.sources)
    assert op.shape is not None
    built = op.spec.build(
        Build(
            op.instance,
            op.bound,
            op.options,
            op.sources,
            before,
            op.shape,
            op.weight,
            op.dimension,
            e.dt or 1.0,
            op.scope,
        )
    )
    if built is None:
        return None
    return model.OpNode(
        op.name, built, op.sources, before, op.shape, op.dimension, op.text, op.instance.span, op.shares
    )


def resolve_network(item: nodes.Network, home: Module, findings: Findings) -> model.Network:
    """Elaborate a network and its outputs."""
    network = elaborate(item, home, findings)
    network = replace(network, outputs=resolve_outputs(network, item, home, findings))
    findings.stop_on_errors()
    return network
