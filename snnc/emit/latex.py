"""Prints resolved expressions as LaTeX."""

from __future__ import annotations

from snnc.expr import Apply, Expr, Num, Var

_GREEK = (
    "alpha", "beta", "gamma", "delta", "epsilon", "theta", "kappa", "lambda", "mu", "nu", "rho", "sigma", "tau", "phi",
    "psi", "omega", "Gamma", "Delta", "Theta", "Lambda", "Sigma", "Phi", "Psi", "Omega",
)  # fmt: skip
_BINDS = {"+": 1, "-": 1, "*": 2, "neg": 2, "/": 4, "^": 3}
_RELATIONS = {">": ">", ">=": r"\ge", "<": "<", "<=": r"\le", "==": "=", "!=": r"\ne", "and": r"\wedge", "or": r"\vee"}


def latex_name(name: str) -> str:
    """Return a name, Greek where it is, with its suffix as an index.

    >>> latex_name("tau_m"), latex_name("v_decay"), latex_name("V")
    ('\\\\tau_{m}', 'v_{decay}', 'V')
    """
    stem, _, rest = name.rstrip("_").partition("_")
    head = f"\\{stem}" if stem in _GREEK else stem
    return f"{head}_{{{rest.replace('_', ',')}}}" if rest else head


def latex_text(expr: Expr) -> str:
    """Return `expr` as LaTeX.

    >>> latex_text(Apply("/", (Var("x"), Var("tau_m"))))
    '\\\\frac{x}{\\\\tau_{m}}'
    """
    return _print(expr)[0]


def _print(expr: Expr) -> tuple[str, int]:
    match expr:
        case Num(value):
            return f"{value:g}", 5 if value >= 0 else 2
        case Var(name):
            return latex_name(name), 5
        case Apply("/", (left, right)):
            return rf"\frac{{{latex_text(left)}}}{{{latex_text(right)}}}", 4
        case Apply("^", (left, right)):
            return f"{_inside(left, 4)}^{{{latex_text(right)}}}", 3
        case Apply("*", (left, right)):
            return rf"{_inside(left, 2)}\, {_inside(right, 3)}", 2
        case Apply("+" | "-" as fn, (left, right)):
            return f"{_inside(left, 1)} {fn} {_inside(right, 2)}", 1
        case Apply("neg", (inner,)):
            return f"-{_inside(inner, 2)}", 2
        case Apply("exp", (inner,)):
            return f"e^{{{latex_text(inner)}}}", 3
        case Apply("abs", (inner,)):
            return rf"\left|{latex_text(inner)}\right|", 5
        case Apply("if" | "where" | "reset", (test, then, other)):
            cases = rf"{latex_text(then)} & {latex_text(test)} \\ {latex_text(other)} & \text{{else}}"
            return rf"\begin{{cases}} {cases} \end{{cases}}", 5
        case Apply(fn, (left, right)) if fn in _RELATIONS:
            return f"{latex_text(left)} {_RELATIONS[fn]} {latex_text(right)}", 0
        case Apply(fn, args):
            listed = ", ".join(latex_text(a) for a in args)
            return rf"\operatorname{{{fn}}}\left({listed}\right)", 5


def _inside(expr: Expr, binds: int) -> str:
    text, own = _print(expr)
    return text if own >= binds else rf"\left({text}\right)"
