"""One function that cuts a split into batches of one size; emitted files carry its text as it stands here."""

from collections.abc import Iterator, Mapping

import numpy as np


def iterate_batches(fields: Mapping[str, np.ndarray], batch: int, order: np.ndarray) -> Iterator[dict[str, np.ndarray]]:
    """Yield the samples numbered by `order`, `batch` at a time, with `sample` int32 [B] and `weight` float32 [B].

    A last short batch is filled up with its first sample at weight 0; every other weight is 1.
    """
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        weight = (np.arange(batch) < len(chosen)).astype(np.float32)
        sample = np.concatenate([chosen, np.repeat(chosen[:1], batch - len(chosen))])
        arrays = {name: array[sample] for name, array in fields.items()}
        yield {**arrays, "sample": sample.astype(np.int32), "weight": weight}
