"""Runs the released libraries on random input and keeps what their default neurons did, for tests/compat.

Run by hand, not by the tests, each time in an environment that has the library:

    python -m venv venv-torch
    venv-torch/bin/pip install torch==2.13.0 numpy             # first, so that nothing replaces it
    venv-torch/bin/pip install --no-deps snntorch norse spikingjelly sinabs rockpool
    venv-torch/bin/pip install --no-deps scipy nir nirtorch h5py loguru pbr tqdm einops matplotlib pandas samna
    venv-torch/bin/python tests/recordings/record.py snntorch norse spikingjelly sinabs rockpool surrogates_torch

    python -m venv venv-brain
    venv-brain/bin/pip install jax optax spyx brainpy
    venv-brain/bin/python tests/recordings/record.py spyx brainpy surrogates_jax

Each file `NAME.npz` holds `version`, `seed`, `scale` and `mean` of the input (see inputs.py), `spikes` (steps, neurons) as whole
numbers, `membrane` (steps, 5) of the last five neurons in float64 as the library returns it, and, where a gradient was asked
for, `gradient` (neurons,): of the weighted sum of `two_steps` by the input of the first step, with its seed and scale.
`surrogates_torch.npz` and `surrogates_jax.npz` hold the derivative of each surrogate at the points `x`, by its name in
std.compat.
"""

import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
from inputs import drive, two_steps

STEPS, NEURONS, KEPT = 500, 64, 5
HERE = Path(__file__).parent


def keep(name, library, seed, scale, spikes, membrane, gradient=None, mean=1.0):
    """Write one recording; `gradient` is (seed, scale, values)."""
    spikes, membrane = np.asarray(spikes), np.asarray(membrane, np.float64)
    assert spikes.shape == membrane.shape == (STEPS, NEURONS), (spikes.shape, membrane.shape)
    counts = np.count_nonzero(spikes, axis=0)
    print(
        f"{name}: {library} {version(library)}, {counts.min()} to {counts.max()} steps with spikes, up to {spikes.max()}"
    )
    fields = {
        "version": np.array(f"{library} {version(library)}"),
        "seed": seed,
        "scale": scale,
        "mean": mean,
        "spikes": spikes.astype(np.uint8),
        "membrane": membrane[:, -KEPT:],
    }
    assert np.array_equal(fields["spikes"], spikes)
    if gradient is not None:
        fields |= {"gradient_seed": gradient[0], "gradient_scale": gradient[1], "gradient": gradient[2]}
        assert gradient[2].dtype == np.float64
    np.savez_compressed(HERE / f"{name}.npz", **fields)


def torch_run(step, x):
    """Return spikes and membranes of `step(state, input) -> state, spike, membrane` over all rows of x."""
    state, spikes, membranes = None, [], []
    for now in x:
        state, spike, membrane = step(state, now)
        spikes.append(spike)
        membranes.append(membrane)
    import torch

    return torch.stack(spikes), torch.stack(membranes)


def torch_record(name, library, make, seed, scale, gradient_scale=None, mean=1.0):
    """Record a neuron of a library of PyTorch; `make()` gives a fresh `step`."""
    import torch

    with torch.no_grad():
        spikes, membrane = torch_run(make(), torch.as_tensor(drive(seed, scale, mean, STEPS, NEURONS)))
    assert membrane.dtype == torch.float64
    gradient = None
    if gradient_scale is not None:
        x, weights = (torch.as_tensor(a) for a in two_steps(seed, gradient_scale, NEURONS))
        x.requires_grad_(True)
        s, v = torch_run(make(), x)
        (weights[0] * s + weights[1] * v).sum().backward()
        gradient = (seed, gradient_scale, x.grad[0].numpy())
    keep(name, library, seed, scale, spikes.numpy(), membrane.numpy(), gradient, mean)


def record_snntorch():
    import snntorch
    import torch

    torch.Tensor.float = torch.Tensor.double  # snnTorch casts spikes, and so their gradient, to float32

    def leaky():
        cell = snntorch.Leaky(beta=0.9)

        def step(state, x):
            spike, mem = cell(x, cell.reset_mem() if state is None else state)
            return mem, spike, mem

        return step

    def synaptic():
        cell = snntorch.Synaptic(alpha=0.8, beta=0.9)

        def step(state, x):
            syn, mem = cell.reset_mem() if state is None else state
            spike, syn, mem = cell(x, syn, mem)
            return (syn, mem), spike, mem

        return step

    torch_record("snntorch_leaky", "snntorch", leaky, 1, 0.15, 1.0)
    torch_record("snntorch_synaptic", "snntorch", synaptic, 2, 0.03, 1.0)


def record_norse():
    import norse.torch as norse

    def cell(module):
        def make():
            neuron = module()

            def step(state, x):
                spike, state = neuron(x, state)
                return state, spike, state.v

            return step

        return make

    torch_record("norse_lif", "norse", cell(norse.LIFCell), 3, 0.3, 10.0)
    torch_record("norse_lif_box", "norse", cell(norse.LIFBoxCell), 4, 1.5, 10.0)


