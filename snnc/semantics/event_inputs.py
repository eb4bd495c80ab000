"""Decides which inputs an update may read as event lists: known spikes of which only dense products take anything."""

from __future__ import annotations

from snnc import model
from snnc.diagnostics import Code, Findings, did_you_mean
from snnc.expr import variables
from snnc.ops.dense import Dense
from snnc.ops.precision import LOW
from snnc.syntax import nodes

SPARSE_INPUT = ("auto", "on", "off")


def event_inputs(network: model.Network, recipe: model.Recipe | None) -> tuple[model.Input, ...]:
    """Return the inputs that updates by `recipe` may read as event lists."""
    if recipe is None or recipe.sparse_input == "off" or recipe.rule.name not in ("bptt", "tbptt", "eprop"):
        return ()
    if recipe.rule.get("online"):
        return ()
    terms = (recipe.loss, *recipe.penalties, *recipe.metrics)
    told = obstacles(network, recipe.data, terms, recipe.in_parts, recipe.precision)
    return tuple(node for node in network.inputs if node.name not in told)


def obstacles(
    network: model.Network,
    data: model.DataSet,
    terms: tuple[model.Term, ...],
    in_parts: bool,
    precision: str,
) -> dict[str, str]:
    """Return for each input that must stay an array why, as the end of a sentence about it."""
    values = (*(output.value for output in network.outputs), *(term.value for term in terms))
    read = {name for value in values for name in variables(value)}
    found = {}
    for node in network.inputs:
        reason = _obstacle(node, network, data, f"input:{node.name}" in read)
        if network.plastic:
            reason = "is read step by step, for weights change from step to step"
        if in_parts:
            reason = "is cut into parts by `checkpoint`, `carry` or `burn_in`"
        if precision in LOW:
            reason = f"is multiplied in `{precision}`, and lists are added up in float32"
        if reason:
            found[node.name] = reason
    return found


def read_sparse_input(
    settings: dict[str, nodes.Expr],
    network: model.Network,
    data: model.DataSet,
    terms: tuple[model.Term, ...],
    in_parts: bool,
    precision: str,
    findings: Findings,
) -> str:
    """Return `auto`, `on` or `off`; with `on` some input must be able to come as event lists."""
    value = settings.get("sparse_input")
    if value is None:
        return SPARSE_INPUT[0]
    word = value.text if isinstance(value, nodes.Name) else "?"
    if word not in SPARSE_INPUT:
        findings.add(
            Code.BAD_SETTING, value.span, "`sparse_input` is `auto`, `on` or `off`", help=did_you_mean(word, SPARSE_INPUT)
        )  # fmt: skip
        return SPARSE_INPUT[0]
    told = obstacles(network, data, terms, in_parts, precision)
    if word == "on" and len(told) == len(network.inputs):
        why = "; ".join(f"`{name}` {reason}" for name, reason in told.items())
        findings.add(
            Code.BAD_SETTING, value.span, f"no input can be read as event lists: {why or 'there is none'}",
            help="take `sparse_input = on` out",
        )  # fmt: skip
    return word


def _obstacle(node: model.Input, network: model.Network, data: model.DataSet, read: bool) -> str:
    readers = [
        other
        for other in network.nodes
        if (isinstance(other, model.OpNode) and any(s.node == node.name for s in other.sources))
        or (isinstance(other, model.Layer) and any(s.node == node.name for _, sources in other.ports for s in sources))
    ]
    if node.kind != "spikes":
        return f"is declared as `{node.kind}` and not as spikes"
    if data.encoder is not None:
        return f"is made by `{data.encoder.name}` in every update"
    if any(transform.name != "flatten" for transform in data.transforms):
        return "is transformed in every update"
    if len(node.shape) != 1:
        return f"has {len(node.shape)} axes, and lists have one"
    if read or not all(isinstance(r, model.OpNode) and isinstance(r.op, Dense) and not r.op.held() for r in readers):
        return "is read by something else than `dense`"
    if any(reader.name.startswith(f"{use.name}.") for use in network.uses for reader in readers):
        return "is read inside a block"
    return "" if readers else "is read by nothing"
