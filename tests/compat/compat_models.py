"""Networks of one layer of a neuron of std.compat, and the recordings of the libraries."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from inputs import drive, two_steps
from models_in_text import Model, compile_text

RECORDINGS = Path(__file__).parents[1] / "recordings"


def layer_of(neuron: str, size: int, arguments: str = "", **ports: str) -> Model:
    """Return a layer `h` of a neuron, each port (name to dimension) fed by an input `in_PORT` directly."""
    edges = "\n".join(f"input in_{port} : {kind}[{size}]\nin_{port} -> h.{port}" for port, kind in ports.items())
    return compile_text(f"""
    import std.compat ({neuron})
    network Net {{
      dt = 1 ms
      layer h = {neuron}[{size}]({arguments})
      {edges}
    }}""")


@dataclass(frozen=True)
class Recording:
    """What a library did: the input [T, n], its spikes [T, n] and the membranes of the last neurons [T, kept]."""

    x: np.ndarray
    spikes: np.ndarray
    membrane: np.ndarray


def read_recording(name: str) -> Recording:
    """Return `NAME.npz` with its input made again."""
    with np.load(RECORDINGS / f"{name}.npz", allow_pickle=False) as kept:
        x = drive(int(kept["seed"]), float(kept["scale"]), float(kept["mean"]), *kept["spikes"].shape)
        return Recording(x, kept["spikes"], kept["membrane"])


@dataclass(frozen=True)
class Gradient:
    """Input [2, n], weights of spikes and membranes [2, 2, n], and the gradient by the input of the first step [n]."""

    x: np.ndarray
    weights: np.ndarray
    gradient: np.ndarray


def read_gradient(name: str) -> Gradient:
    """Return the gradient in `NAME.npz` with its input made again."""
    with np.load(RECORDINGS / f"{name}.npz", allow_pickle=False) as kept:
        gradient = kept["gradient"]
        x, weights = two_steps(int(kept["gradient_seed"]), float(kept["gradient_scale"]), gradient.size)
        return Gradient(x, weights, gradient)
