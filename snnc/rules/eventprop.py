"""Says where the theory of exact gradients by spike times (EventProp) does not hold, and makes the plan where it does."""

from __future__ import annotations

from collections.abc import Iterator

from snnc import model
from snnc.diagnostics import Code, Findings, Label
from snnc.expr import Apply, Expr, Var, variables
from snnc.lower.crossings import NoCrossingError, check_tested, crossing_of, dynamics, with_crossings
from snnc.ops.delays import WithTimes
from snnc.plan import Body, StepPlan
from snnc.source import Span

# Operations that may stand between spikes and where they arrive: linear in each spike by itself.
LINEAR = frozenset(
    ("dense", "conv", "conv_transpose", "sparse", "one_to_one", "inhibit", "flatten", "reshape", "transpose", "scale", "dropout",
     "avg_pool", "sum_pool", "upsample", "delay")
)  # fmt: skip
AT_A_POINT = ("max_over_time", "last_over_time")
INSTEAD = "use `learn = bptt()`"


def plan_by_time(plan: StepPlan, recipe: model.Recipe) -> StepPlan:
    """Return the plan of a recipe that learns by spike times, whose theory holds for it."""
    floor = recipe.rule.get("floor")
    assert isinstance(floor, float)
    read = {signal for value, _ in _objective(plan.network, recipe) for signal in _signals(value)}
    read |= {source for node in plan.order for source in _sources(node)}
    return with_crossings(plan, floor, lambda layer, state: model.Signal(layer, state) in read)


def check_eventprop(plan: StepPlan, recipe: model.Recipe, findings: Findings) -> None:
    """Collect the terms for which spike times have no exact gradient."""

    def refuse(span: Span, what: str, help_: str, labels: tuple[Label, ...] = ()) -> None:
        findings.add(Code.ILLEGAL_RULE, span, f"`eventprop` does not fit: {what}", help=help_, labels=labels)

    for body in plan.types:
        try:
            _check_neuron(body)
        except NoCrossingError as error:
            layer = next(layer for layer in plan.network.layers if plan.body(layer.name) is body)
            own = error.span.source is layer.span.source
            labels = () if own else (Label(error.span, "here"),)
            refuse(error.span if own else layer.span, f"`{body.neuron.name}` {error.reason}", error.help, labels)
    for layer in plan.network.layers:
        for port, signals in layer.ports:
            kind = next(p.kind for p in layer.neuron.ports if p.name == port)
            for signal in signals:
                found = _wrong_edge(signal, kind, plan.network)
                if found:
                    refuse(layer.span, f"`{layer.name}.{port}` {found}", INSTEAD)
    for node in plan.network.operations:
        if not any(spikes_behind(source, plan.network) for source in node.sources):
            continue
        if isinstance(node.op, WithTimes) and node.op.times.trainable:
            refuse(node.span, "delays that are trained are not derived", "fix the delays, or use `learn = bptt()`")
        elif node.op.kind not in LINEAR:
            refuse(node.span, f"spikes go through `{node.op.kind}`, which is not linear in each of them", INSTEAD)
    for value, span in _objective(plan.network, recipe):
        for what in _wrong_reads(value, plan, point=plan.network.located):
            refuse(span, what, "read `first_spike_time` of spikes, or `mean_over_time` of a state")
        if recipe.counts_steps and any(isinstance(e, Apply) and e.fn == "first_spike_time" for e in _walk(value)):
            findings.add(
                Code.NOT_YET, span, "not supported yet: `first_spike_time` by `eventprop` where only some steps count",
                help="take out `length` and `burn_in`",
            )  # fmt: skip


