"""Weights come back as they were saved, and only into the model that they were saved from."""

import jax
import numpy as np
import pytest
from safetensors import safe_open

from snnc.diagnostics import CompileError
from snnc.harness.load_module import load_module
from snnc.harness.weights import load_matching, load_weights, save_weights


@pytest.fixture
def values(model):
    key = jax.random.key(1)
    return model.init_params(key), model.init_buffers(key)


def message(path, model):
    with pytest.raises(CompileError) as caught:
        load_weights(path, model)
    (finding,) = caught.value.diagnostics
    assert finding.code == "E0608"
    return finding.message


def test_weights_come_back_as_they_were(tmp_path, model, values):
    path = tmp_path / "weights.safetensors"
    save_weights(path, model, *values)

    params, buffers = load_weights(path, model)
    for saved, loaded in zip((*values[0], *values[1]), (*params, *buffers), strict=True):
        np.testing.assert_array_equal(saved, loaded)


def test_the_file_names_tensors_as_the_author_does(tmp_path, model, values):
    path = tmp_path / "weights.safetensors"
    save_weights(path, model, *values, {"epoch": "3"})

    with safe_open(path, framework="np") as file:
        assert {"pixels_h.dense.w", "h.tau", "h_out.dense.w", "buffers.h.theta"} == set(file.keys())
        assert file.metadata() == {"model_hash": model.MODEL_HASH, "model": "Blobs", "epoch": "3"}


def test_weights_of_another_model_are_refused(tmp_path, compiled, model, values):
    path = tmp_path / "weights.safetensors"
    other = load_module(compiled.text)
    other.MODEL_HASH = "0123456789abcdef"
    save_weights(path, other, *values)

    found = f"they were saved from `Blobs` 0123456789ab, this is {model.MODEL_HASH[:12]}"
    assert message(path, model) == f"these weights do not fit `Blobs`: {found}"


def test_every_difference_is_named(tmp_path, model, values):
    path = tmp_path / "weights.safetensors"
    params, buffers = values
    wrong = params._replace(h_tau=np.zeros(2, np.float32), h_out_dense_w=np.asarray(params.h_out_dense_w, np.float64))
    save_weights(path, model, wrong, buffers)

    expected = (
        "these weights do not fit `Blobs`: `h.tau` has shape [2], the model []; "
        "`h_out.dense.w` holds float64, the model float32"
    )
    assert expected == message(path, model)


def test_names_that_only_one_side_has_are_told(tmp_path, compiled, model, values):
    path = tmp_path / "weights.safetensors"
    other = load_module(compiled.text.replace('h_tau="h.tau"', 'h_tau="h.tau_m"'))
    save_weights(path, other, *values)

    expected = "these weights do not fit `Blobs`: `h.tau` is missing; `h.tau_m` is not in the model"
    assert expected == message(path, model)


def test_a_file_that_is_no_safetensors_file_is_told_so(tmp_path, model):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"not weights")

    assert message(path, model).startswith("cannot read weights: ")


def test_what_matches_by_name_and_shape_is_taken_and_the_rest_named(tmp_path, model, values):
    path = tmp_path / "weights.safetensors"
    params, buffers = values
    narrow = np.zeros((4, 3), np.float32)
    save_weights(path, model, params._replace(h_out_dense_w=narrow), buffers)

    fresh = model.init_params(jax.random.key(2)), model.init_buffers(jax.random.key(2))
    taken, taken_buffers, left = load_matching(path, model, *fresh)
    assert left == ("h_out.dense.w",)
    np.testing.assert_array_equal(params.pixels_h_dense_w, taken.pixels_h_dense_w)
    np.testing.assert_array_equal(fresh[0].h_out_dense_w, taken.h_out_dense_w)
    np.testing.assert_array_equal(buffers.h_theta, taken_buffers.h_theta)


def test_weights_that_share_nothing_are_refused(tmp_path, model, values):
    path = tmp_path / "weights.safetensors"
    save_weights(path, model, *jax.tree.map(lambda value: np.zeros((2, *value.shape), np.float32), values))

    with pytest.raises(CompileError, match=r"E0608.*have no name and shape in common with `Blobs`"):
        load_matching(path, model, *values)
