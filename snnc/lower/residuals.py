"""Which values of a step the reverse loop is given: as few bytes as suffice to compute the others again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

from snnc.expr import Expr, size, variables
from snnc.lower.single_assignment import Values

NUMBER = 4  # bytes
MOST_TOGETHER = 4  # values tried together, smallest sets first
MOST_CANDIDATES = 24  # beyond it the search would take seconds; values are then dropped one by one


@dataclass(frozen=True, slots=True)
class Residuals:
    """`kept` values, and `again`: the other needed values with their expressions, in the order of computing."""

    kept: tuple[str, ...]
    again: tuple[tuple[str, Expr], ...]


def choose_residuals(values: Values, needed: Iterable[str], half: bool = False) -> Residuals:
    """Return the cheapest set of values from which all `needed` ones follow (a truth costs a quarter of a number).

    With `half`, margins are kept in 16 bits, and what they are the margin of may be computed back from them.
    """
    needed = sorted(set(needed))
    if not needed:
        return Residuals((), ())
    ways = values.definitions(by_margin=half)
    sizes = dict.fromkeys(values.truths, 1) | (dict.fromkeys(values.margins, 2) if half else {})
    candidates = _relevant(ways, needed)
    best = tuple(_dropped(candidates, ways, needed, sizes))
    best_cost = _cost(best, sizes, ways, needed)
    if len(candidates) <= MOST_CANDIDATES:
        for count in range(1, MOST_TOGETHER + 1):
            for some in combinations(candidates, count):
                if sum(sizes.get(v, NUMBER) for v in some) <= best_cost[0] and _suffice(some, ways, needed):
                    cost = _cost(some, sizes, ways, needed)
                    if cost < best_cost:
                        best, best_cost = some, cost
    return Residuals(best, _order(best, ways, needed))


def _relevant(ways: Mapping[str, list[Expr]], needed: list[str]) -> list[str]:
    """Return the needed values and all that they are computed from."""
    found = dict.fromkeys(needed)
    stack = list(needed)
    while stack:
        for expr in ways.get(stack.pop(), []):
            for value in variables(expr):
                if "@" in value and value not in found:
                    found[value] = None
                    stack.append(value)
    return list(found)


def _dropped(
    candidates: list[str], ways: Mapping[str, list[Expr]], needed: list[str], sizes: Mapping[str, int]
) -> list[str]:
    """Return what is left of all candidates when each one that follows from the others is dropped, dear ones first."""
    kept = list(candidates)
    for value in sorted(candidates, key=lambda v: -sizes.get(v, NUMBER)):
        fewer = [v for v in kept if v != value]
        if _suffice(fewer, ways, needed):
            kept = fewer
    return kept


def _cost(
    kept: Iterable[str], sizes: Mapping[str, int], ways: Mapping[str, list[Expr]], needed: list[str]
) -> tuple[int, int, tuple[str, ...]]:
    """Bytes first, then the work of computing the rest, then the name (for the same choice on every machine)."""
    kept = tuple(kept)
    work = sum(size(expr) for _, expr in _order(kept, ways, needed))
    return sum(sizes.get(v, NUMBER) for v in kept), work, kept


def _suffice(kept: Iterable[str], ways: Mapping[str, list[Expr]], needed: list[str]) -> bool:
    known = set(kept)
    while True:
        more = {
            target
            for target, exprs in ways.items()
            if target not in known and any(all(v in known for v in variables(e) if "@" in v) for e in exprs)
        }
        if not more:
            return known.issuperset(needed)
        known |= more


def _order(kept: Iterable[str], ways: Mapping[str, list[Expr]], needed: list[str]) -> tuple[tuple[str, Expr], ...]:
    """Return the values to compute again, each after those that it reads."""
    known = set(kept)
    steps: list[tuple[str, Expr]] = []
    while not known.issuperset(needed):
        for target, exprs in ways.items():
            way = next((e for e in exprs if all(v in known for v in variables(e) if "@" in v)), None)
            if target not in known and way is not None:
                steps.append((target, way))
                known.add(target)
                break
        else:
            raise AssertionError(f"{needed} do not follow from {tuple(kept)}")
    wanted = set(needed)
    out = []
    for target, expr in reversed(steps):
        if target in wanted:
            wanted |= {v for v in variables(expr) if "@" in v}
            out.append((target, expr))
    return tuple(reversed(out))
