"""Resolves the settings of a recipe about its sequences: their lengths, their first steps, and whether states go on."""

from __future__ import annotations

from dataclasses import dataclass

from snnc import model
from snnc.data.sources import SOURCES
from snnc.diagnostics import Code, Findings, Label
from snnc.semantics.constants import constant
from snnc.semantics.expressions import resolve_as
from snnc.semantics.operations.delays import steps_of
from snnc.semantics.scope import Scope
from snnc.syntax import nodes
from snnc.units import TIME


@dataclass(frozen=True, slots=True)
class Sequences:
    """The field with the steps of each sample, whether states go on from batch to batch, the steps that do not count."""

    length: str | None = None
    carry: bool = False
    burn_in: int = 0


def read_sequences(
    settings: dict[str, nodes.Expr], scope: Scope, network: model.Network, findings: Findings
) -> Sequences:
    """Return what a recipe says of its sequences; findings for what does not go together."""
    length, carry = _read_length(settings, findings), _read_carry(settings, findings)
    if length is not None and carry:
        findings.add(
            Code.BAD_SETTING, settings["carry"].span, "`carry` and `length` do not go together: what follows a sample that "
            "ends early is padding, from which no state can go on",
            help="cut recordings into samples of one length, or take one of the two settings out",
            labels=(Label(settings["length"].span, "lengths that differ"),),
        )  # fmt: skip
    if length is not None:
        for layer in network.layers:
            if any(state.carry for state in layer.neuron.states):
                findings.add(
                    Code.NOT_YET, settings["length"].span,
                    f"not supported yet: `length` with the state of `{layer.name}` that goes on from batch to batch",
                    help="it would go on from padding: take `carry` out of the neuron, or `length` out of the recipe",
                    labels=(Label(layer.span, "has a state with `carry`"),),
                )  # fmt: skip
    return Sequences(length, carry, _read_burn_in(settings, scope, network.dt))


def _read_length(settings: dict[str, nodes.Expr], findings: Findings) -> str | None:
    value = settings.get("length")
    if value is None:
        return None
    if not isinstance(value, nodes.Name) or "." in value.text or value.text == "label":
        findings.add(
            Code.BAD_SETTING, value.span, "`length` is the name of a field that holds the steps of each sample",
            help="as in `length = length`; a `duration` belongs to the encoder of the data",
        )  # fmt: skip
        return None
    return value.text


def _read_carry(settings: dict[str, nodes.Expr], findings: Findings) -> bool:
    value = settings.get("carry")
    if value is None:
        return False
    if not isinstance(value, nodes.Bool):
        findings.add(Code.BAD_SETTING, value.span, "`carry` is `true` or `false`", help="write `carry = true`")
        return False
    return value.value


def _read_burn_in(settings: dict[str, nodes.Expr], scope: Scope, dt: float) -> int:
    value = settings.get("burn_in")
    if value is None:
        return 0
    time = constant(resolve_as(value, TIME, scope, "`burn_in`"))
    if time is None or not 0 <= time < 1e9 * dt:
        scope.findings.add(Code.BAD_VALUE, value.span, "`burn_in` is a fixed time", help="as in `burn_in = 50 ms`")
        return 0
    return steps_of(time, dt, value.span, scope, "`burn_in`")


def check_sequences(
    found: Sequences, settings: dict[str, nodes.Expr], data: model.DataSet, steps: int | None, findings: Findings
) -> None:
    """Check that something is left after the burn-in, and that samples come in the order in which they were recorded."""
    if steps is not None and found.burn_in >= steps:
        span = settings["burn_in"].span
        findings.add(
            Code.BAD_VALUE, span, f"`burn_in` takes {found.burn_in} steps, and a sample has {steps}: none is left to learn from",
            help=f"make it shorter, or the samples of `{data.name}` longer",
        )  # fmt: skip
    drawn = [part for part in ("val", "test") if isinstance(data.arguments.get(part), float)]
    if found.carry and drawn and data.source_name in SOURCES:
        findings.add(
            Code.BAD_SETTING, settings["carry"].span, "with `carry` a sample goes on where the one before it ended, and "
            f"`{drawn[0]} = {data.arguments[drawn[0]]:g}` draws samples at random",
            help="store an array `split` with the data, or give a further file, and keep the order of the recording",
            labels=(Label(data.span, "the data"),),
        )  # fmt: skip
