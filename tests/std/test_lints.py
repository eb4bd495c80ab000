"""The warnings over whole models, both ways: layers that stay silent (W0109) and maxima that rest (W0107)."""

import re
from pathlib import Path

import jax
import numpy as np
import pytest

from snnc import pipeline
from snnc.emit.runtime import initialisers
from snnc.interp import run_network
from snnc.ops.initialisers import INITIALISERS
from snnc.ops.operation import Init
from snnc.semantics.lints import init_moments

MODELS = Path(__file__).parents[2] / "models"
NEURON = "import std.neurons (LIF, LI, IF, CubaLI, CubaLIF, EscapeLIF, QIF)"


def compiled(tmp_path, network, *, kind="real", encoder="hold(duration = 25 ms)", loss="cross_entropy(logits, label)"):
    path = tmp_path / "net.snn"
    output = "" if "output" in network else "output logits = mean_over_time(out.v)"
    path.write_text(f"""edition 2026
{NEURON}
network Net {{
  dt = 1 ms
  input pixels : {kind}[64]
  layer out = LI[10]()
  {network}
  {output}
}}
data digits8 = digits(val = 0.1, test = 0.25) -> {encoder}
train t of Net on digits8 {{
  loss = {loss}
}}
""")
    program = pipeline.load(path)
    return pipeline.compile_entry(program, pipeline.choose(program, None))


def codes(model):
    return [warning.code.value for warning in model.warnings]


def layer(neuron, init, port=""):
    return f"layer h = {neuron}\n  pixels -> dense(init = {init}) -> h{port}\n  h -> dense() -> out"


RATE = {"kind": "spikes", "encoder": "rate(duration = 25 ms, peak = 200 Hz)"}


# ---- W0109 ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("neuron", "init", "data", "silent"),
    [
        ("LIF[50]()", "kaiming_uniform()", {}, False),
        ("LIF[50](theta = 20)", "kaiming_uniform()", {}, True),
        ("LIF[50](theta = 20)", "kaiming_uniform(20)", {}, False),
        ("LIF[50](tau = 1 ms)", "normal(0, 0.01)", {}, True),
        ("LIF[50](tau = 1 ms)", "normal(0.2, 0.01)", {}, False),
        ("LIF[50](tau = 1 ms)", "normal(-0.2, 0.01)", {}, True),
        ("LIF[50]()", "kaiming_normal()", RATE, False),
        ("LIF[50]()", "zeros()", RATE, True),
        ("LIF[50]()", "uniform(-0.01, 0.01)", RATE, True),
        ("LIF[50]()", "orthogonal(0.05)", RATE, True),
        ("LIF[50]()", "fluctuation(rate = 100 Hz)", RATE, False),
        ("LIF[50]()", "fluctuation(rate = 100 Hz, xi = 12)", RATE, True),
        ("CubaLIF[50]()", "kaiming_uniform()", RATE, True),
        ("IF[50]()", "kaiming_uniform(0.3)", {}, False),
        ("EscapeLIF[50]()", "zeros()", {}, False),  # fires by chance
        ("QIF[50]()", "zeros()", {}, False),  # not linear below threshold
    ],
)
def test_a_layer_is_named_if_its_drive_cannot_reach_the_threshold(tmp_path, neuron, init, data, silent):
    model = compiled(tmp_path, layer(neuron, init), **data)

    assert codes(model) == ["W0109"] * silent


@pytest.mark.parametrize("file", sorted(MODELS.glob("*.snn")), ids=lambda path: path.stem)
def test_no_layer_of_the_models_is_named(file):
    program = pipeline.load(file)
    for recipe in program.recipes:
        model = pipeline.compile_entry(program, pipeline.choose(program, recipe))

        assert not {"W0107", "W0109"} & set(codes(model))


def test_one_strong_synapse_is_enough_however_rare_its_spikes(tmp_path):
    network = "layer h = LIF[64](tau = 1 ms)\n  pixels -> {} -> h\n  h -> dense() -> out"
    rare = {"kind": "spikes", "encoder": "rate(duration = 25 ms, peak = 1 Hz)"}

    assert codes(compiled(tmp_path, network.format("scale(1.2)"), **rare)) == []
    assert codes(compiled(tmp_path, network.format("scale(0.2)"), **rare)) == ["W0109"]


def test_a_volley_counts_as_one_where_latency_may_bring_it(tmp_path):
    network = layer("LIF[50](tau = 1 ms)", "constant(0.05)")
    data = {"kind": "spikes"}

    assert codes(compiled(tmp_path, network, encoder="latency(late = 40 ms)", **data)) == []
    assert codes(compiled(tmp_path, network, encoder="rate(duration = 40 ms, peak = 2 Hz)", **data)) == ["W0109"]