def _check_neuron(body: Body) -> None:
    """Raise NoCrossingError with what forbids the theory in a neuron."""
    neuron = body.neuron
    system = dynamics(neuron, body.ports)
    if neuron.spikes and neuron.refractory is not None:
        raise NoCrossingError(
            "is refractory, and its gradient by spike times is not derived", "take `refractory` out", neuron
        )
    for rule in neuron.spikes:
        if rule.rate is not None or rule.margin is None:
            raise NoCrossingError("fires at random, so that its spike times follow from no condition", INSTEAD, rule)
        if rule.emit is not None or any("spike" in variables(update.value) for update in rule.resets):
            raise NoCrossingError("emits spikes of different sizes", "emit plain spikes", rule)
        crossing_of(neuron, rule, system, 0, 0.0)
    check_tested(neuron, body.ports)


def spikes_behind(signal: model.Signal, network: model.Network) -> bool:
    """Whether a signal is made of the spikes of a layer."""
    node = network.node(signal.node)
    if isinstance(node, model.OpNode):
        return any(spikes_behind(source, network) for source in node.sources)
    return isinstance(node, model.Layer) and signal.name == "spike"


def _states_behind(signal: model.Signal, network: model.Network) -> bool:
    node = network.node(signal.node)
    if isinstance(node, model.OpNode):
        return any(_states_behind(source, network) for source in node.sources)
    return isinstance(node, model.Layer) and signal.name != "spike"


def _wrong_edge(signal: model.Signal, kind: str, network: model.Network) -> str:
    if kind == "event" and _states_behind(signal, network):
        return "is jumped by a state in every step, which has no limit for small steps"
    if kind != "event" and spikes_behind(signal, network):
        return "takes spikes as pulses of one step: they have no time inside it; send them to an `event` port"
    return ""


# ---- what a loss reads ----------------------------------------------------------


def _objective(network: model.Network, recipe: model.Recipe) -> list[tuple[Expr, Span]]:
    """Return what is differentiated: loss, penalties, and the outputs that they read."""
    terms = [(term.value, term.span) for term in (recipe.loss, *recipe.penalties)]
    read = {name for value, _ in terms for name in variables(value)}
    return terms + [(o.value, o.span) for o in network.outputs if f"output:{o.name}" in read]


def _walk(expr: Expr) -> Iterator[Expr]:
    yield expr
    for arg in expr.args if isinstance(expr, Apply) else ():
        yield from _walk(arg)


def _signals(expr: Expr) -> list[model.Signal]:
    return [model.signal_of(name) for name in variables(expr) if name.startswith("signal:")]


def _sources(node: model.Layer | model.OpNode) -> list[model.Signal]:
    if isinstance(node, model.OpNode):
        return list(node.sources)
    return [signal for _, signals in node.ports for signal in signals]


def _wrong_reads(expr: Expr, plan: StepPlan, point: bool) -> Iterator[str]:
    """Yield what a loss reads beside times of spikes and integrals of states; `point`: at one step alone."""
    network = plan.network
    match expr:
        case Apply("first_spike_time", (Var(name),)) if name.startswith("signal:") and name.endswith(".spike"):
            return
        case Apply(fn, args):
            for arg in args:
                yield from _wrong_reads(arg, plan, point or fn in AT_A_POINT)
        case Var(name) if name.startswith("signal:"):
            signal = model.signal_of(name)
            if signal.name == "spike":
                yield f"the loss reads whether `{signal.node}` spikes, which does not change when a spike moves"
            elif signal.pre:
                yield f"the loss reads `{signal.node}.{signal.name}.pre`, a value of the grid"
            elif point and _is_reset(network, signal):
                yield f"the loss reads `{signal.node}.{signal.name}` at single steps, and a reset makes it jump between them"
        case Var(name) if name.startswith("op:") and spikes_behind(model.Signal(name.removeprefix("op:")), network):
            yield f"the loss reads `{name.removeprefix('op:')}`, which is made of spikes"


def _is_reset(network: model.Network, signal: model.Signal) -> bool:
    layer = network.node(signal.node)
    assert isinstance(layer, model.Layer)
    return any(update.target == signal.name for rule in layer.neuron.spikes for update in rule.resets)
