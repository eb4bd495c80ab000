"""Turns an array from anywhere into plain numbers that training keeps as they are, or says why it cannot.

Both functions raise `CompileError` E0605 at `span`; `place` is what messages call the array.
"""

from __future__ import annotations

import numpy as np

from snnc.diagnostics import Code, fail
from snnc.source import Span

_INT32_MAX = 2**31 - 1


def class_numbers(array: np.ndarray, span: Span, place: str) -> np.ndarray:
    """Return int32 [samples], or [samples, steps], from integers of any width and from floats without fraction.

    Shape [samples, 1] becomes [samples].
    """
    _check_numbers(array, span, place)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim > 2 or _is_one_hot(array):
        raise fail(
            Code.BAD_DATA,
            span,
            f"{place} has shape {array.shape}: one class number for each sample, or for each of its steps, is expected",
            help="turn one-hot rows into numbers by `argmax(axis=-1)`, or give a target another name than `label`",
        )
    odd = (np.floor(array) != array) | (array < 0) | (array > _INT32_MAX)  # NaN differs from itself
    if odd.any():
        index, value = int(np.argmax(odd)) // (array.size // len(array)), array[odd][0]
        raise fail(
            Code.BAD_DATA,
            span,
            f"{place} must hold class numbers 0, 1, …: sample {index} has {value}",
            help="number the classes from 0, or give the target another name than `label`",
        )
    return array.astype(np.int32)


def _is_one_hot(array: np.ndarray) -> bool:
    """Whether rows of floats are classes in the form of one-hot vectors, and no labels of steps."""
    rows = array.ndim == 2 and array.dtype.kind == "f" and bool(((array == 0) | (array == 1)).all())
    return rows and bool((array.sum(axis=1) == 1).all())


def plain_numbers(array: np.ndarray, span: Span, place: str) -> np.ndarray:
    """Return `array` in native byte order and in a type that training keeps as it is."""
    _check_numbers(array, span, place)
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):  # what overflows becomes infinite and is reported just below
            plain = array.astype(np.float32)
        wrong, what = ~np.isfinite(plain), "NaN, infinite or too large for float32"
    elif array.dtype.itemsize == 8:
        wrong, what = (array > _INT32_MAX) | (array < -_INT32_MAX - 1), "too large for 32-bit integers"
        plain = array.astype(np.int32)
    else:
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    if wrong.any():
        sample = int(np.argmax(wrong.reshape(len(wrong), -1).any(axis=1)))
        raise fail(
            Code.BAD_DATA,
            span,
            f"{place} has {int(wrong.sum())} values that are {what}, the first in sample {sample}",
            help="remove or replace these samples, or rescale the field, before storing it",
        )
    return plain


def _check_numbers(array: np.ndarray, span: Span, place: str) -> None:
    if array.dtype.kind not in "biuf":
        raise fail(
            Code.BAD_DATA,
            span,
            f"{place} holds values of type `{array.dtype}`, not numbers",
            help="store integers, booleans or floats; objects, text and complex numbers are not read",
        )
    if array.ndim == 0 or array.size == 0:
        raise fail(
            Code.BAD_DATA,
            span,
            f"{place} is empty: its shape is {array.shape}",
            help="store at least one sample, and samples on the first axis",
        )
