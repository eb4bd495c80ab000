"""Orders a network: within a step by undelayed edges, and over a sequence by its cycles.

Everything outside a cycle is computed over the whole sequence at once (products are hoisted out of the time loop, each
neuron layer has its own); the nodes of a cycle share one time loop.
"""

from __future__ import annotations

from snnc import model
from snnc.expr import Expr, variables
from snnc.lower.body import Extra, lower_neuron
from snnc.lower.initial import settle_initialisers
from snnc.lower.located import on_the_grid
from snnc.lower.located_body import lower_located
from snnc.plan import Body, Group, StepPlan

Active = model.Layer | model.OpNode


def lower_network(network: model.Network, read: tuple[model.Signal, ...] = ()) -> StepPlan:
    """Return the step plan of `network`; `read` are signals that losses and metrics read.

    Raises:
        CompileError: from the solver.
    """
    if network.located:
        network = on_the_grid(network)
    bodies = _bodies(network, {*read, *read_inside(network)})
    network = settle_initialisers(network, bodies)
    nodes = tuple(node for node in network.nodes if not isinstance(node, model.Input))
    order = _sorted(nodes)
    return StepPlan(network, bodies, order, _groups(nodes, order))


def _bodies(network: model.Network, read: set[model.Signal]) -> tuple[tuple[str, Body], ...]:
    """Lower each layer; layers with the same code share a body and its name."""
    seen: list[Body] = []
    bodies = []
    used_here = [layer.neuron.surrogate.function.name for layer in network.layers if layer.neuron.surrogate is not None]
    surrogates = {_folded(prefix + name) for name in used_here for prefix in ("", "fire")}
    beside = {_folded(part.name) for part in (*network.nodes, *network.outputs)}  # variables beside these functions
    for layer in network.layers:
        connected = tuple(port for port, _ in layer.ports)
        extra = Extra(
            tuple(s.name for s in layer.neuron.states if model.Signal(layer.name, s.name, True) in read),
            tuple(port for port in connected if model.Signal(layer.name, port) in read),
        )
        located = network.located and bool(layer.neuron.spikes)

        def lower(name: str, layer: model.Layer = layer, extra: Extra = extra, located: bool = located) -> Body:
            ports = tuple(port for port, _ in layer.ports)
            if located:
                return lower_located(layer, name, ports, extra, network.dt)
            return lower_neuron(layer.neuron, name, ports, extra)

        body = lower(layer.neuron.name)
        twin = next((b for b in seen if _same_code(b, body)), None)
        if twin is None:
            used = surrogates | {
                _folded(b.name) + suffix for b in seen for suffix in _SUFFIXES
            }  # functions are in lower case
            name, k = body.name, 2
            while used & {_folded(name) + s for s in _SUFFIXES} or beside & {_folded(name) + s for s in _SUFFIXES if s}:
                name, k = f"{body.name}{k}", k + 1
            twin = lower(name)
            seen.append(twin)
        bodies.append((layer.name, twin))
    return tuple(bodies)


# What an emitted file calls by the name of a neuron type and one of these (templates/neuron.py.jinja, snnc/emit/names.py).
_ROLES = ("", "state", "signals", "kept", "start", "step", "adjoint")
_SUFFIXES = (*_ROLES, *(f"neuron{role}" for role in _ROLES))


def _folded(name: str) -> str:
    return name.lower().replace("_", "")


def read_inside(network: model.Network) -> set[model.Signal]:
    """Return the signals that edges and outputs of the network read."""
    nodes = [node for node in network.nodes if not isinstance(node, model.Input)]
    found = {signal for node in nodes for signal in sources_of(node)}
    for edge in network.plastic:
        found |= {edge.pre, edge.post, *read_signals(tuple(factor.value for factor in edge.factors))}
    return found | set(read_signals(tuple(output.value for output in network.outputs)))


def read_signals(exprs: tuple[Expr, ...]) -> tuple[model.Signal, ...]:
    """Return the signals of layers that tensor expressions read."""
    names = dict.fromkeys(v for e in exprs for v in variables(e) if v.startswith("signal:"))
    return tuple(model.signal_of(name) for name in names)


def _same_code(a: Body, b: Body) -> bool:
    """Whether two bodies differ at most in the values of parameters."""
    keys = ("ports", "coefficients", "constants", "statements", "published")
    slots = [(s.name, s.init, s.carry) for s in a.slots] == [(s.name, s.init, s.carry) for s in b.slots]
    return a.neuron.name == b.neuron.name and slots and all(getattr(a, k) == getattr(b, k) for k in keys)


def sources_of(node: Active) -> tuple[model.Signal, ...]:
    """Return the signals that a node reads, in text order."""
    if isinstance(node, model.OpNode):
        return node.sources
    return tuple(signal for _, signals in node.ports for signal in signals)


def delays(node: Active) -> bool:
    """Whether the node only reads what was published in earlier steps."""
    return isinstance(node, model.OpNode) and node.op.least_delay() >= 1


def _sorted(nodes: tuple[Active, ...]) -> tuple[Active, ...]:
    """Return `nodes` so that each comes after its sources, text order where free; delays wait for nobody."""
    names = {node.name for node in nodes}
    left = list(nodes)
    done: set[str] = set()
    out: list[Active] = []
    while left:
        ready = next(n for n in left if delays(n) or all(s.node in done or s.node not in names for s in sources_of(n)))
        out.append(ready)
        done.add(ready.name)
        left.remove(ready)
    return tuple(out)


def _groups(nodes: tuple[Active, ...], order: tuple[Active, ...]) -> tuple[Group, ...]:
    """Return the strongly connected components (all edges counted, delayed ones too), sources first."""
    reach = _reachable(nodes)
    left = list(order)
    groups: list[Group] = []
    done: set[str] = set()
    while left:
        for node in left:
            cycle = tuple(n for n in order if n.name in reach[node.name] and node.name in reach[n.name])
            members = cycle or (node,)
            names = {m.name for m in members}
            outside = {s.node for m in members for s in sources_of(m)} - names
            if all(s in done or all(s != n.name for n in nodes) for s in outside):
                groups.append(Group(members, bool(cycle)))
                done |= names
                left = [n for n in left if n.name not in names]
                break
    return tuple(groups)


def _reachable(nodes: tuple[Active, ...]) -> dict[str, set[str]]:
    """Return, for each node, the nodes that depend on it, directly or not."""
    readers: dict[str, list[str]] = {node.name: [] for node in nodes}
    for node in nodes:
        for signal in sources_of(node):
            if signal.node in readers:
                readers[signal.node].append(node.name)
    reach: dict[str, set[str]] = {}
    for name in readers:
        seen: set[str] = set()
        stack = [name]
        while stack:
            for other in readers[stack.pop()]:
                if other not in seen:
                    seen.add(other)
                    stack.append(other)
        reach[name] = seen
    return reach
