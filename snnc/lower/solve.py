"""Equations to discrete updates: exact, exponential Euler, Euler, RK2, RK4 (language.md, "Integration").

Exact: x' = A x + b with constant A over a step in which b is held gives x(t+dt) = P x + Q b, P = exp(A dt), Q = the integral
of exp(A s) over the step. One state and direct couplings have closed forms, written with exprel(z) = expm1(z)/z so that they
are exact where time constants coincide (Rotter & Diesmann 1999); other systems take the matrix exponential once a run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from snnc import model
from snnc.diagnostics import Code, CompileError, fail
from snnc.expr import Apply, Expr, Num, Var, apply, variables
from snnc.lower.affine import NonLinearError, affine
from snnc.plan import Assign, Integrate, Statement
from snnc.source import NOWHERE, Span

ZERO = Num(0.0)
MAX_COUPLED = 12  # states of one matrix exponential
DT = Var("dt")


def mark(name: str) -> str:
    """Return a name that no author can have written; `unmarked` gives it a plain spelling at the end of lowering."""
    return f"{name}."


def unmarked(names: Iterable[str], taken: Collection[str]) -> dict[str, str]:
    """Return the plain spelling of each marked name, free of the names in `taken`.

    >>> unmarked(["fired.", "v"], ["v", "fired"])
    {'fired.': 'fired_'}
    """
    spelled: dict[str, str] = {}
    for name in names:
        if name.endswith(".") and name not in spelled:
            plain = name[:-1]
            while plain in taken or plain in spelled.values():
                plain += "_"
            spelled[name] = plain
    return spelled


@dataclass(frozen=True, slots=True)
class Solution:
    """`coefficients` once a run, then `updates` (simultaneous) or `integrate` each step; `method` in words."""

    coefficients: tuple[Assign, ...]
    updates: tuple[Assign, ...]
    integrate: Integrate | None
    method: str


def solve(neuron: model.Neuron, equations: Mapping[str, Expr], fixed: frozenset[str], holding: Expr | None) -> Solution:
    """Return the update of all `equations` (state -> derivative).

    `fixed` are the names that do not change in time (parameters); `holding` is true while the states of `neuron.hold`
    are held, None if nothing is ever held.

    Raises:
        CompileError: E0501 or E0502 with the term that stands against the solver asked for.
    """
    if not equations:
        return Solution((), (), None, "no equations")
    held = tuple(name for name in neuron.hold if name in equations) if holding is not None else ()
    kind = neuron.solver.kind
    if kind in ("euler", "rk2", "rk4"):
        return _explicit(neuron, equations, held, holding)
    if kind in ("auto", "exact"):
        try:
            return _exact(equations, fixed, held, holding, neuron.span)
        except NonLinearError as error:
            if kind == "exact":
                raise _refusal(
                    neuron, error.term, Code.NOT_LINEAR, "exact", "linear with constant coefficients"
                ) from None
    try:
        return _exponential_euler(equations, fixed, held, holding)
    except NonLinearError as error:
        code = Code.NEEDS_SOLVER if kind == "auto" else Code.NOT_LINEAR
        raise _refusal(neuron, error.term, code, kind, "linear in the state that it changes") from None


def _refusal(neuron: model.Neuron, term: Expr, code: Code, kind: str, wanted: str) -> CompileError:
    span = term.span if isinstance(term, Apply) and term.span is not NOWHERE else neuron.span
    return fail(
        code,
        span,
        f"`solve {kind}` needs equations that are {wanted}, and this term of `{neuron.name}` is not",
        help="choose a solver for the neuron: `solve rk4(substeps = 4)` or `solve euler`",
    )


# ---- exact --------------------------------------------------------------------


def _exact(
    equations: Mapping[str, Expr], fixed: frozenset[str], held: tuple[str, ...], holding: Expr | None, span: Span
) -> Solution:
    coefficients: list[Assign] = []
    updates = _linear_updates(equations, fixed, coefficients, "", span)
    if held and holding is not None:
        free = {name: slope for name, slope in equations.items() if name not in held}
        coupled = any(name in variables(slope) for slope in free.values() for name in held)
        other = _linear_updates(free, fixed, coefficients, "_held", span) if coupled else updates
        for name in equations:
            if name in held:
                updates[name] = apply_if(holding, Var(name), updates[name])
            elif coupled and other[name] != updates[name]:
                updates[name] = apply_if(holding, other[name], updates[name])
    assigns = tuple(Assign(name, value) for name, value in updates.items())
    return Solution(tuple(coefficients), assigns, None, "exact")


def apply_if(condition: Expr, then: Expr, other: Expr) -> Expr:
    """Return the primitive choice between two values, both of which are always finite."""
    return Apply("where", (condition, then, other))


def _linear_updates(
    equations: Mapping[str, Expr], fixed: frozenset[str], coefficients: list[Assign], suffix: str, span: Span
) -> dict[str, Expr]:
    """Return state -> P x + Q b; what is constant goes to `coefficients`."""
    names = tuple(equations)
    matrix: dict[tuple[str, str], Expr] = {}
    rests: dict[str, Expr] = {}
    for row, slope in equations.items():
        linear, rest = affine(slope, names)
        for column, value in linear.items():
            if not set(variables(value)) <= fixed:
                raise NonLinearError(slope if not isinstance(value, Apply) else _first_term(slope, value))
            if value != ZERO:
                matrix[row, column] = value
        rests[row] = rest
    updates: dict[str, Expr] = {}
    for component in _components(names, matrix):
        entries = _Entries(component, matrix, rests, coefficients, suffix, span)
        for row in component:
            total: Expr = ZERO
            for column in component:
                total = apply("+", total, apply("*", entries.flow(row, column), Var(column)))
            for column in component:
                total = apply("+", total, _forced(row, column, rests[column], fixed, entries, coefficients, suffix))
            updates[row] = total
    return {name: updates[name] for name in names}


def _first_term(slope: Expr, value: Apply) -> Expr:
    """The part of the author's text that makes a coefficient change in time."""
    return value if value.span is not NOWHERE else slope


