"""Which norms can go into the weights before them, and the text of the file without those norms.

In evaluation a norm of kind `batch` or `tdbn` is one factor and one shift for each channel, so that a product before it can do
both. The place of an operation in the text counts: that of a block stands once, and is used with several sets of weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from snnc import model
from snnc.expr import variables
from snnc.ops.conv import Conv
from snnc.ops.delays import WithTimes
from snnc.ops.dense import Dense
from snnc.ops.norms import BatchNorm, LayerNorm
from snnc.source import Source, Span
from snnc.syntax import nodes
from snnc.syntax.format import format_text
from snnc.syntax.parse import parse_tokens
from snnc.syntax.unparse import unparse_node

_PRODUCTS = ("dense", "conv", "depthwise", "sparse")
_STAYS = {
    "layer": "its mean and variance are those of each sample",
    "bntt": "it has other values in each step",
    "tebn": "it has a factor for each step",
}

Place = tuple[str, int]  # of an operation in the text: the path of the file, and where it begins there


@dataclass(frozen=True, slots=True)
class Fold:
    """A norm, and the product in front of it that takes its factor and its shift."""

    product: model.OpNode
    norm: model.OpNode


@dataclass(frozen=True, slots=True)
class Kept:
    """A norm that stays, and why."""

    span: Span
    reason: str


def find_folds(
    network: model.Network, recipe: model.Recipe | None, file: nodes.File
) -> tuple[tuple[Fold, ...], tuple[Kept, ...]]:
    """Return the norms that can be folded and those that stay; a norm of a block goes from all its uses or from none."""
    before = {_place(norm.span): product for product, norm in _pairs(file)}
    folds: dict[Place, list[Fold]] = {}
    kept: dict[Place, Kept] = {}
    for norm in network.operations:
        if not isinstance(norm.op, BatchNorm | LayerNorm):
            continue
        place = _place(norm.span)
        found = _fold(network, recipe, norm, before.get(place), file.span.source)
        if isinstance(found, str):
            kept.setdefault(place, Kept(norm.span, found))
        else:
            folds.setdefault(place, []).append(found)
    return tuple(f for place, uses in folds.items() if place not in kept for f in uses), tuple(kept.values())


def _fold(
    network: model.Network, recipe: model.Recipe | None, norm: model.OpNode, before: nodes.Instance | None, own: Source
) -> Fold | str:
    """Return what one norm folds into, or why it stays."""
    if not isinstance(norm.op, BatchNorm) or norm.op.variant in _STAYS:
        return _STAYS[norm.op.variant if isinstance(norm.op, BatchNorm) else "layer"]
    if norm.span.source.path != own.path:
        return f"it stands in the imported file {norm.span.source.path}"
    if before is None:
        return f"it does not stand directly behind one of {', '.join(f'`{name}`' for name in _PRODUCTS)}"
    product = next(node for node in network.operations if node.name == norm.sources[0].node)
    named = f"the `{before.func.text}` before it"
    if isinstance(product.op, WithTimes):
        return f"{named} has delays"
    assert isinstance(product.op, Dense | Conv)
    if isinstance(product.op, Dense) and len(product.shape) > 1:
        return f"its channels are the first axis of {list(product.shape)}, and those of {named} the last"
    if product.shares or any(node.shares == product.name for node in network.operations):
        return f"{named} shares its weights"
    if any(weight.init.limits is not None for weight in product.own_weights):
        return f"{named} keeps its weights within limits"
    if _is_read_elsewhere(network, recipe, product, norm):
        return f"the result of {named} is also read elsewhere, as `{before.alias}`"
    if before.alias is not None and norm.dimension != product.dimension:
        return f"{named} has a name, `{before.alias}`, and another unit than the norm"
    return Fold(product, norm)


def _is_read_elsewhere(
    network: model.Network, recipe: model.Recipe | None, product: model.OpNode, norm: model.OpNode
) -> bool:
    for node in network.nodes:
        if isinstance(node, model.Layer):
            read = [signal.node for _, signals in node.ports for signal in signals]
        else:
            read = [s.node for s in node.sources] if isinstance(node, model.OpNode) and node is not norm else []
        if product.name in read:
            return True
    terms = () if recipe is None else (recipe.loss, *recipe.penalties, *recipe.metrics)
    values = (*(output.value for output in network.outputs), *(term.value for term in terms))
    return any(f"op:{product.name}" in variables(value) for value in values)


def text_without(file: nodes.File, folds: tuple[Fold, ...], name: str) -> Source:
    """Return the file `name`: the text of `file`, formatted, where the norms are gone and their products have a bias."""
    source = file.span.source
    arrows = [token for token in parse_tokens(source).tokens if token.kind == "ARROW"]
    gone = {_place(fold.norm.span) for fold in folds}
    biased = {_place(fold.product.span) for fold in folds if len(fold.product.op.weights()) == 1}
    changes: list[tuple[int, int, str]] = []
    for product, norm in _pairs(file):
        if _place(norm.span) not in gone:
            continue
        new = replace(product, alias=norm.alias or product.alias)
        if _place(product.span) in biased:
            args = tuple(arg for arg in product.args if arg.name != "bias")
            new = replace(new, args=(*args, nodes.Arg("bias", nodes.Bool(True))))
        arrow = next(token for token in reversed(arrows) if token.start < norm.span.start)
        changes.append((product.span.start, product.span.end, unparse_node(new)))
        changes.append((arrow.start, arrow.start + len(arrow.text), ""))
        changes.append((norm.span.start, norm.span.end, ""))
    text = source.text
    for start, end, new_text in sorted(changes, reverse=True):
        text = text[:start] + new_text + text[end:]
    return Source(name, format_text(Source(name, text)))


def renamed(old: model.Network, new: model.Network, folds: tuple[Fold, ...]) -> dict[str, model.OpNode]:
    """Return the operation of the network without norms that each other one of the network with them has become, by its name."""
    gone = {fold.norm.name for fold in folds}
    left = [node for node in _in_text_order(old) if node.name not in gone]
    return {before.name: after for before, after in zip(left, _in_text_order(new), strict=True)}


def _in_text_order(network: model.Network) -> list[model.OpNode]:
    """Return the operations by the use of a block that they stand in, and there by their place in the text."""
    uses = [use.name for use in network.uses]

    def key(node: model.OpNode) -> tuple[str, int]:
        around = [use for use in uses if node.name.startswith(f"{use}.")]
        return max(around, key=len, default=""), node.span.start

    return sorted(network.operations, key=key)


def _pairs(file: nodes.File) -> Iterator[tuple[nodes.Instance, nodes.Instance]]:
    """Yield each product of a file with the norm that stands directly behind it."""
    bodies = [item.body for item in file.items if isinstance(item, nodes.Network)]
    for chain in (part.nodes for body in bodies for part in body if isinstance(part, nodes.Chain)):
        for one, other in pairwise(chain):
            if isinstance(one, nodes.Name) or isinstance(other, nodes.Name):
                continue
            if one.func.text in _PRODUCTS and other.func.text == "norm":
                yield one, other


def _place(span: Span) -> Place:
    return span.source.path, span.start
