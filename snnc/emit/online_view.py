"""Prints a rule that learns while the network runs: one step, what it adds to the gradients, and what synapses remember."""

from __future__ import annotations

from dataclasses import dataclass, replace

from snnc import model
from snnc.diagnostics import Findings
from snnc.emit.adjoint_view import names_of
from snnc.emit.names import class_name, field_name, function_name, identifier, local_name
from snnc.emit.node_lines import source_text, step_lines
from snnc.emit.online_signals import LearningSignals, used_lines
from snnc.emit.pytext import python_text
from snnc.emit.readouts import network_folds, network_printer, signals_spelling, step_outputs
from snnc.emit.state import next_state, state_starts, step_states
from snnc.emit.statement_text import FieldView, LineView
from snnc.emit.tensor_text import TensorPrinter
from snnc.expr import Expr, variables
from snnc.lower.derivatives import ONE
from snnc.lower.traces import Jacobian, acts_as_port
from snnc.plan import OUT, StepPlan
from snnc.rules.forward import read_layer
from snnc.rules.losses import step_loss
from snnc.rules.paths import is_spiking
from snnc.rules.synapses import Synapses, jacobian_of, synapses_of
from snnc.semantics.tensors import signal_names

SPIKE = OUT + "spike"


@dataclass(frozen=True, slots=True)
class RowsView:
    """The entries of the Jacobian of one neuron type that traces read."""

    name: str  # of the neuron's class
    function: str
    entries: tuple[FieldView, ...]  # name and text
    lines: tuple[LineView, ...]


@dataclass(frozen=True, slots=True)
class TotalView:
    """A spiking layer whose spikes are added up."""

    field: str
    size: str


@dataclass(frozen=True, slots=True)
class OnlineView:
    """All that `online.py.jinja` may mention."""

    rule: str
    rows: tuple[RowsView, ...]
    traces: tuple[FieldView, ...]
    trace_starts: str
    loss: str
    step_lines: tuple[LineView, ...]  # the step and the readouts so far
    signals: str
    learning_lines: tuple[LineView, ...]
    gradients: tuple[LineView, ...]  # as arguments of `only`
    trace_lines: tuple[LineView, ...]
    next_traces: str
    next_state: str
    spiking: tuple[TotalView, ...]
    each_step: bool  # weights change in every step
    outputs: str


def online_view(plan: StepPlan, recipe: model.Recipe) -> OnlineView:
    """Return the view of a rule that learns while the network runs."""
    network, rule = plan.network, recipe.rule
    folds = network_folds(network)
    streaming = network_printer(network, step=True, folds=folds, steps=recipe.steps)
    now, late = step_lines(plan.order, plan, {}, step_states(plan), "state.n", keep=True)
    read = read_layer(plan, recipe, Findings()) if rule.name == "decolle" else None
    traces = [_Traces(plan, synapses) for synapses in synapses_of(plan, rule)]
    _, fields = state_starts(plan, folds)
    layers = [layer.name for layer in network.layers]
    gradients = tuple(t.gradient() for t in traces)
    read_later = " ".join(line.code for line in (*gradients, *(line for t in traces for line in t.written)))
    return OnlineView(
        rule=rule.name,
        rows=_rows(plan, traces),
        traces=tuple(view for t in traces for view in t.fields()),
        trace_starts=", ".join(text for t in traces for text in t.starts()),
        loss=_loss_text(plan, recipe),
        step_lines=(*now, *late, *step_outputs(network, folds, streaming, recipe.steps, 0)),
        signals=", ".join(f"{field_name(n)}={identifier(n)}" for n in layers),
        learning_lines=used_lines(LearningSignals(plan, rule.name, read).lines, read_later),
        gradients=gradients,
        trace_lines=tuple(
            line
            for layer in network.layers
            if any(t.reads_rows for t in traces if t.synapses.layer == layer)
            for line in [_rows_line(plan, layer)]
        )
        + tuple(line for t in traces for line in t.written),
        next_traces=", ".join(f"{name}={name}" for t in traces for name in t.names()),
        next_state=", ".join(f"{f.name}={next_state(f.name, plan, folds)}" for f in fields),
        spiking=tuple(
            TotalView(identifier(layer.name), ", ".join(map(str, layer.shape)))
            for layer in network.layers
            if is_spiking(layer)
        ),
        each_step=rule.get("update") == "step",
        outputs=", ".join(f"{field_name(o.name)}={identifier(o.name)}" for o in network.outputs),
    )


