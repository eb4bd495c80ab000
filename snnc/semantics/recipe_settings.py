"""Resolves the settings of a recipe beside its objective: learning rule, selection, frozen parameters, start."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from snnc import model
from snnc.diagnostics import Code, Findings, did_you_mean
from snnc.ops.delays import WithTimes
from snnc.semantics.data_sets import Pipeline
from snnc.semantics.modules import Module
from snnc.semantics.operations.binding import whole
from snnc.semantics.scope import Scope
from snnc.syntax import nodes
from snnc.units import STEP_UNITS

RULES_TO_COME = (
    "eventprop",
    "ttfs",
    "eprop",
    "ottt",
    "ostl",
    "d_rtrl",
    "decolle",
    "es",
    "ga",
    "maml",
    "reptile",
    "none",
)


@dataclass(frozen=True, slots=True)
class Learning:
    """BPTT, its gradient cut every `truncate` steps, or its sequence taken in parts of `checkpoint` steps (0: chosen)."""

    truncate: int | None = None
    checkpoint: int | None = None


def read_learn(settings: dict[str, nodes.Expr], scope: Scope, network: model.Network, findings: Findings) -> Learning:
    """Return the learning rule; check that a gradient can flow."""
    for layer in network.layers:
        if layer.neuron.spikes and layer.neuron.surrogate is None and any(r.rate is None for r in layer.neuron.spikes):
            findings.add(
                Code.NO_SURROGATE, layer.span, f"`{layer.name}` ({layer.neuron.name}) spikes and has no surrogate, so that "
                "BPTT passes no gradient through it",
                help=f"give the neuron one: `surrogate atan(alpha = 2)`, or the layer: `{layer.neuron.name}(surrogate = atan)`",
            )  # fmt: skip
    value = settings.get("learn")
    if value is None:
        return Learning()
    call = (
        value
        if isinstance(value, nodes.Call)
        else nodes.Call(value, span=value.span)
        if isinstance(value, nodes.Name)
        else None
    )
    name = call.func.text if call is not None else "?"
    if call is None or name not in ("bptt", "tbptt"):
        later = name in RULES_TO_COME
        findings.add(
            Code.NOT_YET if later else Code.UNKNOWN_NAME, value.span,
            f"{'not supported yet: the' if later else 'unknown'} learning rule `{name}`",
            help="built so far: `bptt()` and `tbptt(k)`" if later else did_you_mean(name, ["bptt", "tbptt", *RULES_TO_COME]),
        )  # fmt: skip
        return Learning()
    if name == "bptt":
        return Learning(checkpoint=_read_checkpoint(call, scope, findings))
    if len(call.args) != 1 or call.args[0].name not in (None, "steps"):
        findings.add(Code.MISSING_ARGUMENT, call.span, "`tbptt` takes one number of steps", help="as in `tbptt(50)`")
        return Learning()
    length = call.args[0].value
    if isinstance(length, nodes.Number) and length.unit in STEP_UNITS:
        length = nodes.Number(length.text, span=length.span)
    return Learning(truncate=whole(length, scope, "the length of `tbptt`"))


def _read_checkpoint(call: nodes.Call, scope: Scope, findings: Findings) -> int | None:
    """Return the steps of a checkpointed part: 0 for `auto`, None for `off` and where nothing is said."""
    found = None
    for arg in call.args:
        if arg.name != "checkpoint":
            named = f"no argument `{arg.name}`" if arg.name else "no argument without a name"
            findings.add(
                Code.UNKNOWN_ARGUMENT,
                arg.span,
                f"`bptt` has {named}",
                help="write `bptt()` or `bptt(checkpoint = auto)`",
            )
        elif isinstance(arg.value, nodes.Name) and arg.value.text in ("auto", "off"):
            found = 0 if arg.value.text == "auto" else None
        else:
            value = arg.value
            if isinstance(value, nodes.Number) and value.unit in STEP_UNITS:
                value = nodes.Number(value.text, span=value.span)
            found = whole(value, scope, "the part of a checkpointed sequence")
    return found


def read_select(
    settings: dict[str, nodes.Expr], metrics: tuple[model.Term, ...], pipeline: Pipeline, findings: Findings
) -> model.Select | None:
    value = settings.get("select")
    if value is None:
        return None
    arg = value.args[0].value if isinstance(value, nodes.Call) and len(value.args) == 1 else None
    if not isinstance(value, nodes.Call) or value.func.text != "best" or not isinstance(arg, nodes.Name):
        findings.add(Code.BAD_SETTING, value.span, "`select` is `best(val.METRIC)`", help="as in `best(val.accuracy)`")
        return None
    if arg.parts[0] == "test":
        findings.add(
            Code.SELECT_ON_TEST, arg.span, "the test split chooses the weights here, so that its result means nothing",
            help=f"select on validation data: `best(val.{'.'.join(arg.parts[1:])})`",
        )  # fmt: skip
        return None
    known = ["loss", *(m.name for m in metrics if not m.type.shape)]
    if arg.parts[0] != "val" or len(arg.parts) != 2 or arg.parts[1] not in known:
        findings.add(
            Code.UNKNOWN_NAME,
            arg.span,
            f"no metric `{arg.text}`",
            help=did_you_mean(arg.text, [f"val.{k}" for k in known]),
        )
        return None
    source = dict(pipeline.data.source.args)
    if "val" in source and not source["val"] and pipeline.data.source.name not in ("npz", "folder"):
        findings.add(
            Code.BAD_SETTING, value.span, f"`{pipeline.data.name}` has no validation split to select on",
            help=f"split one off: `{pipeline.data.source.name}(val = 0.1, …)`",
        )  # fmt: skip
    return model.Select(arg.text, arg.parts[1] != "loss")


def read_freeze(settings: dict[str, nodes.Expr], network: model.Network, findings: Findings) -> tuple[str, ...]:
    value = settings.get("freeze")
    if value is None:
        return ()
    items = value.items if isinstance(value, nodes.ListExpr) else (value,)
    patterns = []
    for item in items:
        if not isinstance(item, nodes.String):
            findings.add(
                Code.WRONG_KIND, item.span, "`freeze` is a list of patterns in quotes", help='as in `freeze = ["h.*"]`'
            )
            continue
        if not any(fnmatchcase(name, item.value) for name in parameter_names(network)):
            findings.add(
                Code.UNKNOWN_NAME, item.span, f"no parameter matches `{item.value}`",
                help=did_you_mean(item.value, parameter_names(network)) or _parameters(network),
            )  # fmt: skip
        patterns.append(item.value)
    return tuple(patterns)


def parameter_names(network: model.Network) -> list[str]:
    """Return the dotted names of everything trainable."""
    names = []
    for node in network.nodes:
        if isinstance(node, model.OpNode):
            names += [f"{node.name}.{w.name}" for w in node.own_weights]
            if isinstance(node.op, WithTimes) and node.op.times.trainable:
                names.append(f"{node.name}.delay")
        elif isinstance(node, model.Layer):
            names += [f"{node.name}.{p.name}" for p in node.neuron.params if p.trainable]
    return names


def check_groups(optimizer: model.Optimizer, item: nodes.Train, network: model.Network, findings: Findings) -> None:
    setting = next((p for p in item.body if isinstance(p, nodes.Setting) and p.path.text == "optimizer"), None)
    for group in optimizer.groups:
        if setting is not None and not any(fnmatchcase(name, group.pattern) for name in parameter_names(network)):
            findings.add(
                Code.UNKNOWN_NAME, setting.span, f"no parameter matches `{group.pattern}`",
                help=did_you_mean(group.pattern, parameter_names(network)) or _parameters(network),
            )  # fmt: skip


def _parameters(network: model.Network) -> str:
    names = parameter_names(network)
    listed = ", ".join(f"`{name}`" for name in names[:6]) + (", …" if len(names) > 6 else "")
    return f"it has {listed}" if names else "the network has none: nothing in it is trained"


def read_start(item: nodes.Train, settings: dict[str, nodes.Expr], home: Module, findings: Findings) -> str | None:
    """Return the recipe of this file whose weights begin this one."""
    value = settings.get("start")
    if value is None:
        return None
    others = [name for name in home.defined(nodes.Train) if name != item.name]
    if not isinstance(value, nodes.Name) or value.text not in others:
        findings.add(
            Code.UNKNOWN_NAME, value.span, f"`start` names another recipe, and `{value.span.text}` is none",
            help=did_you_mean(value.span.text, others) or "this file has no other recipe",
        )  # fmt: skip
        return None
    return value.text
