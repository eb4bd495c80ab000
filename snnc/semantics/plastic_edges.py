"""Reads `learn = PairSTDP(…)` of the operations of a network: the rule, its target, its third factors."""

from __future__ import annotations

from snnc import model
from snnc.diagnostics import Code, did_you_mean
from snnc.expr import Apply, Expr, variables, walk
from snnc.ops.dense import Dense
from snnc.ops.tensor_functions import TENSOR_FUNCTIONS
from snnc.semantics.elaboration import Elaboration, PendingOp
from snnc.semantics.modules import Module
from snnc.semantics.plasticity import resolve_plasticity
from snnc.semantics.quantities import expect
from snnc.semantics.scope import Typed
from snnc.semantics.tensors import Tensors, resolve_tensor, signal_names
from snnc.source import Span
from snnc.syntax import nodes


def read_plastic_edges(e: Elaboration, network: model.Network) -> tuple[model.PlasticEdge, ...]:
    """Return what the `learn` arguments of a network's operations say."""
    found = []
    for name in e.order:
        op = e.ops.get(name)
        if op is not None and "learn" in op.bound:
            edge = _edge(e, op, network)
            if edge is not None:
                found.append(edge)
    return tuple(found)


def _edge(e: Elaboration, op: PendingOp, network: model.Network) -> model.PlasticEdge | None:
    node = network.node(op.name)
    value = op.bound["learn"].value
    call = nodes.Call(value, span=value.span) if isinstance(value, nodes.Name) else value
    found = e.home.find(call.func) if isinstance(call, nodes.Call) else None
    item = found[0] if found is not None else None
    if not isinstance(call, nodes.Call) or found is None or not isinstance(item, nodes.Plasticity):
        _report_unknown(e, value, call)
        return None
    assert isinstance(node, model.OpNode)
    home = found[1]
    post = _target(network, node)
    if not _possible(e, op, node, network, post, value.span) or post is None:
        return None
    ports = [clause.name for clause in item.body if isinstance(clause, nodes.Port)]
    names = [clause.name for clause in item.body if isinstance(clause, nodes.Param)]
    _check_arguments(e, item, call, [*names, *ports])
    given = {arg.name: arg for arg in call.args if arg.name is not None and arg.name in ports}
    factors = _factors(e, item, home, given, node, post, network, value.span)
    args = tuple(arg for arg in call.args if arg.name in names)
    kinds = {factor.name: factor.per for factor, _ in factors}
    rule = resolve_plasticity(
        item, home, args, op.scope, network.dt, e.findings, value.span, node.op.weights()[0].dimension, kinds
    )
    for port in rule.factors:
        typed = next((typed for factor, typed in factors if factor.name == port.name), None)
        if typed is not None:
            expect(typed, port.dimension, given[port.name].value.span, e.findings, f"`{port.name}` of `{item.name}`")
        elif port.default is None:
            e.findings.add(
                Code.MISSING_ARGUMENT, value.span, f"`{item.name}` needs its third factor `{port.name}`",
                help=f"bind it: `learn = {item.name}({port.name} = …)`",
            )  # fmt: skip
    return model.PlasticEdge(op.name, rule, node.sources[0], post, tuple(f for f, _ in factors), value.span)


def _report_unknown(e: Elaboration, value: nodes.Expr, call: nodes.Expr) -> None:
    word = call.func.text if isinstance(call, nodes.Call) else value.span.text
    known = [n for n, (item, _) in e.home.names.items() if isinstance(item, nodes.Plasticity)]
    e.findings.add(
        Code.UNKNOWN_NAME, value.span, f"unknown plasticity rule `{word}`",
        help=did_you_mean(word, known)
        or f"import one, as by `import std.plasticity ({word})`, or write `plasticity {word} {{ … }}`",
    )  # fmt: skip


def _check_arguments(e: Elaboration, item: nodes.Plasticity, call: nodes.Call, known: list[str]) -> None:
    seen: set[str] = set()
    for arg in call.args:
        if arg.name == "fast":
            e.findings.add(
                Code.NOT_YET, arg.span, "not supported yet: `fast`, a copy of the weights for each sample",
                help="take it out: the weights are shared, and move by the mean over the batch",
            )  # fmt: skip
        elif arg.name not in known:
            e.findings.add(
                Code.UNKNOWN_ARGUMENT, arg.span,
                f"`{item.name}` has no parameter `{arg.name}`" if arg.name else f"arguments of `{item.name}` are given by name",
                help=did_you_mean(arg.name or "", known) or f"write `{item.name}()`",
            )  # fmt: skip
        elif arg.name in seen:
            e.findings.add(Code.DUPLICATE_NAME, arg.span, f"`{arg.name}` is given twice", help="keep one of the two")
        seen.add(arg.name or "")


