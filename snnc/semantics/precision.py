"""The precision of a recipe: what is rounded to 16 bits, and which products that concerns."""

from __future__ import annotations

from dataclasses import replace

from snnc import model
from snnc.diagnostics import Code, Findings, did_you_mean
from snnc.ops.dense import Dense
from snnc.syntax import nodes

PRECISIONS = ("f32", "f16_residual", "bf16", "f16")


def read_precision(settings: dict[str, nodes.Expr], findings: Findings) -> str:
    """Return the precision: all in float32, margins kept for the gradient in 16 bits, or factors of products."""
    value = settings.get("precision")
    if value is None:
        return PRECISIONS[0]
    word = value.text if isinstance(value, nodes.Name) else "?"
    if word in PRECISIONS:
        return word
    findings.add(
        Code.UNKNOWN_NAME, value.span, f"unknown precision `{value.span.text}`",
        help=did_you_mean(word, PRECISIONS) or "write `bf16` or `f16`, `f16_residual`, or `f32`, the default",
    )  # fmt: skip
    return PRECISIONS[0]


def with_precision(network: model.Network, precision: str) -> model.Network:
    """Return the network whose products round their factors as a recipe of this precision asks."""
    nodes = tuple(_rounded(node, precision) for node in network.nodes)
    return network if nodes == network.nodes else replace(network, nodes=nodes)


def _rounded(node: model.Node, precision: str) -> model.Node:
    if isinstance(node, model.OpNode) and isinstance(node.op, Dense):
        return replace(node, op=replace(node.op, precision=precision))
    return node
