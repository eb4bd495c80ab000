"""`snnc new`: a first file to change and train."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_TEXT = """\
edition 2026

## A spiking classifier of 8 x 8 handwritten digits: one hidden layer, one leaky readout.
import std.neurons (LIF, LI)

network @NETWORK@(hidden = 128) {
  dt = 1 ms

  input pixels : real[64]
  layer h = LIF[hidden](tau = 10 ms)
  layer out = LI[10](tau = 20 ms)

  pixels -> dense() -> h
  h -> dense() -> out

  output logits = mean_over_time(out.v)
}

data digits8 = digits(val = 0.1, test = 0.25, seed = 7) -> hold(duration = 25 ms)

train baseline of @NETWORK@ on digits8 {
  epochs = 60
  batch = 128
  seed = 0
  loss = cross_entropy(logits, label)
  optimizer = adamw(lr = 2e-3, weight_decay = 1e-4)
  metric accuracy = accuracy(logits, label)
  select = best(val.accuracy)
}
"""


def new(
    name: Annotated[str, typer.Argument(help="Name of the file to write, with or without .snn.")],
) -> None:
    """Write a starter file that trains on handwritten digits."""
    path = Path(name if name.endswith(".snn") else f"{name}.snn")
    if not _NAME.fullmatch(path.stem):
        raise typer.BadParameter(
            f"{path.stem!r} is no name: begin with a letter, go on with letters, digits, - and _", param_hint="NAME"
        )
    from snnc.harness.files import write_atomically

    network = "".join(word[:1].upper() + word[1:] for word in re.split(r"[-_]", path.stem))
    try:
        with path.open("x", encoding="utf-8"):
            pass  # claimed: whoever comes second is refused
        try:
            write_atomically(path, _TEXT.replace("@NETWORK@", network))
        except OSError:
            path.unlink()
            raise
    except FileExistsError:
        raise typer.BadParameter(f"{path} exists already, and is left as it is", param_hint="NAME") from None
    except FileNotFoundError:
        raise typer.BadParameter(f"there is no folder {path.parent}", param_hint="NAME") from None
    typer.echo(f"{path}: try `snnc train {path}`")
