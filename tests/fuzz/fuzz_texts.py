"""Texts to break the compiler with: real files mutated, derivations of the grammar, soups of tokens, noise.

`make_text(seed, index)` is the same text on every machine that has the same files.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from snnc.resources import resource_folder
from snnc.syntax.tables import load_tables

HERE = Path(__file__).resolve().parent
FOLDERS = (
    resource_folder("models"),
    HERE.parent / "syntax" / "snippets",
    HERE.parent / "errors" / "cases",
    HERE.parent / "emit" / "models",
    HERE.parents[2] / "shared" / "design" / "examples",
)
PIECE = re.compile(
    r"[ \t]+|#[^\n]*|[A-Za-z_]\w*'?|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|->|[-+*/<>=!]=|\"[^\"\n]*\"|\n|.", re.DOTALL
)
NAMES = [
    *("v", "u", "tau", "theta", "h", "out", "pixels", "LIF", "LI", "dense", "x", "I", "w", "a", "b"),
    *("A", "N", "dt", "spike", "logits", "label", "ms", "mV", "pA", "step", "inf", "pi", "exp", "atan"),
]
ODD_NUMBERS = ["0", "1", "2", "0.5", "1.5", "1e-300", "1e18", "1e999", "9" * 400, "1000000000", "00", "1 ms", "3 mV"]
ODD_STRINGS = ['""', '"a"', '"../a.snn"', '"\\0"', '"*"', '"["', '"a:b"', '"\\""', '"é"']
ODD_TOKENS = [
    *("inf", "0", "-1", "1e999", "0.5", "1e18", "00", "9" * 400, "true", "false", '"a"', '"\\q"', '"', "dt", "time"),
    *("spike", "[1]", "[]", "()", "{", "}", "{}", "(", ")", "->", "log(-1)", "1 ms", "1 ms/ms", "LIF", "self.fc1"),
    *("dv/dt = 1", "v'", "v''", "'", "**", "++", ";", ";;", "\\", "#", "##", "## d", "edition 2026", "edition", ".5"),
    *("_", "__class__", "{{ 7 }}", "{% raw %}", '"""', "lambda", "import os", "python", "~", "@", "!", "\t", "\r"),
]
ODD_CHARACTERS = [
    *"\0\x01\x07\x1b\x7f\x85\xa0\xad\u00b5\u00d7\u00e9\u03bc\u03c4\u200b\u200d\u202e\u2028\u2029\u2066\u2192\u2212\u2265",
    *"\u2019\u201c\u3000\ufeff\ufffd\uff1d\U0001f9e0\U000e0041\U0010ffff'\"`\\{}[]()#;\n\r\t\f\v",
    "e\u0301", "\u0301" * 50, "\r\n", "\ud800", "(" * 120, "- " * 150, "\n" * 30, "9" * 500,
]  # fmt: skip


@cache
def seed_texts() -> tuple[tuple[str, ...], ...]:
    """Return the texts of all real files by folder: models and standard library, snippets, wrong models, examples."""
    paths = [sorted(folder.glob("**/*.snn")) for folder in FOLDERS]
    texts = (tuple(path.read_text(encoding="utf-8", errors="replace") for path in folder) for folder in paths)
    return tuple(folder for folder in texts if folder)


def _file(chance: random.Random) -> str:
    return chance.choice(chance.choice(seed_texts()))


def make_text(seed: int, index: int) -> tuple[str, str]:
    """Return the kind and the text of number `index`; one of four is no mutation of a real file."""
    chance = random.Random(f"{seed}/{index}")
    kind = chance.choices(list(KINDS), weights=[weight for _, weight in KINDS.values()])[0]
    return kind, KINDS[kind][0](chance)


def mutate_tokens(chance: random.Random) -> str:
    """Delete, double, swap, copy or replace one to three tokens of a file."""
    return "".join(_mutate(chance, PIECE.findall(_file(chance)), ODD_TOKENS))


def mutate_words(chance: random.Random) -> str:
    """Replace one to four names, numbers or strings by others of their kind, so that most of the texts still parse."""
    pieces = PIECE.findall(_file(chance))
    places: dict[str, list[int]] = {}
    for place, piece in enumerate(pieces):
        places.setdefault(_kind(piece), []).append(place)
    kinds = [kind for kind in ("name", "number", "string") if kind in places]
    for _ in range(chance.randint(1, 4)):
        kind = chance.choice(kinds)
        odd = {"name": NAMES, "number": ODD_NUMBERS, "string": ODD_STRINGS}[kind]
        others = [pieces[place] for place in places[kind]]
        pieces[chance.choice(places[kind])] = chance.choice([chance.choice(others), chance.choice(odd)])
    return "".join(pieces)


def _kind(piece: str) -> str:
    if piece[0] == '"' and len(piece) > 1:
        return "string"
    if piece[0].isalpha() and piece[-1] != "'" and piece not in load_tables().words:
        return "name"
    return "number" if piece[0].isdigit() else ""


def mutate_lines(chance: random.Random) -> str:
    """Delete, double, swap, copy or replace lines; a new line comes from another file."""
    lines = _file(chance).split("\n")
    return "\n".join(_mutate(chance, lines, _file(chance).split("\n")))


