"""Infers the shapes of a network: carried forward and backward along its edges until nothing changes, then compared."""

from __future__ import annotations

from snnc import model
from snnc.diagnostics import Code, Findings, Label
from snnc.limits import MAX_UNITS
from snnc.ops.operation import Shape
from snnc.semantics.elaboration import Elaboration, PendingLayer, PendingOp
from snnc.source import Span


def infer_shapes(e: Elaboration) -> None:
    """Carry shapes forward and backward until nothing changes, then check that all meet."""
    readers = _readers(e)
    changed = True
    while changed:
        changed = False
        for op in e.ops.values():
            if op.shape is None:
                expected = _expected(e, op)
                op.shape = expected if isinstance(expected, tuple) else None
                changed |= op.shape is not None
            if op.shape is None:
                op.shape = _asked_shape(e, readers.get(op.name, [])) or _claimed(e, op.name)
                changed |= op.shape is not None
        for layer in e.layers.values():
            if layer.shape is None:
                sources = [s for signals in layer.edges.values() for s in signals]
                layer.shape = next((s for s in (e.shape_of(x.node) for x in sources) if s is not None), None)
                if layer.shape is None:
                    layer.shape = _asked_shape(e, readers.get(layer.name, [])) or _claimed(e, layer.name)
                changed |= layer.shape is not None
    wrong = [op for op in e.ops.values() if isinstance(_expected(e, op), str)]
    for op in wrong:
        _check_operation(e, op)
    if wrong:
        return
    for name in (*e.layers, *e.ops):
        if e.shape_of(name) is None:
            what, better = (
                (f"layer `{name}`", f"{e.layers[name].neuron.name}[100](…)") if name in e.layers
                else (f"`{e.ops[name].spec.name}`", f"{e.ops[name].spec.name}(100)")
            )  # fmt: skip
            (e.layers.get(name) or e.ops[name]).scope.findings.add(
                Code.UNKNOWN_SHAPE, e.places[name], f"the size of {what} does not follow from anything",
                help=f"write it: `{better}`",
            )  # fmt: skip
            return
    for layer in e.layers.values():
        for port, signals in layer.edges.items():
            for signal in signals:
                _check_edge(e, layer, port, signal)
    for op in e.ops.values():
        _check_operation(e, op)
    for claim in e.claims:
        shape = e.shape_of(claim.signal.node)
        if shape != claim.shape:
            e.findings.add(
                Code.SHAPE_MISMATCH, claim.span, f"this block takes {list(claim.shape)}, but {list(shape or ())} flows into it",
                help="make both alike, or leave the shape out so that each use has its own",
                labels=(Label(claim.use, "used here"),),
            )  # fmt: skip


def _before(e: Elaboration, op: PendingOp) -> tuple[Shape, ...] | None:
    shapes = [e.shape_of(source.node) for source in op.sources]
    known = tuple(shape for shape in shapes if shape is not None)
    return known if len(known) == len(shapes) else None


def _expected(e: Elaboration, op: PendingOp) -> Shape | str | None:
    """Return the shape that follows from the sources, None while it does not, or what is wrong with them."""
    before = _before(e, op)
    return None if before is None else op.spec.shape(before, op.options)


def _check_operation(e: Elaboration, op: PendingOp) -> None:
    expected, before = _expected(e, op), _before(e, op)
    assert before is not None
    if isinstance(expected, str):
        op.scope.findings.add(
            Code.SHAPE_MISMATCH, op.instance.span, f"`{op.spec.name}`: {expected}",
            help=op.spec.fits,
            labels=(Label(e.places[op.sources[0].node], f"{list(before[0])}"),),
        )  # fmt: skip
        return
    if expected is not None and expected != op.shape:
        place = e.places[op.sources[0].node]
        _mismatch(
            op.scope.findings, place, before[0], op.instance.span, op.shape, "this is", f"`{op.spec.name}` needs here"
        )
    if op.spec.name == "dense" and op.shape is not None and before[0][-1] * op.shape[-1] > MAX_UNITS:
        op.scope.findings.add(
            Code.TOO_BIG, op.instance.span, f"this product has {before[0][-1] * op.shape[-1]:.3g} weights, "
            f"and more than {MAX_UNITS:.3g} cannot be held",
            help="is this the size that was meant?",
        )  # fmt: skip


def _readers(e: Elaboration) -> dict[str, list[str]]:
    """Return, for each node, the operations that keep its shape and the layers that read it as it is."""
    readers: dict[str, list[str]] = {}
    for op in e.ops.values():
        if op.spec.keeps_shape:
            for source in op.sources:
                readers.setdefault(source.node, []).append(op.name)
    for layer in e.layers.values():
        for signals in layer.edges.values():
            for signal in signals:
                readers.setdefault(signal.node, []).append(layer.name)
    return readers


def _asked_shape(e: Elaboration, readers: list[str]) -> Shape | None:
    return next((shape for shape in (e.shape_of(name) for name in readers) if shape is not None), None)


def _claimed(e: Elaboration, node: str) -> Shape | None:
    """Return the shape that a block asks of what flows into it."""
    return next((claim.shape for claim in e.claims if claim.signal.node == node), None)


def _check_edge(e: Elaboration, layer: PendingLayer, port: str, signal: model.Signal) -> None:
    shape = e.shape_of(signal.node)
    if shape != layer.shape:
        what = e.ops[signal.node].spec.name if signal.node in e.ops else signal.node
        _mismatch(
            layer.scope.findings,
            e.places[signal.node],
            shape,
            layer.span,
            layer.shape,
            f"`{what}` gives",
            f"`{layer.name}`",
        )


def _mismatch(
    findings: Findings, place: Span, shape: Shape | None, other: Span, wanted: Shape | None, gives: str, needs: str
) -> None:
    needs += "" if needs.endswith("here") else " has"
    findings.add(
        Code.SHAPE_MISMATCH, place, f"{gives} {list(shape or ())}, but {needs} {list(wanted or ())}",
        note=f"{list(shape or ())}",
        labels=(Label(other, f"{list(wanted or ())}"),),
        help="make both sizes equal, or put a `dense()` between them; `flatten()` joins axes",
    )  # fmt: skip
