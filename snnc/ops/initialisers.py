"""Initialisers of weights: how they are called and which runtime function draws them.

A runtime function is called `fn(key, shape, **options)`; the last axis of `shape` is the output. Gains are plain
numbers: the weight is drawn in the coherent unit of the port that it feeds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from snnc.ops.options import Options, Refuse, accept, not_negative, number, positive
from snnc.ops.tensor_function import Tensor


@dataclass(frozen=True, slots=True)
class InitOption:
    """A number; `unit` is "weight" (the dimension of the weight), "gain" (a plain number) or "frequency".

    Without `default` it must be given.
    """

    name: str
    unit: str
    default: float | None
    doc: str = ""


@dataclass(frozen=True, slots=True)
class Initialiser:
    """`value(shape, **options)` is the NumPy meaning of one that draws nothing."""

    name: str
    options: tuple[InitOption, ...]
    runtime: str | None  # None: the compiler replaces it by another (`compile_time`)
    value: Callable[..., Tensor] | None
    doc: str
    refuse: Refuse = accept

    @property
    def compile_time(self) -> bool:
        return self.runtime is None


def fluctuation_std(*, theta: float, inputs: int, rate: float, xi: float, eps_squared: float) -> float:
    """Return the spread of weights at which a silent neuron's potential fluctuates up to its threshold.

    With n = `inputs` Poisson inputs of rate nu = `rate` (1/ms), weights of mean 0 and the potential eps(t) that one
    spike leaves behind (per unit weight), the free potential has mean mu_U = 0 and variance n nu sigma_w^2 eps_hat;
    eps_hat = `eps_squared` = integral of eps(t)^2 dt. The threshold `theta` shall lie `xi` deviations above the mean:

        xi = (theta - mu_U) / sigma_U,    sigma_w = theta / (xi sqrt(n nu eps_hat))

    Rossbroich, Gygax & Zenke (2022), "Fluctuation-driven initialization for spiking neural network training" (stork).

    >>> fluctuation_std(theta=1.0, inputs=100, rate=0.01, xi=2.0, eps_squared=4.0)
    0.25
    """
    return theta / (xi * math.sqrt(inputs * rate * eps_squared))


def _refuse_uniform(options: Options) -> str | None:
    return None if number(options, "low") < number(options, "high") else "`low` must be below `high`"


def _gain(default: float) -> tuple[InitOption, ...]:
    return (InitOption("gain", "gain", default),)


_ALL = (
    Initialiser(
        "kaiming_uniform", _gain(1.0), "kaiming_uniform", None,
        "U(-b, b), b = gain / sqrt(fan_in): how PyTorch fills `Linear`",
    ),
    Initialiser(
        "kaiming_normal", _gain(math.sqrt(2.0)), "kaiming_normal", None, "N(0, gain^2 / fan_in)",
    ),
    Initialiser("lecun_uniform", (), "lecun_uniform", None, "U(-b, b), b = sqrt(3 / fan_in)"),
    Initialiser("lecun_normal", (), "lecun_normal", None, "N(0, 1 / fan_in)"),
    Initialiser(
        "xavier_uniform", _gain(1.0), "xavier_uniform", None, "U(-b, b), b = gain sqrt(6 / (fan_in + fan_out))",
    ),
    Initialiser(
        "xavier_normal", _gain(1.0), "xavier_normal", None, "N(0, 2 gain^2 / (fan_in + fan_out))",
    ),
    Initialiser(
        "orthogonal", _gain(1.0), "orthogonal", None, "gain times a matrix with orthonormal columns, or rows",
    ),
    Initialiser(
        "normal", (InitOption("mean", "weight", 0.0), InitOption("std", "weight", None)), "normal_weights", None,
        "N(mean, std^2)", not_negative("std"),
    ),
    Initialiser(
        "uniform", (InitOption("low", "weight", None), InitOption("high", "weight", None)), "uniform_weights", None,
        "U(low, high)", _refuse_uniform,
    ),
    Initialiser(
        "constant", (InitOption("value", "weight", None),), "constant_weights",
        lambda shape, *, value: np.full(shape, value), "`value` everywhere",
    ),
    Initialiser("zeros", (), "zero_weights", np.zeros, "0 everywhere"),
    Initialiser(
        "fluctuation",
        (
            InitOption("rate", "frequency", 0.01, "mean rate of the inputs"),
            InitOption("xi", "gain", 1.0, "deviations between mean potential and threshold"),
        ),
        None, None, "N(0, sigma_w^2) at which the potential fluctuates up to the threshold (`fluctuation_std`)",
        positive("rate", "xi"),
    ),
)  # fmt: skip

INITIALISERS = MappingProxyType({initialiser.name: initialiser for initialiser in _ALL})
