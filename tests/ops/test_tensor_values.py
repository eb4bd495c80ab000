"""Every runtime function has the value of its NumPy meaning, and the type that its rule says."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from snnc.model import TensorType
from snnc.ops.losses import LOSSES
from snnc.ops.metrics import METRICS
from snnc.ops.penalties import PENALTIES
from snnc.ops.readouts import READOUTS, WINDOW
from snnc.ops.tensor_functions import TENSOR_FUNCTIONS
from snnc.units import ONE, TIME

T, B, N = 7, 5, 4
WEIGHT = np.array([1.0, 1.0, 1.0, 0.0, 0.0])

STEPS = TensorType(True, True, (N,), ONE)
PLANES = TensorType(True, True, (2, 3), ONE)
LINE = TensorType(True, True, (), ONE)
SAMPLES = TensorType(False, True, (N,), ONE)
ONE_EACH = TensorType(False, True, (), ONE)
MATRIX = TensorType(False, False, (3, N), ONE)
SPIKES = TensorType(True, True, (N,), ONE, "spikes")
SPIKE_PLANES = TensorType(True, True, (2, 3), ONE, "spikes")
TIMES = TensorType(False, True, (N,), TIME)
RESTS = TensorType(True, True, (N,), TIME)
LABEL = TensorType(False, True, (), ONE, "class")
LABELS = TensorType(True, True, (), ONE, "class")

CASES = [
    *((readout.name, (x,), {}) for readout in READOUTS[:4] for x in (STEPS, PLANES, LINE, SPIKES)),
    *((name, (x,), {}) for name in ("count", "first_spike_time") for x in (SPIKES, SPIKE_PLANES)),
    ("first_crossing_time", (SPIKES, RESTS), {}),
    *((name, (x,), {}) for name in ("softmax", "log_softmax") for x in (STEPS, PLANES, SAMPLES)),
    *((name, x, {}) for name in ("cross_entropy", "nll", "accuracy") for x in ((SAMPLES, LABEL), (STEPS, LABEL))),
    *((name, (STEPS, LABELS), {}) for name in ("cross_entropy", "nll", "accuracy")),
    ("ttfs_cross_entropy", (TIMES, LABEL), {"tau": 5.0}),
    ("late_label", (TIMES, LABEL), {"tau": 5.0}),
    *(("mae", x, {}) for x in ((STEPS, STEPS), (STEPS, SAMPLES), (SAMPLES, SAMPLES))),
    *(("mse", x, {}) for x in ((STEPS, STEPS), (PLANES, PLANES), (SAMPLES, SAMPLES), (ONE_EACH, ONE_EACH))),
    *(("mse", x, {}) for x in ((STEPS, SAMPLES), (LINE, ONE_EACH), (LINE, LINE))),
    *(("count_mse", (x, LABEL), {"on": 5.0, "off": 1.0}) for x in (SPIKES, SAMPLES)),
    *(("van_rossum", (x, x), {"rise": r, "decay": 10.0}) for x in (SPIKES, SPIKE_PLANES) for r in (0.0, 5.0, 9.99)),
    *((name, (x,), {}) for name in ("mean", "sum") for x in (STEPS, PLANES, LINE, SAMPLES, ONE_EACH, MATRIX)),
    *((name, (x,), {}) for name in ("l1", "l2") for x in (STEPS, PLANES, LINE, SAMPLES, MATRIX)),
    *((name, (x,), {}) for name in ("activity", "rate") for x in (SPIKES, SPIKE_PLANES)),
    *((name, (x,), {"bound": 0.2}) for name in ("rate_upper", "rate_lower") for x in (SPIKES, SPIKE_PLANES)),
    ("rate_target", (SPIKES,), {"target": 0.02}),
    ("assigned_accuracy", (SAMPLES, LABEL), {"classes": 4.0, "updates": 100.0}),
    ("confusion", (SAMPLES, LABEL), {}),
]  # fmt: skip
IDS = [f"{name}-{'-'.join(f'{t.kind}{t.shape}' for t in types)}" for name, types, _ in CASES]


def runtime(function):
    """Return the JAX function that `function` names, from whichever file has it."""
    family = next(
        file
        for file, functions in {
            "readouts": READOUTS, "losses": LOSSES, "penalties": PENALTIES, "metrics": METRICS,
        }.items()
        if function in functions
    )  # fmt: skip
    return getattr(importlib.import_module(f"snnc.emit.runtime.{family}"), function.runtime)


RESPONSES = np.random.default_rng(5).random((4, N + 1))


def draw(tensor, rng):
    """Return values of the type `tensor`; labels are int32 below N."""
    shape = (T,) * tensor.time + (B,) * tensor.batch + tensor.shape
    if tensor.kind == "class":
        return rng.integers(0, N, shape).astype(np.int32)
    if tensor.kind == "spikes":
        return (rng.random(shape) < 0.3).astype(np.float64)
    return rng.normal(size=shape)


def extras(function, types):
    axis = (1 if types[0].time else 0) if types[0].batch else None
    known = {"dt": 0.5, "weight": WEIGHT, "batch_axis": axis, "responses": RESPONSES}
    return {name: known[name] for name in function.extras}


@pytest.mark.usefixtures("strict_jax")
@pytest.mark.parametrize(("name", "types", "options"), CASES, ids=IDS)
def test_jax_and_numpy_agree_and_have_the_shape_of_the_type(name, types, options):
    function = TENSOR_FUNCTIONS[name]
    rng = np.random.default_rng(len(name))
    operands = [draw(tensor, rng) for tensor in types]
    given = extras(function, types)
    result = function.check(types)
    assert not isinstance(result, str), result

    expected = function.value(*operands, **options, **given)
    arrays = {key: jnp.asarray(x) if isinstance(x, np.ndarray) else x for key, x in given.items()}
    actual = runtime(function)(*map(jnp.asarray, operands), **options, **arrays)

    assert (T,) * result.time + (B,) * result.batch + result.shape == expected.shape == actual.shape
    assert jnp.float64 == actual.dtype
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.usefixtures("strict_float32")
@pytest.mark.parametrize(("name", "types", "options"), CASES, ids=IDS)
def test_single_precision_stays_single(name, types, options):
    function = TENSOR_FUNCTIONS[name]
    rng = np.random.default_rng(0)
    operands = [jnp.asarray(x if x.dtype == np.int32 else x.astype(np.float32)) for x in (draw(t, rng) for t in types)]
    given = extras(function, types)
    if "weight" in given:
        given["weight"] = jnp.asarray(WEIGHT.astype(np.float32))

    actual = jax.eval_shape(lambda *x: runtime(function)(*x, **options, **given), *operands)

    assert jnp.float32 == actual.dtype


def test_no_function_lacks_a_case():
    assert set(TENSOR_FUNCTIONS) == {name for name, _, _ in CASES}


def test_a_call_passes_operands_and_all_options_but_the_window():
    for name, types, options in CASES:
        function = TENSOR_FUNCTIONS[name]

        assert len(types) == len(function.operands)
        assert {o.name for o in function.options if o not in WINDOW} == set(options)


@pytest.mark.usefixtures("strict_jax")
@pytest.mark.parametrize("name", ["mean", "l1", "l2", "activity", "rate", "rate_target", "confusion"])
def test_padding_changes_nothing(name):
    function = TENSOR_FUNCTIONS[name]
    _, types, options = next(case for case in CASES if case[0] == name)
    rng = np.random.default_rng(3)
    full = [draw(tensor, rng) for tensor in types]
    given = extras(function, types)
    del given["weight"]

    def call(operands, weight):
        return runtime(function)(*map(jnp.asarray, operands), **options, **given, weight=jnp.asarray(weight))

    real = [x[:, :3] if tensor.time else x[:3] for x, tensor in zip(full, types, strict=True)]

    np.testing.assert_allclose(call(full, WEIGHT), call(real, np.ones(3)), rtol=1e-12)


@pytest.mark.usefixtures("strict_jax")
def test_known_values():
    functions = {name: runtime(function) for name, function in TENSOR_FUNCTIONS.items()}
    spikes = jnp.zeros((1000, 1, 2)).at[10, 0, 0].set(1.0)
    silent = jnp.zeros_like(spikes)
    weight = jnp.ones(1)
    label = jnp.zeros(1, jnp.int32)

    # one spike more: 1 / decay times the integral of exp(-2 t / decay) from 0.1 ms to 10 ms, mean of two units
    distance = functions["van_rossum"](spikes, silent, rise=0.0, decay=10.0, dt=0.01)
    np.testing.assert_allclose(distance, 0.5 / 2 * (1 - np.exp(-2 * 9.9 / 10)), rtol=2e-3)
    # 1 spike in 1 s of one neuron, none of the other
    np.testing.assert_allclose(functions["rate"](spikes, weight=weight, dt=1.0), 0.5)
    np.testing.assert_allclose(functions["activity"](spikes, weight=weight), 0.5)
    np.testing.assert_allclose(functions["rate_upper"](spikes, bound=0.0005, weight=weight, dt=1.0), 0.125)
    np.testing.assert_allclose(functions["rate_lower"](spikes, bound=0.002, weight=weight, dt=1.0), 2.5)
    np.testing.assert_array_equal(functions["first_spike_time"](spikes, dt=1.0), [[11.0, 1001.0]])
    np.testing.assert_allclose(functions["cross_entropy"](jnp.zeros((1, 4)), label), [np.log(4.0)])
    np.testing.assert_allclose(functions["count_mse"](spikes, label, on=3.0, off=1.0), [2.5])


@pytest.mark.usefixtures("strict_jax")
@pytest.mark.parametrize("rise", [0.5, 5.0, 9.9])
def test_the_van_rossum_kernel_has_peak_one(rise):
    losses = importlib.import_module("snnc.emit.runtime.losses")
    spike = jnp.zeros((4000, 1, 1)).at[0].set(1.0)

    dt, decay = 0.01, 10.0
    shape = losses.exponential_filter(spike, tau=decay, dt=dt) - losses.exponential_filter(spike, tau=rise, dt=dt)
    unscaled = dt / decay * float(jnp.sum(shape**2))
    scaled = float(losses.van_rossum(spike, jnp.zeros_like(spike), rise=rise, decay=decay, dt=dt)[0])

    np.testing.assert_allclose(unscaled / scaled, float(jnp.max(shape)) ** 2, rtol=1e-5)


@pytest.mark.usefixtures("strict_jax")
def test_a_label_beyond_the_classes_gives_nan_and_not_another_class():
    nll = runtime(TENSOR_FUNCTIONS["nll"])

    assert bool(jnp.isnan(nll(jnp.zeros((1, 3)), jnp.array([3], jnp.int32)))[0])


@pytest.mark.usefixtures("strict_jax")
def test_losses_differentiate_under_jit():
    loss = runtime(TENSOR_FUNCTIONS["van_rossum"])
    spikes, target = (draw(SPIKES, np.random.default_rng(seed)) for seed in (1, 2))

    def total(y):
        return jnp.sum(loss(y, jnp.asarray(target), rise=5.0, decay=10.0, dt=0.5))

    gradient = jax.jit(jax.grad(total))(jnp.asarray(spikes))
    h = 1e-5
    up, down = (float(total(jnp.asarray(spikes).at[2, 1, 3].add(step))) for step in (h, -h))
    np.testing.assert_allclose(gradient[2, 1, 3], (up - down) / (2 * h), rtol=1e-6)
