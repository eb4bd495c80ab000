"""Views through templates to formatted text."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from snnc.resources import resource_folder


def render(template: str, **views: Any) -> str:
    """Return the template filled with its views; a name that a template mentions and no view has is an error."""
    return _templates().get_template(template).render(**views)


@cache
def _templates() -> Environment:
    """The templates of this process: each is parsed once, however many files are emitted."""
    return Environment(
        loader=FileSystemLoader(resource_folder("templates")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Python, not HTML; what authors write reaches templates only as checked names and comments
    )


def format_python(text: str) -> str:
    """Return `text` as `ruff format` leaves it, whatever configuration the machine has.

    Raises:
        AssertionError: if the text is no Python, which is a fault of the compiler.
    """
    command = [_ruff(), "format", "--isolated", "--line-length", "88", "--stdin-filename", "model.py", "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, f"the emitted text is no Python: {done.stderr}"
    return done.stdout


def _ruff() -> str:
    name = "ruff.exe" if os.name == "nt" else "ruff"
    beside = Path(sysconfig.get_path("scripts")) / name
    return str(beside) if beside.exists() else name
