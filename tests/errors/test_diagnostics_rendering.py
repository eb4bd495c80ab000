"""A finding becomes text that a terminal shows as it is, with each mark under its words."""

from __future__ import annotations

import pytest

from snnc.diagnostics import Code, Diagnostic, Label
from snnc.source import Source, Span


def rendered(
    text: str, marked: str, note: str = "", labels: tuple[tuple[str, str], ...] = (), path: str = "m.snn"
) -> str:
    source = Source(path, text)

    def span(part: str) -> Span:
        start = text.index(part)
        return Span(source, start, start + len(part))

    extra = tuple(Label(span(part), words) for part, words in labels)
    return Diagnostic(Code.UNIT_MISMATCH, span(marked), "wrong", None, note, extra).render()


def test_two_labels_of_one_line_hang_under_it():
    line = "  v' = (g_L * (E_L - v) - w + I) / C + w2"

    text = rendered("\n" * 23 + line, "w2", "a current", (("(g_L * (E_L - v) - w + I) / C", "voltage/time"),))

    assert (
        text
        == """\
error[E0302]: wrong
   --> m.snn:24:40
   |
24 |   v' = (g_L * (E_L - v) - w + I) / C + w2
   |        -----------------------------   ^^ a current
   |        |
   |        voltage/time"""
    )


def test_a_label_elsewhere_has_its_own_place():
    text = rendered("one\ntwo", "two", "here", (("one", "there"),))

    assert (
        text
        == """\
error[E0302]: wrong
  --> m.snn:2:1
  |
2 | two
  | ^^^ here
  ::: m.snn:1:1
  |
1 | one
  | --- there"""
    )


def test_further_places_of_one_cause_are_listed_by_their_lines():
    source = Source("m.snn", "x\n" * 30)
    spans = tuple(Span(source, 2 * k, 2 * k + 1) for k in range(1, 15))

    few = Diagnostic(Code.UNKNOWN_NAME, Span(source, 0, 1), "wrong", "h", also=(spans[0], spans[0], spans[3]))
    one = Diagnostic(Code.UNKNOWN_NAME, Span(source, 0, 1), "wrong", "h", also=spans[:1])
    many = Diagnostic(Code.UNKNOWN_NAME, Span(source, 0, 1), "wrong", "h", also=spans)

    assert few.render().split("\n")[-2:] == ["  = also: lines 2, 5", "  = help: h"]
    assert "= also: line 2\n" in one.render()
    assert "= also: lines 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 4 more" in many.render()
    assert [place["line"] for place in few.as_json()["also"]] == [2, 2, 5]


@pytest.mark.parametrize("character", ["\0", "\x1b", "\x07", "\x7f", "\u202e", "\u200b", "\x9b"])
def test_no_control_character_reaches_the_terminal(character):
    source = Source(f"a{character}b.snn", f"x = {character}[31m y")
    label = Label(Span(source, 0, 1), f"z{character}")

    text = Diagnostic(Code.SYNTAX, Span(source, 9, 10), f"m{character}", f"h{character}", "n", (label,)).render()

    assert character not in text


def test_a_tab_keeps_its_column():
    assert rendered("\tx\t= oops", "oops").split("\n")[3:] == ["1 |  x = oops", "  |      ^^^^"]


def test_wide_characters_take_two_columns():
    assert rendered('a = "世界" oops', "oops").split("\n")[3:] == ['1 | a = "世界" oops', "  |            ^^^^"]


def test_a_line_ends_at_a_newline_only():
    """Other line ends of Unicode are characters of the line, as `position` counts them."""
    assert "1 | a�b oops" in rendered("a\u2028b oops", "oops")
    assert "1 | a�b oops" in rendered("a\x0cb oops", "oops")


@pytest.mark.parametrize("before", [0, 20, 100, 5000])
@pytest.mark.parametrize("after", [0, 100, 5000])
def test_a_long_line_is_cut_around_its_mark(before, after):
    lines = rendered("a" * before + "MARK" + "b" * after, "MARK", "note").split("\n")

    shown, marks = lines[3:]
    assert len(shown) < 150
    assert shown[marks.index("^") : marks.rindex("^") + 1] == "MARK"


def test_an_empty_span_at_the_end_of_a_line_has_one_caret():
    source = Source("m.snn", "x =\ny")

    text = Diagnostic(Code.SYNTAX, Span(source, 3, 3), "wrong").render()

    assert text.split("\n")[3:] == ["1 | x =", "  |    ^"]


def test_a_span_of_many_lines_is_marked_on_its_first():
    source = Source("m.snn", "ab {\n  c\n}\n")

    text = Diagnostic(Code.SYNTAX, Span(source, 3, len(source.text)), "wrong").render()

    assert text.split("\n")[3:] == ["1 | ab {", "  |    ^"]
