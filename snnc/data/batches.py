"""Cuts a split into batches of one size; emitted files carry these functions as they stand here."""

from collections.abc import Iterator, Mapping

import numpy as np


def iterate_batches(
    fields: Mapping[str, np.ndarray],
    batch: int,
    order: np.ndarray,
    timed: tuple[str, ...] = (),
    rows: range | None = None,
) -> Iterator[dict[str, np.ndarray]]:
    """Yield the samples numbered by `order`, `batch` at a time, with `sample` int32 [B] and `weight` float32 [B].

    Fields [N, ...] come as [B, ...], those that `timed` names, [N, T, ...], as [T, B, ...]. Of several processes each
    takes its `rows` of every batch. A last short batch, and rows from `batch` on, are filled up with the first sample of
    the batch at weight 0; every other weight is 1.
    """
    row = np.arange(batch) if rows is None else np.asarray(rows)
    for start in range(0, len(order), batch):
        taken = row < min(batch, len(order) - start)
        sample, weight = order[start + row * taken], taken.astype(np.float32)
        arrays = {name: time_first(array, sample) if name in timed else array[sample] for name, array in fields.items()}
        yield {**arrays, "sample": sample.astype(np.int32), "weight": weight}


def time_first(array: np.ndarray, sample: np.ndarray) -> np.ndarray:
    """Return the chosen samples [B] of sequences [N, T, ...] as [T, B, ...]."""
    result = np.empty((array.shape[1], len(sample), *array.shape[2:]), array.dtype)
    for place, number in enumerate(sample):
        result[:, place] = array[number]
    return result
