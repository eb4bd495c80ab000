"""One layer `h` of a standard neuron, each connected port fed by an input of its own."""

import numpy as np
from models_in_text import Model, compile_text

PHYSICAL = ("EIF", "AdEx", "Izhikevich", "HodgkinHuxley", "WangBuzsaki", "ConductanceLIF", "GLIF")


def _unit(neuron: str, port: str) -> str:
    if neuron not in PHYSICAL:
        return "1"
    if port == "I":
        return "1 mV / 1 ms" if neuron == "Izhikevich" else "1 pA"
    return "1 mV" if port == "x" else "1 nS"


def cell(neuron: str, arguments: str = "", *, ports: str = "I", dt: str = "0.1 ms", size: int = 1) -> Model:
    """Compile a layer of `neuron`; port P is fed by the input `in_P` in the coherent unit of the port."""
    module = "biophysics" if neuron in PHYSICAL else "neurons"
    edges = "\n".join(
        f"input in_{p} : real[{size}]\nin_{p} -> scale({_unit(neuron, p)}) -> h.{p}" for p in ports.split()
    )
    return compile_text(f"""
    import std.{module} ({neuron})
    network Net {{
      dt = {dt}
      layer h = {neuron}[{size}]({arguments})
      {edges}
    }}""")


def constant(value: float, steps: int) -> np.ndarray:
    """The same value in every step, [steps, 1, 1]."""
    return np.full((steps, 1, 1), float(value))


def spike_steps(signals: dict[str, np.ndarray]) -> np.ndarray:
    """The steps in which the first neuron fired."""
    return np.flatnonzero(signals["h.spike"][:, 0, 0])
