"""`snnc cost` on real files, against what XLA says of the emitted training step."""

import functools
import json
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import snnc as package
from snnc import pipeline
from snnc.cost.jax_gradient import bytes_kept_by_jax
from snnc.cost.wiring import part_length
from snnc.emit.runtime import loops, parts
from snnc.harness.load_module import load_module
from snnc.lower.gradients import learned_constants

ROOT = Path(package.__file__).parent.parent
FILES = {
    "digits": ROOT / "models/digits.snn",
    "yinyang": ROOT / "models/yinyang.snn",
    "recurrent": ROOT / "tests/emit/models/recurrent.snn",
}
TEXT = """\
edition 2026

import std.neurons (ALIF, CubaLIF, LIF, LI)

network Net {{
  dt = 1 ms
  input x : spikes[{units}]
  layer h = {neuron}[{hidden}]()
  layer out = LI[4](tau = 20 ms)
  x -> dense() -> h
  {chain} -> dense() -> out
  output logits = max_over_time(out.v)
}}

data events = randman(classes = 4, units = {units}, steps = {steps}, samples = 10, test = 0.2)

train main of Net on events {{
  batch = 16
  {setting}
  loss = cross_entropy(logits, label)
}}
"""
DEEP = "h -> dense() -> LIF[{hidden}]() as h2"
CYCLE = "h -> delay(1 step) -> dense() -> h\n  h"
# neuron, neurons of a layer, inputs, steps, what lies before the readout, a setting of the recipe
WRITTEN = {
    "wide": ("CubaLIF", 1024, 200, 50, DEEP, ""),
    "long": ("ALIF", 32, 20, 1500, CYCLE, ""),
    "parts": ("ALIF", 32, 20, 1500, CYCLE, "learn = bptt(checkpoint = auto)"),
    "half": ("LIF", 256, 20, 100, "h", "precision = f16_residual"),
    "few_steps": ("LIF", 2000, 400, 4, DEEP, ""),
}


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    """Return a file by its name: one of the repository, or one that is written now."""
    folder = tmp_path_factory.mktemp("models")

    def found(name):
        if name in FILES:
            return FILES[name]
        neuron, hidden, units, steps, chain, setting = WRITTEN[name]
        words = {"neuron": neuron, "hidden": hidden, "units": units, "steps": steps, "setting": setting}
        path = folder / f"{name}.snn"
        path.write_text(TEXT.format(chain=chain.format(hidden=hidden), **words))
        return path

    return found


def cost(snnc, *arguments):
    result = snnc("cost", "--json", *arguments)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


@functools.cache
def compiled_step(path):
    """The emitted file as a module, its first training state, the fields of a batch, and the compiled training step."""
    program = pipeline.load(path)
    compiled = pipeline.compile_entry(program, pipeline.choose(program, None))
    module, recipe = load_module(compiled.text), compiled.recipe
    state = module.init_train_state(0, 10)
    shapes = {
        f.name: (f.shape[0], recipe.batch, *f.shape[1:]) if f.time else (recipe.batch, *f.shape)
        for f in recipe.data.fields
    }
    fields = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    others = [name for name in fields if name != "label"]
    node = compiled.network.inputs[0].name
    fields = {node: fields.get(node, fields[others[0]])} | {"label": np.zeros(recipe.batch, np.int32)}
    fields |= {"sample": np.zeros(recipe.batch, np.int32), "weight": np.ones(recipe.batch, np.float32)}
    return module, state, fields, module.train_step.lower(state, fields).compile()


@pytest.mark.parametrize("name", [*FILES, *WRITTEN])
def test_memory_is_within_a_fifth_of_what_xla_takes(snnc, model_file, name):
    path = model_file(name)
    said = cost(snnc, path)
    _, state, fields, step = compiled_step(path)

    held = sum(a.nbytes for a in jax.tree.leaves((state.params, state.opt_state)))
    assert said["temp_bytes"] == pytest.approx(step.memory_analysis().temp_size_in_bytes, rel=0.2)
    assert said["parameter_bytes"] == sum(a.nbytes for a in state.params)
    assert said["parameter_bytes"] + said["optimizer_bytes"] == pytest.approx(held, abs=16)  # the counters
    assert said["batch_bytes"] == sum(a.nbytes for a in fields.values())


@pytest.mark.parametrize("name", ["digits", "yinyang", "wide"])
def test_products_are_counted_as_by_xla(snnc, model_file, name):
    path = model_file(name)
    said = cost(snnc, path)

    counted = compiled_step(path)[3].cost_analysis()["flops"]  # of a time loop XLA counts one step
    flops = said["flops"]
    products = flops["forward_products"] + flops["backward_products"]
    once = (flops["forward_elementwise"] + flops["backward_elementwise"]) / said["steps"]
    assert products + once == pytest.approx(counted, rel=0.2)


@pytest.mark.parametrize("name", ["digits", "yinyang", "recurrent"])
def test_the_tape_of_jax_is_what_jax_keeps(snnc, model_file, monkeypatch, name):
    path = model_file(name)
    module, state, fields, _ = compiled_step(path)
    monkeypatch.setattr(module, "layer_loop", lambda step, adjoint, *rest, **_: loops.layer_loop_by_jax(step, *rest))
    monkeypatch.setattr(
        module, "time_loop", lambda step, adjoint, collect, *rest: loops.time_loop_by_jax(step, *rest), raising=False
    )

    def pulled_back(params):
        def loss(params):
            return module.loss_fn(params, state.buffers, fields, module.key_of_epoch(state))[0]

        return jax.vjp(loss, params)[1]

    said = cost(snnc, path)
    least = 2 * said["batch"] * said["steps"]  # numbers; weights and values of one step are no part of the tape
    kept = [a for a in jax.tree.leaves(jax.eval_shape(pulled_back, state.params)) if a.size >= least]
    assert said["tape"]["hoisted, JAX's gradient"]["bytes"] == pytest.approx(
        sum(a.size * a.dtype.itemsize for a in kept), rel=0.02
    )


