"""Loads the data set of a resolved `data` line: its source, binned and cut into windows where the line says so."""

from __future__ import annotations

from pathlib import Path

from snnc import model
from snnc.data.binning import binning_of
from snnc.data.extern import load_source
from snnc.data.files import LoadContext
from snnc.data.record import DataSet
from snnc.data.windows import cut_windows


def load_data_set(data: model.DataSet, folder: Path, data_dir: Path | None) -> DataSet:
    """Return the samples of `data` before transforms and encoder; files are looked for in `data_dir` and `folder`.

    Raises:
        CompileError: for what the author, a file or an extern function has wrong.
    """
    preparation = {call.name: dict(call.args) for call in data.preparation}
    binning = binning_of(preparation["bin"]) if "bin" in preparation else None
    loaded = load_source(data.source_name, data.arguments, LoadContext(data.span, folder, data_dir, binning))
    for call in data.preparation:
        if call.name == "window":
            length, stride = int(call.number("length")), int(call.number("stride"))
            loaded = cut_windows(loaded, length, stride, call.span, data.name)
    return loaded
