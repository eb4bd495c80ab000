"""Networks of linear neurons simulated from event to event in float64: no time step, spike times to rounding.

Between events x' = A x + b, a neuron spikes where c . x rises through theta, then x := R x + r, and an arrival of size w
adds e w. It shares nothing with the compiler.
"""

import heapq
from dataclasses import dataclass, field

import numpy as np
from scipy.linalg import expm

SCAN = 0.1  # ms: crossings are looked for between points so far apart, then found to rounding


@dataclass(frozen=True)
class Cell:
    """The equations of one neuron; `b` is a constant drive."""

    A: np.ndarray
    e: np.ndarray
    c: np.ndarray
    theta: float = 1.0
    R: np.ndarray = field(default_factory=lambda: np.eye(2))
    r: np.ndarray = field(default_factory=lambda: np.zeros(2))
    b: np.ndarray = field(default_factory=lambda: np.zeros(2))

    def slope(self, x):
        return x @ self.A.T + self.b

    def flow(self, h):
        """Return P, q with x(t + h) = P x(t) + q."""
        n = len(self.A)
        whole = np.zeros((n + 1, n + 1))
        whole[:n, :n], whole[:n, n] = self.A, self.b
        whole = expm(whole * h)
        return whole[:n, :n], whole[:n, n]


def cuba(tau_m, tau_s, theta=1.0, drive=0.0):
    """CubaLIF as states (i, v), hard reset."""
    A = np.array([[-1 / tau_s, 0.0], [1 / tau_m, -1 / tau_m]])
    return Cell(
        A, np.array([1.0, 0.0]), np.array([0.0, 1.0]), theta, np.diag([1.0, 0.0]), b=np.array([0.0, drive / tau_m])
    )


@dataclass(frozen=True)
class Edge:
    source: str
    target: str
    w: np.ndarray
    delay: float = 0.0


def simulate(cells, sizes, edges, inputs, end, areas=None):
    """Run to `end` (ms) from rest at 0.

    `cells` and `sizes` by layer, in an order in which undelayed edges go forward; `inputs` are (time, source, unit). Returns
    the spikes (time, layer, unit) and the states of each layer at the end [units, states]; adds their integrals over time
    to the dictionary `areas`.
    """
    x = {name: np.zeros((sizes[name], len(cells[name].A))) for name in cells}
    scans = {name: cells[name].flow(SCAN) for name in cells}
    queue = []
    for t, source, unit in inputs:
        send(queue, edges, t, source, unit)
    now, spikes = 0.0, []
    while now < end:
        until = min(queue[0][0], end) if queue else end
        first = next_crossing(cells, scans, x, until - now)
        h = until - now if first is None else first[0]
        for name, cell in cells.items():
            if areas is not None:
                areas[name] = areas.get(name, 0.0) + integral(cell, x[name], h)
            P, q = cell.flow(h)
            x[name] = x[name] @ P.T + q
        now += h
        if first is not None:
            _, name, unit = first
            x[name][unit] = cells[name].R @ x[name][unit] + cells[name].r
            spikes.append((now, name, unit))
            send(queue, edges, now, name, unit)
        while queue and queue[0][0] <= now + 1e-12 and queue[0][0] < end:
            _, _, target, w = heapq.heappop(queue)
            x[target] += np.outer(w, cells[target].e)
    return spikes, x


def send(queue, edges, t, source, unit):
    for number, edge in enumerate(edges):
        if edge.source == source:
            heapq.heappush(queue, (t + edge.delay, (number, unit, len(queue)), edge.target, edge.w[unit]))


def next_crossing(cells, scans, x, span):
    """Return (time, layer, unit) of the first rise through a threshold within `span`, or None."""
    here, passed = dict(x), 0.0
    while passed < span:
        h = min(SCAN, span - passed)
        found = []
        for name, cell in cells.items():
            P, q = scans[name] if h == SCAN else cell.flow(h)
            later = here[name] @ P.T + q
            before, after = here[name] @ cell.c - cell.theta, later @ cell.c - cell.theta
            for unit in np.flatnonzero((before < 0) & (after >= 0)):
                share = before[unit] / (before[unit] - after[unit])
                found.append((passed + root(cell, here[name][unit], share * h, h), name, int(unit)))
            here = {**here, name: later}
        if found:
            return min(found)
        passed += h
    return None


def root(cell, x, h, most):
    """The time at which the margin is 0, by Newton's method."""
    for _ in range(8):
        P, q = cell.flow(h)
        y = P @ x + q
        h = min(max(h - (y @ cell.c - cell.theta) / (cell.slope(y) @ cell.c), 0.0), most)
    return h


def integral(cell, x, h):
    """The integral of the states over h from x."""
    n = len(cell.A)
    whole = np.zeros((2 * n + 1, 2 * n + 1))
    whole[:n, :n], whole[:n, n], whole[n + 1 :, :n] = cell.A, cell.b, np.eye(n)
    grown = expm(whole * h)
    return x @ grown[n + 1 :, :n].T + grown[n + 1 :, n]


def central_differences(loss, edges, directions, step=1e-6):
    """The derivatives of loss(edges) along `directions` of the weights of every edge, arrays [k, sources, targets]."""
    found = []
    for k, edge in enumerate(edges):
        values = [
            [
                loss([*edges[:k], Edge(edge.source, edge.target, edge.w + s * step * d, edge.delay), *edges[k + 1 :]])
                for s in (1, -1)
            ]
            for d in directions[k]
        ]
        found.append(np.array([(up - down) / (2 * step) for up, down in values]))
    return found
