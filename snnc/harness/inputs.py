"""What a simulation is fed: generated signals, a sample of the recipe's data set, or arrays from an .npz file.

Every function returns a dict by input name of arrays [T, B, ...], or [1, B, ...] for a value held over all steps.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from snnc.data.npz import read_arrays
from snnc.diagnostics import Code, CompileError, did_you_mean, fail
from snnc.harness.emitted import ModelModule
from snnc.harness.files import whole_file
from snnc.limits import MAX_STEPS

_MILLISECONDS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "min": 60e3}
_DURATION = re.compile(r"\s*([0-9.eE+-]+)\s*([a-z]+)\s*")
_KINDS = "`zero`, `constant:VALUE` or `poisson:RATE` (Hz)"


@dataclass(frozen=True, slots=True)
class Generator:
    """One `--input NAME=…`: a constant in the unit of the input, or spikes of a Poisson process at a rate in Hz."""

    name: str
    kind: Literal["constant", "poisson"]
    value: float


def parse_generator(text: str) -> Generator:
    """Read `NAME=zero`, `NAME=constant:1.5` or `NAME=poisson:20`.

    >>> parse_generator("pixels=poisson:20")
    Generator(name='pixels', kind='poisson', value=20.0)

    Raises:
        ValueError: with words for the user.
    """
    name, _, what = text.partition("=")
    kind, _, number = what.partition(":")
    if name and what == "zero":
        return Generator(name, "constant", 0.0)
    try:
        value = float(number)
    except ValueError:
        raise ValueError(f"{text!r} is not an input: write NAME= and {_KINDS}") from None
    if not name or not math.isfinite(value) or (kind == "poisson" and value < 0):
        raise ValueError(f"{text!r} is not an input: write NAME= and {_KINDS}")
    match kind:
        case "constant" | "poisson":
            return Generator(name, kind, value)
        case _:
            raise ValueError(f"{text!r} is not an input: write NAME= and {_KINDS}")


def parse_duration(text: str, dt: float) -> int:
    """Return the steps of `dt` ms in a duration such as `200 ms`, `1.5 s` or `100 steps`; at least one.

    >>> parse_duration("200 ms", 0.5), parse_duration("100 steps", 0.5)
    (400, 100)

    Raises:
        ValueError: with words for the user.
    """
    match = _DURATION.fullmatch(text)
    try:
        number = float(match[1]) if match else math.nan
    except ValueError:
        number = math.nan
    unit = match[2] if match else ""
    steps = number if unit in ("step", "steps") else number * _MILLISECONDS.get(unit, math.nan) / dt
    if not math.isfinite(steps) or steps < 0.5:
        raise ValueError(f"{text!r} is not a duration of at least one step ({dt:g} ms): write it as in '200 ms'")
    if steps > MAX_STEPS:
        raise ValueError(f"{text!r} is {steps:.3g} steps; at most {MAX_STEPS:,} are simulated")
    return math.floor(steps + 0.5)


def generate_inputs(
    module: ModelModule, generators: tuple[Generator, ...], steps: int, seed: int
) -> dict[str, np.ndarray]:
    """Return one sample of every input; draws depend on the seed and the input's name only.

    Raises:
        CompileError: E0602 for an unknown input or one that nothing is said about, E0607 for a rate above 1/dt.
    """
    given = {generator.name: generator for generator in generators}
    _check_names(module, tuple(given))
    out = {}
    for name, (_, shape) in module.INPUTS.items():
        generator = given[name]
        if generator.kind == "constant":
            out[name] = np.full((1, 1, *shape), generator.value, np.float32)
            continue
        probability = generator.value * module.DT * 1e-3
        if probability > 1:
            raise _bad(
                module,
                Code.BAD_SETTING,
                f"`{name}` at {generator.value:g} Hz has more than one spike in a step of {module.DT:g} ms",
                f"at most {1e3 / module.DT:g} Hz fit",
            )
        draws = np.random.default_rng([seed, *name.encode()])
        out[name] = (draws.random((steps, 1, *shape)) < probability).astype(np.float32)
    return out


def read_inputs(module: ModelModule, path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of an .npz file, one for each input: [T, ...] (one sample) or [T, B, ...].

    Raises:
        CompileError: E0605 for a file that is no archive of numbers, E0602 for names, E0401 for shapes that do not fit.
    """
    arrays = read_arrays(path, path.name, whole_file(path))
    _check_names(module, tuple(arrays), path)
    out = {}
    for name, (_, shape) in module.INPUTS.items():
        array = np.asarray(arrays[name], np.float32)
        if array.shape[1:] == shape:
            array = array[:, None]
        if array.ndim < 2 or array.shape[2:] != shape or 0 in array.shape[:2]:
            raise fail(
                Code.SHAPE_MISMATCH,
                whole_file(path),
                f"`{name}` has shape {list(array.shape)}",
                help=f"store [steps, {_axes(shape)}] or [steps, samples, {_axes(shape)}]",
            )
        out[name] = array
    lengths = {name: array.shape[:2] for name, array in out.items()}
    steps = {length for length, _ in lengths.values() if length != 1}
    if len(steps) > 1 or len({samples for _, samples in lengths.values()}) > 1:
        told = ", ".join(f"`{name}` {length} steps, {samples} samples" for name, (length, samples) in lengths.items())
        raise fail(Code.SHAPE_MISMATCH, whole_file(path), f"inputs differ in length: {told}")
    return out


def steps_of(inputs: Mapping[str, np.ndarray]) -> int | None:
    """Return the steps that the inputs span; None if all of them are held values."""
    return max((len(array) for array in inputs.values() if len(array) > 1), default=None)


def _check_names(module: ModelModule, given: tuple[str, ...], path: Path | None = None) -> None:
    place = path or Path(module.SOURCE)
    for name in given:
        if name not in module.INPUTS:
            help = did_you_mean(name, module.INPUTS)
            raise fail(Code.UNKNOWN_FIELD, whole_file(place), f"`{module.MODEL}` has no input `{name}`", help=help)
    missing = [name for name in module.INPUTS if name not in given]
    if missing:
        names = ", ".join(f"`{name}`" for name in missing)
        what = f"store {names} in the file" if path else f"add `--input {missing[0]}=` with {_KINDS}"
        raise fail(Code.UNKNOWN_FIELD, whole_file(place), f"nothing is said of the input {names}", help=what)


def _axes(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))


def _bad(module: ModelModule, code: Code, message: str, help: str) -> CompileError:
    return fail(code, whole_file(module.SOURCE), message, help=help)
