"""Cuts blocks out of a step plan, so that each becomes one function that all its uses call.

A use is cut out if the rest of the network sees it as one node: every cycle that touches it lies inside it, and nothing
leaves it that comes back. Other uses stay spread out in the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from snnc import model
from snnc.lower.schedule import Active, delays, sources_of
from snnc.plan import Group, StepPlan
from snnc.units import ONE


def separable_uses(plan: StepPlan) -> tuple[model.Use, ...]:
    """Return the outermost uses of blocks that can be computed as one, in text order."""
    found: list[model.Use] = []
    for use in plan.network.uses:
        nested = any(use.name.startswith(f"{other.name}.") for other in found)
        if not nested and _members(plan, use) and _is_closed(plan, use) and not _comes_back(plan, use):
            found.append(use)
    return tuple(found)


def _members(plan: StepPlan, use: model.Use) -> tuple[Active, ...]:
    return tuple(node for node in plan.order if node.name.startswith(f"{use.name}."))


def _is_closed(plan: StepPlan, use: model.Use) -> bool:
    """Whether each time loop lies inside the use or outside of it, and none draws noise by the name of a layer."""
    inside = {node.name for node in _members(plan, use)}
    if any(isinstance(node, model.Layer) and plan.body(node.name).random for node in _members(plan, use)):
        return False
    sharing = {n.shares for n in _members(plan, use) if isinstance(n, model.OpNode) and n.shares}
    if not all(name.startswith(f"{use.name}.") for name in sharing):
        return False
    known = {signal for _, signal in use.inputs}
    flowing = {s for node in _members(plan, use) for s in sources_of(node) if s.node not in inside}
    return flowing <= known and all(len({n.name in inside for n in group.nodes}) == 1 for group in plan.groups)


def _comes_back(plan: StepPlan, use: model.Use) -> bool:
    """Whether something flows out of the use and, through nodes outside, into it again."""
    inside = {node.name for node in _members(plan, use)}
    sources = {node.name: {s.node for s in sources_of(node)} for node in plan.order}
    after: set[str] = set()
    grown = True
    while grown:
        new = {n for n, read in sources.items() if n not in inside and n not in after and read & (inside | after)}
        grown = bool(new)
        after |= new
    return any(sources[name] & after for name in inside)


def in_order(items: Sequence[tuple[Active, ...]], uses: tuple[model.Use, ...]) -> list[tuple[Active, ...] | model.Use]:
    """Return `items` (nodes that are computed together, sources first) with each of `uses` in the place of its own.

    A use comes when all that flows into it is there.
    """
    home = {n.name: u for u in uses for item in items for n in item if n.name.startswith(f"{u.name}.")}
    units: list[tuple[Active, ...] | model.Use] = []
    placed: set[str] = set()
    for item in items:
        use = home.get(item[0].name)
        if use is None:
            units.append(item)
        elif use.name not in placed:
            units.append(use)
            placed.add(use.name)
    names = {n.name for item in items for n in item}

    def made(unit: tuple[Active, ...] | model.Use) -> set[str]:
        if isinstance(unit, model.Use):
            return {n for n, u in home.items() if u is unit}
        return {node.name for node in unit}

    def needed(unit: tuple[Active, ...] | model.Use) -> set[str]:
        if isinstance(unit, model.Use):
            return {signal.node for _, signal in unit.inputs} & names
        if len(items) == len(names) and delays(unit[0]):
            return set()  # within a step a delay waits for nobody
        return ({s.node for node in unit for s in sources_of(node)} & names) - made(unit)

    done: set[str] = set()
    out: list[tuple[Active, ...] | model.Use] = []
    while units:
        unit = next(u for u in units if needed(u) <= done)
        out.append(unit)
        done |= made(unit)
        units.remove(unit)
    return out


def cut_out(plan: StepPlan, use: model.Use) -> StepPlan:
    """Return the nodes of a use as a plan of their own: names without the use's, its inputs as inputs."""
    prefix = f"{use.name}."
    names = {signal: name for name, signal in reversed(use.inputs)}

    def own(signal: model.Signal) -> model.Signal:
        if signal in names:
            return model.Signal(names[signal])
        return replace(signal, node=signal.node.removeprefix(prefix))

    def renamed(node: Active) -> Active:
        name = node.name.removeprefix(prefix)
        if isinstance(node, model.Layer):
            ports = tuple((port, tuple(own(s) for s in signals)) for port, signals in node.ports)
            return replace(node, name=name, ports=ports)
        return replace(
            node, name=name, sources=tuple(own(s) for s in node.sources), shares=node.shares.removeprefix(prefix)
        )

    order = tuple(renamed(node) for node in _members(plan, use))
    by_name = {node.name: node for node in order}
    groups = tuple(
        Group(tuple(by_name[n.name.removeprefix(prefix)] for n in group.nodes), group.loop)
        for group in plan.groups
        if group.nodes[0].name.startswith(prefix)
    )
    inputs = tuple(_input(plan, name, signal, use) for signal, name in names.items())
    uses = tuple(
        replace(
            u,
            name=u.name.removeprefix(prefix),
            inputs=tuple((n, own(s)) for n, s in u.inputs),
            outputs=tuple((n, own(s)) for n, s in u.outputs),
        )
        for u in plan.network.uses
        if u.name.startswith(prefix)
    )
    text_order = tuple(by_name[n.name.removeprefix(prefix)] for n in plan.network.nodes if n.name.startswith(prefix))
    network = replace(plan.network, name=use.block, nodes=(*inputs, *text_order), outputs=(), uses=uses)
    bodies = tuple((n.removeprefix(prefix), body) for n, body in plan.bodies if n.startswith(prefix))
    return StepPlan(network, bodies, order, groups)


def _input(plan: StepPlan, name: str, signal: model.Signal, use: model.Use) -> model.Input:
    node = plan.network.node(signal.node)
    dimension = node.dimension if isinstance(node, model.Input | model.OpNode) else ONE
    return model.Input(name, "real", dimension, node.shape, use.span)
