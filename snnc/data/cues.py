"""The generated set `cue_accumulation`: cues on the left or the right, and after a pause the question which side had more.

Source: Bellec et al. 2020, "A solution to the learning dilemma for recurrent networks of spiking neurons", Nature
Communications 11:3625 (evidence accumulation). The rule is theirs; the random numbers are NumPy's.
"""

from __future__ import annotations

import numpy as np

from snnc.data.files import LoadContext
from snnc.data.record import DataSet, FieldInfo, make_dataset
from snnc.diagnostics import Code, fail
from snnc.limits import MAX_DATA_BYTES

GROUPS = 4  # of units: left cues, right cues, the question, noise
P_CUE = 0.3  # of a cue on the side that has fewer, on average


def count_steps(cues: int, cue: int, gap: int, pause: int, recall: int) -> int:
    """Return the steps of a sample: each cue after its gap, the pause, the question.

    >>> count_steps(7, 100, 50, 1050, 150)
    2250
    """
    return cues * (cue + gap) + pause + recall


def describe_cues(steps: int, units: int) -> tuple[FieldInfo, ...]:
    """Return the fields that `load_cues` will give."""
    return (FieldInfo("spikes", (steps, units), True, "spikes"), FieldInfo("label", (), False, "class", 2))


def load_cues(
    context: LoadContext,
    samples: int,
    cues: int,
    units: int,
    cue: int,
    gap: int,
    pause: int,
    recall: int,
    rate: float,
    seed: int,
) -> DataSet:
    """Return `spikes` uint8 [samples, steps, units] and `label`: 1 if more than half of the cues are on the right.

    A sample prefers a side; each of its cues lies on the other one with probability 0.3. In each of the `cue` steps of a cue
    the units of its side fire with probability `rate`, in the last `recall` steps those of the question; the units of
    noise fire with a quarter of it all the time.

    Raises:
        CompileError: E0607 for units that are no multiple of 4, and beyond `MAX_DATA_BYTES` of memory.
    """
    if units % GROUPS:
        raise fail(
            Code.BAD_SETTING, context.span, f"`cue_accumulation` deals {units} units to {GROUPS} groups",
            help="choose a multiple of 4, as in `units = 40`",
        )  # fmt: skip
    steps = count_steps(cues, cue, gap, pause, recall)
    if samples * steps * units > MAX_DATA_BYTES // 9:  # spikes, and the random numbers of 8 bytes that they come from
        raise fail(
            Code.BAD_SETTING, context.span,
            f"`cue_accumulation` with these settings takes {9 * samples * steps * units / 2**30:.1f} GiB; "
            f"at most {MAX_DATA_BYTES // 2**30} GiB are made",
            help="lower `samples`, `cues` or their lengths",
        )  # fmt: skip
    rng = np.random.default_rng(seed)
    right = np.where(rng.random((samples, 1)) < 0.5, P_CUE, 1 - P_CUE)
    sides = (rng.random((samples, cues)) < right).astype(np.int64)
    chance = np.zeros((samples, steps, GROUPS))
    for k in range(cues):
        start = k * (cue + gap) + gap
        chance[np.arange(samples)[:, None], np.arange(start, start + cue), sides[:, k : k + 1]] = rate
    chance[:, steps - recall :, 2] = rate
    chance[:, :, 3] = rate / 4
    spikes = rng.random((samples, steps, units)) < np.repeat(chance, units // GROUPS, axis=2)
    label = (sides.sum(axis=1) > cues // 2).astype(np.int64)
    return make_dataset({"spikes": spikes.astype(np.uint8), "label": label}, None, context.span, "cue_accumulation")
