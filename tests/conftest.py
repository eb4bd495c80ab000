"""Options and fixtures that all tests share."""

import os
import platform
from collections.abc import Callable
from pathlib import Path

import pytest

from snnc.harness.runtime import update_loops_in_place

# golden files are compared, recordings are made in other environments, and a conftest is no module of tests
collect_ignore_glob = ["emit/golden/*", "recordings/*.py", "conftest.py", "*/conftest.py"]


# XLA without its optimisations compiles three times as fast, and nothing here runs for long. Without FMA, too: such a
# compiler writes an expression out once for each use, and a maximum shall equal the value that it is the maximum of.
# Loops are updated in place as users' are.
COMPILE_FAST = "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false --xla_cpu_max_isa=AVX"


def pytest_configure(config: pytest.Config) -> None:
    """Let XLA compile fast in this process, for the quick suite only.

    Processes that tests start compile as users do, and so does `-m long`. Flags that are set already, be they empty,
    stay as they are.
    """
    if "not long" not in config.option.markexpr or "XLA_FLAGS" in os.environ or platform.machine() != "x86_64":
        return
    os.environ["XLA_FLAGS"] = COMPILE_FAST
    update_loops_in_place()
    import jax

    jax.devices()  # reads the flags, once for the process
    del os.environ["XLA_FLAGS"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the texts that tests compare with")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, Path], None]:
    """Compare a text with a file; rewrite the file with --update-golden."""

    def check(text: str, path: Path) -> None:
        if request.config.getoption("--update-golden"):
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8"), f"{path.name} changed: see --update-golden"

    return check
