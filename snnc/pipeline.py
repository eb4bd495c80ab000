"""Text to text, straight through: the table of contents of the compiler."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from snnc import model
from snnc.data.load import load_data_set
from snnc.diagnostics import Code, CompileError, Diagnostic, Findings, did_you_mean, fail
from snnc.lower.schedule import read_signals
from snnc.plan import Kernel, StepPlan
from snnc.rules.legality import as_learned, check_located, check_rule, lower_for, with_times, with_times_in
from snnc.rules.synapses import FORWARD
from snnc.semantics.checks import check_module, lint
from snnc.semantics.entries import Entry, choose_entry
from snnc.semantics.modules import Module, build_module, load_module
from snnc.semantics.networks import resolve_network
from snnc.semantics.norms import settle_norms
from snnc.semantics.overrides import apply_overrides
from snnc.semantics.precision import with_precision
from snnc.semantics.recipes import resolve_recipe
from snnc.source import Source, Span
from snnc.syntax import nodes
from snnc.syntax.parse import parse
from snnc.syntax.unparse import unparse

Overrides = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A file with its imports, every item checked."""

    module: Module
    folder: Path
    warnings: tuple[Diagnostic, ...]

    @property
    def networks(self) -> tuple[str, ...]:
        return self.module.defined(nodes.Network)

    @property
    def recipes(self) -> tuple[str, ...]:
        return self.module.defined(nodes.Train)


@dataclass(frozen=True, slots=True, eq=False)
class Compiled:
    """One entry of a file at the end of the compiler; `name` is the stem of the emitted file."""

    name: str
    text: str
    network: model.Network
    recipe: model.Recipe | None
    plan: StepPlan
    warnings: tuple[Diagnostic, ...]


def load(path: Path, *, allow_extern: bool = False) -> Program:
    """Read, parse and check a file and everything that it imports.

    Raises:
        CompileError: with every finding of the first phase that had any.
    """
    return _checked(load_module(path), path.parent, allow_extern)  # text -> syntax, imports


def load_text(source: Source, folder: Path, *, allow_extern: bool = False) -> Program:
    """Parse and check a text as if it were a file in `folder`. Raises as `load` does."""
    return _checked(build_module(parse(source), folder, root=folder), folder, allow_extern)


def _checked(module: Module, folder: Path, allow_extern: bool) -> Program:
    findings = Findings()
    check_module(module, findings, allow_extern)  # names, units, shapes, of every item
    findings.stop_on_errors()
    return Program(module, folder, findings.warnings)


def choose(program: Program, name: str | None) -> Entry:
    """Return the entry that `name` stands for, or the only one."""
    return choose_entry(program.module, name)


def compile_entry(
    program: Program,
    entry: Entry,
    overrides: Overrides = (),
    data_dir: Path | None = None,
    kernel: Kernel = "scan",
) -> Compiled:
    """Compile one network, with its recipe if it has one, into the text of one Python file.

    `kernel` says how its time loops run on a GPU.

    Raises:
        CompileError: with every finding of the first phase that had any.
    """
    from snnc.emit.emit import emit  # checking a file needs no templates, and shall feel instant

    findings = Findings()
    network, recipe, module = resolve_entry(program, entry, overrides, findings, data_dir)
    lint(network, recipe, findings)
    plan = lower_for(network, recipe, _read_by(recipe))  # model -> step plan
    text = emit(plan, recipe, Path(module.source.path).name, kernel)  # plan -> views -> text
    return Compiled(Path(module.source.path).stem, text, network, recipe, plan, findings.warnings)


def in_float32(compiled: Compiled, kernel: Kernel = "scan") -> Compiled:
    """Return the same network and recipe compiled without anything rounded to 16 bits."""
    from snnc.emit.emit import emit

    assert compiled.recipe is not None
    recipe = replace(compiled.recipe, precision="f32")
    network = with_precision(compiled.network, "f32")
    plan = lower_for(network, recipe, _read_by(recipe))
    text = emit(plan, recipe, Path(recipe.span.source.path).name, kernel)
    return replace(compiled, text=text, network=network, recipe=recipe, plan=plan)


