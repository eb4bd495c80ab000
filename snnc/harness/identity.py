"""What makes the numbers of a training, and how two trainings differ in it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from snnc.harness.emitted import Fields

OF_ALL_EPOCHS = ("cosine", "onecycle")  # schedules whose rates depend on the number of epochs


@dataclass(frozen=True, slots=True)
class Identity:
    """Two trainings with equal identities give the same weights, on one machine with the same versions.

    `source` is the text of the .snn file, `emitted` the digest of the emitted one, which shows changed imports too.
    `start` is the file of weights that it began with. `data` maps `train.pixels` to type, shape and digest.
    `versions` do not take part in the comparison. `stretches` says that more epochs would not change the first ones.
    """

    recipe: str
    source: str
    overrides: dict[str, str]
    epochs: int
    batch: int
    seed: int
    start: str | None
    data: dict[str, str]
    emitted: str
    versions: dict[str, str]
    stretches: bool
    kernel: str = "scan"

    def version_note(self, then: Identity) -> str:
        """Return words about versions that are not those of `then`, empty if they are the same."""
        changed = [
            f"{name} was {version}, is {self.versions.get(name)}"
            for name, version in then.versions.items()
            if self.versions.get(name) != version
        ]
        return f"numbers may differ in their last digits: {', '.join(changed)}" if changed else ""


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def data_digests(parts: Mapping[str, Fields]) -> dict[str, str]:
    """Return type, shape and digest of each field of each part.

    >>> data_digests({"train": {"label": np.zeros(2, np.int8)}})
    {'train.label': 'int8 [2] 96a296d224f285c6'}
    """
    found = {}
    for part, fields in parts.items():
        for name, array in fields.items():
            whole = np.ascontiguousarray(array)
            found[f"{part}.{name}"] = f"{whole.dtype} {list(whole.shape)} {hashlib.sha256(whole.data).hexdigest()[:16]}"
    return found


def differences(then: Identity, now: Identity) -> tuple[str, ...]:
    """Return in words what keeps a training that began as `then` from going on as `now`; empty if nothing does.

    More epochs are no difference where the learning rate does not depend on their number.
    """
    return tuple(_differences(then, now))


def first_changed_line(then: str, now: str) -> tuple[int, str, str] | None:
    """Return the 1-based number of the first line that differs and both its texts, None for equal texts.

    >>> first_changed_line("a\\nb", "a\\nc\\nd")
    (2, 'b', 'c')
    """
    pairs = zip_longest(then.split("\n"), now.split("\n"))
    changed = ((number, old or "", new or "") for number, (old, new) in enumerate(pairs, 1) if old != new)
    return next(changed, None)


def _differences(then: Identity, now: Identity) -> Iterator[str]:
    if then.recipe != now.recipe:
        yield f"the recipe was `{then.recipe}`, is `{now.recipe}`"
    changed = then.source != now.source
    if changed:
        yield "the .snn file has changed"
    for name in sorted({*then.overrides, *now.overrides}):
        old, new = then.overrides.get(name), now.overrides.get(name)
        if old != new:
            yield f"`--set {name}` was {_given(old)}, is {_given(new)}"
    if not (then.stretches and then.epochs < now.epochs) and then.epochs != now.epochs:
        yield f"epochs were {then.epochs}, are {now.epochs}" + _why_not_more(then, now)
    if then.batch != now.batch:
        yield f"the batch was {then.batch}, is {now.batch}"
    if then.seed != now.seed:
        yield f"the seed was {then.seed}, is {now.seed}"
    if then.kernel != now.kernel:
        yield f"the kernel was {then.kernel}, is {now.kernel}"
    if now.start is not None and then.start != now.start:
        yield f"the start was {f'`{then.start}`' if then.start else 'fresh weights'}, is `{now.start}`"
    for name in [*then.data, *(name for name in now.data if name not in then.data)]:
        old, new = then.data.get(name), now.data.get(name)
        if old != new:
            yield f"the data `{name}` {_data_change(old, new)}"
    same_text = not changed and (then.overrides, then.recipe, then.kernel) == (now.overrides, now.recipe, now.kernel)
    if same_text and then.emitted != now.emitted:
        if then.versions.get("snnc") != now.versions.get("snnc"):
            yield f"snnc was {then.versions.get('snnc')}, is {now.versions.get('snnc')}, and compiles it otherwise"
        else:
            yield "a file that the .snn file imports has changed, or snnc itself"


def _given(value: str | None) -> str:
    return "not given" if value is None else f"`{value}`"


def _why_not_more(then: Identity, now: Identity) -> str:
    if then.epochs < now.epochs:
        return f" (a learning rate by {' or '.join(f'`{name}`' for name in OF_ALL_EPOCHS)} depends on their number)"
    return ""


def _data_change(old: str | None, new: str | None) -> str:
    if old is None or new is None:
        return "were not there" if old is None else "are gone"
    (was, _), (now, _) = (text.rsplit(" ", 1) for text in (old, new))
    return f"were {was}, are {now}" if was != now else "have other values"
