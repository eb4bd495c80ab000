"""The tables and the runtime's files fit: every function named is there, once, self-contained and documented."""

import ast
import builtins
from pathlib import Path

import pytest

import snnc.emit.runtime
from snnc.ops.encoders import ENCODERS, TRANSFORMS
from snnc.ops.initialisers import INITIALISERS
from snnc.ops.tensor_functions import TENSOR_FUNCTIONS

FOLDER = Path(snnc.emit.runtime.__file__).parent
FILES = ("readouts", "losses", "penalties", "metrics", "initialisers", "encoders")
IMPORTED = {"jax", "jnp", "np", "lax", "Array", "Any"}


def functions(file):
    tree = ast.parse((FOLDER / f"{file}.py").read_text())
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_function_that_a_table_names_exists_once():
    named = [
        *(function.runtime for function in TENSOR_FUNCTIONS.values()),
        *(initialiser.runtime for initialiser in INITIALISERS.values() if not initialiser.compile_time),
        *(encoder.runtime for encoder in ENCODERS.values()),
        *(transform.runtime for transform in TRANSFORMS.values()),
    ]
    defined = [name for path in sorted(FOLDER.glob("*.py")) for name in functions(path.stem)]

    assert len(named) == len(set(named))
    assert [1] * len(named) == [defined.count(name) for name in named]


@pytest.mark.parametrize("file", FILES)
def test_a_function_calls_only_its_own_file_and_jax(file):
    defined = functions(file)

    for name, node in defined.items():
        stored = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        formals = {a.arg for a in ast.walk(node) if isinstance(a, ast.arg)}
        inner = {n.name for n in ast.walk(node) if isinstance(n, ast.FunctionDef)}
        read = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}

        assert read <= stored | formals | inner | IMPORTED | set(defined) | set(dir(builtins)), name
        assert not hasattr(builtins, name), name
        assert ast.get_docstring(node), name


def test_names_of_pasted_functions_are_used_once():
    """All functions of the runtime may meet in one emitted file."""
    names = [name for path in sorted(FOLDER.glob("*.py")) for name in functions(path.stem)]

    assert len(names) == len(set(names))


def test_no_name_hides_another_family():
    names = [*INITIALISERS, *ENCODERS, *TRANSFORMS]

    assert len(names) == len(set(names))


@pytest.mark.parametrize("table", [TENSOR_FUNCTIONS, INITIALISERS, ENCODERS, TRANSFORMS])
def test_every_entry_is_documented_and_its_options_differ(table):
    for entry in table.values():
        names = [option.name for option in entry.options]

        assert entry.doc
        assert len(names) == len(set(names))
