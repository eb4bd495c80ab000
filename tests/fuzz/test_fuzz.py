"""A few hundred texts of each kind; the long run is `python tests/fuzz/fuzz_run.py --texts 100000`."""

from __future__ import annotations

import random

import pytest
from fuzz_properties import examine
from fuzz_run import main, minimise
from fuzz_texts import KINDS, make_text
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snnc.syntax.tables import load_tables

SEED = 20260728
TEXTS = 40  # of each kind

# Texts that once brought something down, or were refused without a word on what to do.
FOUND = {
    "a port to block in a neuron without ports": """\
edition 2026
neuron A {
  state v = 0
  v' = -v / 10 ms
  spike when v >= 1 { v = 0 }
  refractory 2 ms block x
}
""",
    "an argument where there is no parameter": """\
edition 2026
neuron A {
  event x
  state v = 0
  v' = -v / 10 ms
  on x { v += x }
}
network N {
  dt = 1 ms
  input x : real[4]
  layer h = A[4](tau = 3 ms)
  x -> h
}
""",
    "a bias of 1e300": """\
edition 2026
import std.neurons (LIF, LI)
network N {
  dt = 1 ms
  input x : real[4]
  layer h = LIF[4]()
  x -> dense(bias = true) -> bias(init = uniform(low = -1e300, high = 1e300)) -> h
  output y = mean_over_time(h.v)
}
data d = digits(val = 0.1) -> hold(duration = 5 ms)
train t of N on d {
  loss = mse(y, 0)
}
""",
    "a loss that lacks its time constant": """\
edition 2026
import std.neurons (LIF)
network N {
  dt = 1 ms
  input p : spikes[4]
  p -> dense(4) -> LIF() as h
  output y = h.spike
}
data d = npz("d.npz")
train t of N on d {
  loss = van_rossum(y, pattern)
}
""",
    "a jump of 0 beside another": """\
edition 2026
neuron A {
  event x
  state v = 0
  on x { v += x }
  on x { v -= 0 * x }
}
""",
    "a pattern where nothing is trained": """\
edition 2026
import std.neurons (LIF)
network Net { 
  dt = 1 ms
  input a : spikes[4]
  layer h = LIF[4]()
  a -> h
  output logits = count(h.spike)
}
data d = randman(classes = 4, units = 4, steps = 30, samples = 6, test = 0.2)
train main of Net on d { epochs = 1; batch = 5; freeze = ["qqqqqq.*"]; loss = cross_entropy(logits, label) }
""",
    "brackets of all kinds": "edition 2026\nneuron A { ( [ } ) ]\nnetwork N ( {\n",
    "a bracket at the end": "edition 2026\nconst a = (",
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_is_taken_or_refused_in_words(kind):
    for index in range(TEXTS):
        examine(KINDS[kind][0](random.Random(f"{SEED}/{kind}/{index}")))


@pytest.mark.parametrize("case", FOUND)
def test_what_was_found_once_is_not_found_again(case):
    examine(FOUND[case])


PIECES = st.sampled_from(
    [*load_tables().words, *load_tables().symbols, "x", "v'", "1", "ms", '"', "\n", "#", "## d", "é"]
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
@given(st.integers(0, 2**32), st.lists(PIECES, max_size=8), st.integers(0, 10_000))
def test_pieces_put_into_a_text_anywhere(number, pieces, place):
    _, text = make_text(SEED, number)
    place %= len(text) + 1

    examine(text[:place] + " ".join(pieces) + text[place:])


def test_a_text_depends_on_its_number_alone():
    assert make_text(3, 14) == make_text(3, 14)
    assert len({make_text(3, index) for index in range(20)}) == 20


def test_a_failure_is_made_small():
    text = "edition 2026\n" + "const a = 1\n" * 30 + "const bad = 2 # here\n" + "const b = 3\n" * 30

    assert minimise(text, "bad", lambda part: "bad" if "bad" in part else "") == "bad"


def test_the_long_run_counts_and_keeps_nothing_where_nothing_fails(monkeypatch, capsys, tmp_path):
    folder = tmp_path / "failures"
    monkeypatch.setattr("sys.argv", ["fuzz_run", "--texts", "60", "--processes", "1", "--keep", str(folder)])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 0
    assert "0 failed, 0 causes" in capsys.readouterr().out
    assert not folder.exists()
