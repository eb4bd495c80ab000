"""`snnc explain FILE`: what the compiler knows of a model without running it, as text and LaTeX."""

from __future__ import annotations

from dataclasses import astuple
from math import prod

import numpy as np

from snnc import model
from snnc.emit.event_rule import event_share
from snnc.emit.explain_crossings import crossing_lines
from snnc.emit.explain_plasticity import explain_plasticity
from snnc.emit.first_spikes import explain_first_spikes
from snnc.emit.latex import latex_name, latex_text
from snnc.emit.learning_words import learning_words
from snnc.emit.parameters import stored_buffers, stored_parameters
from snnc.emit.pytext import python_text
from snnc.emit.statement_text import place
from snnc.expr import Expr
from snnc.interp import body_constants
from snnc.ops.delays import DelayedDense, WithTimes
from snnc.ops.memory import Delay
from snnc.plan import Assign, Body, Fire, Integrate, Locate, StepPlan
from snnc.semantics.event_inputs import event_inputs
from snnc.semantics.parameters import central_values, parameter_values
from snnc.surrogate_facts import measure_surrogate

# How the explicit methods advance the states x, whose derivative is f.
METHODS = {
    "euler": "x <- x + h f(x)",
    "rk2": "x <- x + h f(x + h/2 f(x))",
    "rk4": "x <- x + h/6 (k1 + 2 k2 + 2 k3 + k4), k1 = f(x), k2 = f(x + h/2 k1), k3 = f(x + h/2 k2), k4 = f(x + h k3)",
}
LATEX_METHODS = {
    "euler": r"x \leftarrow x + h f(x)",
    "rk2": r"x \leftarrow x + h f(x + \tfrac{h}{2} f(x))",
    "rk4": r"x \leftarrow x + \tfrac{h}{6} (k_1 + 2 k_2 + 2 k_3 + k_4), \quad k_1 = f(x), \; k_2 = f(x + \tfrac{h}{2} k_1), "
    r"\; k_3 = f(x + \tfrac{h}{2} k_2), \; k_4 = f(x + h k_3)",
}
WORDS = ("peak", "half-width", "area")


def explain_plan(plan: StepPlan, recipe: model.Recipe | None) -> str:
    """Return the discrete update of each neuron type, sizes, delays, parameters and the schedule."""
    network = plan.network
    lines = [f"network {network.name}, dt = {network.dt:g} ms"]
    if recipe is not None and recipe.steps is not None:
        lines.append(f"{recipe.steps} steps a sample ({recipe.steps * network.dt:g} ms)")
    for node in network.inputs:
        lines.append(f"  input {node.name} : {node.kind}{list(node.shape)}")
    if recipe is not None and recipe.rule.name == "ttfs":
        lines += ["", *explain_first_spikes(network)]
    else:
        for body in plan.types:
            lines += ["", *_body(body, plan)]
    lines += ["", "parameters"]
    total = 0
    for stored in stored_parameters(plan):
        total += prod(stored.shape)
        lines.append(f"  {stored.name:<32} {list(stored.shape)!s:<16} {prod(stored.shape):>10,}")
    lines.append(f"  {'all':<49} {total:>10,}")
    for stored in stored_buffers(plan):
        lines.append(f"  {stored.name:<32} {list(stored.shape)!s:<16} not trained")
    delays = [
        f"  {op.name}: {_steps(op.op)}  ({place(op.span)})"
        for op in network.operations
        if isinstance(op.op, Delay | WithTimes)
    ]
    lines += ["", "delays", *delays] if delays else []
    direct = _direct(network)
    if direct:
        lines += ["", "depends on dt"]
        lines += [f"  {text}" for text in direct]
    if recipe is not None and recipe.rule.name == "ttfs":
        return "\n".join(lines) + "\n"
    lines += explain_plasticity(network)
    lines += ["", "schedule"]
    for group in plan.groups:
        names = ", ".join(node.name for node in group.nodes)
        if group.loop:
            lines.append(f"  one time loop over the cycle {names}")
        elif isinstance(group.nodes[0], model.Layer):
            lines.append(f"  time loop of {names}")
        else:
            lines.append(f"  {names}, over all steps at once")
    lines += [f"  {line}" for line in learning_words(plan, recipe)]
    for node in event_inputs(network, recipe):
        share = 100 * event_share(node, network, recipe)
        lines.append(
            f"  {node.name} as event lists in updates, where no list is longer than {share:g} % of what it stands for"
        )
    return "\n".join(lines) + "\n"


