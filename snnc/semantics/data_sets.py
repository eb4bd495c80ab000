"""Resolves a `data` line: the source with its arguments, transforms, and the encoder that makes sequences."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from snnc import model
from snnc.data.arguments import check_arguments
from snnc.data.extern import EXTERN
from snnc.data.sources import SOURCES
from snnc.diagnostics import Code, CompileError, Findings, did_you_mean
from snnc.ops.encoders import ENCODERS, TRANSFORMS
from snnc.ops.options import Choice, Option
from snnc.ops.preparation import PREPARATIONS
from snnc.semantics.arguments import bind_arguments
from snnc.semantics.constants import constant
from snnc.semantics.expressions import resolve, resolve_as
from snnc.semantics.modules import Module, name_span
from snnc.semantics.preparation import check_steps, prepare_fields
from snnc.semantics.scope import Scope
from snnc.syntax import nodes

# Sources and steps of the language that are not built yet.
NOT_YET = (
    "constant_current", "ucr",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A resolved data set with the number of steps that its encoder makes (None: as long as its fields)."""

    data: model.DataSet
    steps: int | None


def resolve_data(item: nodes.Data, home: Module, dt: float | None, findings: Findings) -> Pipeline | None:
    """Return the data set of `item` for a network with step `dt`; None after a finding.

    Without a network, what depends on its step is not checked.
    """
    about_steps = Findings() if dt is None else findings
    dt = 1.0 if dt is None else dt
    scope = Scope({}, home, findings, f"in data `{item.name}`")
    first, *rest = item.nodes
    if isinstance(first, nodes.Name):
        findings.add(
            Code.WRONG_KIND, first.span, f"`{first.text}` is no data source",
            help=f"a source is called with brackets, as in `{first.text if first.text in SOURCES else 'digits'}(…)`",
        )  # fmt: skip
        return None
    source = _source(first, home, scope)
    preparation: list[model.Call] = []
    transforms: list[model.Call] = []
    encoder: model.Call | None = None
    for node in rest:
        call = node if isinstance(node, nodes.Instance) else nodes.Instance(node, None, (), span=node.span)
        name = call.func.text
        if encoder is not None:
            findings.add(
                Code.BAD_SETTING, call.span, f"`{name}` stands after the encoder", help="the encoder comes last"
            )
            return None
        if name in PREPARATIONS and transforms:
            message = f"`{name}` stands after `{transforms[0].name}`"
            findings.add(Code.BAD_SETTING, call.span, message, help=f"`{name}` comes before what transforms its result")
            return None
        if name in PREPARATIONS:
            preparation.append(_options(call, PREPARATIONS[name].options, scope))
        elif name in TRANSFORMS:
            transforms.append(_options(call, TRANSFORMS[name].options, scope))
        elif name in ENCODERS:
            before = len(findings.errors)
            encoder = _options(call, ENCODERS[name].options, scope)
            if len(findings.errors) == before:
                wrong = ENCODERS[name].refuse(plain_options(encoder))
                if wrong is not None:
                    doc = f"`{name}` is {ENCODERS[name].doc}"
                    findings.add(Code.BAD_VALUE, call.span, f"`{name}`: {wrong}", help=doc)
        else:
            _unknown(call, [*PREPARATIONS, *TRANSFORMS, *ENCODERS], "encoder", home, findings)
            return None
    if source is None or findings.errors:
        return None
    prepared, fields = prepare_fields(source, tuple(preparation), _fields(source), dt, findings, about_steps)
    if findings.errors:
        return None
    data = model.DataSet(item.name, source, tuple(transforms), encoder, fields, name_span(item), prepared)
    steps = next((int(call.number("length")) for call in prepared if call.name == "window"), None)
    if encoder is not None:
        rule = ENCODERS[encoder.name].steps
        steps = steps if rule is None else check_steps(encoder, rule(plain_options(encoder), dt), dt, about_steps)
    return None if findings.errors else Pipeline(data, steps)


def _source(call: nodes.Instance, home: Module, scope: Scope) -> model.Call | None:
    loader = home.find_kind(call.func, nodes.Extern)
    if loader is not None and loader[0].kind == "loader":
        return _extern(call, loader[0], scope)
    spec = SOURCES.get(call.func.text)
    if spec is None:
        _unknown(call, list(SOURCES), "data source", home, scope.findings)
        return None
    names = [argument.name for argument in spec.signature]
    given: dict[str, object] = {}
    positional = iter(names)
    for arg in call.args:
        name = arg.name if arg.name is not None else next(positional, None)
        if name is None:
            scope.findings.add(
                Code.UNKNOWN_ARGUMENT, arg.span, f"`{spec.name}` takes {len(names)} arguments", help="take this one out"
            )
            return None
        given[name] = plain_value(arg.value, scope)
    try:
        values = check_arguments(spec.name, spec.signature, given, call.span)
    except CompileError as error:
        for finding in error.diagnostics:
            blamed = next((a.span for a in call.args if a.name and f"`{a.name}`" in finding.message), call.span)
            scope.findings.items.append(replace(finding, span=blamed))
        return None
    return model.Call(spec.name, tuple(values.items()), call.span)


