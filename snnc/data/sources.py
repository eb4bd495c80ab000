"""The table of data sources, and what they share: `val =` and `test =` fractions, `seed =`, and `limit =` of files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from snnc.data import (
    csv,
    cues,
    digits,
    dvs_gesture,
    folder,
    hdf5,
    idx,
    nmnist,
    npz,
    randman,
    reward_task,
    xor,
    yinyang,
)
from snnc.data.arguments import Argument, check_arguments
from snnc.data.files import LoadContext
from snnc.data.record import PART_CODES, DataSet, FieldInfo, Part, join_parts
from snnc.data.splits import split_samples
from snnc.diagnostics import Code, fail
from snnc.limits import MAX_SEED
from snnc.source import Span

SEED = Argument("seed", "seed", 0, minimum=0, maximum=MAX_SEED)
FRACTIONS = (Argument("val", "fraction_or_none", None), Argument("test", "fraction_or_none", None))
FURTHER = (Argument("val", "split_or_none", None), Argument("test", "split_or_none", None))
LIMIT = Argument("limit", "int_or_none", None)


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """One source: what may stand in its parentheses, and how its samples are made.

    `load` checks the arguments it is given, fills in defaults, and raises only `CompileError` for what the author or
    a file has wrong. `describe` tells the fields from arguments that were checked, or None where only files know.
    """

    name: str
    signature: tuple[Argument, ...]
    load: Callable[[LoadContext, dict[str, object]], DataSet]
    describe: Callable[[dict[str, object]], tuple[FieldInfo, ...] | None]
    doc: str


def divide_samples(data: DataSet, val: float | None, test: float | None, seed: int, span: Span) -> DataSet:
    """Return `data` with the fractions `val` and `test` of its training samples (all, if it has no split) set apart.

    Raises:
        CompileError: E0607 if the set brings that split along, or a split would be empty.
    """
    wanted: dict[Part, float] = {"val": val or 0.0, "test": test or 0.0}
    if not any(wanted.values()):
        return data
    split = np.zeros(data.size, np.uint8) if data.split is None else data.split.copy()
    train = np.flatnonzero(split == PART_CODES["train"])
    label = data.fields.get("label")
    for part, fraction in wanted.items():
        if fraction and (split == PART_CODES[part]).any():
            message = f"`{part} = {fraction:g}` asks for a split that the data already has"
            raise fail(Code.BAD_SETTING, span, message, help=f"leave `{part}` out to use the split of the data")
    codes = split_samples(None if label is None or label.ndim > 1 else label[train], len(train), **wanted, seed=seed)
    split[train] = codes
    for part in PART_CODES:
        if (part == "train" or wanted[part]) and not (split == PART_CODES[part]).any():
            settings = ", ".join(f"`{name} = {wanted[name]:g}`" for name in wanted if wanted[name])
            message = f"{settings} of {len(train)} samples leaves none for {part}"
            raise fail(Code.BAD_SETTING, span, message, help="give fractions that leave samples in every split")
    return DataSet(data.fields, split)


def add_parts(data: DataSet, further: Mapping[Part, DataSet], span: Span, origin: str) -> DataSet:
    """Return `data`, all of it for training, with further sets as its other splits.

    Raises:
        CompileError: E0607 if `data` is already split, E0605 if the fields of the sets differ.
    """
    if data.split is not None and data.split.any():
        message = f"`{origin}` brings a split along, and a further file is given for another"
        raise fail(
            Code.BAD_SETTING, span, message, help="leave the further file out, or store the training samples alone"
        )
    for part, other in further.items():
        if set(other.fields) != set(data.fields):
            names = ", ".join(sorted(set(other.fields) ^ set(data.fields)))
            message = f"the files for train and {part} differ in their fields: {names}"
            raise fail(Code.BAD_DATA, span, message, help="store the same fields in both")
    return join_parts({"train": data, **further}, span, origin)


def keep_first(data: DataSet, limit: int | None) -> DataSet:
    """Return the first `limit` samples of each split."""
    if limit is None:
        return data
    split = np.zeros(data.size, np.uint8) if data.split is None else data.split
    chosen = np.sort(np.concatenate([np.flatnonzero(split == code)[:limit] for code in PART_CODES.values()]))
    fields = {name: array[chosen] for name, array in data.fields.items()}
    return DataSet(fields, None if data.split is None else split[chosen])


def _source(
    name: str,
    doc: str,
    read: Callable[..., DataSet],
    own: tuple[Argument, ...],
    shared: tuple[Argument, ...] = (),
    fields: Callable[[Mapping[str, Any]], tuple[FieldInfo, ...] | None] = lambda _: None,
) -> SourceSpec:
    """Return the entry of a source: `read` takes its `own` arguments by name, `shared` ones are dealt with here."""
    signature = own + shared

    def load(context: LoadContext, given: dict[str, object]) -> DataSet:
        values = check_arguments(name, signature, given, context.span)
        arguments = {argument.name: values[argument.name] for argument in own}
        data = read(context, **arguments)
        further: dict[Part, DataSet] = {}
        for part in PARTS:
            if isinstance(values.get(part), str):
                further[part] = read(context, **{**arguments, "path": values.pop(part)})
        if further:
            data = add_parts(data, further, context.span, name)
        if LIMIT in shared:
            data = keep_first(data, values["limit"])
        if {"val", "test"} <= {argument.name for argument in shared}:
            data = divide_samples(data, values.get("val"), values.get("test"), values["seed"], context.span)
        return data

    def describe(given: dict[str, object]) -> tuple[FieldInfo, ...] | None:
        return fields({argument.name: given.get(argument.name, argument.default) for argument in signature})

    return SourceSpec(name, signature, load, describe, doc)


def _events(name: str, sensor: tuple[int, ...], classes: int | None) -> tuple[FieldInfo, ...]:
    """Return the fields of a source of events, as they are before `bin`."""
    return (FieldInfo(name, sensor, False, "events"), FieldInfo("label", (), False, "class", classes))


_FILES = (*FURTHER, SEED, LIMIT)
_FOLDER = (Argument("path", "path"), LIMIT)  # sources that stop reading at the limit take it themselves
PARTS: tuple[Part, ...] = ("val", "test")

SOURCES: Mapping[str, SourceSpec] = MappingProxyType(
    {
        spec.name: spec
        for spec in (
            _source(
                "digits",
                "1797 handwritten digits of 8 x 8 pixels, 10 classes, embedded",
                digits.load_digits,
                own=(),
                shared=(*FRACTIONS, SEED),
                fields=lambda _: digits.FIELDS,
            ),
            _source(
                "yinyang",
                "points in a disc, 3 classes, generated by the published rule with its own splits",
                yinyang.load_yinyang,
                own=(
                    Argument("seed", "seed", 42, minimum=2, maximum=MAX_SEED),
                    Argument("train", "int", 5000, maximum=yinyang.MAX_SAMPLES),
                    Argument("val", "int", 1000, minimum=0, maximum=yinyang.MAX_SAMPLES),
                    Argument("test", "int", 1000, minimum=0, maximum=yinyang.MAX_SAMPLES),
                    Argument("bias", "fraction_or_none", None),
                ),
                fields=lambda values: yinyang.describe_yinyang(values["bias"]),
            ),
            _source(
                "randman",
                "spike times on smooth random manifolds, one for each class; counts carry nothing",
                randman.load_randman,
                own=(
                    Argument("classes", "int", 10),
                    Argument("units", "int", 100, maximum=100_000),
                    Argument("steps", "int", 100),
                    Argument("dim", "int", 2, maximum=100),
                    Argument("alpha", "float", 2.0, minimum=0.1, maximum=100),
                    Argument("samples", "int", 1000),
                    Argument("spikes", "int", 1, maximum=255),
                    SEED,
                ),
                shared=FRACTIONS,
                fields=lambda values: randman.describe_randman(values["classes"], values["units"], values["steps"]),
            ),
            _source(
                "cue_accumulation",
                "cues on two sides, and after a pause the question which side had more; times in steps",
                cues.load_cues,
                own=(
                    Argument("samples", "int", 2000),
                    Argument("cues", "int", 7, maximum=1000),
                    Argument("units", "int", 40, maximum=100_000),
                    Argument("cue", "int", 100),
                    Argument("gap", "int", 50, minimum=0),
                    Argument("pause", "int", 1050, minimum=0),
                    Argument("recall", "int", 150),
                    Argument("rate", "float", 0.04, minimum=0.0, maximum=1.0),
                    SEED,
                ),
                shared=FRACTIONS,
                fields=lambda values: cues.describe_cues(
                    cues.count_steps(*(values[name] for name in ("cues", "cue", "gap", "pause", "recall"))),
                    values["units"],
                ),
            ),
            _source(
                "xor",
                "two bits and a bias, for `latency`; class 1 where one bit alone is 1; the four patterns again and again",
                xor.load_xor,
                own=(
                    Argument("samples", "int", 100, minimum=4, maximum=xor.MAX_SAMPLES),
                    Argument("bias", "float", 1.0, minimum=0.0, maximum=1.0),
                ),
                shared=(*FRACTIONS, SEED),
                fields=lambda _: xor.FIELDS,
            ),
            _source(
                "reward_task",
                "XOR of two groups of units with rates, and the reward of each output spike, 1 or -1",
                reward_task.load_reward_task,
                own=(
                    Argument("samples", "int", 400, minimum=4),
                    Argument("units", "int", 60, minimum=2, maximum=100_000),
                    Argument("steps", "int", 500),
                    Argument("rate", "float", 0.04, minimum=0.0, maximum=1.0),
                    SEED,
                ),
                shared=FRACTIONS,
                fields=lambda values: reward_task.describe_reward_task(values["steps"], values["units"]),
            ),
            _source(
                "npz",
                "a NumPy archive: fields by name, or `x_train y_train x_test y_test`",
                npz.load_npz,
                own=(Argument("path", "path"),),
                shared=_FILES,
            ),
            _source(
                "idx",
                "images and labels in IDX files, the format of MNIST, plain or compressed by gzip",
                idx.load_idx,
                own=(
                    Argument("images", "path"),
                    Argument("labels", "path"),
                    Argument("test_images", "path_or_none", None),
                    Argument("test_labels", "path_or_none", None),
                ),
                shared=(*FRACTIONS, SEED, LIMIT),
            ),
            _source(
                "csv",
                "numbers in a text table, one sample a row, one column of labels",
                csv.load_csv,
                own=(Argument("path", "path"), Argument("label", "column", -1)),
                shared=_FILES,
            ),
            _source(
                "folder",
                "a folder with one folder for each class, of `.npy` or `.npz` files with one sample each",
                folder.load_folder,
                own=_FOLDER,
                shared=(*FRACTIONS, SEED),
            ),
            _source(
                "events",
                "events in an HDF5 file: `spikes/times` (s), `spikes/units`, `labels`",
                hdf5.load_events,
                own=(
                    Argument("path", "path"),
                    Argument("units", "int", hdf5.SPEECH_UNITS, maximum=hdf5.MAX_UNITS),
                    LIMIT,
                ),
                shared=(*FURTHER, SEED),
                fields=lambda values: _events("spikes", (values["units"],), None),
            ),
            _source(
                "shd",
                "Spiking Heidelberg Digits, 700 units: the folder with `shd_train.h5` and `shd_test.h5`",
                hdf5.load_shd,
                own=_FOLDER,
                shared=(*FRACTIONS, SEED),
                fields=lambda _: _events("spikes", (hdf5.SPEECH_UNITS,), 20),
            ),
            _source(
                "ssc",
                "Spiking Speech Commands, 700 units: the folder with `ssc_train.h5`, `ssc_valid.h5` and `ssc_test.h5`",
                hdf5.load_ssc,
                own=_FOLDER,
                fields=lambda _: _events("spikes", (hdf5.SPEECH_UNITS,), 35),
            ),
            _source(
                "dvs_gesture",
                "DVS-Gesture, 2 x 128 x 128: the folder with its `.aedat` files, labels and lists of trials",
                dvs_gesture.load_dvs_gesture,
                own=_FOLDER,
                shared=(*FRACTIONS, SEED),
                fields=lambda _: _events("events", dvs_gesture.SENSOR, dvs_gesture.CLASSES),
            ),
            _source(
                "nmnist",
                "N-MNIST, 2 x 34 x 34: the folder with `Train` and `Test`, each with a folder for each digit",
                nmnist.load_nmnist,
                own=_FOLDER,
                shared=(*FRACTIONS, SEED),
                fields=lambda _: _events("events", nmnist.SENSOR, nmnist.CLASSES),
            ),
        )
    }
)