def _components(names: tuple[str, ...], matrix: Mapping[tuple[str, str], Expr]) -> list[tuple[str, ...]]:
    """Return the groups of states that are coupled in either direction, in text order."""
    left = list(names)
    groups = []
    while left:
        group = [left[0]]
        for name in group:
            group += [n for n in left if n not in group and ((name, n) in matrix or (n, name) in matrix)]
        groups.append(tuple(n for n in names if n in group))
        left = [n for n in left if n not in group]
    return groups


class _Entries:
    """Entries of P and Q of one component, each becoming a named coefficient when it is first asked for."""

    def __init__(
        self,
        states: tuple[str, ...],
        matrix: Mapping[tuple[str, str], Expr],
        rests: Mapping[str, Expr],
        coefficients: list[Assign],
        suffix: str,
        span: Span,
    ) -> None:
        self.states, self.matrix, self.suffix = states, matrix, suffix
        self.coefficients = coefficients
        self.closed = all(self._is_closed(r, c) for r in states for c in states) and not any(
            rests[c] != ZERO and r != c and self._reaches(c, r) for r in states for c in states
        )
        if not self.closed and len(states) > MAX_COUPLED:
            raise fail(
                Code.TOO_BIG,
                span,
                f"{len(states)} states are coupled, and `solve exact` takes at most {MAX_COUPLED} together",
                help="use `solve rk4(substeps = 4)`",
            )
        self.table = "" if self.closed else mark(f"flow_{'_'.join(states)}{suffix}")
        if self.table:
            cells = [apply("*", matrix.get((r, c), ZERO), DT) for r in states for c in states]
            value = Apply("expm", tuple(cells), (("n", float(len(states))),))
            coefficients.append(Assign(self.table, value, f"exp(A dt) of {', '.join(states)}, and its integral"))

    def _reaches(self, start: str, end: str, without: tuple[str, str] | None = None) -> bool:
        seen, stack = set(), [start]
        while stack:
            name = stack.pop()
            for other in self.states:
                edge = (other, name)
                if other != name and edge in self.matrix and edge != without and other not in seen:
                    seen.add(other)
                    stack.append(other)
        return end in seen

    def _is_closed(self, row: str, column: str) -> bool:
        """Whether the entry has a closed form: the diagonal of no cycle, or a direct coupling alone."""
        if row == column:
            return not self._reaches(row, row)
        if (row, column) in self.matrix:
            return not self._reaches(column, row, without=(row, column))
        return not self._reaches(column, row)

    def _named(self, name: str, value: Expr, note: str) -> Expr:
        if value == Num(1.0) or value == ZERO:
            return value
        return _name(name, value, self.coefficients, self.suffix, note)

    def flow(self, row: str, column: str) -> Expr:
        """P[row, column]: what is left after dt of a unit of `column` in `row`."""
        if self.table:
            i, j = self.states.index(row), self.states.index(column)
            if row != column and not self._reaches(column, row):
                return ZERO
            value: Expr = Apply("entry", (Var(self.table),), (("row", float(i)), ("column", float(j))))
            return self._named(f"{row}_decay" if row == column else f"{row}_from_{column}", value, "")
        own = self.matrix.get((row, row), ZERO)
        if row == column:
            decay = Num(1.0) if own == ZERO else apply("exp", times_dt(own))
            return self._named(f"{row}_decay", decay, f"share of {row} left after dt")
        if (row, column) not in self.matrix:
            return ZERO
        # (e^a - e^b) / (a - b) as e^max exprel(min - max): exact where a = b, its derivative too, and no overflow elsewhere
        a, b = times_dt(own), times_dt(self.matrix.get((column, column), ZERO))
        value = times_dt(self.matrix[row, column])
        if a == b:
            value = apply("*", value, apply("exp", a)) if a != ZERO else value
        else:
            larger, smaller = Apply("max", (a, b)), Apply("min", (a, b))
            value = apply("*", value, Apply("exp", (larger,)))
            value = apply("*", value, Apply("exprel", (Apply("-", (smaller, larger)),)))
        return self._named(f"{row}_from_{column}", value, f"what {column} adds to {row} within dt")

    def gain(self, row: str, column: str) -> Expr:
        """Q[row, column]: what a unit of constant drive of `column` adds to `row` in dt (not yet named)."""
        if self.table:
            if row != column and not self._reaches(column, row):
                return ZERO
            i, j = self.states.index(row), self.states.index(column) + len(self.states)
            entry = Apply("entry", (Var(self.table),), (("row", float(i)), ("column", float(j))))
            return apply("*", entry, DT)
        if row != column:
            return ZERO
        own = self.matrix.get((row, row), ZERO)
        return DT if own == ZERO else apply("*", DT, Apply("exprel", (times_dt(own),)))


