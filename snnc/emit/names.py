"""Spells the author's names as Python identifiers that clash with nothing that the emitted file uses itself."""

from __future__ import annotations

import builtins
import keyword
import re
import zlib

from snnc.emit.runtime_source import runtime_functions

# Names that emitted functions use for themselves.
_TAKEN = frozenset(
    {
        "p", "s", "c", "x", "n", "key", "keys", "params", "buffers", "state", "steps", "batch", "train", "shape",
        "chance", "jax", "jnp", "np", "lax", "optax", "signals", "outputs", "fields", "weight", "loss", "metrics", "label_",
        "carry", "xs", "value", "step", "run", "forward", "main", "fit", "evaluate", "encode", "optimizer", "time",
        "data", "epochs", "seed", "argparse", "partial", "init_params", "init_buffers", "init_state", "constants",
        "constrained", "readout", "objective", "loss_fn", "train_step", "init_train_state", "evaluate_batch", "average",
        "sequence_steps", "total", "fixed", "turned", "kept", "read", "sums", "deltas", "d_carry", "d_read", "part", "end",
        "activity", "run_part", "run_batch", "pl", "triton", "progress", "key_of_epoch", "scheduled", "epoch_batches",
        "with_events", "step_on", "batches_on", "counting", "carried", "goes_on", "learn",
        "learn_step", "run_learning", "init_traces", "traces", "weights", "share", "now",
    }
)  # fmt: skip
_BUILTINS = frozenset(dir(builtins))
_NEURON = frozenset(
    {
        "p", "s", "k", "d_next", "d_out", "advance", "pull", "half", "key", "keys", "name", "shape", "chance", "jax", "jnp",
        "lax", "slope", "DT", "Value", "Array",
    }
)  # fmt: skip
_TYPES = frozenset(
    {
        "Params", "Buffers", "Inputs", "Constants", "State", "Signals", "Outputs", "TrainState", "Epoch", "Value",
        "Array", "Any", "NamedTuple", "Callable", "Iterator", "Mapping", "MODEL", "SOURCE", "MODEL_HASH", "DT", "STEPS",
        "RECIPE", "EPOCHS", "BATCH", "SEED", "SELECT", "SELECT_MAX", "START", "PARAM_NAMES", "BUFFER_NAMES", "INPUTS", "SIGNALS",
        "SPIKING", "Activity", "Progress", "Sequence", "TIMED", "Events",
        "EventLists", "EVENT_SHARES", "BURN_IN", "Carried", "FirstSpikes", "BUMP", "QUIET",
        "Mesh", "NamedSharding", "PartitionSpec", "Traces",
    }
)  # fmt: skip
# What stands before or after the name of a node in names of the emitted file: `d_h`, `h_state`.
_AFFIXED = re.compile(r"(d_|loop_\d).*|.*_(state|ring|kept|sums|start|stats|kernel)")
_RESERVED = frozenset(keyword.kwlist) | _BUILTINS | _TAKEN


def identifier(name: str) -> str:
    """Return `name` as an identifier: dots become underscores, taken words get a trailing one.

    >>> identifier("pixels_h.dense"), identifier("lambda"), identifier("x")
    ('pixels_h_dense', 'lambda_', 'x_')
    """
    text = re.sub(r"\W", "_", name)
    taken = text in _RESERVED or text in _TYPES or text in runtime_functions() or text.startswith("_")
    taken = taken or _AFFIXED.fullmatch(text) is not None
    return f"{text}_" if taken else text


def local_name(name: str) -> str:
    """Return `name` as a local variable of a neuron's functions, where only a few words are taken.

    >>> local_name("x"), local_name("s"), local_name("lambda")
    ('x', 's_', 'lambda_')
    """
    text = re.sub(r"\W", "_", name)
    taken = text in _NEURON or keyword.iskeyword(text) or text in _BUILTINS or text in runtime_functions()
    return f"{text}_" if taken or text.startswith(("_", "fire_")) else text


def field_name(name: str) -> str:
    """Return `name` as a field of a NamedTuple, which may not start with an underscore.

    >>> field_name("x"), field_name("class"), field_name("count")
    ('x', 'class_', 'count_')
    """
    text = re.sub(r"\W", "_", name)
    taken = keyword.iskeyword(text) or text in ("count", "index", "spike_again") or text.startswith("_")
    return f"{text.lstrip('_')}_" if taken else text


def _top_level() -> frozenset[str]:
    """Names at the top level of an emitted file: of the templates, the imports and the runtime."""
    return _TAKEN | _TYPES | _BUILTINS | frozenset(runtime_functions()) | frozenset(keyword.kwlist)


def function_name(name: str) -> str:
    """Return the lower-case stem of a neuron's functions.

    >>> function_name("CubaLIF"), function_name("LIF2"), function_name("Dense")
    ('cuba_lif', 'lif2', 'dense_neuron')
    """
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    taken = _top_level()
    clash = any(n in taken for n in (text, f"{text}_start", f"{text}_step", f"{text}_adjoint", f"{text}_before"))
    clash = clash or text.startswith("_") or _AFFIXED.fullmatch(text) is not None
    return f"{text.lstrip('_')}_neuron" if clash else text


def class_name(name: str) -> str:
    """Return the class that holds a neuron type's constants.

    >>> class_name("LIF"), class_name("Train")
    ('LIF', 'TrainNeuron')
    """
    text = (name[:1].upper() + name[1:]).lstrip("_")
    clash = any(
        n in _TYPES or n in _BUILTINS or n in runtime_functions()
        for n in (text, f"{text}State", f"{text}Signals", f"{text}Kept", f"{text}Traces")
    )
    return f"{text}Neuron" if clash or not text else text


def surrogate_name(name: str) -> str:
    """Return the function of a surrogate.

    >>> surrogate_name("atan"), surrogate_name("exprel")
    ('atan', 'exprel_surrogate')
    """
    text = re.sub(r"\W", "_", name)
    clash = text in _top_level() or f"fire_{text}" in _top_level() or text.startswith("_")
    return f"{text.lstrip('_')}_surrogate" if clash else text


def stream_number(name: str) -> int:
    """Return the number of a named random draw (CRC-32), stable over releases.

    >>> stream_number("h.tau")
    553389125
    """
    return zlib.crc32(name.encode())
