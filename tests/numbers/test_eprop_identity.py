"""The identity of e-prop (Bellec et al. 2020, eq. 1) with the authors' constants: dE/dw = sum over t of dE/dz_t e_t.

With the total derivative dE/dz_t, which sees every later spike, the traces that the compiler derives give the gradient of
BPTT in a recurrent network.
"""

import jax
import jax.numpy as jnp
import numpy as np
from models_in_text import compile_text

TEXT = """
import std.neurons (ALIF, LI)
network Net {
  dt = 1 ms
  input a : spikes[3]
  layer h = ALIF[8](tau_m = 20 ms, tau_a = 500 ms, theta = 0.62, beta = 0.07, refractory = 2 ms,
                    surrogate = triangle(height = 0.3))
  layer out = LI[2](tau = 20 ms)
  a -> dense() -> h
  h -> dense() -> delay(1 step) -> h
  h -> dense() -> out
  output logits = mean_over_time(out.v)
}
data d = randman(classes = 2, units = 3, steps = 50, samples = 6, test = 0.2)
train main of Net on d {
  learn = eprop(online = true)
  loss = cross_entropy(out.v, label)
}
"""
STEPS, BATCH, N = 50, 4, 8


def test_the_total_learning_signal_times_the_trace_is_bptt():
    module = compile_text(TEXT).module
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.random((STEPS, BATCH, 3)) < 0.3, float)
    params = jax.tree.map(lambda w: 2.5 * jnp.asarray(w, float), module.init_params(jax.random.key(1)))
    c = module.constants(params, module.init_buffers(jax.random.key(1)))
    share = jnp.asarray(rng.normal(size=(STEPS, BATCH, N)))  # of each spike in the error

    def error(w_in, w_rec, nudge):
        """The error of the network, and what the traces read; `nudge` [T, B, n] is added to the spikes."""

        def step(carry, now):
            state, z = carry
            x_n, nudge_n, share_n = now
            state, h, kept = module.alif_step(c.h, state, x_n @ w_in + z @ w_rec)
            spikes = h.spike + nudge_n
            return (state, spikes), (jnp.sum(spikes * share_n), kept, z)

        start = (module.alif_start(c.h, (BATCH, N)), jnp.zeros((BATCH, N)))
        _, (parts, kept, before) = jax.lax.scan(step, start, (x, nudge, share))
        return jnp.sum(parts), (kept, before)

    weights = (params.a_h_dense_w, params.h_h_dense_w)
    still = jnp.zeros((STEPS, BATCH, N))
    (_, (kept, before)), (*bptt, total) = jax.jit(jax.value_and_grad(error, (0, 1, 2), has_aux=True))(*weights, still)

    for carried, expected in zip((x, before), bptt, strict=True):
        found = jax.jit(factorised, static_argnums=0)(module, c.h, kept, carried, total)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * float(jnp.abs(expected).max()))
    assert float(jnp.mean(before)) > 0.02  # they spike
    assert float(jnp.abs(total - share).max()) > 1e-3  # later spikes matter


def factorised(module, constants, kept, carried, signal):
    """Add up the learning signal times the eligibility of each synapse that carries `carried` [T, B, n]."""

    def step(traces, now):
        v, a, gradient = traces
        kept_n, x, signal_n = now
        rows = module.alif_rows(constants, kept_n)

        def entry(name):
            return jnp.broadcast_to(getattr(rows, name, 1.0), (BATCH, N))[:, None, :]

        x = x[:, :, None]
        e = entry("d_spike_by_v") * v + entry("d_spike_by_a") * a + entry("d_spike_by_x") * x
        v, a = (
            entry("d_v_by_v") * v + entry("d_v_by_x") * x,
            entry("d_a_by_v") * v + entry("d_a_by_a") * a + entry("d_a_by_x") * x,
        )
        return (v, a, gradient + jnp.einsum("bij,bj->ij", e, signal_n)), None

    zero = jnp.zeros((BATCH, carried.shape[-1], N))
    (_, _, gradient), _ = jax.lax.scan(step, (zero, zero, zero[0]), (kept, carried, signal))
    return gradient
