"""The sources that need no files: digits, yinyang, randman and the tasks, against their published rules."""

import numpy as np
import pytest

from snnc.data.randman import draw_manifold
from snnc.data.sources import SOURCES
from snnc.diagnostics import CompileError


def test_digits_are_the_uci_digits(load):
    data = load("digits")

    pixels, label = data.fields["pixels"], data.fields["label"]
    assert ((1797, 64), np.float32, 0.0, 1.0) == (pixels.shape, pixels.dtype, pixels.min(), pixels.max())
    assert np.bincount(label).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert (pixels[0, :8] * 16).tolist() == [0, 0, 5, 13, 9, 1, 0, 0]
    assert data.split is None


def reference_yinyang(count, seed):
    """The rule in other words: one stream of uniform numbers, classes as sets."""
    random = np.random.RandomState(seed)
    rows = []
    while len(rows) < count:
        goal, found = random.randint(3), None
        while found != goal:
            point = random.rand(2)
            if np.linalg.norm(point - 0.5) > 0.5:
                continue
            right, left = (np.linalg.norm(point - (centre, 0.5)) for centre in (0.75, 0.25))
            if min(right, left) < 0.1:
                found = 2
            elif left <= 0.25:
                found = 1
            else:
                found = int(point[1] > 0.5 and right > 0.25)
        rows.append([*point, *(1 - point), goal])
    return np.array(rows)


def test_yinyang_follows_the_published_rule(load):
    data = load("yinyang")

    assert tuple(len(data.part(name)["label"]) for name in ("train", "val", "test")) == (5000, 1000, 1000)
    for name, seed in (("train", 42), ("val", 41), ("test", 40)):
        expected = reference_yinyang(300, seed)
        part = data.part(name)
        np.testing.assert_allclose(part["points"][:300], expected[:, :4], rtol=1e-6)
        np.testing.assert_array_equal(part["label"][:300], expected[:, 4])


def test_yinyang_starts_with_the_known_samples(load):
    data = load("yinyang", train=3, val=0, test=0)

    assert data.fields["label"].tolist() == [2, 1, 2]
    np.testing.assert_allclose(
        [[0.68030757, 0.45049927], [0.09767211, 0.684233], [0.75536144, 0.42515588]],
        data.fields["points"][:, :2],
        rtol=1e-6,
    )


def test_a_point_of_yinyang_may_have_a_bias(load):
    points = load("yinyang", train=3, val=0, test=0, bias=0.6).fields["points"]

    np.testing.assert_allclose(points[:, 4], 0.6, rtol=1e-6)
    np.testing.assert_array_equal(points[:, :4], load("yinyang", train=3, val=0, test=0).fields["points"])


def test_yinyang_is_balanced_in_a_disc(load):
    points, label = load("yinyang").fields.values()

    assert np.abs(np.bincount(label) / 7000 - 1 / 3).max() < 0.02
    assert (np.hypot(points[:, 0] - 0.5, points[:, 1] - 0.5) <= 0.5 + 1e-6).all()
    np.testing.assert_allclose(points[:, :2] + points[:, 2:], 1, rtol=1e-6)


@pytest.mark.parametrize("spikes", [1, 3])
def test_every_unit_of_randman_fires_the_same_number_of_times(load, spikes):
    data = load("randman", classes=3, units=7, steps=20, samples=40, spikes=spikes, dim=1, seed=5)

    counts = data.fields["spikes"]
    assert ((120, 20, 7), np.uint8) == (counts.shape, counts.dtype)
    assert (counts.sum(axis=1) == spikes).all()
    assert np.bincount(data.fields["label"]).tolist() == [40, 40, 40]


def test_each_unit_of_randman_uses_all_of_the_time_in_each_class(load):
    data = load("randman", classes=3, units=7, steps=20, samples=40)

    times = data.fields["spikes"].argmax(axis=1).reshape(3, 40, 7)
    assert (times.min(axis=1) == 0).all()
    assert (times.max(axis=1) == 19).all()


def test_a_manifold_is_the_product_of_the_published_sums():
    x = np.random.default_rng(0).random((5, 2))

    y = draw_manifold(x, 3, 2.0, np.random.default_rng(9))

    random = np.random.default_rng(9)
    expected = np.ones((5, 3))
    i = np.arange(32)  # ceil(1e-3 ** (-1/2)) terms
    for d in range(2):
        A, B, C = random.random((3, 32, 3))
        A[0] = 0
        for sample in range(5):
            for unit in range(3):
                phase = i * x[sample, d] * B[:, unit] + C[:, unit]
                expected[sample, unit] *= np.sum(A[:, unit] * (i + 1.0) ** -2 * np.sin(2 * np.pi * phase))
    np.testing.assert_allclose(expected, y, rtol=1e-10)


