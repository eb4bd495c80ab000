"""`--kernel` of `snnc compile` and `snnc train`, each in a process of its own on a machine without a GPU."""

import json

import numpy as np
from safetensors.numpy import load_file


def test_a_file_with_kernels_says_where_they_run(snnc, tmp_path, write_model):
    write_model(tmp_path)
    results = [snnc("compile", "blobs.snn", *options) for options in ((), ("--kernel", "auto", "-o", "auto.py"))]
    kernels = snnc("compile", "blobs.snn", "--kernel", "pallas", "-o", "kernels.py")

    assert [(r.returncode, r.stderr) for r in (*results, kernels)] == [(0, "")] * 3
    plain, auto, text = ((tmp_path / name).read_text() for name in ("blobs.py", "auto.py", "kernels.py"))
    assert plain == auto
    assert "kernel" not in plain
    assert "h on an NVIDIA GPU: one kernel forward and one backward" in text.split('"""')[1]


def test_a_training_with_kernels_falls_back_to_the_loop_and_resumes_only_with_them(snnc, tmp_path, write_model):
    write_model(tmp_path)
    for kernel in ("scan", "pallas"):
        done = snnc("train", "blobs.snn", "--kernel", kernel, "--out", kernel, "--epochs", "1", "--no-plots")
        assert done.returncode == 0, done.stderr
    weights = [load_file(tmp_path / kernel / "weights.safetensors") for kernel in ("scan", "pallas")]
    changed = snnc("train", "blobs.snn", "--out", "pallas", "--resume", "--no-plots")

    for name, array in weights[0].items():
        np.testing.assert_allclose(weights[1][name], array, rtol=1e-6, atol=1e-6)
    assert json.loads((tmp_path / "pallas" / "config.json").read_text())["kernel"] == "pallas"
    assert changed.returncode == 1
    assert "was started otherwise: the kernel was pallas, is scan" in changed.stderr


def test_an_unknown_kernel_is_wrong_use(snnc, tmp_path, write_model):
    write_model(tmp_path)
    result = snnc("compile", "blobs.snn", "--kernel", "cuda")

    assert result.returncode == 2
    assert all(name in result.stderr for name in ("'scan'", "'pallas'", "'auto'"))
    assert not (tmp_path / "blobs.py").exists()
