"""The folder of one run: what lies in it, and how it is written."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from snnc.harness.files import write_atomically


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths of a run. `start` empties it of an earlier run's results and touches nothing else that lies there."""

    path: Path

    @property
    def weights(self) -> Path:
        return self.path / "weights.safetensors"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def config(self) -> Path:
        return self.path / "config.json"

    @property
    def result(self) -> Path:
        return self.path / "result.json"

    def start(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        for file in (self.weights, self.config, self.result, *self.path.glob("*.png")):
            file.unlink(missing_ok=True)
        self.metrics.write_text("")

    def log(self, record: Mapping[str, Any]) -> None:
        """Append one line to metrics.jsonl; it is on disk when this returns."""
        with self.metrics.open("a") as file:
            file.write(json.dumps(plain(record), allow_nan=False) + "\n")

    def write_json(self, path: Path, record: Mapping[str, Any]) -> None:
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
