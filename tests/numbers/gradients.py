"""Gradients of a compiled text by two ways: of the emitted `run` (derived adjoints) and of its `step`, scanned (JAX)."""

import jax
import jax.numpy as jnp
import numpy as np


def both_gradients(model, sequences, key=None, seed=0):
    """Gradients of a random weighting of all signals by params and inputs, of `run` and of the scanned `step`."""
    module, params, buffers = model.module, model.params, model.buffers
    x = model.inputs(**sequences)
    batch = x[0].shape[1]
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(lambda p: module.run(p, buffers, x, key=key)[0], params)
    shares = jax.tree.map(lambda s: jnp.asarray(rng.normal(size=s.shape)), shapes)

    def weighted(signals):
        pairs = zip(jax.tree.leaves(signals), jax.tree.leaves(shares), strict=True)
        return sum(jnp.sum(signal * share) for signal, share in pairs)

    def whole(params, x):
        return weighted(module.run(params, buffers, x, key=key)[0])

    def scanned(params, x):
        def one(state, now):
            state, signals, _ = module.step(params, buffers, state, now)
            return state, signals

        return weighted(jax.lax.scan(one, module.init_state(params, buffers, batch, key), x)[1])

    return [jax.jit(jax.grad(f, (0, 1)))(params, x) for f in (whole, scanned)]


def assert_same_gradients(model, sequences, key=None, tolerance=1e-10):
    """Assert the two gradients equal, each array relative to its own largest entry; return the scanned one."""
    derived, by_jax = both_gradients(model, sequences, key)
    names = [*model.module.PARAM_NAMES, *model.module.INPUTS]
    for name, a, b in zip(names, jax.tree.leaves(derived), jax.tree.leaves(by_jax), strict=True):
        assert np.isfinite(b).all(), name
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(float(np.abs(b).max()), 1e-30), err_msg=name)
    return by_jax
