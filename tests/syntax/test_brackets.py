"""Brackets without a partner: each is found where it was forgotten, and what stands around it is still read."""

from __future__ import annotations

import pytest

from snnc.diagnostics import CompileError
from snnc.source import Source
from snnc.syntax.parse import parse

CELL = "neuron Cell {\n  param tau = 10 ms\n  state v = 0\n  v' = -v / tau\n  spike when v >= 1 { v = 0 }\n}\n"
NET = "network Net {\n  dt = 1 ms\n  layer h = LIF[3](tau = 2 ms)\n  x -> dense(3) -> h\n}\n"

# what is replaced by what -> code and line of each finding
CASES = {
    "an import": (("import a (b)", "import a (b"), ["E0103:2"]),
    "the block of a neuron": (("{ v = 0 }\n}", "{ v = 0 }"), ["E0103:3"]),
    "a block in one line": (("{ v = 0 }", "{ v = 0"), ["E0103:7"]),
    "a block in one line, then a clause": (("{ v = 0 }", "{ v = 0\n  refractory 2 ms"), ["E0103:7"]),
    "an argument list": (("(tau = 2 ms)", "(tau = 2 ms"), ["E0103:11"]),
    "an argument list in the last statement": (("dense(3) -> h", "dense(3 -> h"), ["E0103:12"]),
    "an argument list that goes on": (("(tau = 2 ms)", "(tau = 2 ms,\n    theta = 1"), ["E0103:11"]),
    "a size": (("LIF[3]", "LIF[3"), ["E0103:11"]),
    "a bracket too many": (("-v / tau", "-v / tau)"), ["E0103:6"]),
    "a brace too many": (("  x -> dense", "  }\n  x -> dense"), ["E0103:12"]),
    "a bracket of another kind": (("LIF[3]", "LIF[3)"), ["E0103:11"]),
    "an inner bracket": (("dense(3)", "dense([3, 4)"), ["E0103:12"]),
    "two in one line": (("LIF[3](tau = 2 ms)", "LIF[3(tau = 2 ms"), ["E0103:11", "E0103:11"]),
    "one in each block": (("LIF[3]", "LIF[3"), ["E0103:6", "E0103:11"]),
}


def findings(text):
    with pytest.raises(CompileError) as caught:
        parse(Source("m.snn", text))
    return [f"{found.code}:{found.span.line}" for found in caught.value.diagnostics]


@pytest.mark.parametrize("case", CASES)
def test_a_forgotten_bracket_is_one_finding_at_its_line(case):
    (old, new), expected = CASES[case]
    text = f"edition 2026\nimport a (b)\n{CELL}{NET}"
    assert old in text
    if case == "one in each block":
        text = text.replace("-v / tau", "-(v / tau")

    assert findings(text.replace(old, new)) == expected


def test_other_mistakes_are_reported_beside_a_bracket():
    text = f"edition 2026\nimport a (b\n{CELL}{NET}".replace("state v", "stat v").replace("dt = 1 ms", "dt = = 1 ms")

    assert findings(text) == ["E0103:2", "E0101:5", "E0101:10"]


def test_a_wrong_character_hides_only_what_may_follow_from_it():
    text = f"edition 2026\nimport a (b)\n{CELL}{NET}".replace("tau = 10 ms", "tau = § 10 ms").replace(
        "dt = 1", "dt = = 1"
    )

    assert findings(text) == ["E0102:4", "E0101:10"]


def test_brackets_alone_never_take_long():
    assert len(findings("edition 2026\n" + "const a = (1\n" * 90)) == 20
    assert findings("edition 2026\n" + "const a = (1\n" * 20_000) == ["E0107:102"]
