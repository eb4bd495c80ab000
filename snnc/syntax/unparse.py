"""Syntax nodes to canonical text: the inverse of `parse`, for files that were built or changed as nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from snnc.syntax import nodes as n

# How tightly an operator binds; an operand that binds less than its place asks for stands in brackets.
_COND, _OR, _AND, _NOT, _COMPARE, _SUM, _TERM, _UNARY, _POWER, _ATOM = range(10)
# operator -> (its level, what its left side needs, what its right side needs)
_BINARY = {
    "or": (_OR, _OR, _AND),
    "and": (_AND, _AND, _NOT),
    "+": (_SUM, _SUM, _TERM),
    "-": (_SUM, _SUM, _TERM),
    "*": (_TERM, _TERM, _UNARY),
    "/": (_TERM, _TERM, _UNARY),
    "%": (_TERM, _TERM, _UNARY),
    "^": (_POWER, _ATOM, _UNARY),
}
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"})


def unparse(file: n.File) -> str:
    """Return the text of `file`: two spaces of indentation, one statement a line, a blank line around blocks.

    >>> from snnc.source import Source
    >>> from snnc.syntax.parse import parse
    >>> print(unparse(parse(Source("m.snn", "edition 2026; neuron A { event x; state v=0; on x{v+=x} }"))), end="")
    edition 2026
    <BLANKLINE>
    neuron A {
      event x
      state v = 0
      on x { v += x }
    }
    """
    blocks = [f"edition {file.edition.year}"]
    if file.doc:
        blocks.append(_doc(file.doc, ""))
    previous: n.Item | None = None
    for item in file.items:
        text = unparse_item(item)
        if type(item) is type(previous) and "\n" not in text and not getattr(previous, "doc", ""):
            blocks[-1] += "\n" + text
        else:
            blocks.append(text)
        previous = item
    return "\n\n".join(blocks) + "\n"


def unparse_item(item: n.Item) -> str:
    """Return the text of one item, with its `##` lines, without a newline at the end."""
    return _doc_of(item, "") + _item(item)


def unparse_expr(expr: n.Expr) -> str:
    """Return the text of an expression, with as few brackets as its meaning needs.

    >>> a, b = n.Name(("a",)), n.Name(("b",))
    >>> unparse_expr(n.Binary("*", n.Binary("+", a, b), n.Unary("-", n.Number("2", "ms"))))
    '(a + b) * -2 ms'
    """
    return _expr(expr, _COND)


def unparse_statement(statement: n.Dynamics | n.Setting | n.Layer | n.Chain | n.Penalty | n.Metric | n.Vary) -> str:
    """Return the text of one statement of a block, without its `##` lines and without indentation."""
    match statement:
        case n.Param() | n.State():
            value = "" if statement.value is None else _init(statement.drawn, statement.value)
            kind = "param" if isinstance(statement, n.Param) else "state"
            return f"{kind} {statement.name}{_type(statement.type)}{value}{_mods(statement.mods)}"
        case n.Port(kind, name, type_, default):
            return f"{kind} {name}{_type(type_)}{_default(default)}"
        case n.Let(name, type_, value):
            return f"let {name}{_type(type_)} = {unparse_expr(value)}"
        case n.Ode(name, value):
            return f"{name}' = {unparse_expr(value)}"
        case n.Step(body):
            return f"step {_assigns(body)}"
        case n.On(event, phase, body, explicit):
            return f"on {event}{f' at {phase}' if explicit else ''} {_assigns(body)}"
        case n.Spike():
            return _spike(statement)
        case n.Refractory(period, hold, block):
            held = f" hold {', '.join(hold)}" if hold else ""
            blocked = f" block {', '.join(block)}" if block else ""
            return f"refractory {unparse_expr(period)}{held}{blocked}"
        case n.SurrogateUse(value):
            return f"surrogate {unparse_expr(value)}"
        case n.Detach(states):
            return " ".join(["detach reset", *([", ".join(states)] if states else [])])
        case n.Solve(value):
            return f"solve {unparse_expr(value)}"
        case n.Clip(name, low, high):
            return f"clip {name} in ({unparse_expr(low)}, {unparse_expr(high)})"
        case n.Normalize(name, total, scope):
            return f"normalize {name} to {unparse_expr(total)} per {scope}"
        case n.Output(name, optional):
            return f"output {name}{_default(optional)}"
        case n.Setting(path, value):
            return f"{path.text} = {unparse_expr(value)}"
        case n.Layer(name, instance):
            return f"layer {name} = {unparse_node(instance)}"
        case n.Chain(chain):
            return _chain(chain)
        case n.Penalty(value):
            return f"penalty {unparse_expr(value)}"
        case n.Metric(name, value):
            return f"metric {name} = {unparse_expr(value)}"
        case n.Vary(path, values):
            return f"vary {path.text} in {unparse_expr(values)}"
        case _:
            assert_never(statement)


def _item(item: n.Item) -> str:
    match item:
        case n.Import(module, alias, names):
            path = module.text if isinstance(module, n.Name) else _expr(module, _ATOM)
            renamed = f" as {alias}" if alias else ""
            listed = f" ({', '.join(name.text for name in names)})" if names is not None else ""
            return f"import {path}{renamed}{listed}"
        case n.Const(name, value):
            return f"const {name} = {unparse_expr(value)}"
        case n.Function(name, formals, returns, body):
            return f"fn {name}{_formals(formals)}{_type(returns)} = {unparse_expr(body)}"
        case n.Surrogate(name, formals, body):
            return f"surrogate {name}{_formals(formals)} = {unparse_expr(body)}"
        case n.Extern(kind, name, formals, returns, target):
            return f"extern {kind} {name}{_formals(formals)}{_type(returns)} = python {_expr(target, _ATOM)}"
        case n.Neuron(name, body):
            return f"neuron {name} {_block(body)}"
        case n.Plasticity(name, body):
            return f"plasticity {name} {_block(body)}"
        case n.Network(name, formals, body):
            return f"network {name}{_formals(formals) if formals else ''} {_block(body)}"
        case n.Data(name, chain):
            return f"data {name} = {_chain(chain)}"
        case n.Train(name, network, data, body):
            return f"train {name} of {network.text} on {data.text} {_block(body)}"
        case n.Sweep(name, train, body):
            return f"sweep {name} of {train.text} {_block(body)}"
        case n.Convert(name, source, data, body):
            return f"convert {name} from {source.text} using {data.text} {_block(body)}"
        case _:
            assert_never(item)


def _expr(expr: n.Expr, needed: int) -> str:
    match expr:
        case n.Number(text, unit):
            return f"{text} {unit}" if unit else text
        case n.String(value):
            return f'"{value.translate(_ESCAPES)}"'
        case n.Bool(value):
            return "true" if value else "false"
        case n.Name():
            return expr.text
        case n.Call(func, args):
            return f"{func.text}({_args(args)})"
        case n.Index(base, items):
            return base.text + _shape(items)
        case n.ListExpr(items):
            return _shape(items)
        case n.Unary("not", operand):
            return _bracket(f"not {_expr(operand, _NOT)}", _NOT, needed)
        case n.Unary(op, operand):
            return _bracket(f"{op}{_expr(operand, _UNARY)}", _UNARY, needed)
        case n.Binary(op, left, right):
            level, on_left, on_right = _BINARY[op]
            shown = "^" if op == "^" else f" {op} "
            return _bracket(f"{_expr(left, on_left)}{shown}{_expr(right, on_right)}", level, needed)
        case n.Compare(op, left, right):
            return _bracket(f"{_expr(left, _SUM)} {op} {_expr(right, _SUM)}", _COMPARE, needed)
        case n.Cond(then, test, other):
            text = f"{_expr(then, _OR)} if {_expr(test, _OR)} else {_expr(other, _COND)}"
            return _bracket(text, _COND, needed)
        case _:
            assert_never(expr)


def _bracket(text: str, level: int, needed: int) -> str:
    return text if level >= needed else f"({text})"


def _args(args: tuple[n.Arg, ...]) -> str:
    return ", ".join(
        unparse_expr(arg.value) if arg.name is None else f"{arg.name}{_init(arg.drawn, arg.value)}{_mods(arg.mods)}"
        for arg in args
    )


def _init(drawn: bool, value: n.Expr) -> str:
    return f" {'~' if drawn else '='} {unparse_expr(value)}"


def _default(value: n.Expr | None) -> str:
    return "" if value is None else f" = {unparse_expr(value)}"


def _mods(mods: tuple[n.Mod, ...]) -> str:
    return "".join(f" {_mod(mod)}" for mod in mods)


def _mod(mod: n.Mod) -> str:
    values = [unparse_expr(arg) for arg in mod.args]
    match mod.kind:
        case "in":
            return f"in ({', '.join(values)})"
        case "per":
            return f"per {mod.word}"
        case "trainable":
            return " via ".join(["trainable", *values])
        case _:
            return mod.kind


def _type(type_: n.Type | None) -> str:
    if type_ is None:
        return ""
    return f" : {type_.name}" + ("" if type_.shape is None else _shape(type_.shape))


def _shape(items: tuple[n.Expr, ...]) -> str:
    return f"[{', '.join(unparse_expr(item) for item in items)}]"


def _formals(formals: tuple[n.Formal, ...]) -> str:
    return f"({', '.join(f.name + _type(f.type) + _default(f.default) for f in formals)})"


def unparse_node(node: n.Name | n.Instance) -> str:
    """Return the text of one part of a chain: the name of a node, or an operation with its arguments."""
    if isinstance(node, n.Name):
        return node.text
    shape = "" if node.shape is None else _shape(node.shape)
    alias = f" as {node.alias}" if node.alias else ""
    return f"{node.func.text}{shape}({_args(node.args)}){alias}"


def _chain(chain: tuple[n.Name | n.Instance, ...]) -> str:
    return " -> ".join(unparse_node(node) for node in chain)


def _spike(spike: n.Spike) -> str:
    words = ["spike"]
    if spike.when is not None:
        words += ["when", unparse_expr(spike.when)]
    if spike.rate is not None:
        words += ["with rate", unparse_expr(spike.rate)]
    if spike.scale is not None:
        words += ["scale", unparse_expr(spike.scale)]
    if spike.rising:
        words.append("rising")
    if spike.emit is not None:
        words += ["emit", unparse_expr(spike.emit)]
    return " ".join([*words, _assigns(spike.body)])


def _assigns(body: tuple[n.Assign, ...]) -> str:
    if not body:
        return "{}"
    return "{ " + "; ".join(f"{a.name} {a.op} {unparse_expr(a.value)}" for a in body) + " }"


_Statement = n.Dynamics | n.Setting | n.Layer | n.Chain | n.Penalty | n.Metric | n.Vary


def _block(body: Sequence[_Statement]) -> str:
    if not body:
        return "{}"
    lines = "".join(f"{_doc_of(statement, '  ')}  {unparse_statement(statement)}\n" for statement in body)
    return "{\n" + lines + "}"


def _doc_of(node: n.Item | _Statement, indent: str) -> str:
    doc: str = getattr(node, "doc", "")
    return f"{_doc(doc, indent)}\n" if doc else ""


def _doc(doc: str, indent: str) -> str:
    return "\n".join(f"{indent}## {line}".rstrip() for line in doc.split("\n"))
