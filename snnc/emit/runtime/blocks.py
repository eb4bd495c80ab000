"""Blocks of a network: each use has its own part of the network's records."""

from typing import Any


def pick(record: Any, whole: Any, prefix: str) -> Any:
    """The part of a record whose names begin with `prefix`, as a `record` of its own."""
    return record(*(getattr(whole, prefix + name) for name in record._fields))


def into(whole: Any, part: Any, prefix: str) -> Any:
    """A record with the values of `part` under names that begin with `prefix`."""
    return whole._replace(**{prefix + k: v for k, v in part._asdict().items()})