def _loss_text(plan: StepPlan, recipe: model.Recipe) -> str:
    """Return the loss of one step, a mean over samples, with its share in that of the whole sequence."""
    network = plan.network
    found = step_loss(recipe, network)
    assert not isinstance(found, str)
    types = {v: replace(t, time=False) for v, t in signal_names(network).values()}
    types |= {f"field:{name}": replace(t, time=False) for name, t in recipe.fields}
    timed = {f"field:{name}" for name, t in recipe.fields if t.time}
    whole = signals_spelling(network)

    def spell(var: str) -> str:
        kind, _, name = var.partition(":")
        text = f'jnp.asarray(fields["{name}"], float)' if kind == "field" and name != "label" else whole(var)
        return f"{text}[n]" if var in timed else text

    text = TensorPrinter(spell, types, {}, "((n + 1) * DT)").text(found.value)
    tests = [f"(n >= {found.start})"] if found.start else []
    tests += [f"(n < {found.stop})"] if found.stop is not None else []
    end = "steps" if found.stop is None else f"min({found.stop}, steps)"
    count = f"({end} - {found.start})" if found.start else end
    share = f" * {' & '.join(tests)}" if len(tests) == 1 else f" * ({' & '.join(tests)})" if tests else ""
    return f"sample_mean({text}, fields['weight'])" + share + (f" / {count}" if found.mean else "")


def _rows_line(plan: StepPlan, layer: model.Layer) -> LineView:
    name = identifier(layer.name)
    call = f"{function_name(plan.body(layer.name).name)}_rows(c.{field_name(layer.name)}, {name}_kept)"
    return LineView("", f"{name}_rows = {call}")


def _rows(plan: StepPlan, traces: list[_Traces]) -> tuple[RowsView, ...]:
    """Return for each neuron type the entries that some trace reads."""
    wanted: dict[str, dict[str, Expr]] = {}
    for trace in traces:
        wanted.setdefault(plan.body(trace.synapses.layer.name).name, {}).update(trace.entries)
    views = []
    for body in plan.types:
        found = wanted.get(body.name)
        if not found:
            continue
        layer = next(layer for layer in plan.network.layers if plan.body(layer.name) == body)
        rows = jacobian_of(plan, layer)
        assert isinstance(rows, Jacobian)
        name = names_of(body, set())
        read = {v for entry in found.values() for v in variables(entry)}
        again = [a for a in rows.again if a.target in _needed(rows, read)]
        views.append(
            RowsView(
                class_name(body.name),
                function_name(body.name),
                tuple(FieldView(entry, python_text(value, name)) for entry, value in found.items()),
                tuple(LineView("", f"{local_name(a.target)} = {python_text(a.value, name)}") for a in again),
            )
        )
    return tuple(views)


def _needed(rows: Jacobian, read: set[str]) -> set[str]:
    """Return the values that must be computed once more for what is `read`."""
    found = set(read)
    for assign in reversed(rows.again):
        if assign.target in found:
            found |= set(variables(assign.value))
    return found


def _sizes(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))


