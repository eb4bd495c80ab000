"""A body in single-assignment form: each value of a step has one name, `v@2` for the second value of `v`.

This is what the adjoint and its choice of residuals work on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace

from snnc.expr import Apply, Expr, Num, Var, substitute, variables
from snnc.lower.body import expressions, map_expressions
from snnc.lower.derivatives import NotDerivableError
from snnc.plan import CHANCE, Assign, Body, Fire, Integrate, Locate, Statement, targets_of

TRUTHS = frozenset({">", ">=", "<", "<=", "==", "!=", "and", "or", "not"})


def versioned(name: str, version: int) -> str:
    return f"{name}@{version}"


def fires(value: str) -> str:
    """Return the truth that stands behind a spike: whether its condition held.

    >>> fires("spike@1")
    'spike_condition@1'
    """
    name, version = value.rsplit("@", 1)
    return versioned(f"{name}_condition", int(version))


def base(value: str) -> str:
    """Return the author's name of a value.

    >>> base("v@2")
    'v'
    """
    return value.rsplit("@", 1)[0]


@dataclass(slots=True)
class Values:
    """The values of one step.

    `statements` read and write values; `index` is each one's place in the body, and `last` maps a name to its value
    at the end. Copies (`a = b`) are no statements: `a` then stands for the value of `b`. `positive_params` are the
    parameters that are greater than 0 whatever they are set to.
    """

    statements: list[tuple[int, Statement]] = field(default_factory=list)
    last: dict[str, str] = field(default_factory=dict)
    truths: set[str] = field(default_factory=set)
    margins: set[str] = field(default_factory=set)
    positive_params: frozenset[str] = frozenset()

    def definitions(self, by_margin: bool = False) -> dict[str, list[Expr]]:
        """Return the ways to compute each value from others; those of explicit integrations have none.

        With `by_margin` a value may be computed back from its distance to a constant threshold, which rounds.
        """
        found: dict[str, list[Expr]] = {}
        for _, statement in self.statements:
            match statement:
                case Assign(target, value):
                    found.setdefault(target, []).append(value)
                case Fire(target, condition, margin):
                    found[target] = [Apply("where", (Var(fires(target)), Num(1.0), Num(0.0)))]
                    found[fires(target)] = [condition]
                    distance = self.definition(margin)
                    test = tested_by_margin(condition, distance, self.positive_params)
                    if test is not None:
                        found[fires(target)].append(Apply(test, (margin, Num(0.0))))
                    if by_margin:
                        self._add_inverse(margin, distance, found)
        return found

    def _add_inverse(self, margin: Expr, distance: Expr, found: dict[str, list[Expr]]) -> None:
        """margin = (value - threshold) / scale, all else constant: value = margin scale + threshold."""
        match distance:
            case Apply("/", (Apply() as over, scale)) if not _moves(scale):
                self._add_inverse(Apply("*", (margin, scale)), over, found)
            case Apply("-", (Var(value), threshold)) if "@" in value and not _moves(threshold):
                found.setdefault(value, []).append(Apply("+", (margin, threshold)))

    def definition(self, value: Expr) -> Expr:
        for _, statement in self.statements:
            if isinstance(statement, Assign) and value == Var(statement.target):
                return statement.value
        return value

    def positive(self, value: str) -> Expr:
        """Return the test `value > 0`, for a spike the condition under which it was emitted."""
        for _, statement in self.statements:
            match statement:
                case Fire(target) if target == value:
                    return Var(fires(value))
                case Assign(target, Apply("if" | "where", (test, Var(inner), Num(0.0)))) if target == value:
                    return Apply("and", (test, self.positive(inner)))
        return Apply(">", (Var(value), Num(0.0)))


def tested_by_margin(condition: Expr, margin: Expr, positive: Collection[str]) -> str | None:
    """Return how the margin says whether a condition holds: ">=" or ">" against 0; None if it does not.

    A scale must be known to be greater than 0: a number, or one of the parameters `positive`.

    >>> tested_by_margin(Apply(">=", (Var("v"), Var("c"))), Apply("-", (Var("v"), Var("c"))), ())
    '>='
    """
    match condition, margin:
        case Apply(">" | ">=" as test, (left, right)), Apply("-", (a, b)) if (left, right) == (a, b):
            return test
        case Apply(), Apply("/", (over, Num(scale))) if scale > 0:
            return tested_by_margin(condition, over, positive)
        case Apply(), Apply("/", (over, Var(scale))) if scale in positive:
            return tested_by_margin(condition, over, positive)
        case Apply(">" | ">=" as test, (left, Num(0.0))), other if left == other:
            return test
    return None


def single_assignment(body: Body) -> Values:
    """Return the values of `body`; slots, ports and chances as they come in are version 0."""
    bounded = (p for p in body.neuron.params if p.interval is not None and p.interval.low >= 0)
    values = Values(positive_params=frozenset(p.name for p in bounded))
    count: dict[str, int] = {}
    for name in (*(s.name for s in body.slots), *body.ports, CHANCE):
        count[name] = 0
        values.last[name] = versioned(name, 0)

    free = "margin"
    while free in taken(body):
        free += "_"

    def new(name: str) -> str:
        count[name] = count.get(name, 0) + 1
        values.last[name] = versioned(name, count[name])
        return values.last[name]

    def read(expr: Expr) -> Expr:
        return substitute(expr, {n: Var(v) for n, v in values.last.items() if n in variables(expr)})

    for index, statement in enumerate(body.statements):
        now = map_expressions(statement, read)
        match now:
            case Assign(target, Var(value)) if "@" in value:
                values.last[target] = value
                count.setdefault(target, 0)
            case Assign(target, value):
                made = new(target)
                if isinstance(value, Apply) and value.fn in TRUTHS:
                    values.truths.add(made)
                values.statements.append((index, replace(now, target=made)))
            case Fire(target, _, margin):
                if not isinstance(margin, Var):
                    made = new(free)
                    values.margins.add(made)
                    values.statements.append((index, Assign(made, margin, "", now.span)))
                    now = replace(now, margin=Var(made))
                made = new(target)
                values.truths.add(fires(made))
                values.statements.append((index, replace(now, target=made)))
            case Locate():
                raise NotDerivableError("its spikes are located inside the step")
            case Integrate(targets):
                values.statements.append((index, replace(now, targets=tuple(new(t) for t in targets))))
    return values


def _moves(expr: Expr) -> bool:
    return any("@" in v for v in variables(expr))


def taken(body: Body) -> set[str]:
    """Return the names that a body uses."""
    names = {*body.ports, *body.constants, *(s.name for s in body.slots)}
    for statement in body.statements:
        names |= set(targets_of(statement))
    return names


def reads(statement: Statement) -> Iterator[str]:
    """Yield the values that a statement reads."""
    for expr in expressions(statement):
        yield from (v for v in variables(expr) if "@" in v)
