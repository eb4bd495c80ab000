"""The runtime functions and classes as text: what an emitted file uses is pasted into it, with what that uses in turn."""

from __future__ import annotations

import ast
import symtable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent
_FILES = (
    "emit/runtime/values.py", "emit/runtime/initialisers.py", "emit/runtime/encoders.py", "emit/runtime/products.py",
    "emit/runtime/sequences.py", "emit/runtime/norms.py", "emit/runtime/images.py", "emit/runtime/delays.py",
    "emit/runtime/loops.py", "emit/runtime/parts.py", "emit/runtime/streams.py", "emit/runtime/kernels.py",
    "emit/runtime/precision.py", "emit/runtime/blocks.py", "emit/runtime/connections.py", "emit/runtime/online.py",
    "emit/runtime/timed.py", "emit/runtime/located.py", "emit/runtime/plasticity.py", "emit/runtime/steps.py",
    "emit/runtime/readouts.py", "emit/runtime/losses.py", "emit/runtime/penalties.py", "emit/runtime/metrics.py",
    "emit/runtime/counted.py", "emit/runtime/events.py", "emit/runtime/first_spikes.py", "data/batches.py",
    "data/event_lists.py", "emit/runtime/mesh.py",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RuntimeFunction:
    """One function with its decorators and, for a `custom_jvp`, its rule; or one class."""

    name: str
    text: str
    calls: tuple[str, ...]


@lru_cache(maxsize=1)
def runtime_functions() -> dict[str, RuntimeFunction]:
    """Return every runtime function by name, in the order of the files."""
    found: dict[str, RuntimeFunction] = {}
    for file in _FILES:
        text = (_PACKAGE / file).read_text(encoding="utf-8")
        lines = text.splitlines()
        for node in ast.parse(text).body:
            if not isinstance(node, ast.FunctionDef | ast.ClassDef):
                continue
            start = min([node.lineno, *(d.lineno for d in node.decorator_list)]) - 1
            source = "\n".join(lines[start : node.end_lineno])
            names = _global_names(source)
            owner = _owner(node)
            if owner is not None:
                old = found[owner]
                found[owner] = RuntimeFunction(owner, f"{old.text}\n\n\n{source}", (*old.calls, *names))
            else:
                found[node.name] = RuntimeFunction(node.name, source, tuple(names))
    return found


def _owner(node: ast.FunctionDef | ast.ClassDef) -> str | None:
    """Return `f` for a function decorated with `@f.defjvp`."""
    for decorator in node.decorator_list:
        if (
            isinstance(decorator, ast.Attribute)
            and decorator.attr == "defjvp"
            and isinstance(decorator.value, ast.Name)
        ):
            return decorator.value.id
    return None


def _global_names(text: str) -> list[str]:
    """Return the names that `text` takes from its module, not those that its functions bind themselves."""
    names: list[str] = []
    tables = [symtable.symtable(text, "emitted", "exec")]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        names += [s.get_name() for s in table.get_symbols() if s.is_referenced() and s.is_global()]
    return names


def pasted(text: str) -> tuple[str, ...]:
    """Return the texts of all runtime functions that `text` calls, directly or not."""
    functions = runtime_functions()
    names = set(_global_names(text))
    wanted = [name for name in functions if name in names]
    for name in wanted:
        wanted += [n for n in functions[name].calls if n in functions and n not in wanted]
    return tuple(f.text for name, f in functions.items() if name in wanted)
