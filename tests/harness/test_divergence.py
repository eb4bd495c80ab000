"""A training that diverges names what was lost, where in the model, and at which line of the `.snn`."""

import re

import pytest

from snnc.diagnostics import CompileError
from snnc.harness import loop
from snnc.harness.records import TrainOptions
from snnc.harness.train import train

MODEL = """\
edition 2026

import std.neurons (LI)

neuron Growing {
  param tau = 5 ms
  param gain = 1 in (0, inf) trainable
  input I
  state v = 1
  state w = 0
  v' = (v * v * v + gain * I) / tau
  w' = (v - w) / (2 * tau)
  solve euler
}

network Net {
  dt = 1 ms
  input pixels : real[8]
  layer h = Growing[6]()
  layer out = LI[3](tau = 9.5 ms)
  pixels -> dense() -> h.I
  h.v -> dense() -> out
  output logits = mean_over_time(out.v)
  output sizes = sqrt(mean_over_time(h.w))
}

data blobs = npz("blobs.npz", val = 0.2, test = 0.2, seed = 1) -> hold(duration = 12 ms)

train baseline of Net on blobs {
  epochs = 2
  batch = 32
  loss = cross_entropy(logits, label)
  optimizer = adam(lr = 1e-2)
}
"""


@pytest.fixture
def finding_of(source, tmp_path, compile_source, report):
    """Train a text, replaced in places, until it diverges; return the finding."""

    def diverge(*replaced, every=60.0):
        text = MODEL
        for old, new in replaced:
            assert old in text
            text = text.replace(old, new)
        source.write_text(text)
        options = TrainOptions(
            source=source, folder=tmp_path / "run", plots=False, checkpoint_every=every, command="snnc train blobs.snn"
        )
        with pytest.raises(CompileError) as caught:
            train(compile_source(source), options, report)
        (finding,) = caught.value.diagnostics
        assert finding.code == "E0609"
        return finding

    return diverge


CALM = ("v * v * v +", "0.01 * v +")


def test_a_state_that_grows_is_named_with_its_equation_and_step(finding_of):
    finding = finding_of()

    where = "layer `h`, state `v`, step 8 of 12, 6 of 6 neurons"
    assert finding.message == f"the loss is no longer finite in epoch 1, update 1: {where}"
    assert finding.span.text == "v' = (v * v * v + gain * I) / tau"
    assert [(label.text, label.span.line) for label in finding.labels] == [("layer `h`", 19)]
    assert "go on" not in finding.help


def test_the_neurons_that_are_lost_first_are_counted(finding_of):
    finding = finding_of(("param tau = 5 ms", "param tau ~ lognormal(8 ms, 0.9) in (0.5 ms, 500 ms) per neuron"))

    assert re.search(r"layer `h`, state `v`, step \d+ of 12, [1-5] of 6 neurons$", finding.message)


def test_a_state_of_the_standard_library_is_named_with_its_layer(finding_of):
    finding = finding_of(CALM, ("dense() -> out", "scale(1e38) -> dense() -> scale(1e38) -> out"))

    assert ": layer `out`, state `v`, step 1 of 12, 3 of 3 neurons" in finding.message
    assert finding.span.source.path.startswith("std/")
    assert [(label.text, label.span.text) for label in finding.labels] == [
        ("layer `out`", "layer out = LI[3](tau = 9.5 ms)")
    ]


def test_an_output_that_is_lost_is_named(finding_of):
    finding = finding_of(CALM, ("cross_entropy(logits", "cross_entropy(roots"), ("output sizes", "output roots"))

    assert finding.message.endswith(": the output `roots`, while every signal of the layers is finite")
    assert finding.span.text == "output roots = sqrt(mean_over_time(h.w))"


def test_a_loss_that_is_lost_is_named(finding_of):
    finding = finding_of(CALM, ("cross_entropy(logits, label)", "mean(log(0 * h.v))"))

    assert finding.message.endswith(": it is the loss itself, while every output is finite")
    assert finding.span.text == "mean(log(0 * h.v))"


def test_a_gradient_that_is_lost_is_named_with_its_step(finding_of):
    """The derivative of the root of 0 is infinite, and the root itself is not."""
    finding = finding_of(
        CALM, ("(v - w)", "(max(v - 1e6, 0) - w)"), ("cross_entropy(logits, label)", "mean(sqrt(h.w))")
    )

    assert finding.message.startswith("the gradient of `")
    assert "layer `h`, going back from step 11 of 12, while every signal is finite" in finding.message


@pytest.mark.parametrize(
    ("every", "words"),
    [
        (60.0, "the loss is no longer finite in epoch 1, update 2: the update before it made `{}` infinite"),
        (0.0, "the new value of `{}`, `pixels_h.dense.w` is not finite in epoch 1, update 1: the step of this update"),
    ],
    ids=["found by the loss", "found by a checkpoint"],
)
def test_an_update_that_makes_a_weight_infinite_is_named(finding_of, every, words):
    steep = (CALM, ("cross_entropy(logits, label)", "mean(1e3 * h.v ^ 2)"), ("adam(lr = 1e-2)", "sgd(lr = 3e38)"))
    finding = finding_of(*steep, every=every)

    assert finding.message.startswith(words.format("h.gain"))
    assert finding.span.text == "layer h = Growing[6]()"


@pytest.mark.parametrize("pause", [0.0, 1e9], ids=["checkpoint of the epoch before", "checkpoint of the start"])
def test_a_later_update_is_done_again_from_the_checkpoint(finding_of, monkeypatch, pause):
    monkeypatch.setattr(loop, "_SHORT", pause)
    steps = ("adam(lr = 1e-2)", "adam(lr = step(1e-2, factor = 1e25, every = 7 updates))")
    finding = finding_of(("v * v * v +", "v * v * 0.1 +"), steps, every=pause + 60.0)
    kept = "the checkpoint of epoch 1 is kept; to go on from its weights after a change:"

    assert re.search(r"in epoch 2, update 4: layer `h`, state `v`, step 1 of 12, \d of 6 neurons", finding.message)
    assert (kept in finding.help) == (pause == 0.0)
    assert ("`snnc train blobs.snn --weights " in finding.help) == (pause == 0.0)