def _forced(
    row: str,
    column: str,
    rest: Expr,
    fixed: frozenset[str],
    entries: _Entries,
    coefficients: list[Assign],
    suffix: str,
) -> Expr:
    """Return Q[row, column] * rest, with everything constant in it in one coefficient per port."""
    gain = entries.gain(row, column)
    if rest == ZERO or gain == ZERO:
        return ZERO
    varying = tuple(name for name in variables(rest) if name not in fixed)
    try:
        linear, constant = affine(rest, varying)
        if any(not set(variables(value)) <= fixed for value in linear.values()):
            raise NonLinearError(rest)
    except NonLinearError:
        return apply("*", _name(f"{row}_gain_{column}", gain, coefficients, suffix), rest)
    total: Expr = ZERO
    for name, value in linear.items():
        coefficient = _name(f"{row}_from_{name}", _scaled(value, gain), coefficients, suffix)
        total = apply("+", total, apply("*", coefficient, Var(name)))
    if constant != ZERO:
        total = apply("+", total, _name(f"{row}_drift", _scaled(constant, gain), coefficients, suffix))
    return total


def _scaled(value: Expr, gain: Expr) -> Expr:
    """Multiply, letting a leading dt meet the quotient: (I / tau) * (dt * e) -> dt / tau * e."""
    match gain:
        case Apply("*", (Var("dt"), factor)):
            return apply("*", times_dt(value), factor)
        case Var("dt"):
            return times_dt(value)
        case _:
            return apply("*", value, gain)


