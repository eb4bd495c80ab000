"""The data set of a recipe, loaded and dealt into its parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from snnc.diagnostics import Code, fail
from snnc.harness.data.files import LoadContext
from snnc.harness.data.record import DataSet, Part
from snnc.harness.data.sources import SOURCES
from snnc.harness.emitted import CompiledModel, Fields, ResolvedRecipe
from snnc.harness.files import whole_file

PARTS: tuple[Part, ...] = ("train", "val", "test")


def require_recipe(compiled: CompiledModel, source: Path) -> ResolvedRecipe:
    """Return the recipe of `compiled`; E0606 if `source` has none for its network."""
    if compiled.recipe is None:
        raise fail(
            Code.NO_TRAIN,
            whole_file(source),
            f"`{source.name}` has no `train` section for this network",
            help="add `train NAME of NETWORK on DATA { … }`; `snnc new NAME` writes an example",
        )
    return compiled.recipe


def load_dataset(compiled: CompiledModel, source: Path, data_dir: Path | None) -> DataSet:
    """Return the data set that the recipe of `compiled` names; files are looked for beside `source` and in `data_dir`.

    Raises:
        CompileError: E0606 without a recipe, E0604 or E0605 for data that is not there or not usable.
    """
    data = require_recipe(compiled, source).data
    return SOURCES[data.source_name].load(LoadContext(data.span, source.parent, data_dir), dict(data.arguments))


def load_parts(compiled: CompiledModel, source: Path, data_dir: Path | None) -> dict[str, dict[str, Any]]:
    """Return the fields of each part that has samples; `train` is always there."""
    data = load_dataset(compiled, source, data_dir)
    parts = {name: data.part(name) for name in PARTS}
    return {name: fields for name, fields in parts.items() if sample_count(fields)}


def sample_count(fields: Fields) -> int:
    return len(next(iter(fields.values())))
