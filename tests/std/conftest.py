"""The standard library is measured in float64 unless a test says otherwise; models are compiled as in `tests/numbers`."""

import sys
from pathlib import Path

import jax
import pytest

sys.path.append(str(Path(__file__).parents[1] / "numbers"))


@pytest.fixture(autouse=True, scope="module")
def float64():
    """Everything in a module of this folder computes in float64, unless it says otherwise."""
    with jax.enable_x64(True):
        yield
