"""Sizes, counts and lengths beyond every machine end in a finding that says so, before anything is allocated."""

import numpy as np
import pytest

MUCH = 4 << 30


@pytest.mark.parametrize(
    ("command", "hidden"),
    [
        ("check", "1000000000"),
        ("compile", "100000, 100000"),
        ("train", "1000000000"),
        ("run", "100000, 100000"),
        ("check", "10^12"),
        ("check", "50000000"),
        ("check", "10^8"),
    ],
)
def test_giant_layers_are_refused(write_model, refused, command, hidden):
    write_model(hidden=hidden)

    refused("E0409", command, "model.snn", seconds=20)


@pytest.mark.parametrize("hidden", ["1e300", "9^9^9^9", "-5", "inf"])
def test_what_is_no_size_is_refused(write_model, refused, hidden):
    write_model(hidden=hidden)

    refused("E0407", "check", "model.snn")


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("dt = 1 ms", "dt = 1e-12 ms", "E0407"),
        ("dt = 1 ms", "dt = 1e-9 ms", "E0409"),
        ("duration = 5 ms", "duration = 1e12 ms", "E0409"),
        ("duration = 5 ms", "duration = 1e300 ms", "E0409"),
        ("epochs = 1", "epochs = 10^12", "E0409"),
        ("epochs = 1", "epochs = 1e300", "E0407"),
        ("batch = 32", "batch = 10^12", "E0409"),
        ("seed = 1", "seed = 10^30", "E0607"),
        ("pixels -> dense()", "pixels -> delay(1e12 ms) -> dense()", "E0407"),
    ],
)
@pytest.mark.parametrize("command", ["check", pytest.param("train", marks=pytest.mark.long)])
def test_giant_numbers_of_a_recipe_are_refused(write_model, refused, old, new, code, command):
    write_model(number=(old, new))

    refused(code, command, "model.snn", seconds=20)


@pytest.mark.long
def test_products_that_fit_alone_and_not_together(tmp_path, refused):
    chain = "x" + " -> dense(14142)" * 2500 + " -> LIF[14142]() as h"
    network = f"network N {{\n  dt = 1 ms\n  input x : real[14142]\n  {chain}\n}}\n"
    (tmp_path / "m.snn").write_text(f"edition 2026\nimport std.neurons (LIF)\n{network}")

    refused("E0409", "check", "m.snn", said="`N` takes at least 2,000.0 GB for its weights", seconds=60)


@pytest.mark.parametrize(
    "what",
    ["layers", *(pytest.param(word, marks=pytest.mark.long) for word in ("chain", "clauses", "outputs", "consts"))],
)
def test_a_hundred_thousand_parts_are_refused(tmp_path, snnc, what):
    count = 40_000  # as many as a megabyte holds
    body = {
        "layers": "network N {\n dt=1 ms\n" + "".join(f"layer l{i}=LIF[2]()\n" for i in range(count)) + "}",
        "chain": "network N {\n dt=1 ms\n input x:spikes[2]\n x" + " -> dense(2)" * count + " -> y\n}",
        "clauses": "neuron C {\n" + "".join(f"param p{i}=1\n" for i in range(count)) + "}",
        "outputs": "network N {\n dt=1 ms\n input x:spikes[2]\n"
        + "".join(f"output o{i}=x\n" for i in range(count))
        + "}",
        "consts": "".join(f"const c{i}=c{i + 1}\n" for i in range(count)),
    }[what]
    (tmp_path / "m.snn").write_text(f"edition 2026\nimport std.neurons (LIF)\n{body}\n")

    result = snnc("check", "m.snn", seconds=60)

    assert result.returncode == 1
    assert "error[E" in result.stderr


def test_a_training_beyond_memory_is_refused_before_it_begins(tmp_path, write_model, blob_arrays, refused):
    np.savez(tmp_path / "blobs.npz", **blob_arrays)
    write_model(steps=("duration = 5 ms", "duration = 9e6 ms"))

    long = refused("E0701", "train", "model.snn", memory=MUCH)
    assert "training `Blobs` with a batch of 32 over 9,000,000 steps needs at least 21.9 GB of memory" in long.stderr
    assert "`--batch " in long.stderr

    write_model(hidden="64", steps=("duration = 5 ms", "duration = 9e6 ms"))
    refused("E0701", "run", "model.snn", said="running `Blobs` for 9,000,000 steps needs at least 4.7 GB", memory=MUCH)
    write_model()
    refused("E0701", "train", "model.snn", "--batch", "90000000", said="`--batch ", memory=MUCH)


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "--batch", "1000000000000"),
        ("train", "--epochs", "1" + "0" * 30),
        ("train", "--seed", "1" + "0" * 30),
        ("train", "--batch", "-1"),
        pytest.param(("run", "--seed", "1" + "0" * 30), marks=pytest.mark.long),
        pytest.param(("run", "--duration", "1e12 ms"), marks=pytest.mark.long),
        pytest.param(("run", "--duration", "inf ms"), marks=pytest.mark.long),
        pytest.param(("run", "--duration", "9" * 5000 + " ms"), marks=pytest.mark.long),
        pytest.param(("run", "--input", "pixels=constant:1e999"), marks=pytest.mark.long),
    ],
)
def test_giant_options_are_wrong_use(tmp_path, write_model, blob_arrays, snnc, arguments):
    np.savez(tmp_path / "blobs.npz", **blob_arrays)
    write_model()
    command, *options = arguments

    result = snnc(command, "model.snn", *options, memory=MUCH)

    assert result.returncode == 2, result.stderr
    assert not (tmp_path / "runs").exists()
