"""The Jacobian of a step, from which traces are made, against JAX's derivative of the emitted step: 1e-12 in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from models_in_text import compile_text
from random_models import USER_SURROGATE, neurons
from test_adjoint import DRIVES, network_text, standard_neurons
from test_emitted_equals_interpreter import SLOW

from snnc.emit.adjoint_view import names_of
from snnc.emit.names import field_name, function_name, local_name
from snnc.emit.pytext import python_text
from snnc.lower.gradients import adjoint_of
from snnc.lower.traces import jacobian
from snnc.plan import OUT
from snnc.units import unit_name

STEPS, BATCH, SIZE = 40, 2, 3


def entries(module, body, rows):
    """A function of constants and kept values that gives every entry of the Jacobian."""
    name = names_of(body, set())
    found = {**rows.states, **rows.ports}
    text = "def rows(p, k):\n"
    text += "".join(f"    {local_name(a.target)} = {python_text(a.value, name)}\n" for a in rows.again)
    text += f"    return {{{', '.join(f'{key!r}: {python_text(entry, name)}' for key, entry in found.items())}}}\n"
    space: dict = {}
    exec(text, module.__dict__, space)
    return space["rows"]


def assert_rows(model, drive):
    """Compare along a trajectory; return whether the neuron has a Jacobian in closed form."""
    module, (layer,) = model.module, model.compiled.network.layers
    body = model.compiled.plan.body(layer.name)
    rows = jacobian(body, adjoint_of(body, model.compiled.plan, False))
    if isinstance(rows, str):
        assert "no closed form" in rows
        return False
    step = getattr(module, f"{function_name(body.name)}_step")
    p = getattr(module.constants(model.params, model.buffers), field_name(layer.name))
    state = getattr(module.init_state(model.params, model.buffers, BATCH, jax.random.key(0)), field_name(layer.name))
    slots = [slot.name for slot in body.slots if not slot.hidden]
    found_of = entries(module, body, rows)

    def moved(values, state, ports):
        """What a step gives, by rows, where slots and ports are moved by `values`."""
        state = state._replace(**{field_name(s): getattr(state, field_name(s)) + values[s] for s in slots})
        ports = [port + values[name] for name, port in zip(body.ports, ports, strict=True)]
        chance = [jnp.full((BATCH, SIZE), 0.3)] if body.random else []
        after, signals, kept = step(p, state, *ports, *chance)
        out = {slot: getattr(after, field_name(slot)) for slot in slots}
        names = {s.name: field_name(s.name.replace(".", "_")) for s in body.published}
        return out | {OUT + name: getattr(signals, f) for name, f in names.items()}, (after, kept)

    def one(state, ports):
        zero = {name: jnp.zeros((BATCH, SIZE)) for name in (*slots, *body.ports)}
        truth = {}
        for name in zero:
            tangent = zero | {name: jnp.ones((BATCH, SIZE))}
            _, slope, aux = jax.jvp(lambda v: moved(v, state, ports), (zero,), (tangent,), has_aux=True)
            truth[name] = slope
        found = {key: jnp.broadcast_to(entry, (BATCH, SIZE)) for key, entry in found_of(p, aux[1]).items()}
        return aux[0], (truth, found)

    _, (truth, found) = jax.jit(lambda state, drive: jax.lax.scan(one, state, drive))(state, tuple(drive))
    unread = {slot for slot in slots if all(not jnp.any(slope) for slope in truth[slot].values())}  # by the next step
    for name, slopes in truth.items():
        for row, slope in slopes.items():
            if row in unread:
                continue
            entry = found.get((row, name), jnp.zeros(slope.shape))
            scale = max(float(jnp.abs(slope).max()), 1e-30)
            np.testing.assert_allclose(entry, slope, rtol=0, atol=1e-12 * scale, err_msg=f"d {row} / d {name}")
    return True


QUICK = {"neurons.ALIF", "neurons.QIF", "neurons.BalancedResonateAndFire", "neurons.TsodyksMarkram"}


def cases():
    """Some with states that act on each other, one without a closed form; `pytest -m long` runs the rest."""
    for found in standard_neurons():
        marks = () if found.id in QUICK else pytest.mark.long
        yield pytest.param(*found.values, id=found.id, marks=marks)


@pytest.mark.parametrize(("file", "neuron"), list(cases()))
def test_the_jacobian_of_a_standard_neuron_is_that_of_its_step(file, neuron):
    model = compile_text(network_text(file, neuron).replace("trainable", ""))
    rng = np.random.default_rng(1)
    drive = [
        jnp.asarray(DRIVES.get(unit_name(p.dimension), 1.0) * rng.normal(0.4, 1.0, (STEPS, BATCH, SIZE)))
        for p in neuron.ports
    ]

    closed = assert_rows(model, drive)

    assert closed == (neuron.solver.kind not in ("rk2", "rk4", "euler")), neuron.solver.kind


def random_neuron(text, ports):
    edges = "\n".join(f"input in_{p} : real[{SIZE}]\n in_{p} -> scale(1) -> h.{p}" for p in ports)
    return f"{USER_SURROGATE}\n{text}\nnetwork Net {{\n dt = 1 ms\n layer h = Cell[{SIZE}]()\n {edges}\n}}"


@settings(max_examples=3, **SLOW)
@given(neurons("Cell"))
def test_the_jacobian_of_random_neurons_is_that_of_their_step(neuron):
    text, ports, _ = neuron
    model = compile_text(random_neuron(text, ports))
    rng = np.random.default_rng(1)

    assert_rows(model, [jnp.asarray(rng.normal(0.4, 1.0, (STEPS, BATCH, SIZE))) for _ in ports])


@pytest.mark.long
@settings(max_examples=150, **SLOW)
@given(neurons("Cell"))
def test_the_jacobian_of_many_random_neurons_is_that_of_their_step(neuron):
    text, ports, _ = neuron
    model = compile_text(random_neuron(text, ports))
    rng = np.random.default_rng(1)

    assert_rows(model, [jnp.asarray(rng.normal(0.4, 1.0, (STEPS, BATCH, SIZE))) for _ in ports])
