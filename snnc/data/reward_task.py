"""The generated set `reward_task`: XOR of two groups of units with rates, where each spike of the output earns +1 or -1.

Source: Florian 2007, "Reinforcement learning through modulation of spike-timing-dependent synaptic plasticity", Neural
Computation 19:1468-1502, XOR with rate-coded input: 60 units, half of them for each bit; a bit of 1 is Poisson spikes at
40 Hz, a bit of 0 silence; a pattern lasts 500 ms. Each output spike is rewarded by +1 if the XOR of the bits is 1, and by -1
if it is 0; without an output spike there is no reward. The rule is his; the random numbers are NumPy's.
"""

from __future__ import annotations

import numpy as np

from snnc.data.files import LoadContext
from snnc.data.record import DataSet, FieldInfo, make_dataset
from snnc.diagnostics import Code, fail
from snnc.limits import MAX_DATA_BYTES


def describe_reward_task(steps: int, units: int) -> tuple[FieldInfo, ...]:
    """Return the fields that `load_reward_task` will give."""
    return (
        FieldInfo("spikes", (steps, units), True, "spikes"),
        FieldInfo("reward", (), False, "real"),
        FieldInfo("label", (), False, "class", 2),
    )


def load_reward_task(context: LoadContext, samples: int, units: int, steps: int, rate: float, seed: int) -> DataSet:
    """Return `spikes` uint8 [samples, steps, units], `reward` float32 [samples] of each output spike, and `label`, the XOR.

    In each step a unit of a bit that is 1 fires with probability `rate`. The patterns 00, 01, 10, 11 follow each other.

    Raises:
        CompileError: E0607 for an odd number of units, and beyond `MAX_DATA_BYTES` of memory.
    """
    if units % 2:
        raise fail(
            Code.BAD_SETTING, context.span, f"`reward_task` deals {units} units to 2 bits",
            help="choose an even number, as in `units = 60`",
        )  # fmt: skip
    if samples * steps * units > MAX_DATA_BYTES // 9:  # spikes, and the random numbers of 8 bytes that they come from
        raise fail(
            Code.BAD_SETTING, context.span,
            f"`reward_task` with these settings takes {9 * samples * steps * units / 2**30:.1f} GiB; "
            f"at most {MAX_DATA_BYTES // 2**30} GiB are made",
            help="lower `samples`, `steps` or `units`",
        )  # fmt: skip
    patterns = np.arange(samples) % 4
    bits = np.stack([patterns // 2, patterns % 2], axis=1)
    chance = rate * np.repeat(bits, units // 2, axis=1)
    spikes = np.random.default_rng(seed).random((samples, steps, units)) < chance[:, None]
    label = bits[:, 0] ^ bits[:, 1]
    fields = {"spikes": spikes.astype(np.uint8), "reward": np.where(label, 1.0, -1.0), "label": label}
    return make_dataset(fields, None, context.span, "reward_task")