def record_spikingjelly():
    from spikingjelly.activation_based import neuron

    def node(module):
        def make():
            cell = module()

            def step(state, x):
                spike = cell(x)
                return None, spike, cell.v

            return step

        return make

    torch_record("spikingjelly_lif", "spikingjelly", node(neuron.LIFNode), 5, 0.8, 2.0)
    torch_record("spikingjelly_plif", "spikingjelly", node(neuron.ParametricLIFNode), 6, 0.8, 2.0)
    torch_record("spikingjelly_if", "spikingjelly", node(neuron.IFNode), 7, 0.15, 1.0)


def record_sinabs():
    import torch
    from sinabs.layers import LIF

    torch.Tensor.float = torch.Tensor.double  # as snnTorch

    def layer(**settings):
        def make():
            cell = LIF(**settings).double()

            def step(state, x):
                spike = cell(x[None, None])[0, 0]
                return None, spike, cell.v_mem[0]

            return step

        return make

    torch_record("sinabs_lif", "sinabs", layer(tau_mem=10.0), 8, 8.0, 15.0, mean=0.1)
    torch_record("sinabs_lif_syn", "sinabs", layer(tau_mem=10.0, tau_syn=5.0), 9, 4.0, 15.0, mean=0.1)


def record_rockpool():
    import torch
    from rockpool.nn.modules import LIFTorch

    def make():
        cell = LIFTorch((NEURONS, NEURONS)).double()
        for name in ("tau_mem", "tau_syn"):
            getattr(cell, name).data = torch.full_like(getattr(cell, name).data, 0.02)
        cell.dt = 1e-3

        def step(state, x):
            spike, _, _ = cell(x[None, None])
            return None, spike[0, 0], cell.vmem

        return step

    torch_record("rockpool_lif", "rockpool", make, 10, 0.15, mean=0.1)


def record_spyx():
    import jax

    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp
    from flax import nnx
    from spyx import nn

    cell = nn.LIF((NEURONS,), beta=0.9, rngs=nnx.Rngs(0))

    def run(x):
        def step(v, now):
            spike, v = cell(now, v)
            return v, (spike, v)

        return jax.lax.scan(step, jnp.zeros(NEURONS), x)[1]

    seed, scale, gradient_scale = 11, 0.15, 1.0
    spikes, membrane = run(jnp.asarray(drive(seed, scale, 1.0, STEPS, NEURONS)))
    x, weights = two_steps(seed, gradient_scale, NEURONS)

    def total(first):
        s, v = run(jnp.stack([first, x[1]]))
        return (weights[0] * s + weights[1] * v).sum()

    gradient = np.asarray(jax.grad(total)(jnp.asarray(x[0])))
    keep("spyx_lif", "spyx", seed, scale, spikes, membrane, (seed, gradient_scale, gradient))


def record_brainpy():
    import brainpy as bp
    import brainpy.math as bm

    bm.enable_x64()
    bm.set_dt(1.0)

    def run(name, mode, seed):
        cell = bp.dyn.Lif(NEURONS, mode=mode)
        cell.reset_state(*(() if mode is bm.nonbatching_mode else (1,)))
        spikes, membranes = [], []
        for n, now in enumerate(drive(seed, 25.0, 1.0, STEPS, NEURONS)):
            bp.share.save(t=float(n), dt=1.0)
            spike = cell.update(bm.asarray(now))
            spikes.append(np.asarray(spike).reshape(NEURONS))
            membranes.append(np.asarray(cell.V.value).reshape(NEURONS))
        assert membranes[0].dtype == np.float64
        keep(name, "brainpy", seed, 25.0, np.array(spikes, float), membranes)

    run("brainpy_lif_training", bm.training_mode, 12)
    run("brainpy_lif_inference", bm.nonbatching_mode, 13)


POINTS = (-1.3, -0.4, -0.1, 0.0, 0.05, 0.2, 0.5, 0.8, 1.0, 1.7)


