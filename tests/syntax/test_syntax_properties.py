"""Generated files: print and parse are inverse, formatting is stable, and no text brings the parser down."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnc.diagnostics import CompileError, Findings
from snnc.source import Source
from snnc.syntax import nodes as n
from snnc.syntax.format import format_text
from snnc.syntax.lex import scan
from snnc.syntax.parse import parse
from snnc.syntax.tables import load_tables
from snnc.syntax.unparse import unparse, unparse_expr

EDITION = n.Edition(2026)
WORDS = st.sampled_from(["v", "tau_m", "x1", "E_L", "when", "hold", "w"])
NUMBERS = st.builds(n.Number, st.sampled_from(["0", "1.5", "2e-3", "10"]), st.sampled_from([None, "ms", "mV", "step"]))
DOTTED = st.lists(WORDS, min_size=1, max_size=3).map(lambda parts: n.Name(tuple(parts)))
STRINGS = st.text(st.sampled_from('ab"\\\n\t\rn é'), max_size=5).map(n.String)
DOCS = (
    st.lists(st.sampled_from(["", "a word", "  # b"]), max_size=3).map("\n".join).filter(lambda d: d.strip() or not d)
)


def tuples(items: st.SearchStrategy, least: int = 0) -> st.SearchStrategy:
    return st.lists(items, min_size=least, max_size=3).map(tuple)


def compound(inner: st.SearchStrategy) -> st.SearchStrategy:
    arithmetic = st.sampled_from(["+", "-", "*", "/", "%", "^", "and", "or"])
    return st.one_of(
        st.builds(n.Binary, arithmetic, inner, inner),
        st.builds(n.Unary, st.sampled_from(["-", "not"]), inner),
        st.builds(n.Compare, st.sampled_from([">=", "<=", "==", "!=", ">", "<"]), inner, inner),
        st.builds(n.Cond, inner, inner, inner),
        st.builds(n.Call, DOTTED, tuples(st.one_of(st.builds(n.Arg, st.none(), inner), named_args(inner)))),
        st.builds(n.Index, DOTTED, tuples(inner)),
        st.builds(n.ListExpr, tuples(inner)),
    )


def modifiers(inner: st.SearchStrategy) -> st.SearchStrategy:
    return tuples(
        st.one_of(
            st.builds(n.Mod, st.just("in"), st.tuples(inner, inner)),
            st.builds(n.Mod, st.just("per"), word=st.sampled_from(["neuron", "layer", "pre"])),
            st.builds(n.Mod, st.just("trainable"), st.sampled_from([(), (n.Name(("exp",)),)])),
            st.just(n.Mod("carry")),
        )
    )


def named_args(inner: st.SearchStrategy) -> st.SearchStrategy:
    return st.builds(n.Arg, WORDS, inner, st.booleans(), modifiers(inner))


EXPRESSIONS = st.recursive(
    st.one_of(NUMBERS, DOTTED, STRINGS, st.builds(n.Bool, st.booleans())), compound, max_leaves=12
)
SHORT = st.one_of(NUMBERS, DOTTED, st.builds(n.Binary, st.just("-"), NUMBERS, DOTTED))
OPTIONAL = st.none() | SHORT
TYPES = st.none() | st.builds(n.Type, WORDS, st.none() | tuples(SHORT))
ASSIGNS = tuples(st.builds(n.Assign, WORDS, st.sampled_from(["=", "+=", "-=", "*=", "/="]), SHORT))
CLAUSES = st.one_of(
    st.builds(n.Param, WORDS, TYPES, SHORT, st.booleans(), modifiers(SHORT), DOCS),
    st.builds(n.State, WORDS, TYPES, SHORT, st.booleans(), modifiers(SHORT), DOCS),
    st.builds(n.Port, st.sampled_from(["input", "event"]), WORDS, TYPES, OPTIONAL, DOCS),
    st.builds(n.Ode, WORDS, SHORT),
    st.builds(n.On, WORDS, st.sampled_from(["start", "end"]), ASSIGNS, st.just(True)),
    st.builds(n.Spike, SHORT, st.none(), OPTIONAL, st.booleans(), OPTIONAL, ASSIGNS),
    st.builds(n.Spike, st.none(), SHORT, st.none(), st.just(False), OPTIONAL, ASSIGNS),
    st.builds(n.Refractory, SHORT, tuples(WORDS), tuples(WORDS)),
    st.builds(n.Detach, tuples(WORDS)),
    st.builds(n.Clip, WORDS, SHORT, SHORT),
)
INSTANCES = st.builds(n.Instance, DOTTED, st.none() | tuples(SHORT), tuples(named_args(SHORT)), st.none() | WORDS)
EDGES = st.one_of(
    st.builds(n.Setting, DOTTED, SHORT),
    st.builds(n.Chain, tuples(DOTTED | INSTANCES, 2), DOCS),
    st.builds(n.Output, WORDS, OPTIONAL, DOCS),
)
ITEMS = st.one_of(
    st.builds(n.Const, WORDS, EXPRESSIONS, DOCS),
    st.builds(n.Neuron, WORDS, tuples(CLAUSES), DOCS),
    st.builds(n.Network, WORDS, tuples(st.builds(n.Formal, WORDS, TYPES, OPTIONAL)), tuples(EDGES), DOCS),
)
FILES = st.builds(n.File, st.just(EDITION), tuples(ITEMS), DOCS)


@given(EXPRESSIONS)
@settings(max_examples=150, deadline=None)
def test_an_expression_survives_printing(expr):
    file = parse(Source("m.snn", f"edition 2026\nconst x = {unparse_expr(expr)}\n"))

    assert n.Const("x", expr) == file.items[0]


@given(FILES)
@settings(max_examples=100, deadline=None)
def test_a_file_survives_printing_and_printing_is_canonical(file):
    text = unparse(file)

    assert file == parse(Source("m.snn", text))
    assert text == format_text(Source("m.snn", text))


@given(FILES, st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_formatting_undoes_any_layout(file, chance):
    """Space, comments, blank lines and `;` strewn over a file change nothing but the layout."""
    messy = strew(unparse(file), chance)
    source = Source("m.snn", messy)

    formatted = format_text(source)

    assert parse(source) == parse(Source("m.snn", formatted))
    assert formatted == format_text(Source("m.snn", formatted))
    assert comments(messy) == comments(formatted)


def strew(text: str, chance: random.Random) -> str:
    out, parens = [], 0
    for token in scan(Source("", text), Findings()):
        before = [" ", "  ", "\t"]
        if parens or (out and out[-1][-1] in "+*/,=~"):
            before += ["\n", " # why\n", "\n\n  # own\n", "\n## not a doc\n"]
        if token.text == "->":
            before += ["\n", " # on\n  # the way\n"]
        after = [" ; \n", "\n", "  # end\n", "\n\n\n", "\n# above\n"] if token.is_newline else [""]
        parens += token.text in ("(", "[")
        parens -= token.text in (")", "]")
        is_comment = token.kind == "COMMENT"
        if not token.is_newline and out:
            out.append(chance.choice(before[:1] if is_comment else before))
        out.append(chance.choice(after) if token.is_newline else token.text)
        if token.text in "{}" and chance.random() < 0.3:
            out.append("\n" if token.text == "{" else ";")
    return "".join(out)


def comments(text: str) -> list[str]:
    return [token.text.rstrip() for token in scan(Source("", text), Findings()) if token.kind == "COMMENT"]


SOUP = st.lists(
    st.sampled_from(
        [
            *sorted(load_tables().words),
            *load_tables().symbols,
            *("x", "v'", "dv", "/", "dt", "=", "2026", "1", "ms", "/ms", ";", '"', '"s"', "\\", "@", "#", "## d", "é"),
            *("\r", "\n", "\t", "\n", "\n", "{", "}", "(", ")"),
        ]
    ),
    max_size=60,
)


@given(SOUP, st.booleans())
@settings(max_examples=400, deadline=None)
def test_token_soup_only_ever_gives_a_compile_error(pieces, spaced):
    text = "edition 2026\nneuron A {\n" + (" " if spaced else "").join(pieces) + "\n}\n"
    try:
        file = parse(Source("m.snn", text))
    except CompileError:
        return
    assert file == parse(Source("m.snn", format_text(Source("m.snn", text))))


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda data: data.decode("latin-1")))
@settings(max_examples=200, deadline=None)
def test_noise_only_ever_gives_a_compile_error(text):
    with pytest.raises(CompileError):
        parse(Source("m.snn", text))


@pytest.mark.parametrize(
    "text",
    [
        "(" * 10_000,
        "edition 2026\nconst x = " + "[" * 10_000 + "]" * 10_000,
        "edition 2026\n" + "neuron A {" * 10_000,
        "edition 2026\nconst x = " + "- " * 100_000,
        "edition 2026\nconst x = " + "2^" * 20_000 + "2",
        "edition 2026\nconst x = " + "a if b else " * 10_000 + "c",
        "edition 2026\nconst x = " + "1 + " * 10_000 + "1",
        "edition 2026\nconst x = 1\n" * 80_000,
        "#" * 2_000_000,
        '"' * 300_000,
        "\0\x01\xff" * 1000,
    ],
    ids=lambda text: repr(text[:30]),
)
def test_hostile_text_gives_a_compile_error(text):
    with pytest.raises(CompileError):
        parse(Source("m.snn", text))


@pytest.mark.parametrize(
    "value", ["f(" * 99 + "1" + ")" * 99, "-" * 199 + "1", "1" + " + 1" * 199, "[" * 100 + "]" * 100, "1^" * 199 + "1"]
)
def test_the_deepest_allowed_expressions_can_be_compared_printed_and_formatted(value):
    text = f"edition 2026\n\nconst x = {value}\n"
    source = Source("m.snn", text)

    assert parse(source) == parse(source)
    assert text == unparse(parse(source)) == format_text(source)
    assert hash(parse(source))
    assert repr(parse(source))
