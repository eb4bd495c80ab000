"""Numbers are compared in float64; the helpers of tests/numbers and the inputs of tests/recordings are importable."""

import sys
from pathlib import Path

import jax
import pytest

TESTS = Path(__file__).parents[1]
sys.path += [str(TESTS / "numbers"), str(TESTS / "recordings")]


@pytest.fixture(autouse=True, scope="module")
def float64():
    """Everything in a module of this folder computes in float64."""
    with jax.enable_x64(True):
        yield
