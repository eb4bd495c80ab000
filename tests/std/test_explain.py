"""`snnc explain` on standard neurons prints the update that is used, as text and as LaTeX."""

import pytest
from cells import PHYSICAL

from snnc.pipeline import choose, explain, load

METHODS = {
    "AlphaLIF": "exact",
    "GLIF": "exact",
    "ResonateAndFire": "exact",
    "TwoCompartmentLIF": "exact",
    "AdEx": "Runge-Kutta (RK4), 4 substeps",
    "Izhikevich": "Runge-Kutta (RK4), 4 substeps",
    "WangBuzsaki": "Runge-Kutta (RK4), 2 substeps",
    "HodgkinHuxley": "exponential Euler",
    "ConductanceLIF": "exponential Euler",
    "AdLIF": "difference equation, tied to its dt",
}


@pytest.mark.parametrize("neuron", METHODS)
def test_explain_names_the_method_and_shows_every_state_as_text_and_latex(neuron, tmp_path):
    module, port = ("biophysics", "I") if neuron in PHYSICAL else ("neurons", "x")
    if neuron in ("TwoCompartmentLIF", "ConductanceLIF"):
        port = {"TwoCompartmentLIF": "basal", "ConductanceLIF": "exc"}[neuron]
    unit = {"exc": "1 nS", "I": "1 mV / 1 ms" if neuron == "Izhikevich" else "1 pA"}.get(port, "1")
    path = tmp_path / "model.snn"
    path.write_text(f"""edition 2026
    import std.{module} ({neuron})
    network Net {{
      dt = 0.1 ms
      input a : real[2]
      layer h = {neuron}[2]()
      a -> scale({unit}) -> h.{port}
    }}""")
    program = load(path)
    entry = choose(program, None)

    text = explain(program, entry)
    each_step, latex = text.split("each step:")[1].split("as LaTeX:")[:2]

    assert f"method: {METHODS[neuron]}\n" in text
    for state in _states(program, entry):
        assert f"    {state}" in each_step
        assert f" {state} &" in latex or f"dot{{{state}}} &" in latex or f"{state[0]}_{{{state[2:]}}} &" in latex


def _states(program, entry):
    from snnc.diagnostics import Findings
    from snnc.pipeline import resolve_entry

    network, _, _ = resolve_entry(program, entry, (), Findings())
    return [state.name for state in network.layers[0].neuron.states]
