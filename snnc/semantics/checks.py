"""Checks every item of a file, used or not, and warns of what is legal and probably not meant."""

from __future__ import annotations

import re
from dataclasses import replace

from snnc import model
from snnc.diagnostics import MAX_FINDINGS, Code, CompileError, Findings, did_you_mean
from snnc.expr import Apply, Expr, Var, substitute, variables, walk
from snnc.lower.body import Extra, expressions, lower_neuron
from snnc.lower.plasticity import lower_plasticity
from snnc.lower.schedule import lower_network
from snnc.plan import Body
from snnc.rules.legality import check_located, check_rule
from snnc.rules.losses import StepLoss, step_loss
from snnc.semantics.constants import constant
from snnc.semantics.data_sets import resolve_data
from snnc.semantics.elaboration import stands_alone
from snnc.semantics.expressions import resolve
from snnc.semantics.footprint import refuse_giants
from snnc.semantics.lints import check_maxima, check_silence, trained_by
from snnc.semantics.modules import KIND_WORDS, Module, name_span
from snnc.semantics.networks import resolve_network
from snnc.semantics.neurons import resolve_neuron
from snnc.semantics.norms import settle_norms
from snnc.semantics.parameters import parameter_values
from snnc.semantics.plasticity import resolve_plasticity
from snnc.semantics.quantities import declared_dimension
from snnc.semantics.recipes import resolve_recipe
from snnc.semantics.scope import Scope, Typed
from snnc.semantics.surrogates import surrogate_function
from snnc.syntax import nodes

LATER = {nodes.Sweep: "`sweep`", nodes.Convert: "`convert`"}


def check_module(module: Module, findings: Findings, allow_extern: bool) -> None:
    """Collect the findings of every item that `module` defines, and of every `extern` that it imports."""
    for other in _imported_modules(module):
        for item in other.own.values():
            if isinstance(item, nodes.Extern):
                _check_extern(item, findings, allow_extern)
    networks: dict[str, model.Network | None] = {}
    for name, item in module.own.items():
        if len(findings.errors) >= MAX_FINDINGS:
            return
        inner = Findings()
        try:
            _check_item(name, item, module, inner, networks, allow_extern)
        except CompileError as error:
            inner.items += [d for d in error.diagnostics if d not in inner.items]
        findings.items += [d for d in inner.items if d not in findings.items]


def _check_item(
    name: str,
    item: object,
    module: Module,
    findings: Findings,
    networks: dict[str, model.Network | None],
    allow_extern: bool,
) -> None:
    scope = Scope({}, module, findings, "here")
    match item:
        case nodes.Const():
            resolve(item.value, scope)
        case nodes.Function():
            _check_function(item, module, findings)
        case nodes.Surrogate():
            surrogate_function(item, module, scope)
        case nodes.Extern():
            _check_extern(item, findings, allow_extern)
        case nodes.Neuron():
            neuron = resolve_neuron(item, module, (), scope, None, findings)
            findings.stop_on_errors()
            if any(isinstance(clause, nodes.Param) and clause.value is None for clause in item.body):
                return  # its units are known where it is used
            body = lower_neuron(neuron, neuron.name, tuple(p.name for p in neuron.ports), Extra())
            _check_unused(neuron, body, findings)
        case nodes.Network():
            networks[name] = None
            if stands_alone(item, module) or any(
                isinstance(i, nodes.Train) and i.network.text == name for i in module.own.values()
            ):
                networks[name] = _check_network(item, module, findings)
        case nodes.Train():
            _check_train(item, module, findings, networks)
        case nodes.Data():
            resolve_data(item, module, None, findings)
        case nodes.Plasticity():
            rule = resolve_plasticity(item, module, (), scope, None, findings)
            findings.stop_on_errors()
            lower_plasticity(rule, {})
        case nodes.Sweep() | nodes.Convert():
            findings.add(
                Code.NOT_YET, name_span(item), f"not supported yet: {LATER[type(item)]}",
                help=f"take the {KIND_WORDS[type(item)]} out, or wait for the release that brings it",
            )  # fmt: skip
    findings.stop_on_errors()


_TARGET = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def _check_extern(item: nodes.Extern, findings: Findings, allow_extern: bool) -> None:
    """Refuse Python from a file unless its reader allowed it."""
    if not allow_extern:
        findings.add(
            Code.EXTERN_REFUSED,
            name_span(item),
            f"`{item.name}` would run Python code that is not in this file",
            help="if you trust whoever wrote it, run with `--allow-extern`",
        )
    elif item.kind != "loader":
        findings.add(
            Code.NOT_YET,
            name_span(item),
            f"not supported yet: an extern {item.kind}",
            help="built so far: `extern loader`; equations and functions are written in the language",
        )
    elif not _TARGET.fullmatch(item.target.value):
        findings.add(
            Code.BAD_VALUE,
            item.target.span,
            "this names no function",
            help='write the module and the function: `python "mydata.speech:load"`',
        )