class _Traces:
    """What the synapses of one `dense` remember, and the gradient of its weights."""

    def __init__(self, plan: StepPlan, synapses: Synapses) -> None:
        self.plan, self.synapses = plan, synapses
        self.op, self.at = identifier(synapses.node.name), identifier(synapses.layer.name)
        rows = jacobian_of(plan, synapses.layer)
        assert isinstance(rows, Jacobian)
        self.rows = rows
        self.entries: dict[str, Expr] = {}  # what is read of the rows, by name
        self.own = "pair" if synapses.coupled == "all" else "synapse"
        self.written = self._write()

    @property
    def reads_rows(self) -> bool:
        return bool(self.entries)

    # ---- names and shapes

    def _trace(self, slot: str) -> str:
        return f"{self.op}_{field_name(slot)}"

    def _kind(self, slot: str) -> str:
        return "source" if slot in self.synapses.shared else self.own

    def names(self) -> list[str]:
        return [field.name for field in self.fields()]

    def fields(self) -> list[FieldView]:
        s = self.synapses
        own = _sizes(s.own)
        found = [
            FieldView(
                self._trace(slot),
                f"d{slot}/dw of {s.layer.name} by {s.node.name}, [B, {_sizes(s.shape(slot))}]",
            )
            for slot in s.slots
        ]
        if s.coupled:
            found.append(FieldView(f"{self.op}_of_spike", f"dspike/dw, [B, {own}]"))
        if self.synapses.filtered:
            found.append(FieldView(f"{self.op}_filtered", f"dspike/dw as the readout holds it, [B, {own}]"))
        if s.late:
            found.append(
                FieldView(
                    f"{self.op}_late", f"what {s.node.name} carried in the last steps, [{s.late}, B, {s.own[-2]}]"
                )
            )
        return found

    def starts(self) -> list[str]:
        s = self.synapses
        own = _sizes(s.own)
        texts = [f"{self._trace(slot)}=jnp.zeros((batch, {_sizes(s.shape(slot))}))" for slot in s.slots]
        texts += [f"{self.op}_of_spike=jnp.zeros((batch, {own}))"] if s.coupled else []
        texts += [f"{self.op}_filtered=jnp.zeros((batch, {own}))"] if s.filtered else []
        texts += [f"{self.op}_late=jnp.zeros(({s.late}, batch, {s.own[-2]}))"] if s.late else []
        return texts

    def _carried(self) -> str:
        """The text of what the synapses carry to the port in this step."""
        if self.synapses.late:
            return f"traces.{self.op}_late[0]"
        return source_text(self.synapses.node, 0, self.plan.network, {})

    # ---- the gradient

    def gradient(self) -> LineView:
        s = self.synapses
        weight = f"{identifier(s.node.path('w'))}"
        if self.synapses.filtered:
            text = f"over_synapses({self.op}_filtered, d_{self.at}.spike)"
        elif s.slots == s.shared and len(s.slots) == 1 and acts_as_port(self.rows, s.port, s.slots[0]):
            text = f"over_synapses({self._trace(s.slots[0])}, d_{self.at}_{s.port})"
        else:
            over = "over_pairs" if s.coupled == "all" else "over_synapses"
            terms = [
                f"{over}(traces.{self._trace(slot)}, d_{self.at}_state.{field_name(slot)})"
                for slot in s.slots
                if self._acts(slot)
            ]
            drive = f"{self.op}_drive" if s.coupled else self._carried()
            delta = f"d_{self.at}_{s.port}"
            function = {"all": "over_pairs", "own": "over_synapses"}.get(s.coupled, "product_gradient")
            text = " + ".join([*terms, f"{function}({drive}, {delta})"])
        fed = (
            [f", {identifier(s.node.path('feedback'))}={text}"]
            if any(w.name == "feedback" for w in s.node.op.weights())
            else []
        )
        return LineView("", f"{weight}={text}{''.join(fed)}")

    def _acts(self, slot: str) -> bool:
        """Whether the state before a step acts on anything after it."""
        return any(before == slot for _, before in self.rows.states)

    # ---- the traces

    def _write(self) -> list[LineView]:
        s = self.synapses
        new = self._drive_line()
        for slot in s.slots:
            new.append(LineView("", f"{self._trace(slot)} = {self._row(slot, self._kind(slot))}"))
        if s.coupled:
            new.append(LineView("", f"{self.op}_of_spike = {self._row(SPIKE, self.own)}"))
        elif self.synapses.filtered:
            new.append(
                LineView(
                    "",
                    f"{self.op}_filtered = {self._leak()} * traces.{self.op}_filtered + {self._row(SPIKE, self.own)}",
                )
            )
        if s.late:
            source = source_text(s.node, 0, self.plan.network, {})
            ring = f"traces.{self.op}_late"
            new.append(LineView("", f"{self.op}_late = jnp.concatenate([{ring}[1:], {source}[None]])"))
        return new

    def _drive_line(self) -> list[LineView]:
        """What acts on the port: the synapse itself, and the weights that couple the neurons."""
        s = self.synapses
        if not s.coupled:
            return []
        spike, w = f"traces.{self.op}_of_spike", f"params.{identifier(s.recurrent + '.w')}"
        function = "drive_of_all" if s.coupled == "all" else "drive_of_own"
        return [LineView("", f"{self.op}_drive = {function}({self._carried()}, {spike}, {w})")]

    def _leak(self) -> str:
        """The share of a readout's state that is left after a step."""
        readout = next(layer for layer in self.plan.network.layers if not is_spiking(layer))
        body, rows = self.plan.body(readout.name), jacobian_of(self.plan, readout)
        assert isinstance(rows, Jacobian)
        (slot,) = [slot.name for slot in body.slots if not slot.hidden]
        name = names_of(body, set())
        return python_text(rows.states[slot, slot], name).replace("p.", f"c.{field_name(readout.name)}.")

    def _row(self, row: str, kind: str) -> str:
        """The text of a row of the Jacobian times what acts: traces of states, and what the synapses carry."""
        s = self.synapses
        terms = []
        for (at, slot), entry in self.rows.states.items():
            if at == row and slot in s.slots:
                terms.append(self._term(entry, row, slot, f"traces.{self._trace(slot)}", self._kind(slot), kind))
        entry_at_port = self.rows.ports.get((row, s.port))
        if entry_at_port is not None:
            drive = f"{self.op}_drive" if s.coupled else self._carried()
            held = "pair" if s.coupled == "all" else "synapse" if s.coupled else "source"
            terms.append(self._term(entry_at_port, row, s.port, drive, held, kind))
        return " + ".join(terms) or "0.0"

    def _term(self, entry: Expr, row: str, by: str, value: str, has: str, kind: str) -> str:
        if has == "source" and kind == "synapse":
            value = f"{value}[:, :, None]"
        if entry == ONE:
            return value
        name = f"d_{local_name(row.removeprefix(OUT))}_by_{local_name(by)}"
        self.entries[name] = entry
        text = f"{self.at}_rows.{name}"
        if kind == "source":
            return f"{text} * {value}"
        return f"{'beside' if kind == 'synapse' else 'before'}({text}) * {value}"
