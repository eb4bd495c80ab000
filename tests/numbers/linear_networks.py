"""Small networks of linear neurons, as `.snn` text and for the event-driven simulator, with their gradients."""

import jax
import jax.numpy as jnp
import numpy as np
from event_driven import Cell, Edge, central_differences, cuba, simulate
from models_in_text import compile_text

END = 30.0  # ms
SIZES = {"a": 3, "h": 4, "out": 2}
RECIPE = """
data d = npz("none.npz") -> hold(duration = 30 ms)
train exact of Net on d {
  epochs = 1
  batch = 1
  learn = eventprop(floor = 1e-6 Hz)
  loss = mean(out.v)
}
"""
TWO_COMPARTMENTS = """
neuron Cell {
  param g = 0.4
  event x
  state i = 0
  state d = 0
  state v = 0
  i' = -i / 4 ms
  d' = (i - d + g * (v - d)) / 6 ms
  v' = (0.2 - v + g * (d - v)) / 9 ms
  on x { i += 2 * x }
  spike when v + 0.1 * d >= 0.7 { v -= 0.6; d = 0.5 * d + 0.05 }
}
"""


def two_compartments():
    g = 0.4
    A = np.array([[-1 / 4, 0, 0], [1 / 6, -(1 + g) / 6, g / 6], [0, g / 9, -(1 + g) / 9]])
    R = np.array([[1, 0, 0], [0, 0.5, 0], [0, 0, 1.0]])
    return Cell(
        A, np.array([2.0, 0, 0]), np.array([0, 0.1, 1.0]), 0.7, R, np.array([0, 0.05, -0.6]), np.array([0, 0, 0.2 / 9])
    )


# layer declarations, the edges (source, target, delay in ms) in text order, mean weight and seed, the neurons for the simulator
CASES = {
    "tau_s < tau_m": (
        "layer h = CubaLIF[4](tau_m = 20 ms, tau_s = 5 ms)\n layer out = CubaLI[2](tau_m = 20 ms, tau_s = 5 ms)",
        (("a", "h", 0), ("h", "out", 0)),
        (2.6, 1),
        {"h": cuba(20, 5), "out": cuba(20, 5, np.inf)},
    ),
    "tau_s = tau_m": (
        "layer h = CubaLIF[4](tau_m = 8 ms, tau_s = 8 ms)\n layer out = CubaLI[2](tau_m = 8 ms, tau_s = 8 ms)",
        (("a", "h", 0), ("h", "out", 0)),
        (0.9, 1),
        {"h": cuba(8, 8), "out": cuba(8, 8, np.inf)},
    ),
    "two compartments": (
        "layer h = Cell[4]()\n layer out = CubaLI[2](tau_m = 20 ms, tau_s = 5 ms)",
        (("a", "h", 0), ("h", "out", 0)),
        (1.1, 11),
        {"h": two_compartments(), "out": cuba(20, 5, np.inf)},
    ),
    "recurrent, with delays": (
        "layer h = CubaLIF[4](tau_m = 20 ms, tau_s = 5 ms)\n layer out = CubaLI[2](tau_m = 20 ms, tau_s = 5 ms)",
        (("a", "h", 0), ("h", "h", 2), ("h", "out", 1)),
        (2.6, 2),
        {"h": cuba(20, 5), "out": cuba(20, 5, np.inf)},
    ),
}


def text_of(layers, edges, dt, events="grid"):
    lines = []
    for source, target, delay in edges:
        late = f"-> delay({delay} ms) " if delay else ""
        chain = f"{source} -> dense() {late}-> {target}" if source == "h" else f"{source} {late}-> dense() -> {target}"
        lines.append(chain)
    body = "\n  ".join(lines)
    return f"""
    import std.neurons (CubaLIF, CubaLI)
    {TWO_COMPARTMENTS}
    network Net {{
      dt = {dt} ms
      events = {events}
      input a : spikes[3]
      {layers}
      {body}
    }}
    {RECIPE}"""


def drawn(edges, mean, seed):
    """Weights and input spikes on a grid of 1 ms; the seeds are such that no crossing is slow."""
    rng = np.random.default_rng(seed)
    spread = {"a": (mean, 0.3 * mean), "h": (0.2, 0.5)}
    found = [Edge(s, t, rng.normal(*spread[s], (SIZES[s], SIZES[t])), float(delay)) for s, t, delay in edges]
    return found, sorted(
        (float(t), "a", unit) for unit in range(3) for t in rng.choice(np.arange(1, 20), 2, replace=False)
    )


TIMES = np.array([1.0, -0.6, 0.4, 0.8])  # the loss: these times the spike times of h, and out.v at the end


def exact(cells, edges, events, directions):
    def loss(edges):
        spikes, states = simulate(cells, SIZES, edges, events, END)
        return sum(TIMES[unit] * t for t, _, unit in spikes) + states["out"][:, 1].sum()

    return central_differences(loss, edges, directions), simulate(cells, SIZES, edges, events, END)[0]


def inputs_of(model, events, dt):
    x = np.zeros((round(END / dt), 1, 3))
    for t, _, unit in events:
        x[round(t / dt) - 1, 0, unit] += 1  # row n ends at (n + 1) dt
    return model.inputs(a=x)


def of_model(text, edges, events, dt):
    model = compile_text(text)
    weights = iter(edge.w for edge in edges)
    params = type(model.params)(*(jnp.asarray(next(weights)) for _ in model.params))
    inputs = inputs_of(model, events, dt)

    def loss(params):
        signals = model.module.run(params, model.buffers, inputs)[0]
        times = signals.h.spike * TIMES  # on the grid a spike stands for its time
        if hasattr(signals.h, "rest"):
            times = times * (time - signals.h.rest)
        return times.sum() + signals.out.v[-1].sum(), signals.h.spike.sum()

    time = dt * (1 + jnp.arange(round(END / dt)))[:, None, None]
    gradient, count = jax.jit(jax.grad(loss, has_aux=True))(params)
    return [np.asarray(g) for g in gradient], int(count)
