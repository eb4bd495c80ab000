"""Every syntax error has its exact message."""

import pytest

from snnc.diagnostics import Code, CompileError
from snnc.source import Source
from snnc.syntax.parse import parse
from snnc.syntax.read import read_source

# what is wrong -> the text, the whole message
MESSAGES = {
    "a misspelled clause": (
        """\
edition 2026
neuron A {
  parm tau = 10 ms
}
""",
        """\
error[E0101]: unexpected `parm`
  --> m.snn:3:3
  |
3 |   parm tau = 10 ms
  |   ^^^^ expected a clause (`param`, `v' = …`, `spike`, …) or `}`
  = help: did you mean `param`?""",
    ),
    "a missing value": (
        """\
edition 2026
neuron A {
  state v =
  event x
}
""",
        """\
error[E0101]: unexpected `x`
  --> m.snn:4:9
  |
4 |   event x
  |         ^ expected an operator, `carry`, `in`, `per`, `}` or the end of the line
  = help: the line before ends in `=`, so its statement goes on here""",
    ),
    "two values": (
        "edition 2026\nconst x = 10 ms 5\n",
        """\
error[E0101]: unexpected `5`
  --> m.snn:2:17
  |
2 | const x = 10 ms 5
  |                 ^ expected an operator or the end of the line""",
    ),
    "several errors": (
        """\
edition 2026
const = 1
network N {
  layer x LIF()
  x -> -> y
  dt = 1 ms
  input
}
foo
train t on d {}
""",
        """\
error[E0101]: unexpected `=`
  --> m.snn:2:7
  |
2 | const = 1
  |       ^ expected a name
  = help: `const` is a keyword here; choose another name

error[E0101]: unexpected `LIF`
  --> m.snn:4:11
  |
4 |   layer x LIF()
  |           ^^^ expected `=`

error[E0101]: unexpected `->`
  --> m.snn:5:8
  |
5 |   x -> -> y
  |        ^^ expected a name

error[E0101]: unexpected end of the line
  --> m.snn:7:8
  |
7 |   input
  |        ^ expected a name

error[E0101]: unexpected `foo`
  --> m.snn:9:1
  |
9 | foo
  | ^^^ expected an item (`neuron`, `network`, `train`, …)

error[E0101]: unexpected `on`
   --> m.snn:10:9
   |
10 | train t on d {}
   |         ^^ expected `of`""",
    ),
    "a keyword as a name": (
        """\
edition 2026
network N {
  output = 3
}
""",
        """\
error[E0101]: unexpected `=`
  --> m.snn:3:10
  |
3 |   output = 3
  |          ^ expected a name
  = help: `output` is a keyword here; choose another name""",
    ),
    "an assignment for a comparison": (
        """\
edition 2026
neuron A {
  spike when v = 1 { v = 0 }
}
""",
        """\
error[E0101]: unexpected `=`
  --> m.snn:3:16
  |
3 |   spike when v = 1 { v = 0 }
  |                ^ expected an operator, `emit`, `{`, `rising` or `scale`
  = help: a comparison is written `==`""",
    ),
    "a chain of comparisons": (
        """\
edition 2026
neuron A {
  let y = a < b < c
}
""",
        """\
error[E0101]: comparisons do not chain
  --> m.snn:3:17
  |
3 |   let y = a < b < c
  |                 ^
  = help: write `a < b and b < c`""",
    ),
    "an operator at the start of a line": (
        """\
edition 2026
const x = a
  + b
""",
        """\
error[E0101]: unexpected `+`
  --> m.snn:3:3
  |
3 |   + b
  |   ^ expected an item (`neuron`, `network`, `train`, …)
  = help: a line goes on if it ends in an operator: move `+` to the end of the line before""",
    ),
    "a number without its zero": (
        "edition 2026\nconst x = .5\n",
        """\
error[E0101]: unexpected `.`
  --> m.snn:2:11
  |
2 | const x = .5
  |           ^ expected an expression
  = help: write `0.5`""",
    ),
    "an open string": (
        'edition 2026\nimport "abc\n',
        """\
error[E0101]: this string is never closed
  --> m.snn:2:8
  |
2 | import "abc
  |        ^^^^
  = help: a string ends with `"` on the line where it began""",
    ),
    "the end of the file": (
        "edition 2026\nconst x =",
        """\
error[E0101]: unexpected end of the file
  --> m.snn:2:10
  |
2 | const x =
  |          ^ expected an expression
  = help: the line before ends in `=`, so its statement goes on here""",
    ),
    "a block without brace": (
        """\
edition 2026
neuron A
{
}
""",
        """\
error[E0101]: unexpected end of the line
  --> m.snn:2:9
  |
2 | neuron A
  |         ^ expected `{`""",
    ),
    "an unknown scope": (
        """\
edition 2026
neuron A {
  param y = 2 per foo
}
""",
        """\
error[E0101]: unexpected `foo`
  --> m.snn:3:19
  |
3 |   param y = 2 per foo
  |                   ^^^ expected `channel`, `layer`, `neuron`, `post`, `pre` or `synapse`""",
    ),
    "an at sign": (
        """\
edition 2026
neuron A {
  param tau = @
}
""",
        """\
error[E0102]: `@` has no meaning here
  --> m.snn:3:15
  |
3 |   param tau = @
  |               ^
  = help: a drawn value is written `name ~ distribution(…)`; `@` has no meaning""",
    ),
    "a typographic minus": (
        "edition 2026\nconst x = −1\n",
        """\
error[E0102]: `−` has no meaning here
  --> m.snn:2:11
  |
2 | const x = −1
  |           ^
  = help: write `-`, the minus of the keyboard""",
    ),
    "a letter of another alphabet": (
        "edition 2026\nconst τ = 1\n",
        """\
error[E0102]: `τ` has no meaning here
  --> m.snn:2:7
  |
2 | const τ = 1
  |       ^
  = help: names consist of the letters a-z and A-Z, digits and `_`""",
    ),
    "an open bracket": (
        """\
edition 2026
neuron A {
  param x = (1 + 2
}
""",
        """\
error[E0103]: this `(` is never closed
  --> m.snn:3:13
  |
3 |   param x = (1 + 2
  |             ^
  ::: m.snn:4:1
  |
4 | }
  | - the block ends here
  = help: add `)`""",
    ),
    "a stray bracket": (
        "edition 2026\n}\n",
        """\
error[E0103]: this `}` closes nothing
  --> m.snn:2:1
  |
2 | }
  | ^
  = help: remove it, or add `{`""",
    ),
    "a bracket of another kind": (
        """\
edition 2026
neuron A {
  param x = (1 + 2]
}
""",
        """\
error[E0103]: `(` is closed by `]`
  --> m.snn:3:19
  |
3 |   param x = (1 + 2]
  |                   ^
  ::: m.snn:3:13
  |
3 |   param x = (1 + 2]
  |             - opened here
  = help: write `)`""",
    ),
    "an open brace": (
        """\
edition 2026
neuron A {
  state v = 0
""",
        """\
error[E0103]: this `{` is never closed
  --> m.snn:2:10
  |
2 | neuron A {
  |          ^
  = help: add `}`""",
    ),
    "no edition": (
        "neuron A { state v = 0 }\n",
        """\
error[E0104]: the file does not say its edition
  --> m.snn:1:1
  |
1 | neuron A { state v = 0 }
  | ^^^^^^
  = help: add this line at the top:
          edition 2026""",
    ),
    "nothing at all": (
        "",
        """\
error[E0104]: the file does not say its edition
  --> m.snn:1:1
  |
1 | 
  | ^
  = help: add this line at the top:
          edition 2026""",
    ),
    "another edition": (
        "edition 2025\n",
        """\
error[E0105]: unknown edition `2025`
  --> m.snn:1:9
  |
1 | edition 2025
  |         ^^^^
  = help: write `edition 2026`, the one that this compiler knows""",
    ),
    "a fraction for a derivative": (
        """\
edition 2026
neuron A {
  dv/dt = -v / 10 ms
}
""",
        """\
error[E0106]: `dv/dt` is not how a derivative is written
  --> m.snn:3:3
  |
3 |   dv/dt = -v / 10 ms
  |   ^^^^^
  = help: write `v' = …`""",
    ),
    "a unit after a slash": (
        """\
edition 2026
neuron A {
  param r = 10 mV/ms
}
""",
        """\
error[E0109]: `ms` is read as a name: a unit stands only right after a number
  --> m.snn:3:13
  |
3 |   param r = 10 mV/ms
  |             ^^^^^^^^
  = help: write `10 mV / 1 ms`""",
    ),
    "a unit after a star": (
        """\
edition 2026
neuron A {
  param r = 2 nS*mV
}
""",
        """\
error[E0109]: `mV` is read as a name: a unit stands only right after a number
  --> m.snn:3:13
  |
3 |   param r = 2 nS*mV
  |             ^^^^^^^
  = help: write `2 nS * 1 mV`""",
    ),
    "too many brackets": (
        "edition 2026\nconst x = (\n" + "(\n" * 100 + "1" + ")" * 101 + "\n",
        """\
error[E0107]: brackets are nested deeper than 100
    --> m.snn:102:1
    |
102 | (
    | ^
    = help: give parts of the expression a name with `let`""",
    ),
    "too long a chain": (
        "edition 2026\nconst x =\n" + "a +\n" * 200 + "a\n",
        """\
error[E0107]: this expression is nested deeper than 200
  --> m.snn:3:1
  |
3 | a +
  | ^^^
  = help: give parts of it a name with `let`""",
    ),
    "too many signs": (
        "edition 2026\nconst x =\n" + "-\n" * 5000 + "1\n",
        """\
error[E0107]: this expression is nested deeper than 200
     --> m.snn:3998:1
     |
3998 | -
     | ^
     = help: give parts of it a name with `let`""",
    ),
    "a NUL": (
        "edition 2026\nconst x = \x00\n",
        """\
error[E0108]: this is not text: it contains a NUL character
  --> m.snn:2:11
  |
2 | const x = \ufffd
  |           ^
  = help: save it as UTF-8 text""",
    ),
}


