"""Layers dealt out over devices: the same numbers as on one device, and a share of its memory on each."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODEL = """\
edition 2026

import std.neurons (LIF, LI)

network Wide(hidden = 1024) {
  dt = 1 ms

  input pixels : real[16]
  layer h = LIF[hidden](tau ~ normal(10 ms, 1 ms) per neuron trainable)
  layer out = LI[4](tau = 20 ms)

  pixels -> dense() -> h
  h -> delay(1 step) -> dense() -> h
  h -> dense() -> out

  output logits = mean_over_time(out.v)
}

data d = npz("d.npz", val = 0.2, test = 0.2) -> hold(duration = 8 ms)

train baseline of Wide on d {
  epochs = 1
  batch = 20
  loss = cross_entropy(logits, label)
  optimizer = sgd(lr = 1e-2)
  metric accuracy = accuracy(logits, label)
}
"""
# Runs in a process of its own, whose CPU counts as eight devices. A batch of 20 and a split of 50 are not even on three
# devices in a row.
SCRIPT = """
import json, sys
from pathlib import Path
import jax, numpy as np
from snnc import pipeline
from snnc.harness.load_module import load_module

jax.config.update("jax_num_cpu_devices", 8)
program = pipeline.load(Path("wide.snn"))
def module(hidden):
    settings = (("Wide.hidden", str(hidden)),)
    return load_module(pipeline.compile_entry(program, pipeline.choose(program, None), settings).text)

def bytes_of(model, mesh):
    state = model.init_train_state(0, 3, 1, mesh)
    rng = np.random.default_rng(0)
    fields = {"pixels": rng.normal(size=(24, 16)).astype(np.float32), "label": np.arange(24) % 4}
    batch = next(model.epoch_batches(fields, 1, 24, 0, mesh=mesh))
    places = None
    if mesh is not None:
        places = jax.tree.map(lambda a: a.sharding, state), model.place_on(mesh)
    step = jax.jit(model.train_step, donate_argnums=0, out_shardings=places)
    found = step.lower(state, batch).compile().memory_analysis()
    return found.argument_size_in_bytes + found.temp_size_in_bytes

def losses(model, mesh):
    rng = np.random.default_rng(0)
    fields = {"pixels": rng.normal(size=(50, 16)).astype(np.float32), "label": np.arange(50) % 4}
    data = {"train": fields, "val": {name: a[:11] for name, a in fields.items()}}
    epochs = list(model.fit(data, epochs=2, mesh=mesh))
    weights = [float(np.abs(np.asarray(w)).sum()) for w in epochs[-1].progress.state.params]
    return [epoch.train["loss"] for epoch in epochs] + [epoch.val["loss"] for epoch in epochs] + weights

wide, small = module(int(sys.argv[1])), module(64)
meshes = {"one": None}
for name, count, split in (("3", 3, 1), ("2x4", 8, 4), ("1x8", 8, 8)):
    meshes[name] = wide.mesh_over(jax.devices()[:count], split)
print(json.dumps({
    "bytes": {name: bytes_of(wide, meshes[name]) for name in ("one", "1x8")},
    "losses": {name: losses(small, meshes[name]) for name in ("one", "3", "2x4")},
}))
"""


def run_script(folder, hidden):
    (folder / "wide.snn").write_text(MODEL)
    fast = (
        "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"  # to compile; it is the same program
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", "XLA_FLAGS": fast}
    command = [sys.executable, "-W", "error", "-c", SCRIPT, str(hidden)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return run_script(tmp_path_factory.mktemp("sharding"), 1024)


def test_a_wide_layer_takes_a_quarter_of_the_memory_on_each_of_eight_devices(found):
    assert found["bytes"]["1x8"] <= found["bytes"]["one"] / 4


@pytest.mark.parametrize("mesh", ["3", "2x4"])
def test_every_mesh_gives_the_numbers_of_one_device(found, mesh):
    """Batches that the devices do not divide evenly are means over real samples all the same."""
    assert found["losses"][mesh] == pytest.approx(found["losses"]["one"], rel=1e-5)


@pytest.mark.long
def test_a_layer_of_4096_takes_a_quarter_of_the_memory_on_each_of_eight_devices(tmp_path):
    counted = run_script(tmp_path, 4096)["bytes"]

    assert counted["1x8"] <= counted["one"] / 4