def _possible(
    e: Elaboration, op: PendingOp, node: model.OpNode, network: model.Network, post: model.Signal | None, span: Span
) -> bool:
    """Report what keeps an operation from being plastic."""
    why = ""
    if not isinstance(node.op, Dense):
        why = "a `dense` with a delay for each weight"
    elif node.shares:
        why = "a `dense` that shares its weights"
    elif len(node.shape) != 1 or len(node.in_shapes[0]) != 1:
        why = f"a `dense` that acts on {list(node.in_shapes[0])} values"
    if not why and any(op.name.startswith(f"{use.name}.") for use in network.uses):
        why = "an operation inside a block"
    if not why and node.op.weights()[0].init.limits is not None:
        why = "weights that begin `in (…)`: the rule has `clip w in (…)`"
    if why:
        e.findings.add(Code.NOT_YET, span, f"not supported yet: plasticity of {why}", help="take `learn` out")
    elif post is None:
        e.findings.add(
            Code.NO_SIGNAL, span, f"`{op.name}` does not end in one layer that spikes, so that nothing says when `post` is",
            help="let it feed one layer of spiking neurons, through `delay` at most",
        )  # fmt: skip
    return not why and post is not None


def _target(network: model.Network, node: model.OpNode) -> model.Signal | None:
    """Return the spikes of the only layer that an operation feeds, also through delays."""
    name = node.name
    while True:
        layers = [n for n in network.layers if any(s.node == name for _, sources in n.ports for s in sources)]
        others = [n for n in network.operations if any(s.node == name for s in n.sources)]
        if len(layers) == 1 and not others:
            fits = layers[0].neuron.spikes and layers[0].shape == node.shape
            return model.Signal(layers[0].name, "spike") if fits else None
        if layers or len(others) != 1 or others[0].op.kind != "delay":
            return None
        name = others[0].name


def _factors(
    e: Elaboration,
    item: nodes.Plasticity,
    home: Module,
    given: dict[str, nodes.Arg],
    node: model.OpNode,
    post: model.Signal,
    network: model.Network,
    span: Span,
) -> list[tuple[model.Factor, Typed]]:
    names = {name: found for name, found in signal_names(network).items() if found[1].time and found[1].batch}
    tensors = Tensors(names, e.home, e.findings, network.dt, None, f"in a third factor of `{item.name}`")
    found = []
    for name, arg in given.items():
        before = len(e.findings.errors)
        value, type_ = resolve_tensor(arg.value, tensors)
        if len(e.findings.errors) > before:
            continue
        if any(isinstance(part, Apply) and part.fn in TENSOR_FUNCTIONS for part in walk(value)):
            e.findings.add(
                Code.NOT_YET, arg.value.span, "not supported yet: a third factor that is a readout",
                help="give it signals of this step, joined by operators and plain functions",
            )  # fmt: skip
            continue
        per = _per(value, type_.shape, node, post, network)
        if per is None:
            e.findings.add(
                Code.SHAPE_MISMATCH, arg.value.span,
                f"`{name}` gets {list(type_.shape)} values, and a third factor is one number for each sample, each of the "
                f"{node.in_shapes[0][0]} that arrive, or each of the {node.shape[0]} units of `{post.node}`",
                help="name a signal of one of these sizes",
            )  # fmt: skip
            continue
        found.append((model.Factor(name, value, per), Typed(value, type_.dimension)))
    return found


def _per(
    value: Expr, shape: tuple[int, ...], node: model.OpNode, post: model.Signal, network: model.Network
) -> str | None:
    """Return for what a third factor exists; where sizes do not tell, the layer that it is read from does."""
    read = {variable.partition(":")[2].removesuffix(".pre").rpartition(".")[0] for variable in variables(value)}
    if shape == node.shape and (post.node in read or shape not in (node.in_shapes[0], (1,))):
        return "post"
    if shape == node.in_shapes[0] and shape != (1,):
        return "pre"
    if shape == node.shape and shape != (1,):
        return "post"
    return "sample" if shape in ((), (1,)) else None