def record_surrogates_torch():
    import snntorch.surrogate as snntorch
    import torch
    from norse.torch.functional.threshold import threshold
    from rockpool.nn.modules.torch import lif_torch as rockpool
    from sinabs import activation as sinabs
    from spikingjelly.activation_based import surrogate as jelly

    def norse(method, alpha=100.0):
        return lambda x: threshold(x, method, torch.as_tensor(alpha))

    surrogates = {  # without snnTorch's LSO, which raises in 1.0.0
        "snntorch_straight_through": snntorch.straight_through_estimator(),
        "snntorch_triangular": snntorch.triangular(),
        "snntorch_fast_sigmoid": snntorch.fast_sigmoid(),
        "snntorch_atan": snntorch.atan(),
        "snntorch_heaviside": snntorch.heaviside(),
        "snntorch_sigmoid": snntorch.sigmoid(),
        "snntorch_spike_rate_escape": snntorch.spike_rate_escape(),
        "snntorch_sfs": snntorch.SFS(),
        "norse_super": norse("super"),
        "norse_triangle": norse("triangle", 0.3),
        "norse_tanh": norse("tanh"),
        "norse_heavi_erfc": norse("heavi_erfc"),
        "norse_circ": norse("circ"),
        "spikingjelly_piecewise_quadratic": jelly.PiecewiseQuadratic(),
        "spikingjelly_piecewise_exp": jelly.PiecewiseExp(),
        "spikingjelly_sigmoid": jelly.Sigmoid(),
        "spikingjelly_soft_sign": jelly.SoftSign(),
        "spikingjelly_super_spike": jelly.SuperSpike(),
        "spikingjelly_atan": jelly.ATan(),
        "spikingjelly_nonzero_sign_log_abs": jelly.NonzeroSignLogAbs(),
        "spikingjelly_erf": jelly.Erf(),
        "spikingjelly_piecewise_leaky_relu": jelly.PiecewiseLeakyReLU(),
        "spikingjelly_squarewave_fourier": jelly.SquarewaveFourierSeries(),
        "spikingjelly_s2nn": jelly.S2NN(),
        "spikingjelly_q_pseudo_spike": jelly.QPseudoSpike(),
        "spikingjelly_leaky_k_relu": jelly.LeakyKReLU(),
        "spikingjelly_fake_numerical_gradient": jelly.FakeNumericalGradient(),
        "spikingjelly_log_tailed_relu": jelly.LogTailedReLU(),
        "spikingjelly_deterministic_pass": jelly.DeterministicPass(),
        "spikingjelly_rect": jelly.Rect(),
        "rockpool_step_pwl": lambda x: rockpool.StepPWL.apply(x + 1.0, torch.tensor(1.0), torch.tensor(0.5)),
        "rockpool_periodic_exponential": lambda x: rockpool.PeriodicExponential.apply(
            x + 1.0, torch.tensor(1.0), torch.tensor(0.5), torch.tensor(2.0**16)
        ),
    }
    found = {}
    for name, function in surrogates.items():
        x = torch.tensor(POINTS, requires_grad=True)
        function(x).sum().backward()
        found[name] = x.grad.numpy()
    for name in ("Heaviside", "Gaussian", "MultiGaussian", "SingleExponential", "PeriodicExponential"):
        plain = "".join("_" + c.lower() if c.isupper() else c for c in name)
        found["sinabs" + plain] = getattr(sinabs, name)()(torch.tensor(POINTS) + 1.0, 1.0).numpy()
    libraries = ("snntorch", "norse", "spikingjelly", "sinabs", "rockpool")
    np.savez_compressed(
        HERE / "surrogates_torch.npz", version=[f"{n} {version(n)}" for n in libraries], x=POINTS, **found
    )


def record_surrogates_jax():
    import braintools.surrogate as brain
    import jax
    import jax.numpy as jnp
    from spyx import axn

    jax.config.update("jax_enable_x64", True)  # after braintools, which turns it off

    names = {
        "sigmoid": "Sigmoid",
        "piecewise_quadratic": "PiecewiseQuadratic",
        "piecewise_exp": "PiecewiseExp",
        "soft_sign": "SoftSign",
        "arctan": "Arctan",
        "nonzero_sign_log": "NonzeroSignLog",
        "erf": "ERF",
        "piecewise_leaky_relu": "PiecewiseLeakyRelu",
        "squarewave_fourier": "SquarewaveFourierSeries",
        "s2nn": "S2NN",
        "q_pseudo_spike": "QPseudoSpike",
        "leaky_relu": "LeakyRelu",
        "log_tailed_relu": "LogTailedRelu",
        "relu_grad": "ReluGrad",
        "gaussian_grad": "GaussianGrad",
        "multi_gaussian_grad": "MultiGaussianGrad",
        "inv_square_grad": "InvSquareGrad",
        "slayer_grad": "SlayerGrad",
    }
    surrogates = {f"braintools_{ours}": getattr(brain, theirs)() for ours, theirs in names.items()}
    for name in ("superspike", "arctan", "tanh", "boxcar", "triangular", "custom"):
        surrogates[f"spyx_{name}"] = getattr(axn, name)()
    x = jnp.asarray(POINTS)
    found = {name: np.asarray(jax.vmap(jax.grad(function))(x)) for name, function in surrogates.items()}
    libraries = ("braintools", "spyx")
    np.savez_compressed(
        HERE / "surrogates_jax.npz", version=[f"{n} {version(n)}" for n in libraries], x=POINTS, **found
    )


LIBRARIES = {
    "surrogates_torch": record_surrogates_torch,
    "surrogates_jax": record_surrogates_jax,
    "snntorch": record_snntorch,
    "norse": record_norse,
    "spikingjelly": record_spikingjelly,
    "sinabs": record_sinabs,
    "rockpool": record_rockpool,
    "spyx": record_spyx,
    "brainpy": record_brainpy,
}


if __name__ == "__main__":
    if {"snntorch", "norse", "spikingjelly", "sinabs", "rockpool", "surrogates_torch"} & set(sys.argv[1:]):
        import torch

        torch.set_default_dtype(torch.float64)  # before the libraries make the tensors of their defaults
        torch.set_num_threads(1)
    for library in sys.argv[1:]:
        LIBRARIES[library]()
