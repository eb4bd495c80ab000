"""The resolved, typed, immutable model: names, units, shapes and stages are settled, nothing is discretised yet.

This is the last place where an author's error can be raised. Values are in the coherent scale of `snnc.units`.
"""

from __future__ import annotations

from dataclasses import dataclass

from snnc.expr import Expr
from snnc.ops.operation import Operation, Weight
from snnc.source import Span
from snnc.units import Dimension

# ---- neurons ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Drawn:
    """A distribution with its arguments as expressions, e.g. `lognormal(20 ms, 0.3)`."""

    name: str  # normal | uniform | lognormal
    args: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Interval:
    """Open interval in which a parameter lives; it fixes the bijector. `via` is "auto", "exp" or "clip"."""

    low: float
    high: float
    via: str = "auto"


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter of a neuron: `value` may read other parameters; with `drawn` it is the draw's arguments that do."""

    name: str
    dimension: Dimension
    value: Expr | Drawn
    interval: Interval | None
    per: str  # layer | neuron | channel
    trainable: bool
    doc: str
    span: Span

    def shape_in(self, layer: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of its values in a layer; those of channels, its first axis, are repeated along the others."""
        shapes = {"layer": (), "neuron": layer, "channel": (*layer[:1], *(1 for _ in layer[1:]))}
        return shapes[self.per]


@dataclass(frozen=True, slots=True)
class State:
    name: str
    dimension: Dimension
    init: Expr | Drawn
    carry: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Port:
    """A place where edges end. `default` stands where no edge does; an `event` port receives jumps."""

    name: str
    kind: str  # input | event
    dimension: Dimension
    default: Expr | None
    span: Span


@dataclass(frozen=True, slots=True)
class Update:
    """`target` becomes `value`; several of one block are simultaneous. `text` is the author's line."""

    target: str
    value: Expr
    span: Span


@dataclass(frozen=True, slots=True)
class SpikeRule:
    """One `spike` block. Exactly one of `condition` (with its margin, already over `scale`) and `rate` is given."""

    condition: Expr | None
    margin: Expr | None
    rate: Expr | None
    rising: bool
    emit: Expr | None
    resets: tuple[Update, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class SurrogateFn:
    """The derivative of the step as an expression of the margin `x` and its parameters."""

    name: str
    formals: tuple[str, ...]  # the margin first
    body: Expr
    doc: str
    span: Span


@dataclass(frozen=True, slots=True)
class SurrogateUse:
    function: SurrogateFn
    args: tuple[Expr, ...]  # one for each formal after the margin; may read parameters


@dataclass(frozen=True, slots=True)
class Solver:
    kind: str  # auto | exact | exp_euler | euler | rk2 | rk4
    substeps: int
    span: Span


@dataclass(frozen=True, slots=True)
class Neuron:
    """A neuron with the overrides of one instance applied."""

    name: str
    doc: str
    params: tuple[Param, ...]
    states: tuple[State, ...]
    ports: tuple[Port, ...]
    equations: tuple[Update, ...]  # target' = value
    step: tuple[Update, ...]  # a difference equation instead of equations
    start_jumps: tuple[Update, ...]  # target becomes value (the state before the phase plus what arrives)
    end_jumps: tuple[Update, ...]
    spikes: tuple[SpikeRule, ...]
    refractory: Expr | None
    hold: tuple[str, ...]
    block: tuple[str, ...]
    surrogate: SurrogateUse | None
    detached: tuple[str, ...]  # states whose reset passes no gradient
    solver: Solver
    span: Span

    def param(self, name: str) -> Param:
        return next(p for p in self.params if p.name == name)

    @property
    def signals(self) -> tuple[str, ...]:
        """Names that can be read after a dot, the spike first."""
        spike = ("spike",) if self.spikes else ()
        return (*spike, *(s.name for s in self.states), *(p.name for p in self.ports))


# ---- networks -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Signal:
    """A value that a node publishes: `h.spike`, `h.v`, `h.v.pre` (`pre`), an operation's result (name "")."""

    node: str
    name: str = ""
    pre: bool = False


def signal_of(variable: str) -> Signal:
    """Return the signal that a variable of a tensor expression stands for.

    >>> signal_of("signal:block.h.v.pre")
    Signal(node='block.h', name='v', pre=True)
    """
    path = variable.removeprefix("signal:")
    node, name = path.removesuffix(".pre").rsplit(".", 1)
    return Signal(node, name, path.endswith(".pre"))


@dataclass(frozen=True, slots=True)
class Input:
    name: str
    kind: str  # spikes | real | a dimension word
    dimension: Dimension
    shape: tuple[int, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Layer:
    """A population. `ports` maps each connected port to its sources, summed in text order."""

    name: str
    neuron: Neuron
    shape: tuple[int, ...]
    ports: tuple[tuple[str, tuple[Signal, ...]], ...]
    doc: str
    span: Span


@dataclass(frozen=True, slots=True)
class OpNode:
    """An operation in a chain. `name` is its path (`pixels_h.dense`), `text` the author's chain.

    With `shares` its weights are those of the operation of that name. With `cut` no gradient passes to its sources: a learning
    rule has said so, never the author.
    """

    name: str
    op: Operation
    sources: tuple[Signal, ...]
    in_shapes: tuple[tuple[int, ...], ...]
    shape: tuple[int, ...]
    dimension: Dimension  # of its result
    text: str
    span: Span
    shares: str = ""
    cut: bool = False

    @property
    def own_weights(self) -> tuple[Weight, ...]:
        """The arrays that this operation brings into the network."""
        return () if self.shares else self.op.weights()

    def path(self, part: str) -> str:
        """Return the dotted name of one of its weights or buffers."""
        return f"{self.shares or self.name}.{part}"


Node = Input | Layer | OpNode


@dataclass(frozen=True, slots=True)
class TensorType:
    """What a readout, loss or metric works on. `time`: one value a step; `batch`: one a sample; `classes`: labels."""

    time: bool
    batch: bool
    shape: tuple[int, ...]
    dimension: Dimension
    kind: str = "real"  # real | spikes | class


@dataclass(frozen=True, slots=True)
class Output:
    name: str
    value: Expr
    type: TensorType
    span: Span


@dataclass(frozen=True, slots=True)
class Use:
    """A network used as an operation: its nodes are those of the whole network whose names begin with `NAME.`.

    `inputs` and `outputs` map the block's own names to signals of the whole network.
    """

    name: str
    block: str
    inputs: tuple[tuple[str, Signal], ...]
    outputs: tuple[tuple[str, Signal], ...]
    span: Span


# ---- plasticity -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Trace:
    """A state of a plasticity rule, one for each arriving signal ("pre"), each unit ("post") or each weight ("synapse")."""

    name: str
    dimension: Dimension
    init: Expr
    per: str
    span: Span


@dataclass(frozen=True, slots=True)
class Block:
    """What happens where `event` ("pre", "post" or a third factor) is not 0; its updates are simultaneous."""

    event: str
    updates: tuple[Update, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Plasticity:
    """A plasticity rule with the arguments of one edge applied. Its expressions read `w`, `pre`, `post` and its own names.

    `blocks` run in text order after `equations`; then `w` is clipped, then scaled until it sums to `total` per pre or post.
    """

    name: str
    doc: str
    weight: Dimension
    params: tuple[Param, ...]
    traces: tuple[Trace, ...]
    factors: tuple[Port, ...]
    equations: tuple[Update, ...]
    blocks: tuple[Block, ...]
    clip: tuple[Expr, Expr] | None
    total: tuple[Expr, str] | None
    solver: Solver
    span: Span


@dataclass(frozen=True, slots=True)
class Factor:
    """What a third factor is on an edge: an expression over signals, one number for each "sample", "pre" or "post"."""

    name: str
    value: Expr
    per: str


@dataclass(frozen=True, slots=True)
class PlasticEdge:
    """An operation whose weights `w` change by `rule` while a network trains."""

    node: str
    rule: Plasticity
    pre: Signal
    post: Signal
    factors: tuple[Factor, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Network:
    name: str
    doc: str
    dt: float  # ms
    nodes: tuple[Node, ...]  # in text order
    outputs: tuple[Output, ...]
    span: Span
    uses: tuple[Use, ...] = ()  # of blocks, an inner one after the block that it stands in
    plastic: tuple[PlasticEdge, ...] = ()
    located: bool = False  # spikes act at their crossing inside the step (`events = located`)

    def node(self, name: str) -> Node:
        return next(node for node in self.nodes if node.name == name)

    @property
    def inputs(self) -> tuple[Input, ...]:
        return tuple(node for node in self.nodes if isinstance(node, Input))

    @property
    def layers(self) -> tuple[Layer, ...]:
        return tuple(node for node in self.nodes if isinstance(node, Layer))

    @property
    def operations(self) -> tuple[OpNode, ...]:
        return tuple(node for node in self.nodes if isinstance(node, OpNode))


# ---- data and training --------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Call:
    """A resolved call with constant arguments: a source, a transform, an encoder, an optimiser, a schedule."""

    name: str
    args: tuple[tuple[str, Value], ...]
    span: Span

    def get(self, key: str) -> Value:
        return dict(self.args)[key]

    def number(self, key: str) -> float:
        value = self.get(key)
        assert isinstance(value, int | float), (self.name, key, value)
        return float(value)


Value = float | int | bool | str | None | Call | tuple["Value", ...]


@dataclass(frozen=True, slots=True)
class Field:
    """A named field of a data set, as the network sees it before encoding."""

    name: str
    shape: tuple[int, ...] | None  # per sample, None where it is known only from the file
    time: bool
    kind: str  # real | spikes | class
    classes: int | None


@dataclass(frozen=True, slots=True)
class DataSet:
    """A source with its arguments, transforms and the encoder that turns a field into an input."""

    name: str
    source: Call
    transforms: tuple[Call, ...]
    encoder: Call | None
    fields: tuple[Field, ...] | None
    span: Span
    preparation: tuple[Call, ...] = ()  # `bin` and `window`, done when the data are loaded

    @property
    def source_name(self) -> str:
        return self.source.name

    @property
    def arguments(self) -> dict[str, object]:
        """The arguments of the source; those of an extern loader are a dictionary under `arguments`."""
        return {name: dict(value.args) if isinstance(value, Call) else value for name, value in self.source.args}


@dataclass(frozen=True, slots=True)
class Term:
    """One summand of the objective, or a metric: a scalar expression over signals, outputs and fields."""

    name: str
    value: Expr
    type: TensorType
    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class Group:
    """Parameters whose dotted names match `pattern` get their own rate and weight decay; None: the optimiser's."""

    pattern: str
    lr: Value
    weight_decay: float | None


@dataclass(frozen=True, slots=True)
class Optimizer:
    name: str
    lr: Value  # a number or a schedule Call
    options: tuple[tuple[str, float], ...]  # of the optax constructor
    weight_decay: float
    clip_norm: float | None
    clip_value: float | None
    groups: tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class Select:
    metric: str  # val.NAME
    largest: bool


@dataclass(frozen=True, slots=True)
class Rule:
    """How a recipe learns: the rule of its `learn` line, every argument resolved."""

    name: str
    options: tuple[tuple[str, float | str | bool | None], ...]
    span: Span

    def get(self, option: str) -> float | str | bool | None:
        return dict(self.options).get(option)


@dataclass(frozen=True, slots=True)
class Recipe:
    name: str
    network: str
    data: DataSet
    epochs: int
    batch: int
    seed: int
    rule: Rule
    truncate: int | None  # steps of truncated BPTT
    checkpoint: int | None  # steps of one checkpointed part of a sequence, 0: chosen from its length; None: all at once
    loss: Term
    penalties: tuple[Term, ...]
    metrics: tuple[Term, ...]
    optimizer: Optimizer
    select: Select | None
    freeze: tuple[str, ...]
    start: str | None  # name of the recipe whose weights begin this one
    precision: str  # f32 | f16_residual | bf16 | f16
    sparse_input: str  # auto | on | off: whether updates read spikes as event lists
    steps: int | None
    doc: str
    span: Span
    length: str | None = None  # the field that holds the steps of each sample; None: all have the same
    carry: bool = False  # the states of layers and delays go on from batch to batch
    burn_in: int = 0  # steps at the start of each sample that do not count
    fields: tuple[tuple[str, TensorType], ...] = ()  # fields of the data that its expressions may name

    @property
    def has_loss(self) -> bool:
        """Whether something is minimised; `learn = none()` needs nothing."""
        return bool(self.loss.text)

    @property
    def counts_steps(self) -> bool:
        """Whether some steps of a sequence do not count."""
        return self.length is not None or self.burn_in > 0

    @property
    def in_parts(self) -> bool:
        """Whether a sequence is taken in parts, or one goes on where another ended."""
        return self.checkpoint is not None or self.carry or self.burn_in > 0
