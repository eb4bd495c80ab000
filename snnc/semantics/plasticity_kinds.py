"""For what a value of a plasticity rule exists: once, for each sample, each pre, each post, each weight, each synapse.

"weight" is one number for each weight, the same for all samples; "synapse" is one for each weight of each sample.
"""

from __future__ import annotations

from collections.abc import Mapping

from snnc.expr import Expr, variables

KINDS = ("fixed", "sample", "pre", "post", "weight", "synapse")
_INSIDE = {  # what a value of each kind may be made of
    "fixed": {"fixed"},
    "sample": {"fixed", "sample"},
    "pre": {"fixed", "sample", "pre"},
    "post": {"fixed", "sample", "post"},
    "weight": {"fixed", "weight"},
    "synapse": set(KINDS),
}


def kind_of(expr: Expr, kinds: Mapping[str, str]) -> str:
    """Return the narrowest kind that holds the value of `expr`; a name that is not in `kinds` is fixed.

    >>> from snnc.expr import Apply, Var
    >>> kind_of(Apply("*", (Var("x"), Var("y"))), {"x": "pre", "y": "post"})
    'synapse'
    """
    return joined({kinds.get(name, "fixed") for name in variables(expr)})


def joined(found: set[str]) -> str:
    """Return the narrowest kind made of these.

    >>> joined({"pre", "sample"}), joined(set())
    ('pre', 'fixed')
    """
    return next(kind for kind in KINDS if found <= _INSIDE[kind])


def fits(kind: str, place: str) -> bool:
    """Whether a value of `kind` can be kept where there is one for each `place`."""
    return kind in _INSIDE[place]