def _imported_modules(module: Module) -> list[Module]:
    """Return every module that is reached by imports."""
    found: list[Module] = []
    stack = [home for _, home in module.names.values()] + list(module.spaces.values())
    while stack:
        other = stack.pop()
        if other is not module and other not in found:
            found.append(other)
            stack += [home for _, home in other.names.values()] + list(other.spaces.values())
    return found


def _check_function(item: nodes.Function, module: Module, findings: Findings) -> None:
    """Check a function alone where the types of its arguments are written; else where it is used."""
    if any(formal.type is None for formal in item.formals):
        return
    names = {f.name: Typed(Var(f.name), declared_dimension(f.type, findings)) for f in item.formals}
    scope = Scope(names, module, findings, f"in function `{item.name}`", (item.name,))
    resolve(item.body, scope)


def _check_network(item: nodes.Network, module: Module, findings: Findings) -> model.Network:
    network = resolve_network(item, module, findings)
    lower_network(replace(network, located=False))
    trained = [i for i in module.own.values() if isinstance(i, nodes.Train) and i.network.text == item.name]
    if not trained:
        lint(network, None, findings)
        check_windows(network, findings)
        settle_norms(network, None, findings)
        check_located(network, None, findings)
    return network


def check_windows(network: model.Network, findings: Findings) -> None:
    """Refuse a window `last` where no recipe says how long a sample is."""
    for output in network.outputs:
        for node in walk(output.value):
            if isinstance(node, Apply) and node.attr("last") is not None:
                findings.add(
                    Code.NOT_YET,
                    node.span,
                    "not supported yet: a window `last` where no recipe says how long a sample is",
                    help="use `from = …`, or add a recipe whose data has a `duration`",
                )


def _check_train(
    item: nodes.Train, module: Module, findings: Findings, networks: dict[str, model.Network | None]
) -> None:
    found = module.find(item.network)
    if found is None or not isinstance(found[0], nodes.Network):
        findings.add(
            Code.UNKNOWN_NAME, item.network.span, f"unknown network `{item.network.text}`",
            help=did_you_mean(item.network.text, [n for n, (i, _) in module.names.items() if isinstance(i, nodes.Network)])
            or "this file has none: write `network NAME { … }`, or import one",
        )  # fmt: skip
        return
    known = networks.get(item.network.text)
    network = known if item.network.text in networks else _check_network(found[0], found[1], Findings())
    if network is None:
        return  # its own errors stand already
    recipe = resolve_recipe(item, module, network, findings, lambda data: None)
    if recipe is not None:
        network = settle_norms(network, recipe, findings)
        check_rule(network, recipe, findings)
        lint(network, recipe, findings)


def _check_unused(neuron: model.Neuron, body: Body, findings: Findings) -> None:
    """Warn of a parameter that nothing reads."""
    read = {v for s in body.statements for e in expressions(s) for v in variables(e)}
    read |= {v for c in body.coefficients for v in variables(c.value)}
    exprs: list[Expr] = []
    for value in [*(s.init for s in neuron.states), *(p.value for p in neuron.params)]:
        exprs += value.args if isinstance(value, model.Drawn) else [value]
    read |= {v for e in exprs for v in variables(e)}
    for param in neuron.params:
        if param.name not in read:
            findings.add(
                Code.UNUSED_PARAMETER, param.span, f"nothing reads `{param.name}`", help="use it or take it out"
            )


# ---- warnings over the whole model -----------------------------------------------------


def lint(network: model.Network, recipe: model.Recipe | None, findings: Findings) -> None:
    """Warn of what the numbers of a resolved model make doubtful."""
    refuse_giants(network)
    for layer in network.layers:
        _check_steps(layer, network.dt, findings)
    if recipe is None:
        return
    _check_rate(network, recipe, findings)
    _check_readouts(network, recipe, findings)
    _check_spikes(network, recipe, findings)
    plan = lower_network(replace(network, located=False))
    check_maxima(plan, recipe, findings)
    check_silence(plan, recipe, findings)