def test_hidden_layers_pass_their_own_rate_on_and_a_loop_feeds_nothing_to_itself(tmp_path):
    deep = "layer g = LIF[50](tau = 2 ms)\n  layer h = LIF[200](tau = 2 ms)\n  pixels -> dense(init = {}) -> h\n" \
        "  h -> dense(init = kaiming_uniform(1)) -> g\n  g -> dense() -> out"  # fmt: skip
    loop = "layer h = LIF[50](theta = 20)\n  pixels -> dense() -> h\n  h -> dense() -> out\n" \
        "  h -> delay(1 step) -> dense(init = normal(5, 5)) -> h"  # fmt: skip

    busy = compiled(tmp_path, deep.format("kaiming_uniform(6)"))
    quiet = compiled(tmp_path, deep.format("zeros()"))

    assert codes(busy) == []
    assert codes(quiet) == ["W0109", "W0109"]
    assert "200 inputs at 20 Hz" in quiet.warnings[1].message
    assert codes(compiled(tmp_path, loop)) == ["W0109"]


def test_the_share_of_the_threshold_is_what_a_simulation_comes_near_and_the_gain_wakes_the_layer(tmp_path):
    model = compiled(tmp_path, layer("LIF[200](theta = 20)", "kaiming_uniform()"), **RATE)
    told = float(re.search(r"lift it to (\S+) %", model.warnings[0].message)[1]) / 100
    gain = float(re.search(r"`kaiming_uniform\((\S+)\)`", model.warnings[0].help)[1])
    rng = np.random.default_rng(0)
    spikes = (rng.random((25, 100, 64)) < 0.1).astype(float)

    def run(factor):
        w = rng.uniform(-factor / 8, factor / 8, (64, 200))
        weights = {"pixels_h.dense.w": w, "h_out.dense.w": np.zeros((200, 10))}
        return run_network(model.plan, {"pixels": spikes}, weights)

    quiet, awake = run(1.0), run(gain)

    assert quiet["h.spike"].sum() == 0
    assert 0.75 * told < quiet["h.v"].max() / 20 < 1.25 * told
    assert 0.05 < awake["h.spike"].any(axis=0).mean() < 0.95


@pytest.mark.parametrize("name", [n for n, i in INITIALISERS.items() if not i.compile_time])
def test_the_moments_of_every_initialiser_are_those_of_its_draws(name):
    options = {"normal": {"mean": 0.3, "std": 0.2}, "uniform": {"low": -0.1, "high": 0.4}, "constant": {"value": 0.7}}
    given = options.get(name) or {o.name: 1.3 for o in INITIALISERS[name].options}
    draws = getattr(initialisers, INITIALISERS[name].runtime)
    for shape in ((200, 100), (100, 200)):
        w = np.asarray(draws(jax.random.key(0), shape, **given))

        mean, std = init_moments(Init(name, tuple(given.items())), *shape)

        assert np.mean(w) == pytest.approx(mean, abs=5 * std / np.sqrt(w.size) + 1e-9)
        assert np.std(w) == pytest.approx(std, rel=0.02, abs=1e-9)


# ---- W0107 ---------------------------------------------------------------------------------

HIDDEN = (
    "layer h = LIF[50]()\n  layer slow = CubaLI[10]()\n"
    "  pixels -> dense() -> h\n  h -> dense() -> out\n  h -> dense() -> slow\n"
)


@pytest.mark.parametrize(
    ("readout", "rests"),
    [
        ("max_over_time(out.v)", True),
        ("3 * max_over_time(out.v)", True),
        ("max_over_time(slow.v)", True),
        ("max_over_time(out.v, from = 5 ms)", False),  # the first step of the window has a gradient
        ("mean_over_time(out.v)", False),
        ("max_over_time(h.v)", False),  # it spikes
    ],
)
def test_the_maximum_of_a_readout_that_starts_at_rest_is_warned_of(tmp_path, readout, rests):
    model = compiled(tmp_path, f"{HIDDEN}  output logits = {readout}")

    assert codes(model) == ["W0107"] * rests
    assert not rests or "use `mean_over_time(" in model.warnings[0].help


def test_a_maximum_that_only_a_metric_reads_is_not_warned_of(tmp_path):
    loss = "cross_entropy(logits, label)\n  metric accuracy = accuracy(max_over_time(out.v), label)"

    assert codes(compiled(tmp_path, HIDDEN, loss=loss)) == ["W0106"]


def test_a_readout_that_does_not_start_at_rest_may_be_read_by_its_maximum(tmp_path):
    model = compiled(
        tmp_path, f"{HIDDEN}  layer sum = IF[10]()\n  h -> dense() -> sum\n  output logits = max_over_time(sum.v)"
    )

    assert codes(model) == []
