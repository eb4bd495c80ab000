"""`snnc cost`: what a training step takes, before anything is trained."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from snnc.commands.console import findings_as, print_json, style_of
from snnc.commands.opening import open_model
from snnc.commands.options import AllowExtern, DataDir, EntryName, Format, Json, ModelFile, Settings, parse_settings
from snnc.diagnostics import Code, fail
from snnc.limits import MAX_COUNT, MAX_STEPS

if TYPE_CHECKING:
    from snnc.cost.report import Cost
    from snnc.cost.tape import Entry

_UNITS = {"": 1, "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS |= {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_SHOWN = 8  # arrays listed of those that are alive at the peak


def cost(
    file: ModelFile,
    name: EntryName = None,
    settings: Settings = None,
    batch: Annotated[
        int | None, typer.Option(min=1, max=MAX_COUNT, help="Batch size, instead of the recipe's.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, max=MAX_STEPS, help="Steps of a sample, instead of the recipe's.")
    ] = None,
    rate: Annotated[
        str, typer.Option(metavar="RATE", help="How often a spiking unit fires: 50Hz, or 0.05 of all steps.")
    ] = "0.05",
    memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Memory to fit, as 8GiB; where not given, what is free here.")
    ] = None,
    data_dir: DataDir = None,
    allow_extern: AllowExtern = False,
    as_json: Json = False,
    style: Format = "text",
) -> None:
    """Count what one training step of a recipe takes: memory, arithmetic, synaptic operations.

    Nothing is trained or allocated. The temporary memory is that of XLA on a CPU, about.
    A network without a recipe needs --batch and --steps.

    Example: snnc cost models/digits.snn --batch 512 --memory 8GiB
    """
    style = style_of(as_json, style)
    room = None if memory is None else _bytes(memory)
    with findings_as(style):
        compiled = open_model(file, name, parse_settings(settings), allow_extern, data_dir, style).compiled
        recipe, dt = compiled.recipe, compiled.network.dt
        if recipe is not None and recipe.rule.name == "ttfs":
            raise fail(
                Code.NOT_YET, recipe.rule.span, "not supported yet: the cost of a training by `ttfs`",
                help="it counts what time loops keep and compute, and `ttfs` has none",
            )  # fmt: skip
        batch = batch or (None if recipe is None else recipe.batch)
        steps = steps or (None if recipe is None else recipe.steps)
        for option, value in (("--batch", batch), ("--steps", steps)):
            if value is None:
                why = (
                    "the network has no recipe"
                    if recipe is None
                    else "the data that says how long a sample is is not here"
                )
                raise typer.BadParameter(f"{why}: give a number, as in {option} 100", param_hint=option)
        assert batch is not None
        assert steps is not None

        from snnc.cost.report import cost_of
        from snnc.cost.wiring import Case
        from snnc.memory import available_bytes

        case = Case(compiled.plan, recipe, batch, steps)
        found = cost_of(case, _share(rate, dt), available_bytes() if room is None else room)
    if style == "json":
        print_json(found.as_json())
        return
    typer.echo("\n".join(_lines(found, "given" if memory else "free here")))


def _bytes(text: str) -> int:
    """Return a size in bytes.

    >>> _bytes("8GiB"), _bytes("1.5 MB")
    (8589934592, 1500000)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text)
    if match is None or match[2] not in _UNITS:
        raise typer.BadParameter(
            f"{text!r} is no size: write a number and a unit, as 8GiB or 500MB", param_hint="--memory"
        )
    return int(float(match[1]) * _UNITS[match[2]])


def _share(text: str, dt: float) -> float:
    """Return a rate as a share of the steps; `dt` in ms.

    >>> _share("50Hz", 1.0), _share("0.1", 1.0)
    (0.05, 0.1)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(Hz|kHz)?\s*", text)
    if match is None:
        raise typer.BadParameter(
            f"{text!r} is no rate: write 50Hz, or a share of the steps as 0.05", param_hint="--rate"
        )
    share = float(match[1]) * {None: 1.0, "Hz": dt / 1000, "kHz": dt}[match[2]]
    if share > 1:
        raise typer.BadParameter(f"{text!r} is more than one spike in a step of {dt:g} ms", param_hint="--rate")
    return share


def size_text(size: float) -> str:
    """Return bytes in words.

    >>> size_text(512), size_text(5_242_880)
    ('512 B', '5.00 MiB')
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} B" if unit == "B" else f"{size:.3g} {unit}" if size >= 100 else f"{size:.2f} {unit}"
        size /= 1024
    return f"{size:,.2f} TiB"