def _name(name: str, value: Expr, coefficients: list[Assign], suffix: str, note: str = "") -> Expr:
    """Give `value` a name among the coefficients; a second value of one name gets a number.

    What is equal while states are held (`suffix`) as while they are free keeps its first name.
    """
    twin = next((a for a in coefficients if a.value == value and (suffix or a.target == mark(name))), None)
    if twin is not None:
        return Var(twin.target)
    stem, k = name + suffix, 2
    marked = mark(stem)
    while any(a.target == marked for a in coefficients):
        marked, k = mark(f"{stem}{k}"), k + 1
    coefficients.append(Assign(marked, value, note))
    return Var(marked)


def times_dt(rate: Expr) -> Expr:
    """Return rate * dt in the form that people write: -1/tau becomes -dt/tau.

    >>> times_dt(Apply("/", (Num(-1.0), Var("tau"))))
    Apply(fn='/', args=(Apply(fn='neg', args=(Var(name='dt'),), attrs=()), Var(name='tau')), attrs=())
    """
    match rate:
        case Num(1.0):
            return DT
        case Num(-1.0):
            return Apply("neg", (DT,))
        case Apply("/", (numerator, denominator)):
            return apply("/", times_dt(numerator), denominator)
        case Apply("neg", (inner,)):
            return apply("neg", times_dt(inner))
        case _:
            return apply("*", rate, DT)


# ---- exponential Euler ------------------------------------------------------------


def _exponential_euler(
    equations: Mapping[str, Expr], fixed: frozenset[str], held: tuple[str, ...], holding: Expr | None
) -> Solution:
    """Each state by its own linear equation, all coefficients taken at the start of the step."""
    coefficients: list[Assign] = []
    updates: list[Assign] = []
    for name, slope in equations.items():
        linear, rest = affine(slope, [name])
        rate = times_dt(linear.get(name, ZERO))
        decay: Expr = Apply("exp", (rate,)) if rate != ZERO else Num(1.0)
        gain: Expr = apply("*", DT, Apply("exprel", (rate,))) if rate != ZERO else DT
        if set(variables(rate)) <= fixed and rate != ZERO:
            decay = _name(f"{name}_decay", decay, coefficients, "")
            gain = _name(f"{name}_gain", gain, coefficients, "")
        value = apply("+", apply("*", decay, Var(name)), apply("*", gain, rest))
        if name in held and holding is not None:
            value = apply_if(holding, Var(name), value)
        updates.append(Assign(name, value))
    return Solution(tuple(coefficients), tuple(updates), None, "exponential Euler")


# ---- explicit methods ---------------------------------------------------------------


def _explicit(
    neuron: model.Neuron, equations: Mapping[str, Expr], held: tuple[str, ...], holding: Expr | None
) -> Solution:
    slopes = []
    for name, slope in equations.items():
        slopes.append(apply_if(holding, ZERO, slope) if name in held and holding is not None else slope)
    solver = neuron.solver
    notes = tuple(update.span.text for update in neuron.equations)
    integrate = Integrate(
        tuple(equations), tuple(slopes), solver.kind, solver.substeps, notes, neuron.equations[0].span
    )
    words = {"euler": "forward Euler", "rk2": "midpoint rule (RK2)", "rk4": "Runge-Kutta (RK4)"}[solver.kind]
    return Solution((), (), integrate, words + (f", {solver.substeps} substeps" if solver.substeps > 1 else ""))


def ordered(updates: tuple[Assign, ...]) -> tuple[Statement, ...]:
    """Put simultaneous assignments in an order, so that each reads old values only; temporaries where none exists.

    >>> [a.target for a in ordered((Assign("i", Num(0.0)), Assign("v", Var("i"))))]
    ['v', 'i']
    """
    left = [u for u in updates if u.value != Var(u.target)]
    first: list[Assign] = []
    last: list[Assign] = []
    while left:
        free = next((u for u in left if not any(u.target in variables(o.value) for o in left if o is not u)), None)
        if free is not None:
            first.append(free)
            left.remove(free)
            continue
        chosen = left.pop(0)
        after = mark(f"{chosen.target}_next")
        first.append(Assign(after, chosen.value, chosen.note, chosen.span))
        last.append(Assign(chosen.target, Var(after)))
    return (*first, *last)