def _extern(call: nodes.Instance, item: nodes.Extern, scope: Scope) -> model.Call | None:
    """Bind the arguments of an extern loader, which are plain data."""
    bound = bind_arguments(call, item.formals, scope, f"loader `{item.name}`")
    if bound is None:
        return None
    values = tuple((name, plain_value(node, scope)) for name, node in bound.items())
    target = model.Call("arguments", values, call.span)
    return model.Call(EXTERN, (("target", item.target.value), ("arguments", target)), call.span)


def plain_value(expr: nodes.Expr, scope: Scope) -> model.Value:
    """Return an argument of a source as plain data: number, word, path or truth."""
    match expr:
        case nodes.String(value) | nodes.Bool(value):
            return value
        case nodes.Name() if scope.module.find(expr) is None:
            return expr.text
        case _:
            number = constant(resolve(expr, scope).expr)
            if number is None or not math.isfinite(number):
                scope.findings.add(Code.BAD_STAGE, expr.span, "a fixed value is needed here", help="write a number")
                return 0.0
            return int(number) if number == int(number) and abs(number) < 2**53 else number


def _fields(source: model.Call) -> tuple[model.Field, ...] | None:
    if source.name == EXTERN:
        return None
    described = SOURCES[source.name].describe(dict(source.args))
    if described is None:
        return None
    return tuple(model.Field(f.name, f.shape, f.time, f.kind, f.classes) for f in described)


def _options(call: nodes.Instance, options: tuple[Option | Choice, ...], scope: Scope) -> model.Call:
    """Bind the options of a transform or an encoder."""
    given: dict[str, nodes.Arg] = {}
    order = iter(options)
    for arg in call.args:
        name = arg.name if arg.name is not None else getattr(next(order, None), "name", None)
        if name not in {option.name for option in options}:
            scope.findings.add(
                Code.UNKNOWN_ARGUMENT, arg.span, f"`{call.func.text}` has no argument `{name or arg.span.text}`",
                help=did_you_mean(name or "", [option.name for option in options]) or "it takes none: leave the brackets empty",
            )  # fmt: skip
        elif name in given:
            scope.findings.add(Code.DUPLICATE_NAME, arg.span, f"`{name}` is given twice", help="keep one of the two")
        else:
            given[str(name)] = arg
    values: list[tuple[str, model.Value]] = []
    for option in options:
        own = given.get(option.name)
        if own is None:
            if option.default is None and not getattr(option, "optional", False):
                scope.findings.add(
                    Code.MISSING_ARGUMENT, call.span, f"`{call.func.text}` needs the argument `{option.name}`",
                    help=f"write `{option.name} = …`: {option.doc or 'see the language reference'}",
                )  # fmt: skip
            values.append((option.name, option.default))
        elif isinstance(option, Choice):
            values.append((option.name, _choice(own, option, scope)))
        else:
            number = constant(resolve_as(own.value, option.dimension, scope, f"`{option.name}`"))
            if number is None or not math.isfinite(number):
                scope.findings.add(
                    Code.BAD_STAGE,
                    own.value.span,
                    f"`{option.name}` is a fixed, finite quantity",
                    help="write a number",
                )
                number = 0.0
            values.append((option.name, number or 0.0))
    return model.Call(call.func.text, tuple(values), call.span)


def _choice(arg: nodes.Arg, option: Choice, scope: Scope) -> str | bool:
    if not option.words and isinstance(arg.value, nodes.Bool):
        return arg.value.value
    if option.words and isinstance(arg.value, nodes.Name) and arg.value.text in option.words:
        return arg.value.text
    words = option.words or ("true", "false")
    scope.findings.add(
        Code.BAD_VALUE, arg.value.span, f"`{option.name}` is one of {', '.join(f'`{w}`' for w in words)}",
        help=f"write `{option.name} = {words[0]}`",
    )  # fmt: skip
    return option.default


def plain_options(call: model.Call) -> dict[str, float | bool | str]:
    """Return the options of a resolved encoder."""
    return {k: v for k, v in call.args if isinstance(v, float | int | bool | str)}


def _unknown(call: nodes.Instance, known: list[str], what: str, home: Module, findings: Findings) -> None:
    name = call.func.text
    found = home.find(call.func)
    if name in NOT_YET:
        findings.add(
            Code.NOT_YET, call.func.span, f"not supported yet: the {what} `{name}`",
            help="built so far: " + ", ".join(f"`{k}`" for k in known),
        )  # fmt: skip
    elif found is not None and isinstance(found[0], nodes.Extern):
        findings.add(
            Code.NOT_YET, call.func.span, f"not supported yet: the extern {found[0].kind} `{name}` as a step of data",
            help="call it inside an `extern loader`",
        )  # fmt: skip
    else:
        findings.add(Code.UNKNOWN_NAME, call.func.span, f"unknown {what} `{name}`", help=did_you_mean(name, known))
