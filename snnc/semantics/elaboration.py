"""A network while it is being read: its nodes by name, with what is known of each so far."""

from __future__ import annotations

from dataclasses import dataclass, field

from snnc import model
from snnc.diagnostics import Code, Findings, Label, did_you_mean
from snnc.ops.operation import Shape
from snnc.semantics.modules import Module
from snnc.semantics.operations.spec import OpSpec, Options
from snnc.semantics.operations.table import NOT_YET, OPERATIONS
from snnc.semantics.scope import Scope
from snnc.source import Span
from snnc.syntax import nodes
from snnc.units import ONE, Dimension


@dataclass(slots=True)
class PendingOp:
    """An operation while shapes are being inferred."""

    name: str
    spec: OpSpec
    instance: nodes.Instance
    bound: dict[str, nodes.Arg]
    options: Options
    sources: tuple[model.Signal, ...]
    text: str
    scope: Scope  # of the network or block that it stands in
    shape: Shape | None = None
    shares: str = ""  # the operation whose weights it takes
    weight: Dimension = ONE
    dimension: Dimension = ONE  # of the result


@dataclass(slots=True)
class PendingLayer:
    """A layer while its edges are being collected."""

    name: str
    neuron: model.Neuron
    shape: Shape | None
    doc: str
    span: Span
    scope: Scope  # of the network or block that it stands in
    edges: dict[str, list[model.Signal]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Claim:
    """An input of a block says what shape flows into it."""

    signal: model.Signal
    shape: Shape
    span: Span
    use: Span


@dataclass(slots=True)
class Elaboration:
    """All nodes of a network by name, in text order. Those of a block are named `USE.NAME`; `prefix` is `USE.` inside it."""

    item: nodes.Network
    home: Module
    findings: Findings
    scope: Scope
    dt: float | None = None
    located: bool = False
    prefix: str = ""
    inside: tuple[nodes.Network, ...] = ()  # the networks that are being read, against blocks that hold themselves
    aliases: dict[str, model.Signal] = field(default_factory=dict)  # what flows into this block, and out of those in it
    cells: dict[str, tuple[nodes.Neuron, Module]] = field(default_factory=dict)  # formals that stand for a neuron
    # shared with the blocks of the network
    inputs: dict[str, model.Input] = field(default_factory=dict)
    layers: dict[str, PendingLayer] = field(default_factory=dict)
    ops: dict[str, PendingOp] = field(default_factory=dict)
    uses: list[model.Use] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    places: dict[str, Span] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)  # declared, and not understood: their uses are no further errors

    def full(self, name: str) -> str:
        return self.prefix + name

    def local(self, name: str) -> str:
        """Return the name by which this network calls one of its own nodes."""
        return name.removeprefix(self.prefix)

    def add(self, name: str, span: Span) -> None:
        """Take a local name."""
        full = self.full(name)
        if full in self.places or name in ("time", "dt"):
            labels = (Label(self.places[full], "first used here"),) if full in self.places else ()
            self.findings.add(
                Code.DUPLICATE_NAME, span, f"the name `{name}` is taken", help="choose another name", labels=labels
            )
        self.places[full] = span
        if full not in self.order:
            self.order.append(full)

    def layer(self, parts: tuple[str, ...]) -> tuple[PendingLayer | None, tuple[str, ...]]:
        """Return the layer that a dotted name begins with, and the rest of the name."""
        for k in range(len(parts), 0, -1):
            layer = self.layers.get(self.full(".".join(parts[:k])))
            if layer is not None:
                return layer, parts[k:]
        return None, parts

    def is_broken(self, name: str) -> bool:
        return self.full(name) in self.broken

    def shape_of(self, node: str) -> Shape | None:
        if node in self.inputs:
            return self.inputs[node].shape
        return self.layers[node].shape if node in self.layers else self.ops[node].shape

    def dimension_of(self, signal: model.Signal) -> Dimension:
        if signal.node in self.inputs:
            return self.inputs[signal.node].dimension
        if signal.node in self.ops:
            return self.ops[signal.node].dimension
        neuron = self.layers[signal.node].neuron
        if signal.name == "spike":
            return ONE
        units = {port.name: port.dimension for port in neuron.ports}
        units.update({state.name: state.dimension for state in neuron.states})
        return units[signal.name]


def find_neuron(e: Elaboration, name: nodes.Name) -> tuple[nodes.Neuron, Module] | None:
    if name.text in e.cells:
        return e.cells[name.text]
    found = e.home.find(name)
    if found is not None and isinstance(found[0], nodes.Neuron):
        return found[0], found[1]
    return None


def find_block(e: Elaboration, name: nodes.Name) -> tuple[nodes.Network, Module] | None:
    """Return the network that a name in a chain stands for."""
    found = e.home.find(name)
    if found is not None and isinstance(found[0], nodes.Network):
        return found[0], found[1]
    return None


def stands_alone(item: nodes.Network, module: Module) -> bool:
    """Whether a network says all that it needs: every formal has a default, every input a shape, and its time step stands in it.

    Without a time step it is what another network of the file uses as a block.
    """
    ports = [part for part in item.body if isinstance(part, nodes.Port)]
    shaped = all(port.type is not None and port.type.shape is not None for port in ports)
    timed = any(isinstance(part, nodes.Setting) and part.path.text == "dt" for part in item.body)
    whole = shaped and all(formal.default is not None for formal in item.formals)
    return whole and (timed or item.name not in _blocks_of(module))


def _blocks_of(module: Module) -> set[str]:
    """Return the names that chains of a file call, or repeat."""
    found: set[str] = set()
    for item in module.own.values():
        if not isinstance(item, nodes.Network):
            continue
        for part in item.body:
            for node in part.nodes if isinstance(part, nodes.Chain) else ():
                if isinstance(node, nodes.Instance):
                    found.add(node.func.text)
                    found |= {arg.value.func.text for arg in node.args if isinstance(arg.value, nodes.Call)}
    return found


def is_block(e: Elaboration, name: nodes.Name) -> bool:
    """Whether a call in a chain is a network used as an operation, or `repeat`."""
    return name.text == "repeat" or find_block(e, name) is not None


def report_unknown(e: Elaboration, name: nodes.Name, what: str) -> None:
    if name.text in NOT_YET:
        e.findings.add(
            Code.NOT_YET, name.span, f"not supported yet: the operation `{name.text}`",
            help="built so far: " + ", ".join(f"`{op}`" for op in OPERATIONS),
        )  # fmt: skip
        return
    neurons = [n for n, (item, _) in e.home.names.items() if isinstance(item, nodes.Neuron)]
    blocks = [n for n, (item, _) in e.home.names.items() if isinstance(item, nodes.Network) and item is not e.item]
    known = neurons if what == "neuron" else [*neurons, *OPERATIONS, *blocks, "repeat"]
    standard = {"LI", "CubaLI", "IF", "LIF", "PLIF", "ALIF", "CubaLIF"}
    help_text = (
        did_you_mean(name.text, known) or "import one, as by `import std.neurons (LIF)`, or write `neuron NAME { … }`"
    )
    if name.text in standard and name.text not in known:
        help_text = f"add the line `import std.neurons ({name.text})`"
    e.findings.add(Code.UNKNOWN_NAME, name.span, f"unknown {what} `{name.text}`", help=help_text)
