"""Resolves `optimizer = …`: the method, its learning rate or schedule, decay, clipping and parameter groups."""

from __future__ import annotations

from snnc import model
from snnc.diagnostics import Code, did_you_mean
from snnc.semantics.constants import constant
from snnc.semantics.expressions import resolve
from snnc.semantics.scope import Scope
from snnc.syntax import nodes

# name -> options with their defaults (optax's and PyTorch's common ones)
OPTIMIZERS: dict[str, dict[str, float]] = {
    "sgd": {},
    "momentum": {"momentum": 0.9, "nesterov": 0.0},
    "adam": {"b1": 0.9, "b2": 0.999, "eps": 1e-8},
    "adamw": {"b1": 0.9, "b2": 0.999, "eps": 1e-8},
    "adamax": {"b1": 0.9, "b2": 0.999, "eps": 1e-8},
    "rmsprop": {"decay": 0.9, "eps": 1e-8, "momentum": 0.0},
    "lion": {"b1": 0.9, "b2": 0.99},
}
NOT_YET = ("rmaxprop", "lbfgs", "lamb", "adagrad", "adabelief", "muon")
_SHARED = ("lr", "weight_decay", "clip_norm", "clip_value", "groups")

# name -> arguments after the peak rate; None must be given, `epochs`-valued ones take a unit
SCHEDULES: dict[str, dict[str, float | None]] = {
    "constant": {},
    "exponential": {"decay": None, "every": None},
    "step": {"factor": None, "every": None},
    "cosine": {"warmup": 0.0, "end": 0.0},
    "onecycle": {"warmup": None},
    "warmup": {"over": None},
}
_TIMES = ("every", "warmup", "over")


def default_optimizer() -> model.Optimizer:
    """Return Adam with rate 1e-3, what a recipe without `optimizer` uses."""
    return model.Optimizer("adam", 1e-3, tuple(OPTIMIZERS["adam"].items()), 0.0, None, None, ())


def resolve_optimizer(value: nodes.Expr, scope: Scope) -> model.Optimizer:
    """Return the optimiser of a recipe; findings go to the scope."""
    if not isinstance(value, nodes.Call) or value.func.text not in OPTIMIZERS:
        word = value.func.text if isinstance(value, nodes.Call) else value.span.text
        if word in NOT_YET:
            scope.findings.add(
                Code.NOT_YET,
                value.span,
                f"not supported yet: the optimiser `{word}`",
                help="built so far: " + ", ".join(f"`{name}`" for name in OPTIMIZERS),
            )
            return default_optimizer()
        scope.findings.add(
            Code.UNKNOWN_NAME, value.span, f"unknown optimiser `{word}`",
            help=did_you_mean(word, OPTIMIZERS) or "write `adam(lr = 1e-3)`",
        )  # fmt: skip
        return default_optimizer()
    name = value.func.text
    known = (*_SHARED, *OPTIMIZERS[name])
    given = _arguments(value, known, scope)
    options = {k: _number(given[k], scope, k) if k in given else v for k, v in OPTIMIZERS[name].items()}
    lr: model.Value = schedule(given["lr"], scope) if "lr" in given else 1e-3
    decay = _number(given["weight_decay"], scope, "weight_decay") if "weight_decay" in given else 0.0
    clip_norm = _positive(given.get("clip_norm"), scope, "clip_norm")
    clip_value = _positive(given.get("clip_value"), scope, "clip_value")
    groups = _groups(given["groups"], scope) if "groups" in given else ()
    return model.Optimizer(name, lr, tuple(options.items()), decay, clip_norm, clip_value, groups)


def _arguments(call: nodes.Call, known: tuple[str, ...], scope: Scope) -> dict[str, nodes.Expr]:
    given: dict[str, nodes.Expr] = {}
    for arg in call.args:
        name = arg.name if arg.name is not None else "lr"
        if name not in known:
            scope.findings.add(
                Code.UNKNOWN_ARGUMENT, arg.span, f"`{call.func.text}` has no argument `{name}`",
                help=did_you_mean(name, known) or "it takes none",
            )  # fmt: skip
        elif name in given:
            scope.findings.add(Code.DUPLICATE_NAME, arg.span, f"`{name}` is given twice", help="keep one of the two")
        else:
            given[name] = arg.value
    return given


def _number(expr: nodes.Expr, scope: Scope, what: str, low: float = 0.0) -> float:
    if isinstance(expr, nodes.Bool):
        return float(expr.value)
    value = constant(resolve(expr, scope).expr)
    if value is None or not value >= low or value == float("inf"):
        scope.findings.add(
            Code.BAD_VALUE, expr.span, f"`{what}` is a fixed number of at least {low:g}", help="write one, as in `1e-3`"
        )
        return 1.0
    return value


