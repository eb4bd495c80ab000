"""Turns emitted text into a module that runs."""

from __future__ import annotations

import hashlib
import linecache
import sys
from pathlib import Path
from types import ModuleType

from snnc.harness.files import write_atomically


def load_module(text: str, folder: Path | None = None) -> ModuleType:
    """Return the executed module `snnc_model_<hash of text>`.

    With a folder the text is kept there as `model.py`, and tracebacks name that file; without one nothing is written.
    In both cases `linecache` holds the text, so a traceback shows the right line even after a later run replaced the
    file. The module is in `sys.modules` only while its body executes.
    """
    name = f"snnc_model_{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    filename = f"<{name}>"
    if folder is not None:
        path = (folder / "model.py").resolve()
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text)
        filename = str(path)
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)

    module = ModuleType(name)
    module.__file__ = filename
    code = compile(text, filename, "exec")
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        exec(code, module.__dict__)
    finally:
        if before is None:
            del sys.modules[name]
        else:
            sys.modules[name] = before
    return module
