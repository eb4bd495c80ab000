"""The documentation builds as a site, a warning being an error, and needs nothing from elsewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("mkdocs", reason="the extra `docs` is not installed")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def test_every_page_is_in_the_site(site):
    pages = {page.relative_to(ROOT / "docs") for page in (ROOT / "docs").rglob("*.md")}
    built = {page.relative_to(site).parent for page in site.rglob("index.html")}

    assert built == {page.parent if page.stem == "index" else page.with_suffix("") for page in pages}


def test_no_page_loads_anything_from_elsewhere(site):
    loads = re.compile(r"<(?:script|img|link)[^>]*?(?:src|href)=\"?(https?:[^\" >]+)")

    assert {found for page in site.rglob("*.html") for found in loads.findall(page.read_text())} == set()


def test_fences_become_blocks_of_code(site):
    texts = [page.read_text() for page in site.rglob("*.html")]

    assert not any("```" in text for text in texts)
    assert any('<span class="k">network</span>' in text for text in texts)
