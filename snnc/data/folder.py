"""A folder with one folder for each class and one NumPy array for each sample; with `train` and `test` inside, splits."""

from __future__ import annotations

import numpy as np

from snnc.data.class_folders import class_names, list_classes
from snnc.data.files import LoadContext, check_bytes, find_folder
from snnc.data.npz import read_arrays, read_npy
from snnc.data.record import PART_CODES, DataSet, Part, join_parts, make_dataset
from snnc.diagnostics import Code, fail

_ENDINGS = (".npy", ".npz")


def load_folder(context: LoadContext, path: str, limit: int | None) -> DataSet:
    """Return `x`, the arrays of the files, and `label`, the place of the class in the alphabet; classes in turn.

    A folder with a folder `train` holds a split: `train`, and beside it `val` and `test` if they are there.

    Raises:
        CompileError: E0604 or E0605 for files that are not there, or are no arrays of one shape.
    """
    folder = find_folder(context, path)
    names = class_names(context, folder, path)
    if not names:
        raise fail(
            Code.BAD_DATA,
            context.span,
            f"`{path}` has no folders inside, so no classes",
            help="store the arrays of each class in a folder of its own, as in `gsc/yes/0001.npy`",
        )
    if "train" not in names:
        return _load_part(context, path, names, limit)
    classes = class_names(context, find_folder(context, f"{path}/train"), f"{path}/train")
    parts: dict[Part, DataSet] = {}
    for part in PART_CODES:
        if part in names:
            inside = find_folder(context, f"{path}/{part}")
            further = [name for name in class_names(context, inside, f"{path}/{part}") if name not in classes]
            if further:
                raise fail(
                    Code.BAD_DATA,
                    context.span,
                    f"`{path}/{part}` has the class `{further[0][:40]}`, which `{path}/train` has not",
                    help="give every split the same folders of classes",
                )
            parts[part] = _load_part(context, f"{path}/{part}", classes, limit)
    return join_parts(parts, context.span, path)


def _load_part(context: LoadContext, path: str, classes: tuple[str, ...], limit: int | None) -> DataSet:
    members = list_classes(context, find_folder(context, path), path, _ENDINGS, classes)[:limit]
    whole: np.ndarray | None = None
    for row, member in enumerate(members):
        if member.name.endswith(".npy"):
            found = {"x": read_npy(member.file, member.name, context.span)}
        else:
            found = read_arrays(member.file, member.name, context.span)
        if len(found) != 1:
            raise _bad(context, f"`{member.name}` holds {len(found)} arrays", "store one array in each file")
        array = next(iter(found.values()))
        if whole is None:
            check_bytes(len(members) * array.nbytes, context.span, path)
            whole = np.zeros((len(members), *array.shape), array.dtype)
        if array.shape != whole.shape[1:] or array.dtype != whole.dtype:
            raise _bad(
                context,
                f"`{member.name}` is `{array.dtype}` {array.shape}, and `{members[0].name}` is `{whole.dtype}` {whole.shape[1:]}",
                "store all samples in one shape and type: pad short ones, or cut long ones",
            )
        whole[row] = array
    assert whole is not None, "every class has a file"
    label = np.array([member.label for member in members], np.int32)
    return make_dataset({"x": whole, "label": label}, None, context.span, path)


def _bad(context: LoadContext, message: str, help: str) -> Exception:
    return fail(Code.BAD_DATA, context.span, message, help=help)
