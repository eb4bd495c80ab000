"""One function that deals samples out to train, val and test; emitted files carry its text as it stands here."""

import numpy as np


def split_samples(label: np.ndarray | None, count: int, val: float, test: float, seed: int) -> np.ndarray:
    """Return a code for each sample, uint8 [count]: 0 train, 1 val, 2 test.

    `val` and `test` are fractions of `count`; integer labels keep their shares in each split (to about one sample a
    class). The test set is drawn first, so it is the same for every `val`.
    """
    order = np.random.default_rng(seed).permutation(count)
    if label is not None and np.issubdtype(label.dtype, np.integer):
        order = order[np.argsort(label[order], kind="stable")]
    split = np.zeros(count, np.uint8)
    for code, fraction in ((2, test), (1, val)):
        rest = order[split[order] == 0]
        wanted = round(fraction * count)
        # Evenly spaced over samples sorted by class: exactly `wanted` of them, and from each class its share.
        steps = np.arange(rest.size + 1) * wanted // max(rest.size, 1)
        split[rest[np.diff(steps) > 0]] = code
    return split
