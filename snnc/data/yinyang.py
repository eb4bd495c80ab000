"""The generated set `yinyang`: points in a disc of radius 0.5, classes yin (0), yang (1) and dot (2).

Source: Kriener, Göltz and Petrovici 2022, "The Yin-Yang dataset", NICE 2022, arXiv:2102.08211. The rule and the order
of the draws are those of the published generator, so that seeds 42, 41 and 40 give the published samples.
"""

from __future__ import annotations

import math

import numpy as np

from snnc.data.files import LoadContext
from snnc.data.record import DataSet, FieldInfo, make_dataset

R_SMALL = 0.1
R_BIG = 0.5
MAX_SAMPLES = 1_000_000  # of one split: half a minute


def describe_yinyang(bias: float | None) -> tuple[FieldInfo, ...]:
    """Return the fields that `load_yinyang` will give."""
    size = 4 if bias is None else 5
    return (FieldInfo("points", (size,), False, "real"), FieldInfo("label", (), False, "class", 3))


def load_yinyang(context: LoadContext, seed: int, train: int, val: int, test: int, bias: float | None) -> DataSet:
    """Return `points` float32 [n, 4] in [0, 1] and `label`; train, val and test come from seeds `seed`, -1 and -2.

    With `bias` each point has this number as a fifth coordinate.
    """
    parts = [draw_samples(count, seed - step) for step, count in enumerate((train, val, test))]
    points = np.concatenate([points for points, _ in parts])
    if bias is not None:
        points = np.concatenate([points, np.full((len(points), 1), bias)], axis=1)
    fields = {
        "points": points,
        "label": np.concatenate([label for _, label in parts]),
    }
    return make_dataset(fields, np.repeat(np.arange(3), (train, val, test)), context.span, "yinyang")


def draw_samples(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return points (x, y, 1 - x, 1 - y) float64 [count, 4] and their classes int64 [count]."""
    rng = np.random.RandomState(seed)
    points = np.empty((count, 4))
    label = np.empty(count, np.int64)
    for index in range(count):
        goal = rng.randint(3)  # the class is drawn first and the point until it fits: classes are balanced
        while True:
            x, y = (rng.rand(2) * 2.0 * R_BIG).tolist()
            if _distance(x, y, R_BIG) <= R_BIG and classify(x, y) == goal:
                break
        points[index] = x, y, 1.0 - x, 1.0 - y
        label[index] = goal
    return points, label


def classify(x: float, y: float) -> int:
    """Return the class of a point inside the disc.

    >>> classify(0.25, 0.5), classify(0.5, 0.9), classify(0.5, 0.1)
    (2, 1, 0)
    """
    right, left = _distance(x, y, 1.5 * R_BIG), _distance(x, y, 0.5 * R_BIG)
    if right < R_SMALL or left < R_SMALL:
        return 2
    yang = right <= R_SMALL or R_SMALL < left <= 0.5 * R_BIG or (y > R_BIG and right > 0.5 * R_BIG)
    return int(yang)


def _distance(x: float, y: float, centre: float) -> float:
    return math.sqrt((x - centre) ** 2 + (y - R_BIG) ** 2)
