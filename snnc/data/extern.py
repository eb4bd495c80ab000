"""Data from a Python function that the author names: run only after `--allow-extern`.

`extern loader speech(root : path) = python "mydata.speech:load"` calls `load(root)` of the module `mydata.speech`, looked
for beside the `.snn` file and among the installed ones. It returns arrays by field name, samples first; a field `split`
(0 train, 1 val, 2 test) deals the samples out.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping

import numpy as np

from snnc.data.files import LoadContext
from snnc.data.record import DataSet, make_dataset
from snnc.data.sources import SOURCES
from snnc.diagnostics import Code, CompileError, fail

EXTERN = "extern"  # the name of the source; `target` and `arguments` are its arguments


def load_source(name: str, arguments: Mapping[str, object], context: LoadContext) -> DataSet:
    """Return the data of a source of the table, or of an extern loader.

    Raises:
        CompileError: for what the author, a file or the author's function has wrong.
    """
    if name != EXTERN:
        return SOURCES[name].load(context, dict(arguments))
    target, given = str(arguments["target"]), arguments["arguments"]
    assert isinstance(given, Mapping)
    return _call_loader(target, given, context)


def _call_loader(target: str, arguments: Mapping[str, object], context: LoadContext) -> DataSet:
    module_name, _, function_name = target.partition(":")
    folder = str(context.folder)
    sys.path.insert(0, folder)
    try:
        function = getattr(importlib.import_module(module_name), function_name)
        found = function(**arguments)
        arrays = {str(name): np.asarray(array) for name, array in dict(found).items()}
    except CompileError:
        raise
    except Exception as error:  # whatever a stranger's code does is a finding about that code
        raise fail(
            Code.BAD_DATA,
            context.span,
            f"`{target}` failed: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}",
            help="it must return a dictionary of arrays, samples first; run it alone to see its own traceback",
        ) from error
    finally:
        sys.path.remove(folder)
    split = arrays.pop("split", None)
    return make_dataset(arrays, split, context.span, target)