@pytest.mark.parametrize("case", MESSAGES)
def test_message(case):
    text, message = MESSAGES[case]

    with pytest.raises(CompileError) as caught:
        parse(Source("m.snn", text))

    assert message == str(caught.value)


def test_every_code_of_the_syntax_has_a_message():
    shown = {message[len("error[") :].split("]")[0] for _, message in MESSAGES.values()}

    assert {code.value for code in Code if code.value.startswith("E01")} == shown


def test_too_many_errors_are_cut_off():
    with pytest.raises(CompileError) as caught:
        parse(Source("m.snn", "edition 2026\n" + "foo\n" * 100))

    assert len(caught.value.diagnostics) == 20


def test_errors_come_in_the_order_of_the_text():
    with pytest.raises(CompileError) as caught:
        parse(Source("m.snn", "foo\nneuron A { dv/dt = 1; spike 3; param r = 1 mV/ms }\nconst = 1\n"))

    found = [(d.code.value, d.span.text) for d in caught.value.diagnostics]
    assert found[:5] == [("E0104", "foo"), ("E0101", "foo"), ("E0106", "dv/dt"), ("E0101", "3"), ("E0109", "1 mV/ms")]


def read_message(path):
    with pytest.raises(CompileError) as caught:
        read_source(path)
    (found,) = caught.value.diagnostics
    return f"{found.code}: {found.message}"


def test_a_file_is_read_with_any_line_ends_and_a_byte_order_mark(tmp_path):
    path = tmp_path / "m.snn"
    path.write_bytes(b"\xef\xbb\xbfedition 2026\r\n# \xc2\xb5\r")

    source = read_source(path)

    assert (str(path), "edition 2026\n# \u00b5\n") == (source.path, source.text)


def test_a_missing_file_and_a_folder_are_said(tmp_path):
    assert read_message(tmp_path / "m.snn") == "E0203: there is no such file"
    assert read_message(tmp_path) == "E0203: this is a folder, not a file"
    assert read_message(tmp_path / "a\0b").startswith("E0203: cannot read this file: ")


def test_a_file_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "m.snn"

    path.write_bytes(b"edition 2026\n\0")
    assert read_message(path) == "E0108: this is not a text file: it contains NUL bytes"
    path.write_bytes(b"edition 2026\n# \xff")
    assert read_message(path) == "E0108: this file is not UTF-8 text, see line 2"
    path.write_bytes(b"#" * 1_000_001)
    assert read_message(path) == "E0107: this file is too large: 1.0 MB"
