"""Rules that learn while the network runs, through the real command line."""

import json

import pytest

TEXT = """\
edition 2026

import std.neurons (ALIF, LIF, LI)

network Net {
  dt = 1 ms
  input points : spikes[5]
  layer h = NEURON
  layer out = LI[3](tau = 20 ms)
  points -> dense(init = kaiming_uniform(6)) -> h
  RECURRENT
  h -> dense(init = kaiming_uniform(1)) -> out
  output logits = 5 * mean_over_time(out.v)
}

data yin = yinyang(train = 400, val = 100, test = 100) -> latency(early = 3 ms, late = 23 ms, duration = 30 ms, bias = true)

train t of Net on yin {
  epochs = 3
  batch = BATCH
  learn = RULE
  loss = cross_entropy(5 * out.v, label)
  optimizer = adam(lr = RATE)
  metric accuracy = accuracy(logits, label)
}
"""
LIF = "LIF[30](tau = 20 ms, surrogate = superspike(beta = 10))"
ALIF = "ALIF[30](tau_m = 20 ms, tau_a = 200 ms, surrogate = triangle(height = 0.3))"
BACK = "h -> dense() -> delay(1 step) -> h"


def text(rule, neuron=LIF, recurrent="", batch=50, rate="1e-2"):
    found = TEXT.replace("RULE", rule).replace("NEURON", neuron).replace("RECURRENT", recurrent)
    return found.replace("BATCH", str(batch)).replace("RATE", rate)


@pytest.mark.parametrize(
    ("rule", "options"),
    [
        ("eprop(feedback = random)", {"neuron": ALIF, "recurrent": BACK}),
        ("eprop(online = true)", {"neuron": ALIF, "recurrent": BACK}),
        pytest.param("ottt()", {}, marks=pytest.mark.long),
        ("decolle(update = step)", {"batch": 10, "rate": "1e-3"}),
    ],
)
def test_a_rule_learns(tmp_path, snnc, rule, options):
    (tmp_path / "m.snn").write_text(text(rule, **options), encoding="utf-8")

    trained = snnc("train", "m.snn", "--no-plots")

    assert trained.returncode == 0, trained.stderr
    lines = [json.loads(line) for line in (tmp_path / "runs/m/metrics.jsonl").read_text().splitlines()]
    losses = [line["train"]["loss"] for line in lines if "train" in line]
    assert losses[-1] < 0.97 * losses[0], losses


def test_explain_shows_the_traces_of_a_rule(tmp_path, snnc):
    (tmp_path / "m.snn").write_text(text("bptt()", ALIF, BACK), encoding="utf-8")

    shown = snnc("explain", "m.snn", "--rule", "eprop")
    refused = snnc("explain", "m.snn", "--rule", "ottt")
    unknown = snnc("explain", "m.snn", "--rule", "epop")

    assert shown.returncode == 0, shown.stderr
    assert "points_h.dense.w into h.x (ALIF)" in shown.stdout
    assert "eps_v <- v_decay * eps_v + s   (dv/dw, one for each source)" in shown.stdout
    assert r"\epsilon_{v} &\leftarrow v_{decay}\, \epsilon_{v} + s \\" in shown.stdout
    assert refused.returncode == 1
    assert "E0513" in refused.stderr
    assert "second state, `a`" in refused.stderr
    assert unknown.returncode == 1
    assert "did you mean `eprop`?" in unknown.stderr


def test_cost_counts_the_traces_whatever_the_steps(tmp_path, snnc):
    costs = []
    for duration in ("30 ms", "300 ms"):
        (tmp_path / "m.snn").write_text(text("eprop(online = true)").replace("30 ms", duration), encoding="utf-8")
        costs.append(json.loads(snnc("cost", "m.snn", "--json").stdout))

    kept = costs[0]["tape"]["traces, forward in time"]
    assert {(k["owner"], k["what"], k["bytes"]) for k in kept["kept"]} == {
        ("points_h.dense", "v", 50 * 5 * 4),
        ("points_h.dense", "spike", 50 * 5 * 30 * 4),
        ("h_out.dense", "v", 50 * 30 * 4),
    }
    assert costs[0]["temp_bytes"] == costs[1]["temp_bytes"]
    assert costs[0]["not_within_20_percent"]
