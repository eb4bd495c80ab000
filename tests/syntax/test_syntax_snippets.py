"""Whole files: they parse, print, format stably, and agree with Lark's own reading of the grammar."""

import hashlib
from pathlib import Path

import pytest
from lark import Lark

from snnc.diagnostics import Findings
from snnc.resources import resource_folder
from snnc.source import Source
from snnc.syntax import nodes
from snnc.syntax.format import format_text
from snnc.syntax.lex import scan
from snnc.syntax.parse import parse, parse_tokens
from snnc.syntax.tables import TABLES_PATH, load_tables, make_tables
from snnc.syntax.unparse import unparse

SNIPPETS = sorted((Path(__file__).parent / "snippets").glob("*.snn"))
MODELS = sorted(resource_folder("models").glob("**/*.snn"))
EXAMPLES = sorted((Path(__file__).parents[2].parent / "shared" / "design" / "examples").glob("**/*.snn"))
GRAMMAR = (resource_folder("grammar") / "snn.lark").read_text(encoding="utf-8")


def read(path: Path) -> Source:
    return Source(path.name, path.read_text(encoding="utf-8"))


def comments(text: str) -> list[str]:
    return [token.text.rstrip() for token in scan(Source("", text), Findings()) if token.kind == "COMMENT"]


def check_stable(source: Source) -> None:
    """Formatting keeps the nodes and the comments and changes nothing the second time; printing keeps the nodes."""
    tree = parse(source)
    formatted = format_text(source)

    assert tree == parse(Source("formatted", formatted))
    assert formatted == format_text(Source("formatted", formatted))
    assert comments(source.text) == comments(formatted)
    assert tree == parse(Source("printed", unparse(tree)))
    assert unparse(tree) == format_text(Source("printed", unparse(tree)))


@pytest.mark.parametrize("path", [*SNIPPETS, *MODELS], ids=lambda path: path.stem)
def test_a_file_is_stable(path):
    check_stable(read(path))


@pytest.mark.skipif(not EXAMPLES, reason="the design examples are not on this machine")
def test_every_design_example_is_stable():
    for path in EXAMPLES:
        check_stable(read(path))


def test_the_snippets_contain_every_node():
    seen = set()

    def visit(value):
        if isinstance(value, nodes.Node):
            seen.add(type(value))
            for name in value.__dataclass_fields__:
                visit(getattr(value, name))
        elif isinstance(value, tuple):
            for item in value:
                visit(item)

    for path in SNIPPETS:
        visit(parse(read(path)))

    assert {c for c in vars(nodes).values() if isinstance(c, type) and c.__module__ == nodes.__name__} - seen == {
        nodes.Node
    }


def test_the_grammar_has_no_conflicts_and_no_overlapping_tokens():
    make_tables(GRAMMAR, strict=True)


def test_the_tables_are_those_of_the_grammar():
    """If this fails: `python -m snnc.syntax.tables`."""
    assert hashlib.sha256(GRAMMAR.encode()).hexdigest() == load_tables().grammar_hash
    assert TABLES_PATH.read_text(encoding="utf-8") == make_tables(GRAMMAR)


class ChosenNewlines:
    """Passes only those newlines on that end a statement."""

    always_accept = ("_NL",)

    def __init__(self, places):
        self.places = places

    def process(self, stream):
        yield from (token for token in stream if token.type != "_NL" or token.start_pos in self.places)


@pytest.mark.parametrize("path", SNIPPETS, ids=lambda path: path.stem)
def test_lark_reads_the_same_terminals(path):
    source = read(path)
    terminals = parse_tokens(source).terminals
    lark = Lark(GRAMMAR, parser="lalr", lexer="contextual", keep_all_tokens=True, postlex=ChosenNewlines(terminals))

    read_by_lark = {token.start_pos: token.type for token in lark.parse(source.text).scan_values(bool)}

    assert {place: kind for place, kind in terminals.items() if kind != "_NL"} == {
        place: kind for place, kind in read_by_lark.items() if kind != "_NL"
    }


def test_spans_are_exact():
    source = Source("m.snn", "edition 2026\nneuron A {\n  v' = (a + b) * -f(x = 2 ms)  # c\n}\n")

    file = parse(source)
    ode = file.items[0].body[0]
    call = ode.value.right.operand
    argument = call.args[0]

    assert file.items[0].span.text == "neuron A {\n  v' = (a + b) * -f(x = 2 ms)  # c\n}"
    assert ode.span.text == "v' = (a + b) * -f(x = 2 ms)"
    assert ode.value.span.text == "(a + b) * -f(x = 2 ms)"
    assert ode.value.left.span.text == "a + b"
    assert call.span.text == "f(x = 2 ms)"
    assert (argument.span.text, argument.value.span.text) == ("x = 2 ms", "2 ms")


def test_two_hashes_document_what_stands_below_them():
    text = """## of the file

edition 2026
## of A
# not a part of it
##   indented
neuron A { # trailing
  ## of v
  state v = 0
  ## of nothing

  event x ## trailing
  input y
}
"""

    file = parse(Source("m.snn", text))
    neuron = file.items[0]

    assert file.doc == "of the file"
    assert neuron.doc == "of A\n  indented"
    assert [clause.doc for clause in neuron.body] == ["of v", "", ""]


@pytest.mark.parametrize(
    "text",
    ["edition 2026\n\n## words\nimport a\n", "edition 2026\n## words\n\nconst a = 1\n", "edition 2026\n## words"],
)
def test_a_block_that_documents_no_item_is_the_file_s(text):
    assert parse(Source("m.snn", text)).doc == "words"


@pytest.mark.parametrize(
    "text",
    [
        "const x = 1 +\n  2",
        "const x =\n\n  # why\n  1 + 2",
        "const x = (1\n + 2)",
        "const x = 1 + 2 ;;",
        "const x = 1 + 2\r\n",
    ],
)
def test_a_statement_goes_on_after_an_operator_and_in_brackets(text):
    expected = nodes.Const("x", nodes.Binary("+", nodes.Number("1"), nodes.Number("2")))

    assert (expected,) == parse(Source("m.snn", f"edition 2026\n{text}")).items


def test_keywords_are_names_where_no_keyword_can_stand():
    text = "edition 2026\nneuron spike { param hold = 1; state in = hold; in' = -in / when; refractory hold hold in }"

    neuron = parse(Source("m.snn", text)).items[0]

    assert nodes.Refractory(nodes.Name(("hold",)), ("in",)) == neuron.body[-1]