def _positive(expr: nodes.Expr | None, scope: Scope, what: str) -> float | None:
    if expr is None:
        return None
    value = _number(expr, scope, what)
    if value == 0:
        scope.findings.add(Code.BAD_VALUE, expr.span, f"`{what}` must be above 0", help="leave it out for no clipping")
    return value


def schedule(expr: nodes.Expr, scope: Scope) -> model.Value:
    """Return a learning rate: a number, or a schedule with times in epochs or updates."""
    if not (isinstance(expr, nodes.Call) and expr.func.text in SCHEDULES):
        if (
            isinstance(expr, nodes.Call)
            and scope.module.find(expr.func) is None
            and expr.func.text not in ("exp", "log")
        ):
            scope.findings.add(
                Code.UNKNOWN_NAME, expr.func.span, f"unknown schedule `{expr.func.text}`",
                help=did_you_mean(expr.func.text, SCHEDULES),
            )  # fmt: skip
            return 1e-3
        return _number(expr, scope, "lr")
    name = expr.func.text
    arguments = SCHEDULES[name]
    order = iter(("lr", *arguments))
    given: dict[str, nodes.Expr] = {}
    for arg in expr.args:
        key = arg.name if arg.name is not None else next(order, None)
        if key is None or key not in ("lr", *arguments):
            scope.findings.add(
                Code.UNKNOWN_ARGUMENT, arg.span, f"`{name}` has no argument `{key or arg.span.text}`",
                help=did_you_mean(key or "", ("lr", *arguments)),
            )  # fmt: skip
        else:
            given[key] = arg.value
    values: list[tuple[str, model.Value]] = []
    for key, default in (("lr", None), *arguments.items()):
        if key in given:
            values.append((key, training_time(given[key], scope) if key in _TIMES else _number(given[key], scope, key)))
        elif default is None and not (name == "onecycle" and key == "warmup"):
            scope.findings.add(
                Code.MISSING_ARGUMENT, expr.span, f"`{name}` needs the argument `{key}`",
                help=f"write `{key} = {'10 epochs' if key in _TIMES else '0.1'}`",
            )  # fmt: skip
        else:
            values.append((key, default))
    return model.Call(name, tuple(values), expr.span)


def training_time(expr: nodes.Expr, scope: Scope) -> model.Value:
    """Return a number of epochs or updates as a `Call("epochs" | "updates", …)`."""
    if isinstance(expr, nodes.Number) and expr.unit in ("epoch", "epochs", "update", "updates"):
        unit = "epochs" if expr.unit.startswith("epoch") else "updates"
        return model.Call(unit, (("count", expr.value),), expr.span)
    scope.findings.add(
        Code.UNIT_MISMATCH, expr.span, "a time of training is given in epochs or updates", help="as in `2 epochs`"
    )
    return model.Call("epochs", (("count", 1.0),), expr.span)


def _groups(expr: nodes.Expr, scope: Scope) -> tuple[model.Group, ...]:
    items = expr.items if isinstance(expr, nodes.ListExpr) else (expr,)
    groups: list[model.Group] = []
    for item in items:
        if not isinstance(item, nodes.Call) or item.func.text != "group":
            scope.findings.add(
                Code.WRONG_KIND, item.span, "`groups` is a list of `group(…)`",
                help='write `groups = [group("*.tau*", lr = 1e-2)]`',
            )  # fmt: skip
            continue
        pattern: str | None = None
        lr: model.Value = None
        decay: float | None = None
        for arg in item.args:
            if arg.name is None and isinstance(arg.value, nodes.String):
                pattern = arg.value.value
            elif arg.name == "lr":
                lr = schedule(arg.value, scope)
            elif arg.name == "weight_decay":
                decay = _number(arg.value, scope, "weight_decay")
            else:
                scope.findings.add(
                    Code.UNKNOWN_ARGUMENT, arg.span, f"`group` has no argument `{arg.name or arg.span.text}`",
                    help='`group("pattern", lr = …, weight_decay = …)`',
                )  # fmt: skip
        if pattern is None:
            scope.findings.add(
                Code.MISSING_ARGUMENT, item.span, "`group` needs a pattern of parameter names",
                help='as in `group("*.tau*", lr = 1e-2)`',
            )  # fmt: skip
            continue
        groups.append(model.Group(pattern, lr, decay))
    return tuple(groups)
