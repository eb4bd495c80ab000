"""The generated set `xor`: two bits and a bias, to be turned into the times of three spikes by `latency`.

Source: Göltz et al. 2021, "Fast and energy-efficient neuromorphic deep learning with first-spike times", Nature Machine
Intelligence 3:823-835: each bit is one early or late spike, and a bias unit fires at a fixed time between them.
"""

from __future__ import annotations

import numpy as np

from snnc.data.files import LoadContext
from snnc.data.record import DataSet, FieldInfo, make_dataset

MAX_SAMPLES = 1_000_000
FIELDS = (FieldInfo("points", (3,), False, "real"), FieldInfo("label", (), False, "class", 2))


def load_xor(context: LoadContext, samples: int, bias: float) -> DataSet:
    """Return `points` float32 [samples, 3], the bits and the bias, and `label`: 1 where one bit alone is 1.

    The four patterns 00, 01, 10, 11 follow each other again and again.
    """
    patterns = np.arange(samples) % 4
    bits = np.stack([patterns // 2, patterns % 2], axis=1)
    points = np.concatenate([bits, np.full((samples, 1), bias)], axis=1)
    return make_dataset({"points": points, "label": bits[:, 0] ^ bits[:, 1]}, None, context.span, "xor")
