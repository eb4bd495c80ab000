"""Cases of which only some run every time: each starts a process, and most tell the same story in other words."""

import pytest


def cases(ids, rows, quick):
    """Return `rows` as parameters named by the words of `ids`; those not named in `quick` run with `-m long` only."""
    names = ids.split()
    assert set(quick.split()) <= set(names)
    return [
        pytest.param(
            *(row if isinstance(row, tuple) else (row,)),
            id=name,
            marks=() if name in quick.split() else pytest.mark.long,
        )
        for name, row in zip(names, rows, strict=True)
    ]
