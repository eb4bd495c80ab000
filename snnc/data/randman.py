"""The generated set `randman`: spike times on smooth random manifolds, one manifold for each class and spike.

Every unit fires the same number of times in every sample, so that counts carry nothing and times carry everything.

Source: Zenke and Vogels 2021, "The remarkable robustness of surrogate gradient learning for instilling complex
function in spiking neural networks", Neural Computation 33:899-925. The rule is theirs; the random numbers are NumPy's.
"""

from __future__ import annotations

import math

import numpy as np

from snnc.data.files import LoadContext
from snnc.data.record import DataSet, FieldInfo, make_dataset
from snnc.diagnostics import Code, fail
from snnc.limits import MAX_DATA_BYTES

PRECISION = 1e-3
MAX_FREQUENCY = 1000
MAX_TERMS = 2 * 10**10  # sines in all: some minutes


def describe_randman(classes: int, units: int, steps: int) -> tuple[FieldInfo, ...]:
    """Return the fields that `load_randman` will give."""
    return (
        FieldInfo("spikes", (steps, units), True, "spikes"),
        FieldInfo("label", (), False, "class", classes),
    )


def load_randman(
    context: LoadContext,
    classes: int,
    units: int,
    steps: int,
    dim: int,
    alpha: float,
    samples: int,
    spikes: int,
    seed: int,
) -> DataSet:
    """Return `spikes` uint8 [classes * samples, steps, units] and `label`, sorted by class.

    Each unit has `spikes` spikes in each sample; those of different manifolds that fall into one step add up there.

    Raises:
        CompileError: E0607 if it would take more than `MAX_DATA_BYTES` of memory or `MAX_TERMS` of work.
    """
    size = classes * samples * steps * units + 32 * samples * units  # the spikes, and the manifold in hand
    if size > MAX_DATA_BYTES:
        raise fail(
            Code.BAD_SETTING,
            context.span,
            f"`randman` with these settings takes {size / 2**30:.1f} GiB; at most {MAX_DATA_BYTES // 2**30} GiB are made",
            help="lower `classes`, `samples`, `steps` or `units`: their product is the size in bytes",
        )
    if classes * samples * units * dim * spikes * count_terms(alpha) > MAX_TERMS:
        raise fail(
            Code.BAD_SETTING,
            context.span,
            f"`randman` with these settings sums more than {MAX_TERMS:.0e} sines",
            help="lower `samples`, `units`, `dim` or `spikes`, or raise `alpha`",
        )
    rng = np.random.default_rng(seed)
    counts = np.zeros((classes, samples, steps, units), np.uint8)
    sample, unit = np.ogrid[:samples, :units]
    for of_class in counts:
        x = rng.random((samples, dim))
        for _ in range(spikes):
            times = scale_to_unit(draw_manifold(x, units, alpha, rng)) * steps
            of_class[sample, np.minimum(times.astype(np.int64), steps - 1), unit] += 1
    label = np.repeat(np.arange(classes), samples)
    return make_dataset({"spikes": counts.reshape(-1, steps, units), "label": label}, None, context.span, "randman")


def draw_manifold(x: np.ndarray, units: int, alpha: float, rng: np.random.Generator) -> np.ndarray:
    """Return the points of a new random manifold at the coordinates `x` [samples, dim], as [samples, units].

    y_e = prod_d f_ed(x_d),   f(x) = sum_i A_i (i + 1)^-alpha sin(2 pi (i x B_i + C_i)),   A, B, C ~ U(0, 1), A_0 = 0

    """
    cutoff = count_terms(alpha)
    y = np.ones((len(x), units))
    for x_d in x.T[:, :, None]:
        A, B, C = rng.random((3, cutoff, units))
        f = np.zeros_like(y)
        for i in range(1, cutoff):
            f += A[i] * (i + 1.0) ** -alpha * np.sin(2 * np.pi * (i * x_d * B[i] + C[i]))
        y *= f
    return y


def count_terms(alpha: float) -> int:
    """Return where the sum ends: an amplitude falls below `PRECISION`, or `MAX_FREQUENCY` is reached.

    >>> count_terms(2.0), count_terms(0.5)
    (32, 1000)
    """
    return min(math.ceil(math.pow(PRECISION, -1 / alpha)), MAX_FREQUENCY)


def scale_to_unit(y: np.ndarray) -> np.ndarray:
    """Return each column moved and scaled to [0, 1]; a constant column becomes 0.

    >>> scale_to_unit(np.array([[1.0, 5.0], [2.0, 5.0], [3.0, 5.0]])).T
    array([[0. , 0.5, 1. ],
           [0. , 0. , 0. ]])
    """
    low, width = y.min(axis=0), np.ptp(y, axis=0)
    scaled: np.ndarray = (y - low) / np.where(width > 0, width, 1.0)
    return scaled