def test_derived_gradients_of_lif_keep_the_margin_only(snnc):
    said = cost(snnc, FILES["yinyang"])

    kept = said["tape"]["hoisted, derived gradient"]["kept"]
    assert {(k["owner"], k["what"]) for k in kept} == {("points", "result"), ("h", "margin"), ("h", "spike")}
    totals = [tape["bytes"] for tape in said["tape"].values()]
    assert totals == sorted(totals, reverse=True)


def test_parts_have_the_length_that_the_emitted_file_chooses():
    assert [part_length(n) for n in range(1, 300)] == [parts.part_length(n) for n in range(1, 300)]


def test_a_sequence_in_parts_keeps_less_and_computes_more(snnc, model_file):
    whole, parts = cost(snnc, model_file("long")), cost(snnc, model_file("parts"))

    forward, backward = (parts["flops"][f"{way}_products"] for way in ("forward", "backward"))
    assert parts["temp_bytes"] < whole["temp_bytes"] / 4
    assert (forward, backward) == (whole["flops"]["forward_products"], whole["flops"]["backward_products"] + forward)


def test_synapses_count_spikes_by_rate_and_real_values_once(snnc):
    said = cost(snnc, FILES["digits"], "--rate", "100Hz")

    assert said["rate"] == pytest.approx(0.1)
    assert said["synaptic_operations"] == [
        {"name": "pixels_h.dense", "kind": "mac", "per_presentation": 64 * 128},  # held: once for all 25 steps
        {"name": "h_out.dense", "kind": "synop", "per_presentation": pytest.approx(0.1 * 25 * 128 * 10)},
    ]


def test_what_does_not_fit_is_told_how_to(snnc):
    said = cost(snnc, FILES["yinyang"], "--batch", "1000", "--memory", "64MiB")
    shown = snnc("cost", FILES["yinyang"], "--batch", "1000", "--memory", "64MiB")

    assert said["fits"] is False
    assert said["changes"][0] == "write `learn = bptt(checkpoint = auto)` in the recipe"
    batch = int(said["changes"][1].removeprefix("a batch of at most "))
    assert cost(snnc, FILES["yinyang"], "--batch", batch, "--memory", "64MiB")["fits"] is True
    assert cost(snnc, FILES["yinyang"], "--batch", batch + 1, "--memory", "64MiB")["fits"] is False
    assert shown.returncode == 0
    assert "does not fit: about 113 MiB, and 64.00 MiB given; one of these makes it fit:\n" in shown.stdout


def test_the_table_names_memory_tape_and_work(snnc):
    result = snnc("cost", FILES["digits"])

    assert (result.returncode, result.stderr) == (0, "")
    head = result.stdout.splitlines()
    assert head[0] == "Digits, recipe baseline: batch 128, 25 steps of 1 ms"
    assert "  pixels_h.dense.w [64, 128]                             8,192       32.00 KiB" in head
    assert "synapses in one presentation, spiking units firing in 5 % of the steps (50 Hz)" in head
    assert head[-1].startswith("fits: about 5.1")


def test_a_network_without_a_recipe_needs_batch_and_steps(snnc):
    adex = ROOT / "tests/emit/models/adex.snn"
    refused = snnc("cost", adex)
    said = cost(snnc, adex, "--batch", "4", "--steps", "100")

    assert refused.returncode == 2
    assert "the network has no recipe: give a number, as in --batch 100" in " ".join(
        refused.stderr.replace("│", " ").split()
    )
    assert (said["recipe"], said["batch"], said["steps"], said["optimizer_bytes"]) == (None, 4, 100, 0)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--memory", "8 gigs", "is no size: write a number and a unit, as 8GiB or 500MB"),
        ("--rate", "often", "is no rate: write 50Hz, or a share of the steps as 0.05"),
        ("--rate", "2kHz", "is more than one spike in a step of 1 ms"),
    ],
)
def test_wrong_sizes_and_rates_are_refused(snnc, option, value, message):
    result = snnc("cost", FILES["digits"], option, value)

    assert result.returncode == 2
    assert message in " ".join(result.stderr.replace("│", " ").split())


def test_what_is_not_within_a_fifth_is_said(snnc):
    result = snnc("cost", FILES["yinyang"], "--steps", "1")

    assert result.returncode == 0
    assert "    not estimated within 20 %: samples of one step, of which XLA makes no loop\n" in result.stdout
    assert "not estimated within" not in snnc("cost", FILES["yinyang"]).stdout


def test_settings_change_what_is_counted(snnc):
    small, large = (cost(snnc, FILES["digits"], "--set", f"Digits.hidden={n}") for n in (64, 256))

    assert large["parameter_bytes"] == 4 * small["parameter_bytes"]
    assert 3.5 < large["temp_bytes"] / small["temp_bytes"] < 4.0


def test_counting_takes_no_jax(environment):
    code = "import sys, snnc.cli, snnc.cost.report, snnc.pipeline; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == 0


def test_what_jax_keeps_of_a_lif_is_the_surrogate_and_the_choice_of_the_reset():
    program = pipeline.load(FILES["digits"])
    plan = pipeline.compile_entry(program, pipeline.choose(program, None)).plan
    body = plan.body("h")

    assert bytes_kept_by_jax(body, learned_constants(body, plan)) == 4 + 1
