"""Compiles `.snn` text to a module that runs, and gives its signals names that the interpreter uses too."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from snnc.emit.names import field_name
from snnc.harness.load_module import load_module
from snnc.interp import run_network
from snnc.model import signal_of
from snnc.pipeline import Compiled, choose, compile_entry, load
from snnc.plan import Kernel

Signals = dict[str, np.ndarray]


@dataclass(frozen=True)
class Model:
    """A compiled text, its executed module, and the values that `init_params` and `init_buffers` give for key 0."""

    compiled: Compiled
    module: ModuleType
    params: Any
    buffers: Any

    def inputs(self, **sequences):
        """Return `Inputs` from arrays [T, B, ...]."""
        return self.module.Inputs(**{field_name(k): jnp.asarray(v) for k, v in sequences.items()})

    def named(self, signals: Any) -> Signals:
        """Return the signals of layers by dotted name."""
        found = {}
        for name in self.module.SIGNALS:
            signal = signal_of(name)
            part = f"{signal.name}_pre" if signal.pre else signal.name
            found[name] = np.asarray(getattr(getattr(signals, field_name(signal.node)), field_name(part)))
        return found

    def run(self, *, key=None, train=False, params=None, **sequences) -> Signals:
        """Signals of the emitted `run`."""
        x = self.inputs(**sequences)
        params = self.params if params is None else params
        whole = jax.jit(self.module.run, static_argnames=("train", "steps"))
        return self.named(whole(params, self.buffers, x, key=key, train=train)[0])

    def outputs(self, **sequences) -> Signals:
        """Outputs of the emitted `forward`, by field."""
        out = jax.jit(self.module.forward)(self.params, self.buffers, self.inputs(**sequences))
        return {name: np.asarray(value) for name, value in out._asdict().items()}

    def scan(self, *, key=None, **sequences) -> tuple[Signals, Signals]:
        """Signals of the emitted `step`, scanned, and the outputs after the last step."""
        x = self.inputs(**sequences)
        batch = x[0].shape[1]

        def whole(params, buffers, x):
            start = self.module.init_state(params, buffers, batch, key)

            def one(state, now):
                state, signals, outputs = self.module.step(params, buffers, state, now)
                return state, (signals, outputs)

            return jax.lax.scan(one, start, x)[1]

        signals, outputs = jax.jit(whole)(self.params, self.buffers, x)
        return self.named(signals), {k: np.asarray(v[-1]) for k, v in outputs._asdict().items()}

    def weights(self) -> dict[str, np.ndarray]:
        """Arrays of operations by path."""
        names = zip(self.module.PARAM_NAMES, self.params, strict=True)
        return {name: np.asarray(value) for name, value in names}

    def given(self) -> dict[str, np.ndarray]:
        """Trained and drawn parameters by dotted name, in the author's units."""
        buffers = zip(self.module.BUFFER_NAMES, self.buffers, strict=True)
        trained = self.module.constrained(self.params)
        return {name: np.asarray(value) for name, value in (*buffers, *trained.items())}

    def interpret(self, given=None, chances=None, **sequences) -> Signals:
        """Signals of the interpreter."""
        inputs = {k: np.asarray(v, float) for k, v in sequences.items()}
        given = {**self.given(), **(given or {})}
        recording = run_network(self.compiled.plan, inputs, self.weights(), given=given, chances=chances)
        return {name: recording[name] for name in self.module.SIGNALS}


def compile_text(text: str, kernel: Kernel = "scan") -> Model:
    """Compile `text` (without its first line) and execute what was emitted."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.snn"
        path.write_text(f"edition 2026\n{text}\n")
        return compile_file(path, kernel=kernel)


def compile_file(path: Path, name: str | None = None, kernel: Kernel = "scan") -> Model:
    """Compile one entry of a file and execute what was emitted."""
    program = load(path)
    compiled = compile_entry(program, choose(program, name), kernel=kernel)
    module = load_module(compiled.text)
    key = jax.random.key(0)
    return Model(compiled, module, module.init_params(key), module.init_buffers(key))


def assert_same_signals(expected: Signals, actual: Signals, tolerance: float = 1e-12) -> None:
    """The same neurons must fire in the same steps, whole numbers must be equal, all else to a relative tolerance."""
    assert expected.keys() == actual.keys()
    for name, value in expected.items():
        scale = max(1.0, float(np.abs(value).max(initial=0.0)))
        np.testing.assert_allclose(actual[name], value, rtol=tolerance, atol=tolerance * scale, err_msg=name)
        if name.endswith(".spike"):
            np.testing.assert_array_equal(actual[name] != 0, value != 0, err_msg=name)
            whole = value == np.round(value)
            np.testing.assert_array_equal(actual[name][whole], value[whole], err_msg=name)
