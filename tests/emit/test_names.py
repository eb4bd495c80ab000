"""Names of authors that are also names of Python, JAX, the runtime or the compiler's own."""

import numpy as np

from snnc.interp import run_network
from snnc.pipeline import choose, compile_entry, load

HOSTILE = """edition 2026
neuron jnp {
  param lambda = 10 ms
  param v_decay = 0.5
  param k1 = 1
  param p = 1
  param s = 2
  event chance
  event x
  state v = 0
  state fired = 0
  state refractory = 0
  v' = -v / lambda
  fired' = (p - fired) / (lambda * exp(k1))
  on chance { v += chance }
  on x { v += v_decay * x }
  spike when v >= 1 emit s { v = 0; refractory += 1 }
  refractory 2 ms hold v
  surrogate atan()
}
network lax {
  dt = 1 ms
  input state : spikes[3]
  layer params = jnp[4]()
  layer print = jnp[4]()
  state -> dense(init = uniform(0, 2)) -> params.chance
  params -> dense(init = uniform(0, 2)) -> print.x
  print -> dense() -> delay(1 step) -> print.chance
  output c = count(print.spike)
  output step = mean_over_time(params.fired)
}
"""


def test_names_of_python_and_of_the_compiler_are_names_like_any_other(tmp_path):
    path = tmp_path / "class.snn"
    path.write_text(HOSTILE)
    program = load(path)
    compiled = compile_entry(program, choose(program, None))
    module: dict = {"__name__": "emitted"}
    exec(compile(compiled.text, "emitted.py", "exec"), module)  # the file that we compiled ourselves
    params = module["init_params"](module["jax"].random.key(0))
    drive = np.random.default_rng(0).random((30, 2, 3)) * 3

    signals, _ = module["run"](params, module["init_buffers"](None), module["Inputs"](state=drive))
    names = module["PARAM_NAMES"]
    weights = dict(zip(names, (np.asarray(w) for w in params), strict=True))
    expected = run_network(compiled.plan, {"state": drive}, weights)

    assert float(signals.print.spike.sum()) > 0
    np.testing.assert_allclose(signals.print.spike, expected["print.spike"])
    np.testing.assert_allclose(signals.params.refractory, expected["params.refractory"])
    np.testing.assert_allclose(signals.params.fired, expected["params.fired"], rtol=1e-5)


def test_neurons_whose_names_differ_in_case_only_keep_their_own_functions(tmp_path):
    path = tmp_path / "case.snn"
    path.write_text(
        """edition 2026
neuron Cell { event x; state v = 0; v' = -v / 10 ms; on x { v += x } }
neuron CELL { event x; state v = 0; v' = -v / 20 ms; on x { v += x } }
network N {
  dt = 1 ms
  input x : spikes[2]
  x -> dense(3) -> Cell() as a
  x -> dense(3) -> CELL() as b
}
"""
    )
    program = load(path)

    text = compile_entry(program, choose(program, None)).text

    assert text.count("def cell_step(") == 1
    assert text.count("def cell2_step(") == 1
