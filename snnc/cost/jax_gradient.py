"""What JAX's own gradient of a neuron's step keeps: the values that the linear part of each rule of JAX reads.

JAX stacks them over the steps. Values that are equal as expressions are counted once, constants never.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from snnc.cost.wiring import NUMBER
from snnc.expr import Apply, Expr, Num, Var, variables
from snnc.lower.single_assignment import Values, fires, single_assignment
from snnc.plan import Assign, Body, Fire, Integrate, Locate

_STAGES = {"euler": 1, "rk2": 2, "rk4": 4}  # slopes evaluated in a substep
_FLAT = {">", ">=", "<", "<=", "==", "!=", "and", "or", "not", "floor", "round", "sign", "detach"}
_LINEAR = {"+", "-", "neg", "sample"}


def bytes_kept_by_jax(body: Body, learned: tuple[str, ...]) -> int:
    """Return the bytes a neuron and step that JAX keeps; `learned` are constants with a gradient."""
    located = next((s for s in body.statements if isinstance(s, Locate)), None)
    if located is not None:  # `located_step` keeps a truth, the time and the states at the crossing
        return 1 + NUMBER * (1 + len(located.targets))
    values = single_assignment(body)
    active = {f"{slot.name}@0" for slot in body.slots} | {f"{port}@0" for port in body.ports} | set(learned)
    reader = _Linearised(values, active)
    return reader.run()


@dataclass
class _Linearised:
    values: Values
    active: set[str]
    kept: dict[Expr, int] = field(default_factory=dict)

    def run(self) -> int:
        explicit = 0
        for _, statement in self.values.statements:
            match statement:
                case Assign(target, value):
                    if self._visit(value):
                        self.active.add(target)
                case Fire(target, _, margin, surrogate):
                    if surrogate is not None and self._visit(margin):
                        self._keep(Apply("surrogate", (margin,)))
                        self.active.add(target)
                case Integrate(targets, slopes, method, substeps):
                    inner = _Linearised(self.values, self.active)
                    for slope in slopes:
                        inner._visit(slope)
                    explicit += sum(inner.kept.values()) * _STAGES[method] * substeps
                    self.active |= set(targets)
        return explicit + sum(self.kept.values())

    def _keep(self, value: Expr, size: int = NUMBER) -> None:
        if any("@" in name for name in variables(value)):
            self.kept[value] = size

    def _visit(self, expr: Expr) -> bool:
        """Note what the derivative of `expr` keeps; return whether it has one."""
        moves: tuple[bool, ...]
        match expr:
            case Num():
                return False
            case Var(name):
                return name in self.active
            case Apply(fn) if fn in _FLAT:
                return False
            case Apply("*", (left, right)):
                moves = self._visit(left), self._visit(right)
                if moves[0]:
                    self._keep(right)
                if moves[1]:
                    self._keep(left)
            case Apply("/", (over, under)):
                moves = self._visit(over), self._visit(under)
                if any(moves):
                    self._keep(under)
                if moves[1]:
                    self._keep(over)
            case Apply("where" | "if", (test, yes, no)):
                moves = self._visit(yes), self._visit(no)
                if any(moves):
                    self._keep(self._truth(test), 1)
            case Apply("reset", (spike, after, before)):
                moves = self._visit(after), self._visit(before)
                if any(moves):
                    self._keep(self._truth(Apply(">", (spike, Num(0.0)))), 1)
                if self._visit(spike):
                    self._keep(Apply("-", (after, before)))
                    return True
            case Apply("emit", (spike, value)):
                moves = self._visit(spike), self._visit(value)
                if moves[1]:
                    self._keep(spike)
            case Apply(fn, args):
                moves = tuple(self._visit(arg) for arg in args)
                if any(moves) and fn not in _LINEAR:
                    self._keep(Apply(f"slope of {fn}", args), 1 if fn in ("relu", "clip") else NUMBER)
        return any(moves)

    def _truth(self, test: Expr) -> Expr:
        match test:
            case Apply(">", (Var(name), Num(0.0))) if "@" in name and Var(fires(name)) in self.kept:
                return Var(fires(name))
        return test
