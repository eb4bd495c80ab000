"""Resolves the settings of a recipe beside its objective and its rule: selection, frozen parameters, start."""

from __future__ import annotations

from fnmatch import fnmatchcase

from snnc import model
from snnc.diagnostics import Code, Findings, did_you_mean
from snnc.ops.delays import WithTimes
from snnc.semantics.data_sets import Pipeline
from snnc.semantics.modules import Module
from snnc.syntax import nodes


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
