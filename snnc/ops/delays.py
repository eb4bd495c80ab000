"""Delays that differ between units (`delay(time ~ … per neuron)`) or between synapses (`dense(delay ~ … per synapse)`).

Both keep a ring of the last steps of their source in `State`, [last, B, …], and, where several steps count, the weight of each
of them: `kernel`, made once for a sequence in `init_state`. y[t] = Σ_k kernel_k x[t - k].

Over a whole sequence `dense` is a convolution in time, the fastest way and the smallest in memory but for kernels of few steps
(measured in docs/compiler.md). XLA is slow with convolutions inside a loop, so that sequences that are taken in parts are
multiplied step by step of the kernel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from snnc.ops.delay_times import DelayTimes
from snnc.ops.dense import Dense
from snnc.ops.operation import Operation
from snnc.ops.precision import LOW, product_text


@dataclass(frozen=True, slots=True)
class UnitDelays(Operation):
    """`delay(time ~ … per neuron)`: unit i of the result is unit i of the source, d_i steps ago."""

    times: DelayTimes
    kind: str = "delay"
    memory: str = "delay"
    transposable: ClassVar[bool] = False

    def held(self) -> int:
        return self.times.last

    def least_delay(self) -> int:
        return self.times.first

    @property
    def has_kernel(self) -> bool:
        """Whether its taps are in `State`; fixed delays read one step each instead."""
        return self.times.trainable

    def text(self, x: tuple[str, ...], weights: Mapping[str, str]) -> str:
        """The result of a source that never changes: itself."""
        return x[0]

    def value(self, x: tuple[Any, ...], weights: Mapping[str, Any]) -> Any:
        return x[0]

    def step_text(self, window: str, weights: Mapping[str, str]) -> str:
        """One step; `window` holds the last steps, the oldest first."""
        if self.has_kernel:
            return f"tapped({window}, {weights['kernel']})"
        return f"late_units({window}, {weights['delay']}, {self.times.last})"

    def sequence_text(self, x: str, ring: str, weights: Mapping[str, str], truncate: int | None, parts: bool) -> str:
        """All steps; `ring` holds those before the first."""
        cut = "" if truncate is None else f", {truncate}"
        if self.has_kernel:
            return f"delayed_taps({x}, {ring}, {weights['kernel']}{cut})"
        return f"delayed_units({x}, {ring}, {weights['delay']}{cut})"

    def step_value(self, window: Any, taps: Any, weights: Mapping[str, Any]) -> Any:
        """The NumPy meaning: `window` [taps, B, …] holds the steps that `taps` weigh."""
        return (window * taps.reshape(len(taps), *(1 for _ in range(window.ndim - taps.ndim)), *taps.shape[1:])).sum(0)


@dataclass(frozen=True, slots=True)
class DelayedDense(Dense):
    """`dense(n, delay ~ … per synapse)`: y_j = Σ_i w_ij x_i[t - d_ij] (+ b_j)."""

    times: DelayTimes = field(kw_only=True)
    memory: str = "delay"
    transposable: ClassVar[bool] = False

    def held(self) -> int:
        return self.times.last

    def least_delay(self) -> int:
        return self.times.first

    @property
    def has_kernel(self) -> bool:
        return True

    def step_text(self, window: str, weights: Mapping[str, str]) -> str:
        product = f"delayed_product({window}, {weights['kernel']}{self._rounding()})"
        return f"{product} + {weights['b']}" if self.bias else product

    def sequence_text(self, x: str, ring: str, weights: Mapping[str, str], truncate: int | None, parts: bool) -> str:
        product = f"delayed_dense({x}, {ring}, {weights['kernel']})"
        rounding = self._rounding()
        if parts or truncate is not None or rounding:
            product = f"delayed_products({x}, {ring}, {weights['kernel']}, {truncate or 0}{rounding})"
        return f"{product} + {weights['b']}" if self.bias else product

    def _rounding(self) -> str:
        """The product of rounded factors as a further argument, where they are rounded."""
        if self.precision not in LOW:
            return ""
        return f", lambda x, w: {product_text('dense', self.precision, 'x', 'w')}"

    def step_value(self, window: Any, taps: Any, weights: Mapping[str, Any]) -> Any:
        product = np.einsum("k...n,knm->...m", window, taps * weights["w"])
        return product + weights["b"] if self.bias else product


WithTimes = UnitDelays | DelayedDense
