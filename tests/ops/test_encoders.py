"""Encoders put events into the steps that language.md fixes; draws belong to their sample."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from snnc.emit.runtime import encoders as runtime
from snnc.ops.encoders import ENCODERS, TRANSFORMS

LATENCY = {"early": 0.0, "late": 10.0, "threshold": 0.0, "bias": False, "first": "large"}


def encode(name, x, *, steps=0, dt=1.0, seed=0, **options):
    """Return the runtime's result, after comparing it with the NumPy meaning where there is one."""
    encoder = ENCODERS[name]
    x = np.asarray(x, dtype=float)
    keys = jax.random.split(jax.random.key(seed), x.shape[1] if encoder.steps is None else len(x))
    actual = np.asarray(getattr(runtime, encoder.runtime)(jnp.asarray(x), keys, steps=steps, dt=dt, **options))
    if encoder.value is not None:
        np.testing.assert_array_equal(actual, encoder.value(x, None, steps=steps, dt=dt, **options))
    return actual


def spike_steps(spikes):
    """Return for each value of the only sample the steps in which it spikes."""
    return [list(np.flatnonzero(unit)) for unit in spikes[:, 0].T]


def latency(values, **changes):
    options = {**LATENCY, **changes}
    dt = options.pop("dt", 1.0)
    steps = options.pop("steps", None) or ENCODERS["latency"].steps({**options, "duration": 0.0}, dt)
    return spike_steps(encode("latency", [values], steps=steps, dt=dt, **options))


@pytest.mark.usefixtures("strict_jax")
def test_hold_has_one_step_that_stands_for_all():
    field = np.arange(6.0).reshape(2, 3)

    np.testing.assert_array_equal(encode("hold", field, steps=25), field[None])
    assert ENCODERS["hold"].held
    assert ENCODERS["hold"].steps({"duration": 25.0}, 1.0) == 25
    assert ENCODERS["hold"].steps({"duration": 5.0}, 2.0) == 3


@pytest.mark.usefixtures("strict_jax")
def test_latency_puts_time_t_into_step_ceil_of_t_over_dt_less_one():
    # t = 0, 0.5, 1, 1.5, 2, 9, 10 ms
    values = [1.0, 0.95, 0.9, 0.85, 0.8, 0.1, 0.0]

    assert latency(values) == [[0], [0], [0], [1], [1], [8], [9]]
    assert latency(values, dt=0.5) == [[0], [0], [1], [2], [3], [17], [19]]
    assert latency(values, dt=2.5) == [[0], [0], [0], [0], [0], [3], [3]]


@pytest.mark.usefixtures("strict_jax")
@pytest.mark.parametrize("dt", [0.1, 0.2, 0.3, 1.0])
def test_latency_is_not_thrown_off_by_rounding_on_the_grid(dt):
    steps = 30
    values = 1.0 - np.arange(1, steps + 1) / steps

    assert [[n] for n in range(steps)] == latency(list(values), late=steps * dt, dt=dt)


@pytest.mark.usefixtures("strict_jax")
def test_latency_of_the_small_first():
    assert latency([1.0, 0.5, 0.0], first="small") == [[9], [4], [0]]


@pytest.mark.usefixtures("strict_jax")
def test_latency_between_early_and_late_clips_values():
    assert latency([2.0, 1.0, 0.0, -1.0], early=4.0) == [[3], [3], [9], [9]]


@pytest.mark.usefixtures("strict_jax")
def test_latency_keeps_values_up_to_a_positive_threshold_silent():
    assert latency([0.0, 0.25, 0.5]) == [[9], [7], [4]]
    assert latency([0.0, 0.25, 0.5], threshold=0.25) == [[], [], [4]]


@pytest.mark.usefixtures("strict_jax")
def test_latency_drops_events_after_the_end():
    assert latency([1.0, 0.0, 0.5], steps=5) == [[0], [], [4]]


@pytest.mark.usefixtures("strict_jax")
@pytest.mark.parametrize("first", ["large", "small"])
def test_the_bias_unit_fires_at_early_whatever_the_threshold(first):
    spikes = latency([0.5, 0.1], early=3.0, threshold=0.2, bias=True, first=first)

    assert spikes == [[6], [], [2]]


def test_latency_lasts_until_late_unless_told():
    steps = ENCODERS["latency"].steps

    assert steps({"late": 30.0, "duration": 0.0}, 1.0) == 30
    assert steps({"late": 2.33, "duration": 0.0}, 0.1) == 24
    assert steps({"late": 30.0, "duration": 50.0}, 1.0) == 50


@pytest.mark.usefixtures("strict_jax")
def test_rate_spikes_with_chance_peak_dt():
    values = np.array([-1.0, 0.0, 0.25, 1.0, 3.0])
    spikes = encode("rate", np.tile(values, (40, 1)), steps=500, dt=0.5, peak=0.2)

    assert spikes.shape == (500, 40, 5)
    assert {0.0, 1.0} == set(np.unique(spikes))
    np.testing.assert_allclose(spikes.mean(axis=(0, 1)), [0.0, 0.0, 0.025, 0.1, 0.1], atol=0.01)
    assert spikes[:, :, 0].sum() == spikes[:, :, 1].sum() == 0.0


