"""Tables of numbers: headers, label columns, and everything that may be wrong with one."""

import numpy as np
import pytest

X = [[1.5, 2], [3, -4e2]]


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("1.5,2,0\n3,-4e2,1\n", -1),
        ("1.5;2;0\n3;-4e2;1\n", 2),
        ("1.5\t2\t0\r\n\r\n3\t-4e2\t1", -1),
        ("0, 1.5, 2\n1, 3, -4e2\n", 0),
        ("\ufeffa,b,class\n1.5,2,0\n3,-4e2,1\n", "class"),
        ('"a","class","b"\n1.5,0,2\n3,1,-4e2\n', "class"),
        ("0,1,class\n1.5,2,0\n3,-4e2,1\n", -1),
    ],
)
def test_tables_are_read_with_or_without_a_header(load, folder, text, label):
    (folder / "a.csv").write_text(text, newline="")

    data = load("csv", path="a.csv", label=label)

    np.testing.assert_array_equal(np.float32(X), data.fields["x"])
    np.testing.assert_array_equal([0, 1], data.fields["label"])


def test_fractions_and_limit_apply(load, folder):
    (folder / "a.csv").write_text("".join(f"{i},{i % 2}\n" for i in range(50)))

    data = load("csv", path="a.csv", limit=40, test=0.25)

    assert (data.size, np.bincount(data.part("test")["label"]).tolist()) == (40, [5, 5])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "`a.csv` cannot be read: it holds no rows of numbers"),
        (b"1\n2\n", "`a.csv` has 1 column; features and a label are expected"),
        (b"a,b\n", "`a.csv` cannot be read: it holds no rows of numbers"),
        (b"1,0\n2,0,3\n", "`a.csv` has 3 columns in line 2 and 2 in its first line"),
        (b"a,b\n1,0\n\n2,setosa\n", "`a.csv` has 'setosa' in line 4, column 1, which is not a number"),
        (b"1,,0\n2,3,1\n", "`a.csv` has '' in line 1, column 1, which is not a number"),
        (b"a,b\n1,\xff\n", "`a.csv` has '\ufffd' in line 2, column 1, which is not a number"),
        (b"1_0,0\n1,0\n", None),
        (b"\x80\x04K\x01.,\0\n\xff", None),
        (b"1,0\n2,0.5\n", "field `label` of `a.csv` must hold class numbers 0, 1, …: sample 1 has 0.5"),
        (b"1,0\n2,-1\n", "field `label` of `a.csv` must hold class numbers 0, 1, …: sample 1 has -1.0"),
        (
            b"1,0\nnan,1\n",
            "field `x` of `a.csv` has 1 values that are NaN, infinite or too large for float32, the first in sample 1",
        ),
    ],
)
def test_malformed_tables_are_refused(refuse, folder, content, message):
    (folder / "a.csv").write_bytes(content)

    code, found, _ = refuse("csv", path="a.csv")

    assert code == "E0605"
    assert message in (None, found)


@pytest.mark.parametrize(
    ("label", "message", "help"),
    [
        ("clas", "`a.csv` has no column `clas`", "did you mean `class`?"),
        (2, "`a.csv` has no column 2", "columns are numbered from 0 to 1; -1 is the last"),
        (-3, "`a.csv` has no column -3", "columns are numbered from 0 to 1; -1 is the last"),
    ],
)
def test_a_label_column_that_is_not_there_is_refused(refuse, folder, label, message, help):
    (folder / "a.csv").write_text("v,class\n1,0\n")

    assert ("E0607", message, help) == refuse("csv", path="a.csv", label=label)


def test_a_label_by_name_needs_a_header(refuse, folder):
    (folder / "a.csv").write_text("1,0\n")

    code, message, help = refuse("csv", path="a.csv", label="class")

    assert (code, message) == ("E0607", "`a.csv` has no column `class`")
    assert help == "its first line is no header: give the number of the column instead"