def _body(body: Body, plan: StepPlan) -> list[str]:
    layers = [layer for layer in plan.network.layers if plan.body(layer.name) is body]
    sizes = ", ".join(f"{layer.name}{list(layer.shape)}" for layer in layers)
    lines = [f"{body.neuron.name} ({place(body.neuron.span)}): {sizes}", f"  method: {body.method}"]
    numbers = {
        layer.name: body_constants(
            body, layer.neuron, plan.network.dt, central_values(layer.neuron.params, plan.network.dt)
        )
        for layer in layers
    }
    for coefficient in body.coefficients:
        lines.append(f"  {coefficient.target} = {_plain(coefficient.value)}")
        for name, values in numbers.items():
            if np.ndim(values[coefficient.target]) == 0:
                lines.append(f"      {name}: {float(values[coefficient.target]):.6g}")
    lines.append("  each step:")
    latex = []
    for statement in body.statements:
        match statement:
            case Assign(target, value):
                lines.append(f"    {target} <- {_plain(value)}")
                latex.append(rf"{latex_name(target)} &\leftarrow {latex_text(value)}")
            case Fire(target, condition, margin, surrogate):
                name = surrogate.function.name if surrogate is not None else "none"
                lines.append(f"    {target} <- 1 if {_plain(condition)}; surrogate {name} at {_plain(margin)}")
                latex.append(rf"{latex_name(target)} &\leftarrow \Theta\!\left({latex_text(margin)}\right)")
            case Integrate(targets, slopes, method, substeps):
                lines.append(f"    {METHODS[method]}, h = dt / {substeps}, {substeps} times, with")
                latex.append(rf"&{LATEX_METHODS[method]}, \quad h = \Delta t / {substeps}")
                for target, slope in zip(targets, slopes, strict=True):
                    lines.append(f"    {target}' = {_plain(slope)}")
                    latex.append(rf"\dot{{{latex_name(target)}}} &= {latex_text(slope)}")
            case Locate(targets, slopes, margin, resets, order):
                lines.append(f"    to where {_plain(margin)} = 0, and on from the reset, by a series of order {order}:")
                for target, slope, after in zip(targets, slopes, resets, strict=True):
                    lines.append(f"    {target}' = {_plain(slope)}; reset {target} <- {_plain(after)}")
                    latex.append(rf"\dot{{{latex_name(target)}}} &= {latex_text(slope)}")
                latex.append(rf"0 &= {latex_text(margin)} \quad \text{{at a spike}}")
    lines += ["  as LaTeX:", r"    \begin{aligned}"]
    lines += [f"      {line} \\\\" for line in latex]
    lines.append(r"    \end{aligned}")
    lines += crossing_lines(body)
    for use in {
        s.surrogate.function.name: s.surrogate for s in body.statements if isinstance(s, Fire) and s.surrogate
    }.values():
        facts = measure_surrogate(use, parameter_values(body.neuron.params, plan.network.dt))
        words = [f"{word} {value:.4g}" for word, value in zip(WORDS, astuple(facts), strict=True)]
        lines.append(f"  surrogate {use.function.name}: {', '.join(words)}")
    return lines


def _steps(op: Delay | WithTimes) -> str:
    """Say how late an operation reads its source."""
    if isinstance(op, Delay):
        return f"{op.steps} steps"
    times, each = op.times, "synapse" if isinstance(op, DelayedDense) else "unit" if op.times.shape else "layer"
    text = f"{times.first} to {times.last} steps, one a {each}"
    if not times.trainable:
        return f"{text}, drawn once"
    sigma = times.sigma
    if sigma is None:
        return f"{text}, trained by linear interpolation, rounded in evaluation"
    width = f"sigma {sigma.start:g}"
    if sigma.changes:
        width += f" to {sigma.end:g} steps in the first {100 * sigma.over:g} % of the epochs"
    return f"{text}, trained by a Gaussian kernel, {width}, rounded in evaluation"


def _plain(expr: Expr) -> str:
    text = python_text(expr).replace("jnp.", "").replace("lax.stop_gradient", "detach").replace("jax.nn.", "")
    return text.replace("**", "^")


def _direct(network: model.Network) -> list[str]:
    """Name real signals that end in an event port: a jump in every step, so that dt matters."""
    found = []
    for layer in network.layers:
        kinds = {port.name: port.kind for port in layer.neuron.ports}
        for port, signals in layer.ports:
            if kinds[port] != "event":
                continue
            for signal in signals:
                origin = _origin(signal, network)
                if isinstance(origin, model.Input) and origin.kind != "spikes":
                    found.append(
                        f"{layer.name}.{port}: {origin.name} is real and jumps it in every step (direct coding)"
                    )
    return found


def _origin(signal: model.Signal, network: model.Network) -> model.Node:
    node = network.node(signal.node)
    return _origin(node.sources[0], network) if isinstance(node, model.OpNode) else node
