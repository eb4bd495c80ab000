"""The benchmark runs end to end on tiny sizes, and the adapter for the comparison follows its protocol."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_runner_writes_all_figures(tmp_path):
    out = tmp_path / "results.json"
    command = [sys.executable, "-m", "benchmarks.run", "--workloads", "W2,W3,W5", "--rounds", "2", "--no-first-step"]
    done = subprocess.run(
        [*command, "--steps", "6", "--batch", "3", "--out", str(out)], cwd=ROOT, capture_output=True, text=True
    )

    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(out.read_text())["workloads"]
    images = found["W3"]["programs"]
    assert list(images) == ["naive", "hoisted", "adjoint", "train_step", "floor"]
    for name in ("hoisted", "adjoint", "train_step"):
        assert {"x_c1_conv_w", "c1_c2_conv_w", "c2_out_dense_w"} == set(images[name]["gradient_error"])
        assert max(images[name]["gradient_error"].values()) < 1e-4
    programs = found["W2"]["programs"]
    assert list(programs) == ["naive", "hoisted", "adjoint", "train_step", "events", "floor"]
    assert list(found["W5"]["programs"]) == [*[*programs][:-1], "parts", "floor"]
    assert max(found["W5"]["programs"]["parts"]["gradient_error"].values()) < 1e-4
    for row in programs.values():
        assert row["ms_median"] >= row["ms_min"] > 0
        assert row["to_floor"] > 0
        assert row["to_naive"] > 0
        assert row["temp_bytes"] >= 0
    for name in ("hoisted", "adjoint", "train_step", "events"):
        assert {"x_h_dense_w", "h_h_dense_w", "h_out_dense_w"} == set(programs[name]["gradient_error"])
        assert max(programs[name]["gradient_error"].values()) < 1e-4
        assert programs[name]["first_loss"] == pytest.approx(programs["naive"]["first_loss"], rel=1e-5)


def test_unknown_workload_is_refused():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.run", "--workloads", "W9"], cwd=ROOT, capture_output=True, text=True
    )

    assert done.returncode == 2
    assert "unknown workload W9; there are W1, W2, W3, W4, W5" in done.stderr


def test_adapter_follows_its_protocol(tmp_path):
    """Copied into another folder, both variants give the same losses from the given weights and data."""
    for name in ("snnc_peer.py", "w1.snn"):
        shutil.copy(ROOT / "benchmarks" / name, tmp_path)
    script = """
import numpy as np
import snnc_peer
rng = np.random.default_rng(0)
weights = {"w_in": 0.1 * rng.standard_normal((700, 256)), "w_out": 0.1 * rng.standard_normal((256, 20))}
data = {"x": (rng.random((6, 3, 700)) < 0.1).astype(np.float32), "y": np.array([0, 5, 19], np.int32)}
weights = {name: w.astype(np.float32) for name, w in weights.items()}
assert snnc_peer.NOTES
assert set(snnc_peer.versions()) >= {"snnc", "jax"}
for options in snnc_peer.VARIANTS.values():
    step = snnc_peer.build({"name": "W1"}, data, weights, options)
    print(step(), step())
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "SNNC_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stderr) == (0, "")
    first, second = ([float(loss) for loss in line.split()] for line in done.stdout.splitlines())
    assert first == pytest.approx(second, rel=1e-5)
    assert first[1] < first[0]


def test_kernels_are_compared_with_the_scan(tmp_path):
    """On a machine without a GPU the variants with kernels run too, and the report says that they say nothing."""
    out = tmp_path / "gpu.json"
    command = [sys.executable, "-m", "benchmarks.gpu", "--workloads", "W1,layer", "--rounds", "1", "--out", str(out)]
    sizes = ["--steps", "5", "--batch", "2", "--neurons", "70", "--blocks", "64,128"]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([*command, *sizes], cwd=ROOT, env=environment, capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")
    assert "no GPU here" in done.stdout
    found = json.loads(out.read_text())
    assert found["kernels"] is False
    assert {"naive", "adjoint", "kernels", "floor"} <= set(found["workloads"]["W1"])
    assert list(found["workloads"]["layer"]) == ["naive", "scan", "kernels 64", "kernels 128"]
    for row in [*found["workloads"]["layer"].values(), found["workloads"]["W1"]["kernels"]]:
        assert row["ms_median"] > 0
        assert row["gradient_error"] < 1e-4
