"""`norm(…)`: activity of mean 0 and spread 1, by the statistics of a batch or of the features of a sample.

Of images [C, …] a channel is the first feature axis, of vectors [n] the unit. With γ and β trained and g = alpha theta (1 but for
`tdbn`), where mean and variance are taken over T steps, B samples and space:

    batch   y = γ (x - μ) / sqrt(σ² + eps) + β          over T, B, space (Ioffe & Szegedy 2015)
    tdbn    y = γ g (x - μ) / sqrt(σ² + eps) + β        the same (Zheng et al. 2021, eq. 9)
    bntt    y[t] = γ[t] (x[t] - μ[t]) / sqrt(σ²[t] + eps)   over B, space (Kim & Panda 2020, eq. 7)
    tebn    y[t] = p[t] (γ (x - μ) / sqrt(σ² + eps) + β)    over T, B, space (Duan et al. 2022, eq. 8)
    layer   y = γ (x - μ) / sqrt(σ² + eps) + β          over all features of one step of one sample (Ba et al. 2016)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

import numpy as np

from snnc.ops.operation import Buffer, Init, Operation, Shape, Weight
from snnc.units import ONE, Dimension

ONES = Init("constant", (("value", 1.0),))
ZEROS = Init("zeros")
BY_STEP = ("bntt", "tebn")  # variants that hold something for each step of a sample


@dataclass(frozen=True, slots=True)
class BatchNorm(Operation):
    """Statistics of the batch in training, running ones in evaluation; `steps` is None until the recipe says how many.

    The buffers `mean` and `var` move by `momentum` towards the mean and the unbiased variance of each batch.
    """

    transposable: ClassVar[bool] = False  # a norm never stands in a time loop
    variant: str  # batch | tdbn | bntt | tebn
    shape: Shape  # of the features
    momentum: float = 0.1
    eps: float = 1e-5
    affine: bool = True
    gain: float = 1.0
    gamma: Init = ONES
    beta: Init = ZEROS
    dimension: Dimension = ONE  # of the source
    result: Dimension = ONE
    steps: int | None = None
    kind: str = "norm"

    @property
    def by_step(self) -> bool:
        """Whether statistics and gamma are those of one step."""
        return self.variant == "bntt"

    @property
    def varies(self) -> bool:  # type: ignore[override]
        return self.variant in BY_STEP

    @property
    def channels(self) -> Shape:
        return (self.steps or 1, self.shape[0]) if self.by_step else (self.shape[0],)

    def weights(self) -> tuple[Weight, ...]:
        scaled = ONE if self.variant == "tdbn" else self.result  # there `theta` has the unit
        found: list[Weight] = []
        if self.affine:
            found.append(Weight("gamma", self.channels, self.gamma, scaled, decays=False, by_step=self.by_step))
        if self.affine and not self.by_step:
            found.append(Weight("beta", self.channels, self.beta, self.result, decays=False))
        if self.variant == "tebn":
            found.append(Weight("p", (self.steps or 1,), ONES, ONE, decays=False, by_step=True))
        return tuple(found)

    def buffers(self) -> tuple[Buffer, ...]:
        square = self.dimension * self.dimension
        return (
            Buffer("mean", self.channels, 0.0, self.dimension, self.by_step),
            Buffer("var", self.channels, 1.0, square, self.by_step),
        )

    def text(self, x: tuple[str, ...], weights: Mapping[str, str]) -> str:
        """`weights` has the statistics too, under the names of the buffers; arrays of steps at the step or as [T, 1, …]."""
        return self.scaled(self.plain(x[0], weights), weights)

    def plain(self, x: str, weights: Mapping[str, str]) -> str:
        """Return the text of `x` normalised by the running statistics."""
        return f"normalised({x}, {weights['mean']}{self._spread}, {weights['var']}{self._spread}, {self.eps!r})"

    @property
    def _spread(self) -> str:
        """The index that gives an array of channels the axes of space."""
        return f"[..., {', '.join(['None'] * (len(self.shape) - 1))}]" if len(self.shape) > 1 else ""

    def scaled(self, y: str, weights: Mapping[str, str]) -> str:
        """Return the text of what is trained, applied to `y` of mean 0 and variance 1; `y` itself if nothing is."""
        text = y if self.gain == 1.0 else f"{self.gain!r} * {y}"
        text += f" * {weights['gamma']}{self._spread}" if "gamma" in weights else ""
        text += f" + {weights['beta']}{self._spread}" if "beta" in weights else ""
        if self.variant == "tebn":
            return f"({text}) * {weights['p']}[..., {', '.join(['None'] * len(self.shape))}]"
        return text

    def value(self, x: tuple[Any, ...], weights: Mapping[str, Any]) -> Any:
        """The meaning in evaluation, of one step: `weights` has the running statistics too."""
        axes = (..., *[None] * (len(self.shape) - 1))
        own = {name: np.asarray(w)[axes] for name, w in weights.items() if name != "p"}
        y = self.gain * (x[0] - own["mean"]) / np.sqrt(own["var"] + self.eps)
        return (y * own.get("gamma", 1.0) + own.get("beta", 0.0)) * weights.get("p", 1.0)


@dataclass(frozen=True, slots=True)
class LayerNorm(Operation):
    """The features of each step of each sample by themselves: the same in training and in evaluation."""

    transposable: ClassVar[bool] = False
    shape: Shape
    eps: float = 1e-5
    affine: bool = True
    gamma: Init = ONES
    beta: Init = ZEROS
    result: Dimension = ONE
    kind: str = "norm"

    def weights(self) -> tuple[Weight, ...]:
        if not self.affine:
            return ()
        inits = {"gamma": self.gamma, "beta": self.beta}
        return tuple(Weight(name, self.shape, init, self.result, decays=False) for name, init in inits.items())

    def text(self, x: tuple[str, ...], weights: Mapping[str, str]) -> str:
        text = f"layer_normalised({x[0]}, {len(self.shape)}, {self.eps!r})"
        return f"{text} * {weights['gamma']} + {weights['beta']}" if self.affine else text

    def value(self, x: tuple[Any, ...], weights: Mapping[str, Any]) -> Any:
        axes = tuple(range(-len(self.shape), 0))
        y = (x[0] - x[0].mean(axes, keepdims=True)) / np.sqrt(x[0].var(axes, keepdims=True) + self.eps)
        return y * weights["gamma"] + weights["beta"] if self.affine else y


Norm = BatchNorm | LayerNorm


def values_of_a_channel(shape: Shape) -> int:
    """Return how many numbers of one step of one sample make up a channel.

    >>> values_of_a_channel((16, 8, 8)), values_of_a_channel((64,))
    (64, 1)
    """
    return prod(shape[1:])
