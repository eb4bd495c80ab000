"""A network runs on generated input, on a sample of its data set, and on arrays from a file."""

import numpy as np
import pytest

from snnc.diagnostics import CompileError
from snnc.harness.datasets import load_dataset
from snnc.harness.inputs import Generator, generate_inputs, parse_duration, parse_generator, read_inputs, steps_of
from snnc.harness.simulate import draw_simulation, encode_sample, simulate


def test_a_constant_is_held_over_all_steps(model):
    inputs = generate_inputs(model, (parse_generator("pixels=constant:1.5"),), 40, 0)
    simulation = simulate(model, inputs, 40)

    assert inputs["pixels"].shape == (1, 1, 8)
    assert {name: array.shape for name, array in simulation.signals.items()} == {
        "h.spike": (40, 1, 16),
        "h.v": (40, 1, 16),
        "out.v": (40, 1, 3),
    }
    assert simulation.signals["h.spike"].sum() > 0


def test_poisson_spikes_have_their_rate_and_repeat_by_seed(model):
    generator = (Generator("pixels", "poisson", 100.0),)
    first, again, other = (generate_inputs(model, generator, 5000, seed)["pixels"] for seed in (1, 1, 2))

    assert pytest.approx(first.mean(), abs=0.01) == 0.1
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([], "nothing is said of the input `pixels`"),
        (["pixel=zero", "pixels=zero"], "`Blobs` has no input `pixel`"),
        (["pixels=poisson:2000"], "`pixels` at 2000 Hz has more than one spike in a step of 1 ms"),
    ],
)
def test_inputs_that_do_not_fit_are_told(model, texts, message):
    with pytest.raises(CompileError) as caught:
        generate_inputs(model, tuple(map(parse_generator, texts)), 10, 0)
    assert message == caught.value.diagnostics[0].message


@pytest.mark.parametrize("text", ["pixels", "=zero", "pixels=", "pixels=loud:3", "pixels=poisson:-1", "p=constant:nan"])
def test_words_that_are_no_generator_are_refused(text):
    with pytest.raises(ValueError, match="is not an input"):
        parse_generator(text)


@pytest.mark.parametrize("text", ["", "200", "ms", "0 ms", "-5 ms", "1 furlong", "1e99 s", "nan ms"])
def test_words_that_are_no_duration_are_refused(text):
    with pytest.raises(ValueError, match=r"is not a duration|at most"):
        parse_duration(text, 1.0)


@pytest.mark.parametrize(("shape", "expected"), [((20, 8), (20, 1, 8)), ((20, 3, 8), (20, 3, 8)), ((1, 8), (1, 1, 8))])
def test_arrays_of_one_or_many_samples_are_read(tmp_path, model, shape, expected):
    np.savez(tmp_path / "x.npz", pixels=np.zeros(shape))
    inputs = read_inputs(model, tmp_path / "x.npz")

    assert expected == inputs["pixels"].shape
    assert (20 if shape[0] == 20 else None) == steps_of(inputs)


def test_arrays_of_another_shape_are_refused(tmp_path, model):
    np.savez(tmp_path / "x.npz", pixels=np.zeros((20, 9)))

    with pytest.raises(CompileError, match=r"E0401.*`pixels` has shape \[20, 9\]"):
        read_inputs(model, tmp_path / "x.npz")


def test_a_sample_of_the_data_set_can_be_simulated_and_drawn(tmp_path, source, compiled, model):
    inputs = encode_sample(model, load_dataset(compiled, source, None), 7, 0, source)
    simulation = simulate(model, inputs, 10)
    written = draw_simulation(tmp_path / "out", model, simulation)

    assert [path.name for path in written] == ["signals.npz", "raster.png", "traces.png"]
    with np.load(written[0]) as stored:
        assert list(stored) == ["time", "h.spike", "h.v", "out.v"]
        np.testing.assert_array_equal(np.arange(1, 11), stored["time"])


def test_a_sample_that_is_not_there_is_told(source, compiled, model):
    with pytest.raises(CompileError, match="the data set has no sample 240"):
        encode_sample(model, load_dataset(compiled, source, None), 240, 0, source)
