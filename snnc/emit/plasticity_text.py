"""Prints the step of a plasticity rule: traces in the shape they are kept in, changes of weights as means over the batch."""

from __future__ import annotations

from collections.abc import Iterable

from snnc.emit.names import field_name, local_name
from snnc.emit.pytext import python_text
from snnc.emit.statement_text import LineView, one_line, place
from snnc.expr import Apply, Expr, Num, Var, apply, variables
from snnc.lower.plasticity import Move, Moves, PlasticBody
from snnc.lower.weight_changes import Product, change_of, products
from snnc.semantics.plasticity import WEIGHT

_FORMALS = ("w", "pre", "post", "share")
_WIDER = {"pre": "[:, :, None]", "sample": "[:, :, None]", "post": "[:, None, :]"}  # to [B, pre, post]


class RuleLines:
    """The lines of one rule; `constants` are the names that it reads from `p`."""

    def __init__(self, body: PlasticBody, constants: Iterable[str]) -> None:
        self.body, self.constants = body, set(constants)
        self.kinds = dict(body.kinds)
        self.traces = {trace.name for trace in body.rule.traces}
        self.written: set[str] = set()

    def reads(self, moves: Moves) -> set[str]:
        """Return the names that simultaneous moves read."""
        return {moves.event, *(name for move in moves.moves for name in variables(move.value))}

    def local(self, name: str) -> str:
        """Return the local variable of a trace."""
        text = local_name(name)
        return f"{text}_" if text in _FORMALS else text

    def all(self) -> tuple[LineView, ...]:
        lines = [line for moves in self.body.steps for line in self._block(moves)]
        lines += [
            LineView("", f"{self.local(t)} = s.{field_name(t)}")
            for t in (trace.name for trace in self.body.rule.traces)
            if t not in self.written
        ]
        return (*lines, *self._bounds())

    def _bounds(self) -> list[LineView]:
        rule, lines = self.body.rule, []
        if rule.clip is not None:
            low, high = (python_text(end, self._name) for end in rule.clip)
            lines.append(LineView("clip", f"w = jnp.clip(w, {low}, {high})"))
        if rule.total is not None:
            total, per = rule.total
            axis = 0 if per == "post" else 1
            lines.append(
                LineView(f"normalize, per {per}", f"w = scaled_to(w, {python_text(total, self._name)}, {axis})")
            )
        return lines

    def _name(self, name: str) -> str:
        if name == "dt":
            return "DT"
        if name in self.constants:
            return f"p.{field_name(name)}"
        if name in self.traces:
            return self.local(name) if name in self.written else f"s.{field_name(name)}"
        return name if name in (WEIGHT, "pre", "post") else local_name(name)

    def _wide(self, name: str) -> str:
        """Return a name as what fits [B, pre, post]."""
        return self._name(name) + _WIDER.get(self.kinds.get(name, ""), "")

    def _block(self, moves: Moves) -> list[LineView]:
        """Print simultaneous moves; what a later one still reads is written last."""
        lines, late = [], []
        for k, move in enumerate(moves.moves):
            later = {name for other in moves.moves[k + 1 :] for name in variables(other.value)}
            after = WEIGHT if move.target == WEIGHT else self.local(move.target)
            if move.target in later:
                late.append((move.target, after, f"{after}_after"))
                after = f"{after}_after"
            on = f"on {moves.event}: " if moves.event else ""
            text = self._weight(move, moves.event) if move.target == WEIGHT else self._trace(move, moves.event)
            lines.append(LineView(f"{on}{one_line(move.note)[:70]}  ({place(move.span)})", f"{after} = {text}"))
            if move.target not in later:
                self.written.add(move.target)
        for target, name, after in late:
            lines.append(LineView("", f"{name} = {after}"))
            self.written.add(target)
        return lines

    # ---- traces ---------------------------------------------------------------------

    def _trace(self, move: Move, event: str) -> str:
        wide = self.kinds[move.target] == "synapse"
        spell = self._wide if wide else self._name
        old = self._name(move.target)
        if not event:
            value = python_text(move.value, spell)
            return value if move.target in variables(move.value) else f"jnp.broadcast_to({value}, {old}.shape)"
        return f"jnp.where({spell(event)} != 0.0, {python_text(move.value, spell)}, {old})"

    # ---- weights --------------------------------------------------------------------

    def _weight(self, move: Move, event: str) -> str:
        texts: dict[str, str] = {}
        total: Expr = Var(WEIGHT)
        for product in products(change_of(move.value), self.kinds):
            term = self._product(product, event, texts)
            total = apply("+" if product.sign > 0 else "-", total, term)
        return python_text(total, lambda name: texts.get(name) or self._name(name))

    def _product(self, product: Product, event: str, texts: dict[str, str]) -> Expr:
        """Return the mean of a product over the batch; what stands for means goes to `texts`."""
        pre, post = list(product.pre), list(product.post)
        happened = f"happened({self._name(event)})" if event else ""
        if happened and not product.whole:
            texts["happened."] = happened
            (post if self.kinds[event] == "post" else pre).insert(0, Var("happened."))

        def text(factors: list[Expr]) -> str:
            return python_text(_times(factors), lambda name: texts.get(name) or self._name(name))

        mean = ""
        if product.whole:
            whole = python_text(_times(list(product.whole)), self._wide)
            on = f"jnp.where({self._wide(event)} != 0.0, {whole}, 0.0)" if event else whole
            mean = f"mean_per_synapse(share, {on})"
        elif pre and post:
            mean = f"mean_product(share, {text(pre)}, {text(post)})"
        elif pre:
            mean = f"mean_per_pre(share, {text(pre)})"
        elif post:
            mean = f"mean_per_post(share, {text(post)})"
        factors = list(product.scale)
        if mean:
            name = f"mean{len(texts)}."
            texts[name] = mean
            factors.append(Var(name))
        return _times(factors)


def _times(factors: list[Expr]) -> Expr:
    result: Expr = Num(1.0)
    for factor in factors:
        result = Apply("*", (result, factor)) if result != Num(1.0) else factor
    return result
