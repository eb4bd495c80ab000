"""Rules that learn while the network runs: what each synapse must remember of the past.

`eprop(online = true)`, `ottt` (Xiao et al. 2022), `ostl` (Bohnstingl et al. 2020), `d_rtrl` (Wang et al. 2026) and
`decolle` (Kaiser et al. 2020) differ in how much of the past a trace holds and where the learning signal of a layer comes from.
"""

from __future__ import annotations

from dataclasses import dataclass

from snnc import model
from snnc.lower.gradients import adjoint_of
from snnc.lower.traces import Jacobian, jacobian, shared_traces, traced
from snnc.ops.memory import Delay
from snnc.plan import StepPlan
from snnc.rules.paths import is_spiking, readers

FORWARD = ("ottt", "ostl", "d_rtrl", "decolle")


def learns_forward(rule: model.Rule) -> bool:
    """Whether a rule makes its gradient while the network runs, without a pass backward in time."""
    return rule.name in FORWARD or (rule.name == "eprop" and rule.get("online") is True)


@dataclass(frozen=True, slots=True)
class Synapses:
    """The weights of one `dense`, as the port of `layer` sees them.

    `late` steps pass between the product and the port. Traces are kept for `slots`: those in `shared` are the same for all
    neurons of the layer, [B, n]; the others are [B, n, m]. With `coupled` "own" a trace also holds what a neuron tells itself
    through `recurrent` weights, with "all" what all neurons of the layer tell each other, [B, m, n, m].
    """

    node: model.OpNode
    layer: model.Layer
    port: str
    late: int
    end: str  # the node whose result enters the port
    slots: tuple[str, ...]
    shared: tuple[str, ...]
    coupled: str = ""  # "" | own | all
    recurrent: str = ""  # the dense whose weights couple
    filtered: bool = False  # whether spikes count as the readouts hold them, by e-prop

    @property
    def own(self) -> tuple[int, ...]:
        """The shape of a trace of its own for each synapse, without samples."""
        n, m = self.node.op.weights()[0].shape
        return (m, n, m) if self.coupled == "all" else (n, m)

    def shape(self, slot: str) -> tuple[int, ...]:
        """Return the shape of the trace of a slot, without samples."""
        return self.own[-2:-1] if slot in self.shared else self.own


def synapses_of(plan: StepPlan, rule: model.Rule) -> tuple[Synapses, ...]:
    """Return the synapses of a network that `check_forward` has found fit."""
    found = []
    for node in plan.network.operations:
        if not node.op.weights():
            continue
        end, layer, port, late = way_of(plan.network, node)
        rows = jacobian_of(plan, layer)
        assert isinstance(rows, Jacobian)
        names = tuple(slot.name for slot in plan.body(layer.name).slots)
        slots = traced(rows, port, names)
        recurrent = _recurrent(plan, layer)
        coupled = {"ostl": "all", "d_rtrl": "own"}.get(rule.name, "") if recurrent else ""
        each_own = any(p.per != "layer" for p in layer.neuron.params)
        shared = () if coupled or each_own else shared_traces(rows, port, slots)
        filtered = rule.name == "eprop" and is_spiking(layer)
        recurrent = recurrent if coupled else ""
        found.append(Synapses(node, layer, port, late, end, slots, shared, coupled, recurrent, filtered))
    return tuple(found)


def jacobian_of(plan: StepPlan, layer: model.Layer) -> Jacobian | str:
    body = plan.body(layer.name)
    adjoint = adjoint_of(body, plan, False)
    return adjoint if isinstance(adjoint, str) else jacobian(body, adjoint)


def way_of(network: model.Network, node: model.OpNode) -> tuple[str, model.Layer, str, int]:
    """Return where the product of a `dense` ends: the last node, the layer, its port, and the steps between."""
    late, end = 0, node
    reader = next(readers(network, node.name))
    while isinstance(reader, model.OpNode):
        assert isinstance(reader.op, Delay)
        late, end = late + reader.op.held(), reader
        reader = next(readers(network, reader.name))
    port = next(port for port, signals in reader.ports if any(s.node == end.name for s in signals))
    return end.name, reader, port, late


def _recurrent(plan: StepPlan, layer: model.Layer) -> str:
    """Return the `dense` from a layer to itself, "" if there is none."""
    for node in plan.network.operations:
        own = node.op.weights() and _source_layer(plan.network, node) == layer.name
        if own and way_of(plan.network, node)[1].name == layer.name:
            return node.name
    return ""


def _source_layer(network: model.Network, node: model.OpNode) -> str:
    """Return the layer whose spikes a `dense` reads, also late; "" if it reads something else."""
    source = network.node(node.sources[0].node)
    while isinstance(source, model.OpNode) and isinstance(source.op, Delay):
        source = network.node(source.sources[0].node)
    return source.name if isinstance(source, model.Layer) else ""
