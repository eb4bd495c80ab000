"""`--set PATH=VALUE`: replaces a value in the syntax before anything is resolved, so that checks see it like any other.

Paths: `RECIPE.epochs`, `RECIPE.optimizer.lr`, `NETWORK.formal`, `NETWORK.layer.param`, `NETWORK.dt`, `DATA.argument`, `CONST`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from snnc.diagnostics import Code, CompileError, Diagnostic, did_you_mean, fail
from snnc.semantics.modules import Module
from snnc.source import Source, Span
from snnc.syntax import nodes
from snnc.syntax.parse import parse


def apply_overrides(module: Module, overrides: tuple[tuple[str, str], ...]) -> Module:
    """Return `module` with each (path, value) set.

    Raises:
        CompileError: E0610 for a path that leads nowhere, syntax errors of a value.
    """
    for path, text in overrides:
        module = _set(module, path, text)
    return module


def _set(module: Module, path: str, text: str) -> Module:
    value = parse_value(path, text)
    where = Span(Source("--set", f"{path}={text}"), 0, len(path))
    parts = path.split(".")
    home, name, rest = module, parts[0], parts[1:]
    if name in module.spaces and rest:  # a path into a module imported as a name
        old = module.spaces[name]
        inner = _set(old, ".".join(rest), text)
        names = {n: (inner.own.get(n, i), inner) if home is old else (i, home) for n, (i, home) in module.names.items()}
        return _copy(module, spaces={**module.spaces, name: inner}, names=names)
    if name not in home.own:
        raise fail(Code.BAD_PATH, where, f"nothing is called `{name}`", help=did_you_mean(name, home.own))
    item = _replaced(home.own[name], rest, value, where)
    own = {**module.own, name: item}
    names = {**module.names, name: (item, module)}
    copied = _copy(module, own=own, names=names)
    copied.names.update({n: (i, copied) for n, i in own.items()})
    return copied


def _copy(module: Module, **changes: Any) -> Module:
    parts = {
        "source": module.source,
        "folder": module.folder,
        "file": module.file,
        "own": module.own,
        "names": module.names,
        "spaces": module.spaces,
    }
    return Module(**{**parts, **changes})


def parse_value(path: str, text: str) -> nodes.Expr:
    """Parse the right side of `--set`; findings point into it."""
    source = Source("--set", f"edition 2026\nconst value = {text}\n")
    try:
        item = parse(source).items[0]
    except CompileError as error:
        shown = Span(Source("--set", f"{path}={text}"), len(path) + 1, len(path) + 1 + len(text))
        raise CompileError([Diagnostic(d.code, shown, d.message, d.help) for d in error.diagnostics]) from None
    if not isinstance(item, nodes.Const):
        raise fail(Code.BAD_PATH, Span(source, 0, 1), "a value is one expression", help="write `--set path=value`")
    return item.value


def _replaced(item: Any, rest: list[str], value: nodes.Expr, where: Span) -> Any:
    match item:
        case nodes.Const() if not rest:
            return replace(item, value=value)
        case nodes.Train() if rest:
            return replace(item, body=_in_settings(item.body, rest, value, where))
        case nodes.Network() if rest:
            return _in_network(item, rest, value, where)
        case nodes.Data() if rest:
            return _in_data(item, rest, value, where)
    raise fail(
        Code.BAD_PATH, where, f"`{item.name}` cannot be set this way",
        help="set `RECIPE.epochs`, `RECIPE.optimizer.lr`, `NETWORK.formal`, `NETWORK.layer.param` or `DATA.argument`",
    )  # fmt: skip


def _in_settings(body: tuple[Any, ...], rest: list[str], value: nodes.Expr, where: Span) -> tuple[Any, ...]:
    """Replace a setting, or an argument of the call that a setting holds; add a setting that is not there."""
    out = []
    found = False
    for part in body:
        if isinstance(part, nodes.Setting) and part.path.text == rest[0]:
            found = True
            new = value if len(rest) == 1 else _in_call(part.value, rest[1:], value, where)
            part = replace(part, value=new, span=new.span if len(rest) == 1 else part.span)
        out.append(part)
    if not found:
        if len(rest) > 1:
            known = [p.path.text for p in body if isinstance(p, nodes.Setting)]
            raise fail(Code.BAD_PATH, where, f"the recipe does not set `{rest[0]}`", help=did_you_mean(rest[0], known))
        out.append(nodes.Setting(nodes.Name((rest[0],), span=value.span), value, span=value.span))
    return tuple(out)


def _in_call(expr: nodes.Expr, rest: list[str], value: nodes.Expr, where: Span) -> nodes.Expr:
    """Replace the argument named by `rest`; through a schedule, `lr` reaches its peak rate."""
    if not isinstance(expr, nodes.Call):
        raise fail(Code.BAD_PATH, where, f"`{expr.span.text}` has no argument `{rest[0]}`", help="set it as a whole")
    args = list(expr.args)
    for i, arg in enumerate(args):
        if arg.name == rest[0] or (arg.name is None and i == 0 and rest[0] == "lr"):
            inner = value
            if len(rest) > 1:
                inner = _in_call(arg.value, rest[1:], value, where)
            elif rest[0] == "lr" and isinstance(arg.value, nodes.Call) and isinstance(value, nodes.Number):
                inner = _with_first(arg.value, value)
            args[i] = replace(arg, value=inner)
            return replace(expr, args=tuple(args))
    if len(rest) > 1:
        raise fail(
            Code.BAD_PATH, where, f"`{expr.func.text}` has no argument `{rest[0]}`", help="set it as a whole first"
        )
    return replace(expr, args=(*args, nodes.Arg(rest[0], value, span=value.span)))


def _with_first(schedule: nodes.Call, value: nodes.Number) -> nodes.Call:
    first, *others = schedule.args
    return replace(schedule, args=(replace(first, value=value), *others))


def _in_network(item: nodes.Network, rest: list[str], value: nodes.Expr, where: Span) -> nodes.Network:
    name = rest[0]
    if len(rest) == 1:
        if any(f.name == name for f in item.formals):
            formals = tuple(replace(f, default=value) if f.name == name else f for f in item.formals)
            return replace(item, formals=formals)
        if any(isinstance(p, nodes.Setting) and p.path.text == name for p in item.body):
            return replace(item, body=_in_settings(item.body, rest, value, where))
    elif len(rest) == 2:
        body, found = [], False
        for part in item.body:
            if isinstance(part, nodes.Layer) and part.name == name:
                part, found = replace(part, instance=_with_argument(part.instance, rest[1], value)), True
            elif isinstance(part, nodes.Chain):
                new = []
                for node in part.nodes:
                    if isinstance(node, nodes.Instance) and node.alias == name:
                        node, found = _with_argument(node, rest[1], value), True
                    new.append(node)
                part = replace(part, nodes=tuple(new))
            body.append(part)
        if found:
            return replace(item, body=tuple(body))
    layers = [p.name for p in item.body if isinstance(p, nodes.Layer)]
    known = [*(f.name for f in item.formals), *layers, "dt"]
    raise fail(
        Code.BAD_PATH, where, f"`{item.name}` has nothing to set at `{'.'.join(rest)}`", help=did_you_mean(name, known)
    )


def _with_argument(instance: nodes.Instance, name: str, value: nodes.Expr) -> nodes.Instance:
    """Set a parameter of a layer; other modifiers of the argument stay."""
    args = []
    found = False
    for arg in instance.args:
        if arg.name == name:
            arg, found = replace(arg, value=value, drawn=False), True
        args.append(arg)
    if not found:
        args.append(nodes.Arg(name, value, span=value.span))
    return replace(instance, args=tuple(args))


def _in_data(item: nodes.Data, rest: list[str], value: nodes.Expr, where: Span) -> nodes.Data:
    """Set an argument of the source, or `encoder.argument`."""
    names = []
    for i, node in enumerate(item.nodes):
        if not isinstance(node, nodes.Instance):
            continue
        names.append(node.func.text)
        if (len(rest) == 1 and i == 0) or (len(rest) == 2 and node.func.text == rest[0]):
            new = _with_argument(node, rest[-1], value)
            return replace(item, nodes=(*item.nodes[:i], new, *item.nodes[i + 1 :]))
    raise fail(Code.BAD_PATH, where, f"`{item.name}` has no step `{rest[0]}`", help=did_you_mean(rest[0], names))
