"""Files and their names: loads a file with its imports, confined to its folder, and looks names up.

After `load_module` every import is read, every top-level name is unique, and `Module.find` answers with the definition and
the module it was written in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TypeVar

from snnc.diagnostics import Code, Findings, Label, did_you_mean, fail
from snnc.limits import MAX_IMPORT_DEPTH, MAX_IMPORTS
from snnc.resources import resource_folder
from snnc.source import Source, Span
from snnc.syntax import nodes
from snnc.syntax.parse import parse
from snnc.syntax.read import read_source

Definition = (
    nodes.Const | nodes.Function | nodes.Surrogate | nodes.Extern | nodes.Neuron | nodes.Plasticity | nodes.Network
    | nodes.Data | nodes.Train | nodes.Sweep | nodes.Convert
)  # fmt: skip

Kind = TypeVar("Kind", bound=Definition)

KIND_WORDS: dict[type, str] = {
    nodes.Const: "constant",
    nodes.Function: "function",
    nodes.Surrogate: "surrogate",
    nodes.Extern: "extern",
    nodes.Neuron: "neuron",
    nodes.Plasticity: "plasticity rule",
    nodes.Network: "network",
    nodes.Data: "data set",
    nodes.Train: "recipe",
    nodes.Sweep: "sweep",
    nodes.Convert: "conversion",
}


@dataclass(slots=True, eq=False)
class Module:
    """One file. `names` maps what can be said in it to definitions; `spaces` holds modules imported `as` a name."""

    source: Source
    folder: Path | None  # None for the standard library: no relative imports, no data files
    file: nodes.File
    own: dict[str, Definition] = field(default_factory=dict)
    names: dict[str, tuple[Definition, Module]] = field(default_factory=dict)
    spaces: dict[str, Module] = field(default_factory=dict)

    def find(self, name: nodes.Name) -> tuple[Definition, Module] | None:
        """Return the definition of a dotted name and its home, or None."""
        module: Module = self
        for part in name.parts[:-1]:
            if part not in module.spaces:
                return None
            module = module.spaces[part]
        return module.names.get(name.parts[-1])

    def find_kind(self, name: nodes.Name, kind: type[Kind]) -> tuple[Kind, Module] | None:
        """Return the definition of a dotted name and its home, if it is of `kind`."""
        found = self.find(name)
        return (found[0], found[1]) if found is not None and isinstance(found[0], kind) else None

    def defined(self, *kinds: type) -> tuple[str, ...]:
        """Return the names of the given kinds defined in this very file, in text order."""
        return tuple(name for name, item in self.own.items() if isinstance(item, kinds))


def load_module(path: Path, shown: str | None = None) -> Module:
    """Read `path` and everything that it imports.

    Raises:
        CompileError: syntax errors, bad imports, names defined twice.
    """
    return build_module(parse(read_source(path, shown)), path.parent, root=path.parent)


def build_module(
    file: nodes.File,
    folder: Path | None,
    *,
    root: Path | None,
    above: tuple[Source, ...] = (),
    loaded: dict[Path, Module] | None = None,
) -> Module:
    """Build the module of a parsed file; imports stay inside `root`, and each file of `loaded` is read once."""
    loaded = {} if loaded is None else loaded
    source = file.span.source
    module = Module(source, folder, file)
    findings = Findings()
    if all(s.path != "std/surrogates.snn" for s in (source, *above)):
        surrogates = standard_module("surrogates", (*above, source))
        module.names.update((name, (item, surrogates)) for name, item in surrogates.own.items())
    imports = [item for item in file.items if isinstance(item, nodes.Import)]
    if len(imports) > MAX_IMPORTS:
        message = f"this file has {len(imports):,} imports, and at most {MAX_IMPORTS} are read"
        raise fail(Code.TOO_LARGE, imports[MAX_IMPORTS].span, message, help="collect what belongs together in one file")
    for item in imports:
        _add_import(module, item, findings, root, (*above, source), loaded)
    for definition in file.items:
        if not isinstance(definition, nodes.Import):
            _define(module, definition, findings)
    findings.stop_on_errors()
    return module


def standard_module(name: str, above: tuple[Source, ...] = ()) -> Module:
    """Return module `std.NAME` of the standard library."""
    return build_module(_parse_standard(name), None, root=None, above=above)


@cache
def _parse_standard(name: str) -> nodes.File:
    """Return the nodes of `std.NAME`, which most files import directly and through each other."""
    path = resource_folder("models") / "std" / f"{name}.snn"
    return parse(Source(f"std/{name}.snn", path.read_text(encoding="utf-8")))


def _define(module: Module, item: Definition, findings: Findings) -> None:
    if item.name in module.own:
        first = module.own[item.name]
        findings.add(
            Code.DUPLICATE_NAME,
            name_span(item),
            f"`{item.name}` is defined twice",
            help="give one of the two another name",
            labels=(Label(name_span(first), "first defined here"),),
        )
        return
    module.own[item.name] = item
    module.names[item.name] = (item, module)


def name_span(item: Definition | nodes.Param | nodes.State | nodes.Port | nodes.Let | nodes.Layer) -> Span:
    """Return the span of the first line of an item, which is enough to find it."""
    text = item.span.text
    first = text.split("\n", 1)[0]
    cut = first.find("{")
    length = len(first[:cut].rstrip()) if cut > 0 else len(first.rstrip())
    return Span(item.span.source, item.span.start, item.span.start + max(1, length))


def _add_import(
    module: Module,
    item: nodes.Import,
    findings: Findings,
    root: Path | None,
    above: tuple[Source, ...],
    loaded: dict[Path, Module],
) -> None:
    other = _load_import(module, item, findings, root, above, loaded)
    if other is None:
        return
    if item.alias is not None:
        module.spaces[item.alias] = other
    if item.names is None and item.alias is None:
        stem = item.module.parts[-1] if isinstance(item.module, nodes.Name) else Path(item.module.value).stem
        module.spaces[stem] = other
    for name in item.names or ():
        found = other.own.get(name.text)
        if found is None:
            findings.add(
                Code.UNKNOWN_NAME,
                name.span,
                f"`{other.source.path}` has no `{name.text}`",
                help=did_you_mean(name.text, other.own) or "it defines nothing",
            )
        elif name.text in module.names and name.text in {n for i in _earlier(module, item) for n in i}:
            findings.add(
                Code.DUPLICATE_NAME,
                name.span,
                f"`{name.text}` is imported twice",
                help="import one of them with `as` and write its name with a dot",
            )
        else:
            module.names[name.text] = (found, other)


def _earlier(module: Module, item: nodes.Import) -> list[tuple[str, ...]]:
    imports = [i for i in module.file.items if isinstance(i, nodes.Import)]
    return [tuple(n.text for n in i.names or ()) for i in imports[: imports.index(item)]]


def _load_import(
    module: Module,
    item: nodes.Import,
    findings: Findings,
    root: Path | None,
    above: tuple[Source, ...],
    loaded: dict[Path, Module],
) -> Module | None:
    if isinstance(item.module, nodes.Name):
        parts = item.module.parts
        known = sorted(p.stem for p in (resource_folder("models") / "std").glob("*.snn"))
        if len(parts) == 2 and parts[0] == "std" and parts[1] in known:
            return standard_module(parts[1], above)
        findings.add(
            Code.BAD_IMPORT,
            item.module.span,
            f"no module `{item.module.text}`",
            help=did_you_mean(item.module.text, [f"std.{n}" for n in known])
            if parts[0] == "std"
            else 'a file of yours is imported by its path, as in `import "./cells.snn" as cells`',
        )
        return None
    text = item.module.value
    if module.folder is None or root is None:
        findings.add(Code.BAD_IMPORT, item.module.span, "the standard library imports no files", help="import `std.…`")
        return None
    if "\0" in text:
        findings.add(Code.BAD_IMPORT, item.module.span, "this is no path", help='as in `import "./cells.snn" as cells`')
        return None
    try:
        path = (module.folder / text).resolve()
        is_file = path.is_file()
    except (OSError, RuntimeError) as error:  # too long, or links in a circle
        reason = (getattr(error, "strerror", None) or "its links lead in a circle").lower()
        findings.add(
            Code.BAD_IMPORT, item.module.span, f"cannot read this file: {reason}",
            help="the path is taken from the folder of this file",
        )  # fmt: skip
        return None
    if Path(text).is_absolute() or not path.is_relative_to(root.resolve()):
        findings.add(
            Code.BAD_IMPORT,
            item.module.span,
            "an import may not leave the folder of the file that is compiled",
            help="copy the imported file beside this one and import it by a relative path",
        )
        return None
    if any(Path(s.path).resolve() == path for s in above):
        findings.add(
            Code.BAD_IMPORT, item.module.span, "these files import each other in a circle",
            help="move what both need into a third file",
        )  # fmt: skip
        return None
    if len(above) > MAX_IMPORT_DEPTH or len(loaded) >= MAX_IMPORTS:
        raise fail(
            Code.TOO_LARGE, item.module.span,
            f"at most {MAX_IMPORTS} files are imported, and {MAX_IMPORT_DEPTH} by one another in a row",
            help="collect what belongs together in one file",
        )  # fmt: skip
    if not is_file:
        raise fail(
            Code.BAD_IMPORT, item.module.span, f"cannot read `{text}`: {_why_unreadable(path)}",
            help="the path is taken from the folder of this file",
        )  # fmt: skip
    if path not in loaded:
        source = read_source(path, str(Path(module.source.path).parent / text))
        loaded[path] = build_module(parse(source), path.parent, root=root, above=above, loaded=loaded)
    return loaded[path]


def _why_unreadable(path: Path) -> str:
    if path.is_dir():
        return "it is a folder"
    return "it is a pipe or a device" if path.exists() else "there is no such file"
