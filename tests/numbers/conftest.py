"""Numbers are compared in float64, in this folder only; jit caches are keyed by it."""

import jax
import pytest


@pytest.fixture(autouse=True, scope="module")
def float64():
    """Everything in a module of this folder computes in float64, unless it says otherwise."""
    with jax.enable_x64(True):
        yield