def count_text(count: float, unit: str) -> str:
    """Return a count in words.

    >>> count_text(31_045_144, "FLOP")
    '31.0 MFLOP'
    """
    for prefix in ("", "k", "M", "G", "T"):
        if count < 1000:
            return f"{count:.3g} {prefix}{unit}" if prefix == "" or count >= 100 else f"{count:.1f} {prefix}{unit}"
        count /= 1000
    return f"{count:,.1f} P{unit}"


def _lines(cost: Cost, whose: str) -> list[str]:
    case = cost.case
    recipe = "no recipe" if case.recipe is None else f"recipe {case.recipe.name}"
    steps = f"{case.steps:,} steps of {case.plan.network.dt:g} ms"
    return [
        f"{case.plan.network.name}, {recipe}: batch {case.batch:,}, {steps}",
        "",
        *_parameters(cost),
        "",
        *_memory(cost),
        "",
        *_tape(cost),
        "",
        *_work(cost),
        "",
        *_verdict(cost, whose),
    ]


def _parameters(cost: Cost) -> list[str]:
    lines = ["parameters"]
    lines += [_row(f"{a.name} {list(a.shape)}", f"{a.bytes // 4:,}", size_text(a.bytes)) for a in cost.parameters]
    total = sum(a.bytes for a in cost.parameters)
    return [*lines, _row("all", f"{total // 4:,}", size_text(total))]


def _memory(cost: Cost) -> list[str]:
    method = "" if cost.case.recipe is None else f" ({cost.case.recipe.optimizer.name})"
    lines = [
        "memory of one training step",
        _row("parameters and buffers", "", size_text(cost.held - cost.optimizer)),
        _row(f"optimiser{method}", "", size_text(cost.optimizer)),
        _row("batch", "", size_text(cost.batch)),
        _row("temporary arrays, about", "", size_text(cost.peak.bytes)),
        *(f"    not estimated within 20 %: {what}" for what in cost.unsure),
        _row("all, about", "", size_text(cost.total)),
        f"  most temporary arrays live during: {cost.peak.step}",
    ]
    lines += [_row(f"  {name}", "", size_text(size)) for name, size in cost.peak.alive[:_SHOWN]]
    rest = cost.peak.alive[_SHOWN:]
    lines += [_row(f"  {len(rest)} smaller ones", "", size_text(sum(size for _, size in rest)))] if rest else []
    return [*lines, _row("state of one sample, in `step`", "", size_text(cost.state))]


def _tape(cost: Cost) -> list[str]:
    """One row an owner, one column a schedule."""
    lines = ["kept for the gradient, by schedule", _columns("", [name for name, _ in cost.tapes])]
    owners = dict.fromkeys(e.owner for _, entries in cost.tapes for e in entries)
    for owner in owners:
        lines.append(_columns(owner, [_kept(owner, entries) for _, entries in cost.tapes]))
    lines.append(_columns("all", [size_text(sum(e.bytes for e in entries)) for _, entries in cost.tapes]))
    lines.append("  the emitted file has the last one:")
    emitted = cost.tapes[-1][1]
    return [*lines, *(_row(f"  {e.owner}: {e.what}", "", size_text(e.bytes)) for e in emitted)]


def _kept(owner: str, entries: tuple[Entry, ...]) -> str:
    return size_text(sum(e.bytes for e in entries if e.owner == owner))


def _work(cost: Cost) -> list[str]:
    work = cost.flops
    lines = [
        "arithmetic of one training step",
        _row("", "forward", "backward"),
        _row("products", count_text(work.forward_products, "FLOP"), count_text(work.backward_products, "FLOP")),
        _row(
            "element-wise, about",
            count_text(work.forward_elementwise, "FLOP"),
            count_text(work.backward_elementwise, "FLOP"),
        ),
        _row("all, about", "", count_text(work.total, "FLOP")),
        "",
        f"synapses in one presentation, spiking units firing in {100 * cost.rate:.3g} % of the steps "
        f"({1000 * cost.rate / cost.case.plan.network.dt:.4g} Hz)",
    ]
    for one in cost.synapses:
        lines.append(_row(one.name, "", count_text(one.operations, "SynOp" if one.spiking else "MAC")))
    return lines


def _verdict(cost: Cost, whose: str) -> list[str]:
    if cost.memory is None:
        return [f"takes about {size_text(cost.total)}; this system does not say how much memory is free: give --memory"]
    if cost.fits:
        return [f"fits: about {size_text(cost.total)} of {size_text(cost.memory)} {whose}"]
    lines = [
        f"does not fit: about {size_text(cost.total)}, and {size_text(cost.memory)} {whose}; one of these makes it fit:"
    ]
    return [*lines, *(f"  {change}" for change in cost.changes)]


def _row(name: str, middle: str, right: str) -> str:
    return f"  {name:<44}{middle:>16}{right:>16}".rstrip()


def _columns(name: str, cells: list[str]) -> str:
    return f"  {name:<16}" + "".join(f"{cell:>28}" for cell in cells)
