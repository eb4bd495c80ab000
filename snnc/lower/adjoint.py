"""The adjoint of a neuron: one step transposed, derived from its statements (reverse-mode, Griewank & Walther 2008).

The surrogate stands for the derivative of the spike, `detach` and `where` pass none, as the step itself says. What the
reverse loop needs of the forward values is chosen by `snnc.lower.residuals`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace

from snnc import model
from snnc.expr import Apply, Expr, Num, Var, apply, rewrite, substitute, variables
from snnc.lower.crossings import times
from snnc.lower.derivatives import ZERO, NotDerivableError, added, apply_where, contributions, negative, product
from snnc.lower.residuals import choose_residuals
from snnc.lower.single_assignment import Values, base, fires, single_assignment, taken, tested_by_margin
from snnc.plan import (
    KEPT,
    NEXT,
    OUT,
    Adjoint,
    Assign,
    Body,
    Crossing,
    Fire,
    Integrate,
    Kept,
    Pullback,
    Statement,
    targets_of,
)

CROSSING = "by the time of the spike, which moves by -d margin / slope of the margin"

__all__ = ["NotDerivableError", "derive_adjoint"]


def derive_adjoint(body: Body, learned: Collection[str], half: bool = False) -> Adjoint:
    """Return the adjoint of `body`; `learned` are the constants that need a gradient; `half` keeps margins in 16 bits.

    Raises:
        NotDerivableError: a statement holds a function without a derivative rule.
    """
    values = single_assignment(body)
    active: frozenset[str] = frozenset()
    while True:
        pass_ = _Reverse(body, values, frozenset(learned), active)
        pass_.run()
        found = frozenset(s.name for s in body.slots if pass_.total(f"{s.name}@0") != ZERO)
        if found <= active:
            break
        active |= found
    return _Assembled(body, values, pass_, half).adjoint()


@dataclass
class _Reverse:
    """One pass over the values, last to first. `active` are the slots whose next value has a cotangent."""

    body: Body
    values: Values
    learned: frozenset[str]
    active: frozenset[str]
    shares: dict[str, list[Expr]] = field(default_factory=dict)
    made: list[Assign | Pullback] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    after: dict[int, dict[str, Expr]] = field(default_factory=dict)  # cotangents of states after a statement
    shifts: list[tuple[str, Expr]] = field(default_factory=list)

    def run(self) -> None:
        self.names = taken(self.body)
        wanted = self._wanted()
        for published in self.body.published:
            self._add(self.values.last[published.variable], Var(OUT + published.name))
        for slot in self.body.slots:
            if slot.name in self.active:
                self._add(self.values.last[slot.name], Var(NEXT + slot.name))
        for index, statement in reversed(self.values.statements):
            note = self.body.statements[index]
            for place in [p for p in wanted if p >= index and p not in self.after]:
                self.after[place] = {s: self._held(s, place) for s in wanted[place]}
            match statement:
                case Assign(target, value):
                    g = self._named(target, note)
                    self._push(value, g)
                case Fire(target, _, margin, _, crossing=Crossing() as crossing):
                    self._push(margin, self._by_time(target, crossing, statement))
                case Fire(target, _, margin, surrogate) if surrogate is not None:
                    g = self._named(target, note)
                    if g != ZERO:
                        slope = Apply(
                            "surrogate", (margin, *surrogate.args), attrs=(("name", surrogate.function.name),)
                        )
                        self._push(margin, product(slope, g))
                case Fire():
                    pass  # without a surrogate nothing passes
                case Integrate():
                    self._pull(statement, note)
        for drift in self.body.drifts:
            shift: Expr = ZERO
            for state, term in drift.terms:
                shift = added(shift, negative(times(term, self.after[drift.after][state])))
            self.shifts.append((drift.port, shift))

    def _wanted(self) -> dict[int, list[str]]:
        """Return the statements after which the cotangents of some states are read, last first."""
        found: dict[int, list[str]] = {}
        crossings = [s.crossing for s in self.body.statements if isinstance(s, Fire) and s.crossing is not None]
        for place, terms in [(c.after, c.change) for c in crossings] + [(d.after, d.terms) for d in self.body.drifts]:
            found.setdefault(place, []).extend(s for s, _ in terms if s not in found.get(place, []))
        return dict(sorted(found.items(), reverse=True))

    def _held(self, state: str, place: int) -> Expr:
        """Return the cotangent of a state after the statement at `place`, under a name of its own."""
        made = [t for i, s in self.values.statements if i <= place for t in targets_of(s) if base(t) == state]
        value = made[-1] if made else f"{state}@0"
        found = self._named(value, Assign(state, ZERO))
        if found != ZERO:
            self.shares[value] = [found]
        return found

    def _by_time(self, spike: str, crossing: Crossing, fire: Fire) -> Expr:
        """Return the cotangent of a margin: the crossing moves by -d margin / rise, and with it what follows."""
        total: Expr = ZERO
        for state, change in crossing.change:
            total = added(total, times(change, self.after[crossing.after][state]))
        for state, step in crossing.step:
            total = added(total, apply("/", product(step, Var(OUT + state)), Var("dt")))
        total = added(total, negative(self.total(spike)))
        if total == ZERO:
            return ZERO
        rise = Apply("max", (crossing.rise, Num(crossing.floor)))
        name = self._fresh("crossing")
        value = apply_where(self.values.positive(spike), apply("/", total, rise), ZERO)
        self.made.append(Assign(name, value, CROSSING, fire.span))
        return Var(name)

    def total(self, value: str) -> Expr:
        out: Expr = ZERO
        for share in self.shares.get(value, ()):
            out = added(out, share)
        return out

    def _add(self, value: str, share: Expr) -> None:
        """Note a summand; the two sides of one `where` are joined."""
        if share == ZERO:
            return
        shares = self.shares.setdefault(value, [])
        for k, other in enumerate(shares):
            match other, share:
                case Apply("where", (test, left, Num(0.0))), Apply("where", (again, Num(0.0), right)) if test == again:
                    shares[k] = apply_where(test, left, right)
                    return
        shares.append(share)

    def _push(self, value: Expr, g: Expr) -> None:
        for name, share in contributions(value, g):
            if "@" in name or name in self.learned:
                self._add(name, self._tested(share))

    def _tested(self, share: Expr) -> Expr:
        """Read `spike > 0` as the condition of the spike."""

        def rule(node: Expr) -> Expr:
            match node:
                case Apply(">", (Var(name), Num(0.0))) if "@" in name:
                    return self.values.positive(name)
            return node

        return rewrite(share, rule)

    def _named(self, value: str, statement: Statement) -> Expr:
        """Give the cotangent of a value a name; one that is a plain name already keeps it."""
        total = self.total(value)
        if isinstance(total, Var | Num):
            return total
        name = self._fresh(base(value))
        note = statement.note if isinstance(statement, Assign | Fire) else ""
        self.made.append(Assign(name, total, note, statement.span))
        return Var(name)

    def _fresh(self, stem: str) -> str:
        name, k = f"d_{stem.rstrip('.')}", 2
        while name in self.names:
            name, k = f"d_{stem.rstrip('.')}{k}", k + 1
        self.names.add(name)
        return name

    def _pull(self, statement: Integrate, original: Statement) -> None:
        assert isinstance(original, Integrate)
        cotangents = tuple(self._named(t, original) for t in statement.targets)
        if all(g == ZERO for g in cotangents):
            return
        spelled: dict[str, str] = {}  # what the author's slopes read -> its value
        for old, new in zip(original.slopes, statement.slopes, strict=True):
            spelled |= dict(zip(variables(old), variables(new), strict=True))
        spelled |= {t: spelled.get(t, self._value_before(t, statement)) for t in original.targets}
        moving = [
            *original.targets,
            *(n for n, v in spelled.items() if n not in original.targets and self._differentiable(v)),
        ]
        held = {n: Var(v) for n, v in spelled.items() if n not in moving}
        local = replace(original, slopes=tuple(substitute(slope, held) for slope in original.slopes))
        results = tuple(self._fresh(name) for name in moving)
        self.made.append(Pullback(results, local, tuple((n, Var(spelled[n])) for n in moving), cotangents))
        for name, result in zip(moving, results, strict=True):
            self._add(spelled[name], Var(result))

    def _differentiable(self, value: str) -> bool:
        return value in self.learned or ("@" in value and value not in self.values.truths)

    def _value_before(self, target: str, statement: Integrate) -> str:
        number = next(int(t.rsplit("@", 1)[1]) for t in statement.targets if base(t) == target)
        return f"{target}@{number - 1}"


@dataclass
class _Assembled:
    """Chooses what is kept and spells all values."""

    body: Body
    values: Values
    reverse: _Reverse
    half: bool

    def adjoint(self) -> Adjoint:
        reverse = self.reverse
        slots = self._ends([s.name for s in self.body.slots])
        ports = self._ends(list(self.body.ports))
        learned = [(name, reverse.total(name)) for name in self.body.constants if name in reverse.learned]
        learned = [(name, total) for name, total in learned if total != ZERO]
        shifts = reverse.shifts
        needed = {v for e in self._expressions(slots, ports, learned, shifts) for v in variables(e) if "@" in v}
        chosen = choose_residuals(self.values, needed, self.half)
        kept, statements = _held(self.body, self.values, chosen.kept, self.half)
        local = self._local_names(chosen.again, {k.name for k in kept})
        names: dict[str, Expr] = {v: Var(KEPT + k.name) for v, k in zip(chosen.kept, kept, strict=True)}
        spike = self._spike(names)
        names |= {value: Var(name) for value, name in local.items()}

        def spelled(expr: Expr) -> Expr:
            return substitute(expr, names)

        return Adjoint(
            statements=statements,
            kept=kept,
            again=tuple(Assign(local[value], spelled(expr)) for value, expr in chosen.again),
            transposed=tuple(_mapped(s, spelled) for s in reverse.made),
            slots=tuple((name, spelled(e)) for name, e in slots),
            ports=tuple((name, spelled(e)) for name, e in ports),
            learned=tuple((name, spelled(e)) for name, e in learned),
            spike=spike,
            shifts=tuple((name, spelled(e)) for name, e in shifts),
        )

    def _spike(self, kept: dict[str, Expr]) -> Fire | None:
        """Return how the published spike follows from a kept margin of full precision, if it does."""
        value = next((self.values.last[p.variable] for p in self.body.published if p.name == "spike"), None)
        for _, statement in self.values.statements:
            match statement:
                case Fire(target, condition, Var(margin), model.SurrogateUse(_, args)) if target == value:
                    test = tested_by_margin(condition, self.values.definition(Var(margin)), self.values.positive_params)
                    if self.half or test is None or margin not in kept or any(variables(arg) for arg in args):
                        return None
                    read = kept[margin]
                    return replace(statement, condition=Apply(test, (read, Num(0.0))), margin=read)
        return None

    def _ends(self, names: list[str]) -> list[tuple[str, Expr]]:
        totals = [(name, self.reverse.total(f"{name}@0")) for name in names]
        return [(name, total) for name, total in totals if total != ZERO]

    def _expressions(self, *ends: list[tuple[str, Expr]]) -> list[Expr]:
        out = [e for end in ends for _, e in end]
        for statement in self.reverse.made:
            if isinstance(statement, Pullback):
                out += [*(e for _, e in statement.reads), *statement.cotangents, *statement.integrate.slopes]
            else:
                out.append(statement.value)
        return out

    def _local_names(self, again: tuple[tuple[str, Expr], ...], fields: set[str]) -> dict[str, str]:
        used = set(self.reverse.names)
        local: dict[str, str] = {}
        for value, _ in again:
            name, k = base(value), 2
            while name in local.values() or (name in used and name.startswith("d_")) or name in self.body.constants:
                name, k = f"{base(value)}{k}", k + 1
            local[value] = name
        return local


def _mapped(statement: Assign | Pullback, rule: Callable[[Expr], Expr]) -> Assign | Pullback:
    if isinstance(statement, Assign):
        return replace(statement, value=rule(statement.value))
    return replace(
        statement,
        integrate=replace(statement.integrate, slopes=tuple(rule(e) for e in statement.integrate.slopes)),
        reads=tuple((name, rule(e)) for name, e in statement.reads),
        cotangents=tuple(rule(g) for g in statement.cotangents),
    )


def _held(
    body: Body, values: Values, chosen: tuple[str, ...], half: bool
) -> tuple[tuple[Kept, ...], tuple[Statement, ...]]:
    """Return the fields that are kept, and the step with the lines that hold on to values overwritten later."""
    used = taken(body)
    kept: list[Kept] = []
    before: dict[int, list[Statement]] = {}
    margins: dict[int, str] = {}
    place = {t: i for i, s in values.statements for t in targets_of(s)}
    spikes = {fires(s.target): (i, body.statements[i]) for i, s in values.statements if isinstance(s, Fire)}

    def free(stem: str) -> str:
        name, k = stem, 2
        while name in used:
            name, k = f"{stem}{k}", k + 1
        used.add(name)
        return name

    for value in chosen:
        name, version = base(value), int(value.rsplit("@", 1)[1])
        truth = value in values.truths
        if value in spikes:
            index, fire = spikes[value]
            assert isinstance(fire, Fire)
            name = free("fired")
            before.setdefault(index + 1, []).append(
                Assign(name, Apply(">", (Var(fire.target), Num(0.0))), "kept for the gradient")
            )
            kept.append(Kept(name, name, True, False))
            continue
        holder = next((n for n, last in values.last.items() if last == value), None)
        index = place.get(value, -1)
        statement = body.statements[index] if index >= 0 else None
        if isinstance(statement, Fire) and statement.target != name:
            holder = free("margin")
            margins[index] = holder
        elif holder is None or holder not in taken(body):
            holder = free(f"{name}_before" if version == 0 else f"{name}_tested")
            before.setdefault(index + 1, []).append(Assign(holder, Var(name), "kept for the gradient"))
        kept.append(Kept(holder, holder, truth, half and value in values.margins))
    statements: list[Statement] = []
    for index, statement in enumerate(body.statements):
        statements += before.get(index, [])
        if index in margins:
            assert isinstance(statement, Fire)
            statements.append(Assign(margins[index], statement.margin, statement.note, statement.span))
            statement = replace(statement, margin=Var(margins[index]))
        statements.append(statement)
    return tuple(kept), tuple(statements + before.get(len(body.statements), []))
