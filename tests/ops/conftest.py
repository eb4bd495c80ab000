"""`strict_jax` runs a test in float64 without implicit promotion; `strict_float32` alike in single precision."""

import jax
import pytest


@pytest.fixture
def strict_jax():
    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"):
        yield


@pytest.fixture
def strict_float32():
    with jax.enable_x64(False), jax.numpy_dtype_promotion("strict"):
        yield
