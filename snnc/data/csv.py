"""Numbers in a text table: one sample a row, one column of labels; separated by commas, semicolons or tabs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TextIO

import numpy as np

from snnc.data.files import LoadContext, check_bytes, find_file, unreadable
from snnc.data.record import DataSet, make_dataset
from snnc.diagnostics import Code, CompileError, did_you_mean, fail


def load_csv(context: LoadContext, path: str, label: str | int) -> DataSet:
    """Return `x` float32 [rows, columns - 1] and `label`, taken from the column of that name or number (-1: the last).

    The first line is a header if one of its cells is a word.
    """
    file = find_file(context, path)
    try:
        check_bytes(file.stat().st_size, context.span, path)
        with _open(file) as stream:
            lines = (line for line in stream if line.strip())
            first = next(lines, "")
            delimiter = _delimiter(first)
            cells = _cells(first, delimiter)
            header = cells if _is_header(cells) else ()
            start = next(lines, "") if header else first
            if not start:
                raise ValueError("it holds no rows of numbers")
            column = _label_column(context, path, label, header, len(cells))
            table = np.loadtxt(chain([start], lines), delimiter=delimiter, comments=None, quotechar='"', ndmin=2)
    except (OSError, ValueError, MemoryError) as error:
        raise _explain(context, path, file, error) from error
    fields = {"x": np.delete(table, column, axis=1), "label": table[:, column]}
    return make_dataset(fields, None, context.span, path)


def _label_column(context: LoadContext, path: str, label: str | int, header: tuple[str, ...], count: int) -> int:
    """Return the number of the column of labels, >= 0."""
    if count < 2:
        raise fail(
            Code.BAD_DATA,
            context.span,
            f"`{path}` has {count} column; features and a label are expected",
            help="separate the columns by commas, semicolons or tabs, in every row the same",
        )
    if isinstance(label, int):
        if -count <= label < count:
            return label % count
        message, help = f"`{path}` has no column {label}", f"columns are numbered from 0 to {count - 1}; -1 is the last"
    elif label in header:
        return header.index(label)
    else:
        message = f"`{path}` has no column `{label}`"
        help = did_you_mean(label, header) or "its first line is no header: give the number of the column instead"
    raise fail(Code.BAD_SETTING, context.span, message, help=help)


def _explain(context: LoadContext, path: str, file: Path, error: Exception) -> CompileError:
    """Return the finding for a table that could not be read, with the first line that is to blame."""
    if isinstance(error, ValueError):
        with _open(file) as stream:
            message = next(_faults(stream), None)
        if message is not None:
            help = "give every row the same number of columns, and write classes and missing values as numbers"
            return fail(Code.BAD_DATA, context.span, f"`{path}` {message}", help=help)
    return unreadable(context.span, path, error)


def _faults(stream: TextIO) -> Iterator[str]:
    """Yield what is wrong with the lines, a header apart, in order."""
    width, delimiter = 0, ","
    for number, line in enumerate(stream, start=1):
        if not line.strip():
            continue
        if not width:
            delimiter = _delimiter(line)
            width = len(_cells(line, delimiter))
            if _is_header(_cells(line, delimiter)):
                continue
        cells = _cells(line, delimiter)
        if len(cells) != width:
            yield f"has {len(cells)} columns in line {number} and {width} in its first line"
        for column, cell in enumerate(cells):
            if not _is_number(cell):
                yield f"has {cell[:20]!r} in line {number}, column {column}, which is not a number"


def _open(file: Path) -> TextIO:
    return file.open(encoding="utf-8-sig", errors="replace")  # a wrong byte becomes a cell that is not a number


def _delimiter(line: str) -> str:
    return next((mark for mark in ",;\t" if mark in line), ",")


def _is_header(cells: tuple[str, ...]) -> bool:
    return any(cell and not _is_number(cell) for cell in cells)


def _cells(line: str, delimiter: str) -> tuple[str, ...]:
    return tuple(cell.strip().strip('"') for cell in line.split(delimiter))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
