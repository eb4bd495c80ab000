"""A network used as an operation: `x -> Block(64) -> Block(128)`, `repeat(4, Block(64))`.

Each use is read anew into the network that it stands in, under its own name: its layers are `USE.h`, its weights
`USE.x_h.dense.w`. Findings inside it also show the place of use.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from snnc import model
from snnc.diagnostics import Code, Label, did_you_mean
from snnc.limits import MAX_BLOCKS, MAX_PARTS
from snnc.ops.operation import Shape
from snnc.semantics.elaboration import Claim, Elaboration, PendingOp, find_block, find_neuron, report_unknown
from snnc.semantics.expressions import resolve
from snnc.semantics.modules import name_span
from snnc.semantics.operations.binding import whole
from snnc.semantics.operations.table import OPERATIONS
from snnc.semantics.scope import Scope, Typed
from snnc.semantics.segments import Flow
from snnc.semantics.signals import find_source
from snnc.syntax import nodes
from snnc.units import DIMENSIONS, ONE, dimension_name

ReadBody = Callable[[Elaboration], None]


def expand_block(
    e: Elaboration, instance: nodes.Instance, name: str, flow: Flow, head: bool, read_body: ReadBody
) -> Flow | None:
    """Read the network (or the `repeat` of one) that `instance` uses as the block `name`; return what flows out.

    At the `head` of a chain its arguments without a name are its sources.
    """
    if instance.func.text != "repeat":
        return _expand_one(e, instance, name, flow, head, read_body)
    given = [arg for arg in instance.args if arg.name is None]
    inner = given[1].value if len(given) == 2 else None
    if isinstance(inner, nodes.Name):
        inner = nodes.Call(inner, span=inner.span)
    if len(instance.args) != 2 or not isinstance(inner, nodes.Call):
        e.findings.add(
            Code.MISSING_ARGUMENT, instance.span, "`repeat` takes a number and a block",
            help="write `repeat(4, Block(64))`",
        )  # fmt: skip
        return None
    count = whole(given[0].value, e.scope, "the number of repetitions", high=MAX_BLOCKS)
    if count is None:
        return None
    block = nodes.Instance(inner.func, None, inner.args, span=inner.span)
    after: Flow | None = flow
    for k in range(1, count + 1):
        if after is not None:
            after = _expand_one(e, block, f"{name}_{k}", after, False, read_body)
    if after is not None:
        e.aliases[name] = after.signals[0]
    return None if after is None else Flow(after.signals, name)


def _expand_one(
    e: Elaboration, instance: nodes.Instance, name: str, flow: Flow, head: bool, read_body: ReadBody
) -> Flow | None:
    found = find_block(e, instance.func)
    if found is None:
        report_unknown(e, instance.func, "block")
        return None
    item, home = found
    if item in e.inside:
        e.findings.add(
            Code.CYCLE, instance.span, f"the block `{item.name}` holds itself, so that it would never end",
            help="use another block inside it", labels=(Label(name_span(item), "the block"),),
        )  # fmt: skip
        return None
    if len(e.order) > MAX_PARTS:
        e.findings.add(
            Code.TOO_BIG, instance.span, f"the blocks of this network hold more than {MAX_PARTS} layers and operations",
            help="repeat a smaller block, or fewer times",
        )  # fmt: skip
        return None
    findings = e.findings.used_at(instance.span)
    scope = Scope({}, home, findings, f"in network `{item.name}`")
    inner = replace(
        e, item=item, home=home, findings=findings, scope=scope, prefix=e.full(name) + ".", inside=(*e.inside, item),
        aliases={}, cells={},
    )  # fmt: skip
    e.places.setdefault(e.full(name), instance.span)
    given = _given(e, item, instance, head)
    if given is None:
        return None
    formals, signals = given
    _bind_formals(e, inner, formals, instance)
    if not _bind_inputs(inner, instance, flow, signals):
        return None
    inputs = tuple(inner.aliases.items())
    use = len(e.uses)
    read_body(inner)
    outputs = _read_outputs(inner, item)
    if not outputs:
        return None
    e.uses.insert(use, model.Use(e.full(name), item.name, inputs, tuple(outputs), instance.span))
    for output, signal in outputs:
        e.aliases[f"{name}.{output}"] = signal
    e.aliases[name] = outputs[0][1]
    return Flow((outputs[0][1],), name)


def _given(
    e: Elaboration, item: nodes.Network, instance: nodes.Instance, head: bool
) -> tuple[dict[str, nodes.Arg], dict[str, model.Signal]] | None:
    """Sort the arguments of a use into values of formals and signals of inputs; None after a finding."""
    formals = [formal.name for formal in item.formals]
    inputs = [part.name for part in item.body if isinstance(part, nodes.Port)]
    values: dict[str, nodes.Arg] = {}
    signals: dict[str, model.Signal] = {}
    positional = [] if head else [arg for arg in instance.args if arg.name is None]
    if len(positional) > len(formals):
        e.findings.add(
            Code.UNKNOWN_ARGUMENT, positional[len(formals)].span,
            f"`{item.name}` takes {len(formals)} argument{'' if len(formals) == 1 else 's'}",
            help="a further source is given by the name of its input" if len(inputs) > 1 else "take it out",
            labels=(Label(name_span(item), "the block"),),
        )  # fmt: skip
        return None
    values.update(zip(formals, positional, strict=False))
    for arg in instance.args:
        if arg.name is None:
            continue
        if arg.name in values or arg.name in signals:
            e.findings.add(
                Code.DUPLICATE_NAME, arg.span, f"argument `{arg.name}` is given twice", help="keep one of the two"
            )
        elif arg.name in formals:
            values[arg.name] = arg
        elif arg.name in inputs and isinstance(arg.value, nodes.Name):
            signal = find_source(e, arg.value)
            if signal is None:
                return None
            signals[arg.name] = signal
        else:
            e.findings.add(
                Code.UNKNOWN_ARGUMENT, arg.span, f"`{item.name}` has no argument `{arg.name}`",
                help=did_you_mean(arg.name, [*formals, *inputs]), labels=(Label(name_span(item), "the block"),),
            )  # fmt: skip
            return None
    return values, signals


def _bind_formals(e: Elaboration, inner: Elaboration, given: dict[str, nodes.Arg], instance: nodes.Instance) -> None:
    """Give the formals of a block their values: numbers of this use, neurons, or the defaults."""
    names: dict[str, Typed] = {}
    for formal in inner.item.formals:
        arg = given.get(formal.name)
        node = formal.default if arg is None else arg.value
        around = inner if arg is None else e
        if node is None:
            e.findings.add(
                Code.MISSING_ARGUMENT, instance.span, f"`{inner.item.name}` needs the argument `{formal.name}`",
                help=f"write `{inner.item.name}({formal.name} = …)`", labels=(Label(formal.span, "it has no default"),),
            )  # fmt: skip
            names[formal.name] = Typed(resolve(nodes.Number("1"), e.scope).expr, None)
            continue
        cell = find_neuron(around, node) if isinstance(node, nodes.Name) else None
        if cell is not None:
            inner.cells[formal.name] = cell
            continue
        names[formal.name] = resolve(node, e.scope if arg is not None else inner.scope.with_names(names))
    inner.scope = inner.scope.with_names(names)


def _bind_inputs(inner: Elaboration, instance: nodes.Instance, flow: Flow, signals: dict[str, model.Signal]) -> bool:
    """Let the inputs of a block stand for what flows into it; whether all of them are bound."""
    ports = [part for part in inner.item.body if isinstance(part, nodes.Port)]
    waiting = [port for port in ports if port.name not in signals]
    if len(waiting) != len(flow.signals):
        missing = ", ".join(f"`{port.name}`" for port in waiting[len(flow.signals) :])
        inner.findings.add(
            Code.MISSING_ARGUMENT, instance.span,
            f"nothing flows into {missing} of `{inner.item.name}`" if missing
            else f"`{inner.item.name}` has {len(ports)} input{'' if len(ports) == 1 else 's'}, and more flows into it",
            help=f"name its source: `{inner.item.name}({waiting[-1].name} = h)`" if missing else "give it fewer sources",
        )  # fmt: skip
        return False
    signals = {**signals, **{port.name: s for port, s in zip(waiting, flow.signals, strict=True)}}
    for port in ports:
        signal = signals[port.name]
        asked = ONE if port.type is None else DIMENSIONS.get(port.type.name, ONE)
        if port.type is not None and inner.dimension_of(signal) != asked:
            inner.findings.add(
                Code.UNIT_MISMATCH, name_span(port),
                f"`{port.name}` is {dimension_name(asked)}, but {dimension_name(inner.dimension_of(signal))} flows into it",
                help="put a `scale(…)` before the block",
            )  # fmt: skip
        if port.type is not None and port.type.shape is not None:
            sizes = [whole(size, inner.scope, f"the size of input `{port.name}`") for size in port.type.shape]
            shape: Shape = tuple(size for size in sizes if size is not None)
            if len(shape) == len(sizes):
                inner.claims.append(Claim(signal, shape, name_span(port), instance.span))
        inner.aliases[port.name] = signal
        inner.places.setdefault(inner.full(port.name), name_span(port))
    return True


def _read_outputs(inner: Elaboration, item: nodes.Network) -> list[tuple[str, model.Signal]]:
    """Return the signals that leave a block: one that is named, or the sum of several."""
    outputs: list[tuple[str, model.Signal]] = []
    found = [part for part in item.body if isinstance(part, nodes.Output)]
    for part in found:
        summands = _summands(part.value) if part.value is not None else [nodes.Name((part.name,), span=part.span)]
        if summands is None:
            inner.findings.add(
                Code.WRONG_KIND, part.span, f"the output `{part.name}` of a block is a signal, or a sum of signals",
                help="as in `output y = h.spike + x`; readouts belong into the network that uses the block",
            )  # fmt: skip
            continue
        signals = [find_source(inner, name) for name in summands]
        known = tuple(signal for signal in signals if signal is not None)
        if len(known) < len(signals):
            continue
        if len(known) == 1:
            outputs.append((part.name, known[0]))
            continue
        inner.add(part.name, part.span)
        full = inner.full(part.name)
        dimension = inner.dimension_of(known[0])
        for summand, signal in zip(summands, known, strict=True):
            if inner.dimension_of(signal) != dimension:
                inner.findings.add(
                    Code.UNIT_MISMATCH, summand.span,
                    f"`+` joins {dimension_name(dimension)} and {dimension_name(inner.dimension_of(signal))}",
                    help="both sides need one unit",
                )  # fmt: skip
        use = nodes.Instance(nodes.Name(("add",), span=part.span), None, (), span=part.span)
        text = " ".join(part.span.text.split())
        inner.ops[full] = PendingOp(
            full, OPERATIONS["add"], use, {}, {}, known, text, inner.scope, dimension=dimension
        )  # fmt: skip
        outputs.append((part.name, model.Signal(full)))
    if not found:
        inner.findings.add(
            Code.NO_SIGNAL, name_span(item), f"nothing leaves the block `{item.name}`",
            help="say what it gives: `output y = h.spike`",
        )  # fmt: skip
    return outputs


def _summands(node: nodes.Expr) -> list[nodes.Name] | None:
    """Return the names that an expression adds up; None if it does anything else."""
    if isinstance(node, nodes.Name):
        return [node]
    if isinstance(node, nodes.Binary) and node.op == "+":
        left, right = _summands(node.left), _summands(node.right)
        return None if left is None or right is None else [*left, *right]
    return None