@pytest.mark.usefixtures("strict_jax")
def test_rate_draws_of_a_sample_depend_on_its_key_and_step_only():
    x, keys = jnp.full((3, 6), 0.5), jax.random.split(jax.random.key(0), 3)

    def draw(rows, steps):
        return np.asarray(runtime.encode_rate(x[rows], keys[rows], steps=steps, dt=1.0, peak=1.0))

    together, alone, shuffled = draw(np.arange(3), 20), draw(np.array([1]), 20), draw(np.array([2, 0, 1]), 8)

    np.testing.assert_array_equal(together[:, 1], alone[:, 0])
    np.testing.assert_array_equal(together[:8, [2, 0, 1]], shuffled)
    assert not np.array_equal(together[:, 0], together[:, 1])
    assert not np.array_equal(together[0], together[1])


@pytest.mark.usefixtures("strict_jax")
def test_delta_follows_the_signal_by_one_threshold_a_step():
    # moved by      0    0.5  1.0  3.0 (two behind)  rest  falls by 1.5
    signal = np.array([[5.0, 5.5, 6.0, 8.0, 8.0, 8.0, 6.5, 7.25]])

    spikes = encode("delta", np.moveaxis(signal[..., None], 1, 0), threshold=1.0)

    assert spikes.shape == (8, 1, 1)
    assert spikes[:, 0, 0].tolist() == [0, 0, 1, 1, 1, 0, -1, 0]
    assert ENCODERS["delta"].steps is None


@pytest.mark.usefixtures("strict_jax")
def test_delta_of_random_walks_stays_within_a_threshold_of_slow_ones():
    walk = np.cumsum(np.random.default_rng(0).uniform(-0.9, 0.9, (50, 4, 3)), axis=0)

    level = walk[0] + np.cumsum(encode("delta", walk, threshold=1.0), axis=0)

    assert np.abs(level - walk).max() < 1.0


@pytest.mark.usefixtures("strict_jax")
def test_random_fields_have_their_numpy_meaning():
    x = np.random.default_rng(0).random((4, 3, 5))

    for first in ("large", "small"):
        for bias in (False, True):
            spikes = encode(
                "latency", x, steps=12, dt=0.7, early=1.0, late=7.0, threshold=0.3, bias=bias, first=first
            )  # fmt: skip
            assert (12, 4, *ENCODERS["latency"].shape((3, 5), {"bias": bias})) == spikes.shape


@pytest.mark.usefixtures("strict_jax")
def test_transforms():
    x = np.random.default_rng(0).random((2, 3, 4, 5))

    scaled = TRANSFORMS["scale"].value(x, factor=0.5)
    np.testing.assert_array_equal(runtime.scale_field(jnp.asarray(x), factor=0.5), scaled)
    for lead, shape in ((1, (2, 60)), (2, (2, 3, 20))):
        flat = TRANSFORMS["flatten"].value(x, lead=lead)
        np.testing.assert_array_equal(runtime.flatten_features(jnp.asarray(x), lead=lead), flat)
        assert shape == flat.shape
        assert shape[lead:] == TRANSFORMS["flatten"].shape(x.shape[lead:], {})


@pytest.mark.usefixtures("strict_float32")
@pytest.mark.parametrize(
    ("name", "options"),
    [("hold", {}), ("rate", {"peak": 0.1}), ("latency", {**LATENCY, "bias": True}), ("delta", {"threshold": 0.1})],
)
def test_single_precision_stays_single_under_jit(name, options):
    encoder = ENCODERS[name]
    fn = getattr(runtime, encoder.runtime)
    x = jnp.asarray(np.random.default_rng(0).random((4, 6, 2)), jnp.float32)

    spikes = jax.jit(lambda x, keys: fn(x, keys, steps=6, dt=1.0, **options))(x, jax.random.split(jax.random.key(0), 4))

    assert jnp.float32 == spikes.dtype
    assert set(options) == set(encoder.arguments)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("hold", {"duration": 0.0}, "`duration` must be positive"),
        ("rate", {"duration": 10.0, "peak": 0.0}, "`peak` must be positive"),
        ("latency", {**LATENCY, "duration": 0.0, "late": 0.0}, "`late` must be positive"),
        ("latency", {**LATENCY, "duration": 0.0, "early": -1.0}, "`early` must not be negative"),
        ("latency", {**LATENCY, "duration": 0.0, "early": 11.0}, "`early` must not be after `late`"),
        ("delta", {"threshold": 0.0}, "`threshold` must be positive"),
    ],
)
def test_wrong_option(name, options, message):
    assert message == ENCODERS[name].refuse(options)


def test_a_bias_unit_needs_a_feature_axis():
    assert ENCODERS["latency"].shape((), {"bias": True}) == "`bias = true` needs a field with a feature axis"


def test_defaults_are_right_options():
    latency = ENCODERS["latency"]
    defaults = {option.name: option.default for option in latency.options}

    assert latency.refuse({**defaults, "late": 10.0}) is None
