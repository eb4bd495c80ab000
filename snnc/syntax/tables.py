"""The tables of the parser: made by Lark from `grammar/snn.lark`, kept as JSON, loaded without Lark.

`python -m snnc.syntax.tables` rewrites `grammar.json`; a test compares its hash with the grammar. Building the tables
takes half a second and needs Lark; loading them takes milliseconds and needs nothing else.
"""

from __future__ import annotations

import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from snnc.resources import resource_folder

TABLES_PATH = Path(__file__).with_name("grammar.json")


class Rule(NamedTuple):
    """One production. `plan` says what becomes of each value: keep it, splice the list it is, or insert a None."""

    origin: str  # the non-terminal it makes
    action: str  # the action in build.py; empty: the values stay a list, to be spliced
    size: int  # number of symbols on its right side
    plan: tuple[int | None, ...]  # i: keep value i; -i-1: splice value i; None: an optional part is absent
    is_unit: bool  # a single value passes through without an action


class Tables(NamedTuple):
    """What the parser needs. An entry of a state is a state to go to (>= 0) or -r-1, reduce by rule r."""

    grammar_hash: str
    scanner: re.Pattern[str]  # one named group for each kind of token
    symbols: dict[str, str]  # text of a punctuation mark -> its terminal
    words: dict[str, str]  # text of a keyword -> its terminal
    rules: tuple[Rule, ...]
    states: list[dict[str, int]]  # state 0 is the first; terminals are upper case, non-terminals lower case

    @property
    def spellings(self) -> dict[str, str]:
        """Return terminal -> text, for keywords and punctuation."""
        return {name: text for text, name in (*self.symbols.items(), *self.words.items())}


@cache
def load_tables() -> Tables:
    """Return the tables in `grammar.json`."""
    data = json.loads(TABLES_PATH.read_text(encoding="utf-8"))
    rules = tuple(Rule(origin, action, size, tuple(plan), unit) for origin, action, size, plan, unit in data["rules"])
    scanner = re.compile(data["scanner"])
    return Tables(data["grammar_hash"], scanner, data["symbols"], data["words"], rules, data["states"])


def grammar_hash(grammar: str) -> str:
    """Return the hash that ties `grammar.json` to the text of the grammar."""
    return hashlib.sha256(grammar.encode()).hexdigest()


def make_tables(grammar: str, *, strict: bool = False) -> str:
    """Return the text of `grammar.json`; the same text for the same grammar.

    Raises:
        lark.exceptions.GrammarError: for a conflict; with `strict` also for tokens that overlap (needs interegular).
    """
    from lark import Lark
    from lark.grammar import Rule as LarkRule
    from lark.lexer import TerminalDef

    lark = Lark(grammar, parser="lalr", lexer="contextual", maybe_placeholders=True, strict=strict)
    data, memo = lark.memo_serialize([TerminalDef, LarkRule])
    parser = data["parser"]["parser"]
    numbers, states = _number_states(parser)
    rules = sorted((number for number, item in memo.items() if item["__type__"] == "Rule"), key=lambda n: _key(memo[n]))
    reductions = {rule: -number - 1 for number, rule in enumerate(rules)}
    terminals = [term for term in memo.values() if term["__type__"] == "TerminalDef"]
    strings = sorted((t["pattern"]["value"], t["name"]) for t in terminals if t["pattern"]["__type__"] == "PatternStr")
    symbols = {text: name for text, name in strings if not text[0].isalpha()}
    out: dict[str, Any] = {
        "grammar_hash": grammar_hash(grammar),
        "scanner": _scanner([t for t in terminals if t["pattern"]["__type__"] == "PatternRE"], list(symbols)),
        "symbols": symbols,
        "words": {text: name for text, name in strings if text[0].isalpha()},
        "rules": [_rule(memo[number]) for number in rules],
        "states": [
            {s: numbers[to] if kind == 0 else reductions[to["@"]] for s, (kind, to) in state.items()}
            for state in states
        ],
    }
    return _one_row_a_line(out)


def _number_states(parser: dict[str, Any]) -> tuple[dict[int, int], list[dict[str, Any]]]:
    """Return state -> new number, in an order that does not depend on Lark's, and the states in that order."""
    named = {
        state: dict(sorted((parser["tokens"][token], entry) for token, entry in row.items()))
        for state, row in parser["states"].items()
    }
    order = [parser["start_states"]["start"]]
    numbers = {order[0]: 0}
    for state in order:
        for kind, target in named[state].values():
            if kind == 0 and target not in numbers:
                numbers[target] = len(order)
                order.append(target)
    return numbers, [named[state] for state in order]


def _key(rule: dict[str, Any]) -> tuple[str, list[str]]:
    return rule["origin"]["name"], [symbol["name"] for symbol in rule["expansion"]]


def _rule(rule: dict[str, Any]) -> list[Any]:
    options, expansion = rule["options"], rule["expansion"]
    absent = [len(run) for run in "".join(str(int(empty)) for empty in options["empty_indices"]).split("0")]
    plan: list[int | None] = []
    for index, symbol in enumerate(expansion):
        if options["empty_indices"]:
            plan += [None] * absent[index]
        if symbol["__type__"] == "NonTerminal":
            plan.append(-index - 1 if symbol["name"].startswith("_") else index)
        elif options["keep_all_tokens"] or not symbol["filter_out"]:
            plan.append(index)
    if options["empty_indices"]:
        plan += [None] * absent[len(expansion)]
    origin = rule["origin"]["name"]
    action = "" if origin.startswith("_") else rule["alias"] or origin
    return [origin, action, len(expansion), plan, bool(options["expand1"] and not rule["alias"])]


def _scanner(terminals: list[dict[str, Any]], symbols: list[str]) -> str:
    ordered = sorted(terminals, key=lambda t: (-t["priority"], t["name"]))
    marks = "|".join(re.escape(text) for text in sorted(symbols, key=lambda text: (-len(text), text)))
    groups = [f"(?P<{t['name']}>{t['pattern']['value']})" for t in ordered]
    return "|".join([*groups, f"(?P<SYMBOL>{marks})"])


def _one_row_a_line(data: dict[str, Any]) -> str:
    parts = []
    for key, value in data.items():
        if isinstance(value, list):
            rows = ",\n".join(json.dumps(row, separators=(",", ":")) for row in value)
            parts.append(f'"{key}": [\n{rows}\n]')
        else:
            parts.append(f'"{key}": {json.dumps(value)}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main() -> None:
    """Rewrite `grammar.json` from the grammar."""
    try:
        import lark  # noqa: F401
    except ImportError:
        raise SystemExit("building the tables needs Lark: pip install 'snnc[test]'") from None
    grammar = (resource_folder("grammar") / "snn.lark").read_text(encoding="utf-8")
    TABLES_PATH.write_text(make_tables(grammar), encoding="utf-8")


if __name__ == "__main__":
    main()
