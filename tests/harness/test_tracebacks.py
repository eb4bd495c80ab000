"""What an emitted file raises is shown at a line of the `.snn`; what snnc raises behind it is not."""

from __future__ import annotations

import pytest

from snnc.diagnostics import Code, CompileError
from snnc.harness.load_module import load_module
from snnc.harness.tracebacks import RunFailedError, explain_failure, run_failures_explained

EMITTED = """\
RECIPE = "baseline"


def helper(x):
    return x[5]


def step(x):
    # v' = -v / tau  (cells.snn:2)
    v = x + 1
    # h -> dense() -> out  (model.snn:3)
    return helper(v)


def fit(callback):
    return callback()
"""
MODEL = 'edition 2026\nimport "cells.snn"\n  h -> dense() -> out\ntrain baseline of N on d {\n}\n'
CELLS = "edition 2026\n  v' = -v / tau\n"


@pytest.fixture
def file(tmp_path):
    (tmp_path / "cells.snn").write_text(CELLS)
    (tmp_path / "model.snn").write_text(MODEL)
    return tmp_path / "model.snn"


def raised(function, *arguments):
    with pytest.raises(Exception) as caught:  # noqa: PT011
        function(*arguments)
    return caught.value


def test_the_place_is_that_of_the_comment_above_in_the_innermost_function_that_has_one(file):
    finding = explain_failure(raised(load_module(EMITTED).step, 1), file)

    assert finding is not None
    assert (finding.span.source.path, finding.span.line, finding.span.text) == (str(file), 3, "h -> dense() -> out")
    assert finding.message == "the compiled model failed: TypeError: 'int' object is not subscriptable"
    assert (finding.help or "").endswith(":5: return x[5]")


def test_a_line_of_an_imported_file_is_shown_there(file):
    finding = explain_failure(raised(load_module(EMITTED).step, "a"), file)

    assert finding is not None
    assert (finding.span.source.path, finding.span.line) == (str(file.parent / "cells.snn"), 2)


def test_a_line_without_a_comment_is_shown_at_the_recipe(file):
    finding = explain_failure(raised(load_module(EMITTED).fit, None), file)

    assert finding is not None
    assert finding.span.text == "train baseline of N on d"


def test_what_a_callback_of_ours_raises_is_no_failure_of_the_emitted_file(file):
    names = {"__name__": "snnc.harness.checkpoints"}
    exec("def save():\n    raise OSError(28, 'no space', 'weights')", names)

    error = raised(load_module(EMITTED).fit, names["save"])

    assert explain_failure(error, file) is None


def test_memory_that_runs_out_is_told_wherever_it_happens(file):
    def ask():
        raise MemoryError

    with pytest.raises(CompileError, match="the memory of this device is not enough"), run_failures_explained(file):
        ask()


def test_memory_that_xla_lacks_is_told_with_its_amount_at_the_recipe(file):
    def update():
        raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 51200000000 bytes.")

    finding = explain_failure(raised(load_module(EMITTED).fit, update), file)

    assert finding is not None
    assert (finding.code, finding.span.text) == (Code.OUT_OF_MEMORY, "train baseline of N on d")
    assert finding.message == "the memory of this device is not enough: 51.2 GB were asked for at once"


def test_other_exceptions_pass_and_keep_their_kind(file):
    with pytest.raises(KeyError), run_failures_explained(file):
        {}["a"]
    with pytest.raises(RunFailedError), run_failures_explained(file):
        load_module(EMITTED).step(1)


def test_a_file_that_is_gone_is_named_all_the_same(file):
    error = raised(load_module(EMITTED).step, 1)
    file.unlink()

    finding = explain_failure(error, file)

    assert finding is not None
    assert finding.span.source.path == str(file)
    assert finding.render()