def _check_steps(layer: model.Layer, dt: float, findings: Findings) -> None:
    neuron = layer.neuron
    values = parameter_values(neuron.params, dt)
    if neuron.refractory is not None:
        period = constant(neuron.refractory, values)
        if period is not None and 0 < period < dt:
            findings.add(
                Code.SHORT_REFRACTORY, layer.span,
                f"the refractory period of {period:g} ms is shorter than dt = {dt:g} ms: "
                f"{int(period / dt + 0.5) * dt:g} ms is used",
                help="make `dt` smaller, or the period a multiple of it",
            )  # fmt: skip
        elif period is not None and abs(period / dt - int(period / dt + 0.5)) > 1e-6:
            findings.add(
                Code.ROUNDED_TO_STEP, layer.span,
                f"the refractory period of {period:g} ms is no multiple of dt = {dt:g} ms: "
                f"{int(period / dt + 0.5) * dt:g} ms is used",
                help="choose a multiple of `dt`",
            )  # fmt: skip
    if neuron.solver.kind == "euler":
        for param in neuron.params:
            step = dt / neuron.solver.substeps
            tau = values.get(param.name)
            if param.name.startswith("tau") and tau is not None and 0 < tau < 2 * step:
                findings.add(
                    Code.COARSE_STEP, layer.span,
                    f"`{param.name}` = {tau:g} ms is under two Euler steps of {step:g} ms, which is not accurate",
                    help="use `solve exact`, more substeps or a smaller `dt`",
                )  # fmt: skip


def _check_rate(network: model.Network, recipe: model.Recipe, findings: Findings) -> None:
    encoder = recipe.data.encoder
    if encoder is None or encoder.name != "rate":
        return
    chance = encoder.number("peak") * network.dt
    if chance > 1:
        findings.add(
            Code.RATE_TOO_HIGH, encoder.span, f"a rate of {encoder.number('peak') * 1000:g} Hz asks for {chance:g} spikes "
            f"in a step of {network.dt:g} ms, and one step holds one", help="lower `peak` or `dt`",
        )  # fmt: skip


def _check_readouts(network: model.Network, recipe: model.Recipe, findings: Findings) -> None:
    """Warn where accuracy is measured on another readout than the loss trains."""
    outputs = {f"output:{o.name}": o.value for o in network.outputs}
    trained = _scores(recipe.loss.value, outputs)
    each_step = isinstance(step_loss(recipe, network), StepLoss)
    for metric in recipe.metrics:
        measured = _scores(metric.value, outputs)
        if each_step and _read(metric.value, outputs) & _read(recipe.loss.value, outputs):
            continue  # a mean over steps is what a loss of each step trains
        if isinstance(metric.value, Apply) and metric.value.fn == "accuracy" and trained and not measured & trained:
            findings.add(
                Code.READOUT_DIFFERS, metric.span, f"`{metric.name}` judges another readout than the loss trains",
                help="the same weights can score far lower by the other one; use the readout of the loss for both",
            )  # fmt: skip


# what these give of spikes is 0 or 1
_FLAT_ON_SPIKES = ("max_over_time", "last_over_time", "softmax", "log_softmax")


def _check_spikes(network: model.Network, recipe: model.Recipe, findings: Findings) -> None:
    """Warn of a loss that looks at single spikes where the potential, or a count, says more."""
    for node in trained_by(recipe, network):
        if not isinstance(node, Apply) or node.fn not in _FLAT_ON_SPIKES:
            continue
        read = node.args[0]
        if isinstance(read, Var) and read.name.startswith("signal:") and read.name.endswith(".spike"):
            layer = read.name.removeprefix("signal:").removesuffix(".spike")
            states = [s.name for layer_ in network.layers if layer_.name == layer for s in layer_.neuron.states]
            better = f"`{node.fn}({layer}.{states[-1]})` or " if states else ""
            findings.add(
                Code.LOSS_ON_SPIKE, node.span, f"`{node.fn}` of spikes says whether a unit of `{layer}` spiked, and nothing more",
                help=f"read {better}`mean_over_time({layer})`, the rate",
            )  # fmt: skip


def _read(expr: Expr, outputs: dict[str, Expr]) -> set[str]:
    return {name for name in variables(substitute(expr, outputs)) if name.startswith("signal:")}


def _scores(expr: Expr, outputs: dict[str, Expr]) -> set[str]:
    """Return the readouts inside an expression, as text, outputs replaced by what they stand for."""
    found: set[str] = set()
    for node in walk(expr):
        if isinstance(node, Var) and node.name in outputs:
            found |= _scores(outputs[node.name], outputs) or {repr(outputs[node.name])}
        elif isinstance(node, Var) and node.name.startswith("signal:"):
            found.add(node.name)
        elif isinstance(node, Apply) and (node.fn.endswith("_over_time") or node.fn in ("count", "first_spike_time")):
            found.add(repr(node))
        elif isinstance(node, Apply) and node.fn == "count_mse":
            found.add(repr(Apply("count", node.args[:1])))
    folds = {name for name in found if not name.startswith("signal:")}
    return folds or found
