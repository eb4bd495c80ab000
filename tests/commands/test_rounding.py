"""`precision = bf16 | f16` in a recipe, through the command line: it learns, and says what it costs in accuracy."""

import json
import re

import pytest


def in_precision(word):
    return ("  batch = 32\n", f"  batch = 32\n  precision = {word}\n")


@pytest.mark.parametrize("word", ["bf16", pytest.param("f16", marks=pytest.mark.long)])
def test_a_training_says_how_far_its_first_batch_is_from_float32(snnc, tmp_path, write_model, word):
    write_model(tmp_path, replaced=in_precision(word))

    result = snnc("train", "blobs.snn", "--epochs", "3", "--no-plots", "--json")

    assert result.returncode == 0, result.stderr
    said = re.search(rf"products in {word}: the first batch has a loss of (\S+), in float32 (\S+);", result.stderr)
    assert said is not None, result.stderr
    run = tmp_path / "runs" / "blobs"
    record = json.loads((run / "rounding.json").read_text())
    assert record["precision"] == word
    assert float(said[1]) == pytest.approx(record["loss"], rel=1e-4)
    assert record["loss"] == pytest.approx(record["loss_in_float32"], rel=0.05)
    assert 0 < record["gradient"] < 0.5
    losses = [json.loads(line)["train"]["loss"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert losses[2] < 0.9 * losses[0]
    resumed = snnc("train", "blobs.snn", "--epochs", "4", "--no-plots", "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert "products in" not in resumed.stderr
    assert json.loads((run / "rounding.json").read_text()) == record


def test_a_training_in_float32_after_one_in_16_bits_leaves_no_record(snnc, tmp_path, write_model):
    run = tmp_path / "runs" / "blobs"
    run.mkdir(parents=True)
    (run / "rounding.json").write_text("{}")
    write_model(tmp_path)

    result = snnc("train", "blobs.snn", "--epochs", "1", "--no-plots")

    assert result.returncode == 0, result.stderr
    assert "products in" not in result.stderr
    assert not (run / "rounding.json").exists()


def test_the_emitted_file_names_the_products_that_round(snnc, tmp_path, write_model):
    write_model(tmp_path, replaced=in_precision("bf16"))

    result = snnc("compile", "blobs.snn", "-o", "blobs.py")

    assert result.returncode == 0, result.stderr
    text = (tmp_path / "blobs.py").read_text()
    assert "factors rounded to bfloat16, sums in float32: pixels_h.dense, h_out.dense" in text
    assert "dense_in(h.spike, params.h_out_dense_w, jnp.bfloat16)" in text
