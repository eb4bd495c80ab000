"""The reference neuron of language.md: tau 10 ms, dt 1 ms, held drive 1.5, theta 1, reset to 0, exact."""

import numpy as np
import pytest
from models_in_text import compile_text

NEURON = """
neuron Reference {{
  param tau = 10 ms in (0 ms, inf)
  input I
  state v = 0
  v' = (I - v) / tau
  spike when v >= 1 {{ v = 0 }}
  {refractory}
}}
network Net {{
  dt = {dt}
  input drive : real[1]
  layer h = Reference[1]()
  drive -> h.I
  output spikes = count(h.spike)
}}
"""
CASES = {
    "plain": ("", "1 ms", [10, 21, 32]),
    "refractory": ("refractory 2 ms hold v", "1 ms", [10, 23, 36]),
    "in seconds": ("refractory 0.002 s hold v", "0.001 s", [10, 23, 36]),
}


@pytest.fixture(scope="module", params=CASES)
def reference(request):
    refractory, dt, spikes = CASES[request.param]
    return compile_text(NEURON.format(refractory=refractory, dt=dt)), spikes


def steps_of(spikes):
    return np.flatnonzero(spikes[:, 0, 0]).tolist()


def test_the_interpreter_spikes_at_the_reference_steps(reference):
    model, expected = reference

    assert expected == steps_of(model.interpret(drive=np.full((40, 1, 1), 1.5))["h.spike"])


def test_the_emitted_run_spikes_at_the_reference_steps(reference):
    model, expected = reference

    assert expected == steps_of(model.run(drive=np.full((40, 1, 1), 1.5))["h.spike"])


def test_the_scanned_step_spikes_at_the_reference_steps(reference):
    model, expected = reference

    signals, outputs = model.scan(drive=np.full((40, 1, 1), 1.5))

    assert expected == steps_of(signals["h.spike"])
    assert outputs["spikes"].item() == len(expected)


def test_a_held_input_of_one_row_drives_all_steps(reference):
    model, expected = reference
    x = model.inputs(drive=np.full((1, 1, 1), 1.5))

    signals, _ = model.module.run(model.params, model.buffers, x, steps=40)

    assert expected == steps_of(np.asarray(signals.h.spike))
