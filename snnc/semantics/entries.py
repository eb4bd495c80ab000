"""What of a file is compiled: one network, with or without a recipe."""

from __future__ import annotations

from dataclasses import dataclass

from snnc.diagnostics import Code, did_you_mean, fail
from snnc.semantics.elaboration import stands_alone
from snnc.semantics.modules import Module
from snnc.source import Span
from snnc.syntax import nodes


@dataclass(frozen=True, slots=True)
class Entry:
    """The names of a network and of the recipe that trains it."""

    network: str
    recipe: str | None


def choose_entry(module: Module, name: str | None) -> Entry:
    """Return what `name` (a recipe or a network) stands for; without it, the only recipe or the only network.

    Raises:
        CompileError: E0206 if there are several, E0201 for an unknown name, E0606 for a file without networks.
    """
    recipes, networks = module.defined(nodes.Train), module.defined(nodes.Network)
    whole = Span(module.source, 0, len("edition 2026"))
    if name is not None:
        if name in recipes:
            return _of_recipe(module, name)
        if name in networks:
            return Entry(name, None)
        raise fail(
            Code.UNKNOWN_NAME,
            whole,
            f"no recipe or network is called `{name}`",
            help=did_you_mean(name, [*recipes, *networks]) or "it has none: add `network NAME { … }`",
        )
    if len(recipes) == 1:
        return _of_recipe(module, recipes[0])
    if len(recipes) > 1:
        listed = ", ".join(f"`{r}`" for r in recipes)
        raise fail(
            Code.AMBIGUOUS_ENTRY, whole, f"this file has several recipes: {listed}",
            help=f"name one after the file, as in `{module.source.path} {recipes[0]}`",
        )  # fmt: skip
    whole_ones = [n for n in networks if _stands_alone(module, n)]
    if len(networks) == 1 or len(whole_ones) == 1:
        return Entry((whole_ones or list(networks))[0], None)
    if not networks:
        raise fail(
            Code.NO_TRAIN, whole, "this file has no network to compile",
            help="add `network NAME { … }`; neurons alone are checked by `snnc check`",
        )  # fmt: skip
    listed = ", ".join(f"`{n}`" for n in networks)
    raise fail(
        Code.AMBIGUOUS_ENTRY, whole, f"this file has several networks: {listed}",
        help=f"name one after the file, as in `{module.source.path} {networks[0]}`",
    )  # fmt: skip


def _stands_alone(module: Module, name: str) -> bool:
    item = module.own[name]
    return isinstance(item, nodes.Network) and stands_alone(item, module)


def _of_recipe(module: Module, name: str) -> Entry:
    item = module.own[name]
    assert isinstance(item, nodes.Train)
    return Entry(item.network.text, name)
