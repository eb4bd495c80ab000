"""Emitted text becomes a module that can be traced back, and nothing else changes in the process."""

import sys
import traceback

import pytest

from snnc.harness.load_module import load_module


def test_the_module_runs_and_its_text_is_kept(tmp_path):
    module = load_module("X = 41 + 1\n", tmp_path / "run")

    assert module.X == 42
    assert (tmp_path / "run" / "model.py").read_text() == "X = 41 + 1\n"
    assert module.__name__.startswith("snnc_model_")


def test_no_trace_stays_in_sys_modules():
    before = set(sys.modules)
    load_module("from typing import NamedTuple\n\nclass A(NamedTuple):\n    x: int\n")

    assert before == set(sys.modules)


def test_a_failing_body_leaves_no_trace_either():
    before = set(sys.modules)

    with pytest.raises(ZeroDivisionError):
        load_module("1 / 0\n")
    assert before == set(sys.modules)


@pytest.mark.parametrize("on_disk", [True, False])
def test_a_traceback_shows_the_emitted_line(tmp_path, on_disk):
    module = load_module("def f():\n    return 1 / 0  # here\n", tmp_path if on_disk else None)

    with pytest.raises(ZeroDivisionError) as caught:
        module.f()
    assert "# here" in "".join(traceback.format_exception(caught.value))
