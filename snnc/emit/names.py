"""Spells the author's names as Python identifiers that clash with nothing that the emitted file uses itself."""

from __future__ import annotations

import builtins
import keyword
import re
import zlib

# Names that emitted functions use for themselves.
_TAKEN = frozenset(
    {
        "p", "s", "c", "x", "n", "key", "keys", "params", "buffers", "state", "steps", "batch", "train", "shape", "chance",
        "jax", "jnp", "np", "lax", "optax", "signals", "outputs", "fields", "weight", "loss", "metrics", "label_",
        "carry", "xs", "value", "step", "run", "forward", "main", "fit", "evaluate", "encode", "optimizer", "time",
        "data", "epochs", "seed",
    }
)  # fmt: skip
_BUILTINS = frozenset(dir(builtins))
_NEURON = frozenset(
    {"p", "s", "key", "keys", "name", "shape", "chance", "jax", "jnp", "lax", "slope", "DT", "Value", "Array"}
)
_RESERVED = frozenset(keyword.kwlist) | _BUILTINS | _TAKEN


def identifier(name: str) -> str:
    """Return `name` as an identifier: dots become underscores, taken words get a trailing one.

    >>> identifier("pixels_h.dense"), identifier("lambda"), identifier("x")
    ('pixels_h_dense', 'lambda_', 'x_')
    """
    text = re.sub(r"\W", "_", name)
    return f"{text}_" if text in _RESERVED or text.startswith("_") else text


def local_name(name: str) -> str:
    """Return `name` as a local variable of a neuron's functions, where only a few words are taken.

    >>> local_name("x"), local_name("s"), local_name("lambda")
    ('x', 's_', 'lambda_')
    """
    text = re.sub(r"\W", "_", name)
    taken = text in _NEURON or keyword.iskeyword(text) or text in _BUILTINS or text.startswith("_")
    return f"{text}_" if taken else text


def field_name(name: str) -> str:
    """Return `name` as a field of a NamedTuple, which may not start with an underscore.

    >>> field_name("x"), field_name("class"), field_name("count")
    ('x', 'class_', 'count_')
    """
    text = re.sub(r"\W", "_", name)
    taken = keyword.iskeyword(text) or text in ("count", "index") or text.startswith("_")
    return f"{text.lstrip('_')}_" if taken else text


def function_name(name: str) -> str:
    """Return the lower-case stem of a neuron's functions.

    >>> function_name("CubaLIF"), function_name("LIF2"), function_name("AdEx")
    ('cuba_lif', 'lif2', 'ad_ex')
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def class_name(name: str) -> str:
    """Return the class that holds a neuron type's constants."""
    return name[:1].upper() + name[1:]


def stream_number(name: str) -> int:
    """Return the number of a named random draw (CRC-32), stable over releases.

    >>> stream_number("h.tau")
    1398866037
    """
    return zlib.crc32(name.encode())
