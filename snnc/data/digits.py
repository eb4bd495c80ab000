"""The embedded set `digits`: 1797 handwritten digits of 8 x 8 pixels in 17 grey levels, 10 classes.

Source: the test part of "Optical Recognition of Handwritten Digits", E. Alpaydin and C. Kaynak (1998), UCI Machine
Learning Repository, https://doi.org/10.24432/C50P49, licence CC BY 4.0; the same arrays as `load_digits` of
scikit-learn.
"""

from __future__ import annotations

import numpy as np

from snnc.data.files import LoadContext
from snnc.data.record import DataSet, FieldInfo, make_dataset
from snnc.resources import resource_folder

FIELDS = (FieldInfo("pixels", (64,), False, "real"), FieldInfo("label", (), False, "class", 10))


def load_digits(context: LoadContext) -> DataSet:
    """Return `pixels` float32 [1797, 64] in [0, 1] and `label`."""
    with np.load(resource_folder("models") / "data" / "digits.npz", allow_pickle=False) as stored:
        fields = {"pixels": stored["pixels"] / np.float32(16), "label": stored["label"]}
    return make_dataset(fields, None, context.span, "digits")