def mutate_characters(chance: random.Random) -> str:
    """Delete, double, swap, copy or replace characters; insert odd ones of Unicode."""
    return "".join(_mutate(chance, list(_file(chance)), ODD_CHARACTERS))


def splice(chance: random.Random) -> str:
    """Return the start of a file and the end of another, cut between tokens or anywhere."""
    split: Callable[[str], list[str]] = chance.choice([PIECE.findall, list])
    first, second = split(_file(chance)), split(_file(chance))
    return "".join(first[: chance.randint(0, len(first))] + second[chance.randint(0, len(second)) :])


def soup(chance: random.Random) -> str:
    """Return random tokens of the language, half of the time inside a neuron."""
    tables = load_tables()
    vocabulary = [*tables.words, *tables.symbols, *NAMES, *ODD_TOKENS, *("\n",) * 12]
    text = chance.choice(["", " "]).join(chance.choices(vocabulary, k=chance.randint(0, 120)))
    return chance.choice([text, f"edition 2026\n{text}\n", f"edition 2026\nneuron A {{\n{text}\n}}\n"])


def noise(chance: random.Random) -> str:
    """Return random characters, of ASCII or of all Unicode."""
    top = chance.choice([0x7F, 0xFF, 0x2FFF, 0x10FFFF])
    return "".join(chr(chance.randint(0, top)) for _ in range(chance.randint(0, 300)))


def derive(chance: random.Random) -> str:
    """Return a text that the grammar derives, words chosen at random among common names."""
    rules, depths = _grammar()
    out: list[str] = []
    todo: list[tuple[str, int]] = [("start", chance.randint(8, 40))]
    while todo:
        symbol, depth = todo.pop()
        if symbol not in rules:
            out.append(_word(chance, symbol))
            continue
        choices = [parts for parts in rules[symbol] if all(depths.get(part, 0) < depth for part in parts)]
        if not choices or len(out) + len(todo) > 600:
            least = min(_depth(parts, depths) for parts in rules[symbol])
            choices = [parts for parts in rules[symbol] if _depth(parts, depths) == least]
        todo += [(part, depth - 1) for part in reversed(chance.choice(choices))]
    text = " ".join(out)
    return text if text.startswith("edition") else f"edition 2026\n{text}"


def _mutate(chance: random.Random, pieces: list[str], odd: list[str]) -> list[str]:
    for _ in range(chance.choice([1, 1, 2, 3])):
        i, j = chance.randrange(len(pieces) + 1), chance.randrange(len(pieces) + 1)
        low, high = min(i, j), min(max(i, j), min(i, j) + chance.choice([1, 1, 3, 30]))
        match chance.choice(["delete", "double", "swap", "copy", "odd", "insert"]):
            case "delete":
                del pieces[low:high]
            case "double":
                pieces[low:low] = pieces[low:high]
            case "swap" if i < len(pieces) and j < len(pieces):
                pieces[i], pieces[j] = pieces[j], pieces[i]
            case "copy":
                pieces[i:i] = pieces[j : j + 1]
            case "odd":
                pieces[i : i + 1] = [chance.choice(odd)]
            case _:
                pieces[i:i] = [chance.choice(odd)]
    return pieces


@cache
def _grammar() -> tuple[dict[str, list[tuple[str, ...]]], dict[str, int]]:
    """Return the productions of each rule, and the least depth of a derivation of each."""
    from lark import Lark

    lark = Lark((resource_folder("grammar") / "snn.lark").read_text(encoding="utf-8"), parser="lalr")
    rules: dict[str, list[tuple[str, ...]]] = {}
    for rule in lark.rules:
        origin, parts = _symbol(rule.origin), tuple(_symbol(part) for part in rule.expansion)
        rules.setdefault(origin, []).append(parts)
    depths: dict[str, int] = {}
    for _ in rules:
        for name, productions in rules.items():
            known = [
                _depth(parts, depths) for parts in productions if all(p not in rules or p in depths for p in parts)
            ]
            if known:
                depths[name] = 1 + min(known)
    return rules, depths


def _depth(parts: tuple[str, ...], depths: dict[str, int]) -> int:
    return max((depths.get(part, 0) for part in parts), default=0)


def _symbol(symbol: Any) -> str:
    return str(symbol.name)


def _word(chance: random.Random, terminal: str) -> str:
    match terminal:
        case "NAME":
            return chance.choice([*NAMES, *NAMES, *load_tables().words])
        case "DERIV":
            return chance.choice(["v'", "u'", "w'"])
        case "NUMBER":
            return chance.choice(["0", "1", "10", "0.5", "2e-3", "1e999", "2026"])
        case "STRING":
            return chance.choice(['"a"', '""', '"m.snn"', '"a:b"', '"\\n"', '"é"'])
        case "_NL":
            return chance.choice(["\n", "\n", "\n\n", ";", "# c\n", "\n## doc\n"])
        case _:
            return load_tables().spellings[terminal]


KINDS: dict[str, tuple[Callable[[random.Random], str], int]] = {
    "words": (mutate_words, 25),
    "tokens": (mutate_tokens, 20),
    "lines": (mutate_lines, 13),
    "characters": (mutate_characters, 12),
    "splice": (splice, 10),
    "grammar": (derive, 12),
    "soup": (soup, 6),
    "noise": (noise, 2),
}
