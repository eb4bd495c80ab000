"""The data set of a recipe, loaded and dealt into its parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from snnc.data.load import load_data_set
from snnc.data.record import DataSet, Part, make_dataset
from snnc.diagnostics import Code, Findings, fail
from snnc.expr import Apply, Var, walk
from snnc.harness.emitted import Fields
from snnc.harness.files import whole_file
from snnc.harness.sample_lengths import check_lengths
from snnc.model import Field, Network, Recipe
from snnc.pipeline import Compiled
from snnc.semantics.fields import expects_time, match_fields

PARTS: tuple[Part, ...] = ("train", "val", "test")


def require_recipe(compiled: Compiled, source: Path) -> Recipe:
    """Return the recipe of `compiled`; E0606 if `source` has none for its network."""
    if compiled.recipe is None:
        raise fail(
            Code.NO_TRAIN,
            whole_file(source),
            f"`{source.name}` has no `train` section for this network",
            help="add `train NAME of NETWORK on DATA { … }`; `snnc new NAME` writes an example",
        )
    return compiled.recipe


def load_dataset(compiled: Compiled, source: Path, data_dir: Path | None) -> DataSet:
    """Return the data set of the recipe of `compiled`, each field that feeds an input under the input's name.

    Files are looked for beside `source` and in `data_dir`.

    Raises:
        CompileError: E0606 without a recipe, E0604 or E0605 for data that is not there or not usable, E0602 and E0401 for
            fields that do not fit the network.
    """
    recipe = require_recipe(compiled, source)
    data = recipe.data
    loaded = load_data_set(data, source.parent, data_dir)
    findings = Findings()
    timed = expects_time(compiled.network, data)
    kinds = {node.name: node.kind for node in compiled.network.inputs}
    only = next(iter(kinds.values())) if len(kinds) == 1 else "real"
    known = data.fields or tuple(
        Field(name, array.shape[1:], timed and name != "label", kinds.get(name, only), None)
        for name, array in loaded.fields.items()
    )
    bindings, _ = match_fields(compiled.network, data, known, recipe.span, findings, recipe.length)
    findings.stop_on_errors()
    names = {field: node for node, field in bindings.items()}
    fields = {names.get(name, name): array for name, array in loaded.fields.items()}
    check_lengths(recipe, compiled.network, fields)
    if "label" in fields:
        _check_labels(recipe, compiled.network, fields["label"])
    return make_dataset(fields, loaded.split, data.span, data.name)


def _check_labels(recipe: Recipe, network: Network, labels: np.ndarray) -> None:
    """Refuse, with E0605, labels beyond the classes of an output that they are compared with: JAX would not tell."""
    largest = int(labels.max(initial=0))
    shapes = {f"output:{output.name}": output.type.shape for output in network.outputs}
    for term in (recipe.loss, *recipe.metrics):
        for expr in walk(term.value):
            if not (isinstance(expr, Apply) and Var("field:label") in expr.args and isinstance(expr.args[0], Var)):
                continue
            shape = shapes.get(expr.args[0].name)
            if shape and largest >= shape[-1]:
                name = expr.args[0].name.removeprefix("output:")
                raise fail(
                    Code.BAD_DATA,
                    recipe.data.span,
                    f"`label` goes up to {largest}, and `{name}` of `{network.name}` has {shape[-1]} classes",
                    help=f"classes are numbered from 0 to {shape[-1] - 1}; make the layer wider or renumber the labels",
                )


def load_parts(compiled: Compiled, source: Path, data_dir: Path | None) -> dict[str, dict[str, Any]]:
    """Return the fields of each part that has samples; `train` is always there."""
    data = load_dataset(compiled, source, data_dir)
    parts = {name: data.part(name) for name in PARTS}
    return {name: fields for name, fields in parts.items() if sample_count(fields)}


def sample_count(fields: Fields) -> int:
    return len(next(iter(fields.values())))
