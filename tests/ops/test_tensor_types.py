"""Each wrong operand or option is said in words."""

import pytest

from snnc.model import TensorType
from snnc.ops.tensor_functions import TENSOR_FUNCTIONS
from snnc.units import ONE, TIME, VOLTAGE

V = TensorType(True, True, (10,), VOLTAGE)
X = TensorType(True, True, (10,), ONE)
SPIKES = TensorType(True, True, (10,), ONE, "spikes")
SCORES = TensorType(False, True, (10,), ONE)
PLANE = TensorType(False, True, (2, 5), ONE)
NARROW = TensorType(True, True, (9,), ONE)
FIRST = TensorType(False, True, (10,), TIME)
EACH = TensorType(False, True, (), ONE)
LABEL = TensorType(False, True, (), ONE, "class")
LABELS = TensorType(True, True, (), ONE, "class")
PAIRS = TensorType(False, True, (2,), ONE, "class")
CLASS = TensorType(False, False, (), ONE, "class")
WEIGHT = TensorType(False, False, (3, 10), ONE)
TARGET = TensorType(True, False, (10,), ONE)

WRONG = [
    ("max_over_time", (SCORES,), "`x` has no time axis"),
    ("last_over_time", (LABELS,), "`x` are class numbers"),
    ("count", (SCORES,), "`spikes` has no time axis"),
    ("count", (V,), "`spikes` must be spikes, found real values"),
    ("first_crossing_time", (SPIKES, SPIKES), "`rest` must be a time (ms), found a plain number"),
    ("first_spike_time", (LABELS,), "`spikes` must be spikes, found class numbers"),
    ("softmax", (EACH,), "`x` has no feature axis"),
    ("log_softmax", (V,), "`x` must be a plain number, found a voltage (mV)"),
    ("cross_entropy", (SCORES, EACH), "`label` must be class numbers"),
    ("cross_entropy", (SCORES, PAIRS), "`label` must be one class number per sample"),
    ("cross_entropy", (SCORES, CLASS), "`label` is the same for all samples"),
    ("cross_entropy", (SCORES, LABELS), "`label` has a time axis but `logits` has none"),
    ("cross_entropy", (PLANE, LABEL), "`logits` must have one axis, the classes; found shape [2, 5]"),
    ("cross_entropy", (V, LABEL), "`logits` must be a plain number, found a voltage (mV)"),
    ("cross_entropy", (PAIRS, LABEL), "`logits` are class numbers"),
    ("nll", (EACH, LABEL), "`log_probability` must have one axis, the classes; found shape []"),
    ("ttfs_cross_entropy", (SPIKES, LABEL), "`first` has a time axis where one value per sample is needed"),
    ("late_label", (SPIKES, LABEL), "`first` has a time axis where one value per sample is needed"),
    ("ttfs_cross_entropy", (SCORES, LABEL), "`first` must be a time (ms), found a plain number"),
    ("mse", (X, NARROW), "`a` has shape [10] but `b` has shape [9]"),
    ("mse", (X, V), "`a` is a plain number but `b` is a voltage (mV)"),
    ("mse", (SCORES, X), "`b` has a time axis but `a` has none"),
    ("mse", (X, WEIGHT), "`b` is the same for all samples"),
    ("mse", (EACH, LABEL), "`b` are class numbers"),
    ("count_mse", (X, LABEL), "`spikes` must be spikes, found real values"),
    ("count_mse", (SPIKES, LABELS), "`label` has a time axis where one value per sample is needed"),
    ("van_rossum", (SPIKES, SCORES), "`target` has no time axis"),
    ("van_rossum", (V, SPIKES), "`y` must be spikes, found real values"),
    ("van_rossum", (SPIKES, TARGET), "`target` is the same for all samples"),
    ("van_rossum", (SPIKES, NARROW), "`y` has shape [10] but `target` has shape [9]"),
    ("mean", (LABEL,), "`x` are class numbers"),
    ("sum", (LABEL,), "`x` are class numbers"),
    ("l2", (LABEL,), "`x` are class numbers"),
    ("activity", (V,), "`spikes` must be spikes, found real values"),
    ("rate_upper", (SCORES,), "`spikes` has no time axis"),
    ("accuracy", (SCORES, EACH), "`label` must be class numbers"),
    ("assigned_accuracy", (X, LABEL), "`counts` has a time axis where one value per sample is needed"),
    ("confusion", (X, LABEL), "`scores` has a time axis where one value per sample is needed"),
    ("rate", (TARGET,), "`spikes` is the same for all samples"),
]  # fmt: skip

REFUSED = [
    ("ttfs_cross_entropy", {"tau": 0.0}, "`tau` must be positive"),
    ("late_label", {"tau": 0.0}, "`tau` must be positive"),
    ("van_rossum", {"rise": 0.0, "decay": 0.0}, "`decay` must be positive"),
    ("van_rossum", {"rise": -1.0, "decay": 1.0}, "`rise` must not be negative"),
    ("van_rossum", {"rise": 5.0, "decay": 5.0}, "`rise` must be below `decay`"),
    ("count_mse", {"on": 3.0, "off": -1.0}, "`off` must not be negative"),
    ("assigned_accuracy", {"classes": 2.5, "updates": 100.0}, "`classes` must be a whole number from 2"),
    ("assigned_accuracy", {"classes": 10.0, "updates": 0.5}, "`updates` must be at least 1"),
    ("rate_target", {"target": -0.1}, "`target` must not be negative"),
]


@pytest.mark.parametrize(("name", "types", "message"), WRONG)
def test_wrong_operand(name, types, message):
    assert message == TENSOR_FUNCTIONS[name].check(types)


@pytest.mark.parametrize(("name", "options", "message"), REFUSED)
def test_wrong_option(name, options, message):
    assert message == TENSOR_FUNCTIONS[name].refuse(options)


def test_right_options_are_accepted():
    assert TENSOR_FUNCTIONS["van_rossum"].refuse({"rise": 5.0, "decay": 10.0}) is None
    assert TENSOR_FUNCTIONS["mean"].refuse({}) is None


@pytest.mark.parametrize(
    ("name", "types", "result"),
    [
        ("max_over_time", (V,), TensorType(False, True, (10,), VOLTAGE)),
        ("count", (SPIKES,), SCORES),
        ("first_spike_time", (SPIKES,), FIRST),
        ("cross_entropy", (X, LABEL), TensorType(True, True, (), ONE)),
        ("count_mse", (SPIKES, LABEL), EACH),
        ("mse", (V, V), TensorType(True, True, (), ONE)),
        ("mean", (V,), TensorType(False, False, (), VOLTAGE)),
        ("sum", (WEIGHT,), TensorType(False, False, (), ONE)),
        ("accuracy", (TensorType(False, True, (10,), VOLTAGE), LABEL), EACH),
        ("confusion", (SCORES, LABEL), TensorType(False, False, (10, 10), ONE)),
    ],
)
def test_result(name, types, result):
    assert result == TENSOR_FUNCTIONS[name].check(types)


def test_every_function_refuses_something():
    assert set(TENSOR_FUNCTIONS) - {name for name, _, _ in WRONG} == {
        "mean_over_time", "sum_over_time", "l1", "rate_lower", "rate_target", "mae",  # share the rule of one above
    }  # fmt: skip
