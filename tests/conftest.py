"""Options and fixtures that all tests share."""

from collections.abc import Callable
from pathlib import Path

import pytest

# golden files are compared, recordings are made in other environments, and a conftest is no module of tests
collect_ignore_glob = ["emit/golden/*", "recordings/*.py", "conftest.py", "*/conftest.py"]


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
