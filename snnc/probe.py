"""A body without its spikes, whose margin can be watched: how initialisers and warnings measure what an input does."""

from __future__ import annotations

from dataclasses import replace

from snnc.expr import Num
from snnc.plan import Assign, Body, Fire, Published, Statement

PROBE = "margin.probe"  # the published name of the margin


def without_spikes(body: Body) -> Body:
    """Return `body` with every spike test replaced by silence, and the margin of the first one published as `PROBE`."""
    statements: list[Statement] = []
    for statement in body.statements:
        if isinstance(statement, Fire):
            watched = any(isinstance(s, Assign) and s.target == PROBE for s in statements)
            statements += [] if watched else [Assign(PROBE, statement.margin)]
            statements.append(Assign(statement.target, Num(0.0)))
        else:
            statements.append(statement)
    return replace(body, statements=tuple(statements), published=(Published(PROBE, PROBE, "1"),))
