"""The folder of one run: what lies in it, and how it is written."""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from snnc.harness.files import leftovers, naming, write_atomically


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths of a run. Every file but the log is whole or absent; a line of the log is.

    Where several processes train together, only one of them `writes`.
    """

    path: Path
    writes: bool = True

    @property
    def weights(self) -> Path:
        return self.path / "weights.safetensors"

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint.safetensors"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def config(self) -> Path:
        return self.path / "config.json"

    @property
    def rounding(self) -> Path:
        """What a precision of 16 bits cost in accuracy; only of a recipe that asks for one."""
        return self.path / "rounding.json"

    @property
    def result(self) -> Path:
        return self.path / "result.json"

    def clear(self, epochs: int = 0, source: str = "") -> None:
        """Remove what comes after the first `epochs` of a run, and what killed processes left; touch nothing else.

        `source` is the name of the copy of the .snn file.
        """
        if not self.writes:
            return
        whole = (self.weights, self.checkpoint, self.metrics, self.config, self.result, self.path / "model.py")
        after = [self.result, *self.path.glob("*.png"), *self.path.glob(".*.png.*")]
        after += [] if epochs else [self.weights, self.config]
        for file in (*whole, *((self.path / source,) if source else ())):
            after += leftovers(file)
        for file in after:
            file.unlink(missing_ok=True)
        lines = self.metrics.read_bytes().splitlines(keepends=True) if epochs else []
        write_atomically(self.metrics, b"".join(lines[:epochs]))

    def log(self, record: Mapping[str, Any]) -> None:
        """Append one line to metrics.jsonl.

        Raises:
            OSError: it cannot be written; the log is as it was.
        """
        if not self.writes:
            return
        line = (json.dumps(plain(record), allow_nan=False) + "\n").encode()
        try:
            with self.metrics.open("ab", buffering=0) as file:
                before = file.tell()
                try:
                    if file.write(line) != len(line):
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                except OSError:
                    file.truncate(before)
                    raise
        except OSError as error:
            raise naming(error, self.metrics) from error

    def settle_log(self) -> None:
        """Return when every line of the log is on the disk."""
        if self.writes and self.metrics.exists():
            with self.metrics.open("ab") as file:
                os.fsync(file.fileno())

    def write_json(self, path: Path, record: Mapping[str, Any]) -> None:
        if self.writes:
            write_atomically(path, json.dumps(plain(record), indent=2, allow_nan=False) + "\n")


def plain(value: Any) -> Any:
    """Return `value` as data that JSON can hold: arrays as lists, numbers that are not finite as null.

    >>> plain({"loss": np.float32(0.5), "confusion": np.eye(2, dtype=int), "lost": float("nan")})
    {'loss': 0.5, 'confusion': [[1, 0], [0, 1]], 'lost': None}
    """
    match value:
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Path():
            return str(value)
        case list() | tuple():
            return [plain(item) for item in value]
        case _:
            return plain(np.asarray(value).tolist())