def test_randman_repeats_with_its_seed(load):
    settings = {"classes": 2, "units": 4, "steps": 10, "samples": 9}
    first, same, other = (load("randman", seed=seed, **settings).fields["spikes"] for seed in (1, 1, 2))

    np.testing.assert_array_equal(first, same)
    assert (first != other).any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"samples": 10**6},
            "`randman` with these settings takes 96.1 GiB; at most 8 GiB are made",
        ),
        (
            {"samples": 10**5, "steps": 1, "dim": 100, "spikes": 2},
            "`randman` with these settings sums more than 2e+10 sines",
        ),
    ],
)
def test_a_randman_beyond_memory_or_patience_is_refused(refuse, settings, message):
    code, found, _ = refuse("randman", **settings)

    assert ("E0607", message) == (code, found)


@pytest.mark.parametrize(
    ("source", "settings"),
    [
        ("digits", {}),
        ("yinyang", {"train": 50}),
        ("yinyang", {"train": 50, "bias": 0.5}),
        ("randman", {"classes": 2, "units": 4, "steps": 10, "samples": 5}),
        ("xor", {"samples": 8}),
        ("reward_task", {"samples": 4, "units": 6, "steps": 10}),
    ],
)
def test_described_fields_are_those_loaded(load, source, settings):
    data = load(source, **settings)

    described = SOURCES[source].describe(settings)
    assert described is not None
    assert {field.name: field.shape for field in described} == {
        name: array.shape[1:] for name, array in data.fields.items()
    }
    (classes,) = (field.classes for field in described if field.kind == "class")
    assert classes == data.fields["label"].max() + 1


def test_cues_follow_the_published_rule(load):
    data = load("cue_accumulation", samples=400, cues=7, seed=3)

    spikes, label = data.fields["spikes"].astype(float), data.fields["label"]
    assert spikes.shape == (400, 2250, 40)
    groups = spikes.reshape(400, 2250, 4, 10).mean(axis=(0, 3))
    cues = spikes[:, :1050].reshape(400, 7, 150, 4, 10)
    assert not cues[:, :, :50, :3].any()
    assert not spikes[:, 1050:2100, :30].any()
    np.testing.assert_allclose(groups[2100:, 2].mean(), 0.04, rtol=0.05)
    np.testing.assert_allclose(groups[:, 3].mean(), 0.01, rtol=0.05)
    counts = cues[:, :, 50:, :2].sum(axis=(2, 4))  # of each cue, on both sides
    np.testing.assert_array_equal((counts > 0).sum(axis=2), 1)
    sides = counts[:, :, 1] > 0
    np.testing.assert_array_equal(label, sides.sum(axis=1) >= 4)
    assert 0.45 < label.mean() < 0.55
    np.testing.assert_allclose(np.abs(sides.mean(axis=1) - 0.5).mean(), 0.22, atol=0.03)  # 0.3 or 0.7 of seven


def test_cues_are_dealt_to_four_groups(load):
    with pytest.raises(CompileError, match="4 groups"):
        load("cue_accumulation", samples=4, units=10)


def test_xor_has_each_pattern_as_often_and_a_bias(load):
    data = load("xor", samples=40, bias=0.6, val=0.2)

    points, label = data.fields["points"], data.fields["label"]
    assert ((40, 3), np.float32) == (points.shape, points.dtype)
    np.testing.assert_allclose(points[:, 2], 0.6, rtol=1e-6)
    patterns, counts = np.unique(np.column_stack([points[:, :2], label]), axis=0, return_counts=True)
    assert patterns.tolist() == [[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0]]
    assert counts.tolist() == [10] * 4
    assert (len(data.part("train")["label"]), len(data.part("val")["label"])) == (32, 8)


def test_the_reward_task_follows_the_published_rule(load):
    data = load("reward_task", samples=200)

    spikes, reward, label = (data.fields[name] for name in ("spikes", "reward", "label"))
    assert ((200, 500, 60), np.float32) == (spikes.shape, reward.dtype)
    rates = spikes.reshape(200, 500, 2, 30).mean(axis=(1, 3)) * 1000  # Hz, at steps of 1 ms
    bits = rates > 0
    np.testing.assert_allclose(rates[bits], 40, atol=8)
    np.testing.assert_allclose(rates[bits].mean(), 40, atol=0.5)
    np.testing.assert_array_equal(bits[:, 0] != bits[:, 1], label)
    np.testing.assert_array_equal(np.where(label == 1, 1, -1), reward)
    assert np.unique(bits, axis=0, return_counts=True)[1].tolist() == [50] * 4


def test_the_reward_task_repeats_with_its_seed(load):
    first, same, other = (load("reward_task", samples=8, seed=seed).fields["spikes"] for seed in (1, 1, 2))

    np.testing.assert_array_equal(first, same)
    assert (first != other).any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"units": 7}, "`reward_task` deals 7 units to 2 bits"),
        ({"samples": 10**6}, "`reward_task` with these settings takes 251.5 GiB; at most 8 GiB are made"),
    ],
)
def test_a_reward_task_of_odd_groups_or_beyond_memory_is_refused(refuse, settings, message):
    code, found, _ = refuse("reward_task", **settings)

    assert ("E0607", message) == (code, found)
