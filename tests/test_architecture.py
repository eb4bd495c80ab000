"""Imports go one way, the compiler needs no JAX, and no file grows beyond what a reader can hold."""

import ast
from pathlib import Path

import snnc

PACKAGE = Path(snnc.__file__).parent
RUNTIME = "emit.runtime"  # texts that go into emitted files; the compiler reads them and never imports them

# A module imports from its own rank and from those above it in this table. A name stands for itself and all below it;
# the longest that fits counts.
RANKS = (
    ("source", "resources", "limits", "memory"),
    ("diagnostics",),
    ("syntax",),
    ("units", "expr", "functions"),
    (
        "ops.operation",
        "ops.precision",
        "ops.delay_times",
        "ops.delays",
        "ops.options",
        "ops.memory",
        "ops.dense",
        "ops.elementwise",
        "ops.joins",
        "ops.norms",
    ),
    ("model",),
    ("ops",),
    ("data",),
    ("plan",),
    ("interp",),
    ("surrogate_facts", "probe"),
    ("semantics",),
    ("lower",),
    ("rules", "plastic_interp"),
    ("semantics.checks",),
    ("emit",),
    ("cost",),
    ("pipeline",),
    ("harness",),
    ("commands",),
    ("cli",),
    ("__main__",),
)
ALONE = (RUNTIME, "data.batches", "data.event_lists")  # import nothing of ours: they are copied into emitted files

# Files that may exceed 400 lines, and how far.
LONG = {
    "syntax/nodes.py": 500,  # one class for each rule of the grammar
    "model.py": 500,  # one class for each part of a resolved model
}


def modules():
    """Every module by its name inside the package, with its tree."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name:
            yield name, ast.parse(path.read_text(encoding="utf-8"))


def imported(tree):
    """Return the modules that `tree` imports, at its top or inside a function."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            folder = PACKAGE.parent.joinpath(*node.module.split("."))
            for alias in node.names:
                inner = folder / alias.name
                is_module = inner.is_dir() or inner.with_suffix(".py").is_file()
                names.append(f"{node.module}.{alias.name}" if is_module else node.module)
    return names


def rank(module):
    fitting = [
        (len(name), number) for number, row in enumerate(RANKS) for name in row if f"{module}.".startswith(f"{name}.")
    ]
    assert fitting, f"give `{module}` a rank in tests/test_architecture.py"
    return max(fitting)[1]


MODULES = dict(modules())
OURS = {
    name: [found.removeprefix("snnc.") for found in imported(tree) if found.startswith("snnc.")]
    for name, tree in MODULES.items()
}


def test_no_module_imports_from_a_later_rank():
    steps_back = [
        f"{name} <- {used}" for name, all_used in OURS.items() for used in all_used if rank(used) > rank(name)
    ]

    assert steps_back == []


def test_no_modules_import_each_other_in_a_circle():
    done, circles = set(), []

    def visit(name, path):
        if name in path:
            circles.append(" <- ".join([*path[path.index(name) :], name]))
        elif name not in done:
            for used in OURS.get(name, ()):
                visit(used, [*path, name])
            done.add(name)

    for name in OURS:
        visit(name, [])
    assert circles == []


def test_the_compiler_imports_no_jax():
    heavy = {"jax", "jaxlib", "optax", "safetensors", "matplotlib", "typer", "rich"}
    compiler = [name for name in MODULES if rank(name) < rank("harness") and not name.startswith(f"{RUNTIME}.")]
    found = [
        f"{name} <- {used}" for name in compiler for used in imported(MODULES[name]) if used.split(".")[0] in heavy
    ]

    assert len(compiler) > 50
    assert found == []


def test_copied_sources_import_nothing_of_ours():
    copied = [name for name in MODULES if any(f"{name}.".startswith(f"{alone}.") for alone in ALONE)]

    assert len(copied) > 5
    assert [name for name in copied if OURS[name]] == []


def test_no_file_is_longer_than_a_reader_can_hold():
    lengths = {
        path.relative_to(PACKAGE).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in PACKAGE.rglob("*.py")
    }
    too_long = {name: length for name, length in lengths.items() if length > LONG.get(name, 400)}

    assert too_long == {}
    assert set(LONG) <= set(lengths)