def resolve_entry(
    program: Program, entry: Entry, overrides: Overrides, findings: Findings, data_dir: Path | None = None
) -> tuple[model.Network, model.Recipe | None, Module]:
    """Return the resolved network and recipe of an entry."""
    module = apply_overrides(program.module, overrides)
    network_name = nodes.Name(tuple(entry.network.split(".")))
    found = module.find(network_name)
    if found is None or not isinstance(found[0], nodes.Network):
        item = module.own[entry.recipe or entry.network]
        span = item.network.span if isinstance(item, nodes.Train) else item.span
        raise fail(
            Code.UNKNOWN_NAME, span, f"unknown network `{entry.network}`",
            help=did_you_mean(entry.network, module.defined(nodes.Network))
            or "this file has none: write `network NAME { … }`, or import one",
        )  # fmt: skip
    network = resolve_network(found[0], found[1], findings)
    if entry.recipe is None:
        network = settle_norms(network, None, findings)
        check_located(network, None, findings)
        findings.stop_on_errors()
        return with_times(network), None, module
    train = module.own[entry.recipe]
    assert isinstance(train, nodes.Train)
    recipe = resolve_recipe(train, module, network, findings, _field_loader(program, data_dir))
    network = settle_norms(network, recipe, findings)
    findings.stop_on_errors()
    assert recipe is not None
    check_rule(network, recipe, findings)
    findings.stop_on_errors()
    if network.located and recipe.rule.name == "eventprop":
        network, recipe = with_times(network), with_times_in(recipe)
    return as_learned(with_precision(network, recipe.precision), recipe.rule), recipe, module


def _read_by(recipe: model.Recipe | None) -> tuple[model.Signal, ...]:
    """Return the signals that losses and metrics read."""
    if recipe is None:
        return ()
    return read_signals(tuple(t.value for t in (recipe.loss, *recipe.penalties, *recipe.metrics)))


def _field_loader(program: Program, data_dir: Path | None) -> Callable[[model.DataSet], tuple[model.Field, ...] | None]:
    def load_fields(data: model.DataSet) -> tuple[model.Field, ...] | None:
        try:
            loaded = load_data_set(data, program.folder, data_dir)
        except CompileError:
            return None  # the file is not here; whoever trains will hear of it
        return tuple(
            model.Field(
                name,
                array.shape[1:],
                array.ndim > (1 if name == "label" else 2),
                "class" if name == "label" else "real",
                None,
            )
            for name, array in loaded.fields.items()
        )

    return load_fields


def _explain_rule(program: Program, entry: Entry, overrides: Overrides, name: str) -> str:
    from snnc.emit.explain_traces import explain_traces

    known = ("eprop", *FORWARD)
    whole = Span(program.module.source, 0, 1)
    if name not in known:
        raise fail(Code.UNKNOWN_NAME, whole, f"no rule `{name}` has traces", help=did_you_mean(name, known))
    if entry.recipe is None:
        raise fail(
            Code.ILLEGAL_RULE, whole, f"whether `{name}` fits is asked of a network and a loss, and the file has no recipe",
            help="add a `train` section with a `loss`",
        )  # fmt: skip
    findings = Findings()
    network, recipe, _ = resolve_entry(program, entry, overrides, findings)
    assert recipe is not None
    rule = model.Rule(name, (("online", True), ("feedback", "symmetric"), ("update", "batch")), recipe.rule.span)
    check_rule(network, replace(recipe, rule=rule), findings)
    findings.stop_on_errors()
    return explain_traces(lower_for(as_learned(network, rule), None), rule)


PHASES = ("syntax", "model", "plan", "schedule")


def dump(program: Program, entry: Entry, phase: str, overrides: Overrides = ()) -> str:
    """Return what one phase of the compiler makes, as text (`--dump PHASE`)."""
    if phase not in PHASES:
        whole = Span(program.module.source, 0, 1)
        raise fail(Code.UNKNOWN_NAME, whole, f"unknown phase `{phase}`", help=did_you_mean(phase, PHASES))
    if phase == "syntax":
        return unparse(program.module.file)
    network, recipe, _ = resolve_entry(program, entry, overrides, Findings())
    if phase == "model":
        from pprint import pformat

        return pformat(network, width=120) + ("" if recipe is None else "\n" + pformat(recipe, width=120)) + "\n"
    plan = lower_for(network, recipe, _read_by(recipe))
    if phase == "plan":
        from pprint import pformat

        return "\n".join(pformat(body, width=120) for body in plan.types) + "\n"
    lines = []
    for group in plan.groups:
        lines.append(("cycle: " if group.loop else "") + ", ".join(node.name for node in group.nodes))
    return "\n".join(lines) + "\n"


def explain(program: Program, entry: Entry, overrides: Overrides = (), rule: str | None = None) -> str:
    """Return what the compiler knows of a model without running it (`snnc explain FILE`); with `rule` the traces of that rule.

    Raises:
        CompileError: E0201 for a rule without traces; E0513 where it does not fit the model.
    """
    from snnc.emit.explain import explain_plan

    if rule is not None:
        return _explain_rule(program, entry, overrides, rule)
    network, recipe, _ = resolve_entry(program, entry, overrides, Findings())
    return explain_plan(lower_for(network, recipe, _read_by(recipe)), recipe)
