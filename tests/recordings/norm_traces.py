"""Runs the norms of PyTorch and SpikingJelly on random sequences and keeps what they did, for tests/numbers/test_norms.py.

Run by hand, in the environment `venv-torch` of record.py: `venv-torch/bin/python tests/recordings/norm_traces.py`.

`norms.npz` holds `version` and, for each case of CASES (`NAME.…`), all in float64: `y0`, `y1`, `y2` of three batches in
training; `mean0` to `var2`, the running statistics after each; `dx`, `dgamma`, `dbeta`, `dp`, the gradients of the sum of y0
times a cotangent; `eval`, what the fourth batch gives in evaluation. The batches, the cotangent and the weights are drawn by
`batches` and `weights`.
"""

from importlib.metadata import version
from pathlib import Path

import numpy as np

STEPS, SAMPLES = 4, 5
VECTOR, IMAGE = (3,), (3, 2, 4)
ALPHA, THETA = 0.7, 1.5
CASES = {f"{kind}_{name}": (kind, shape) for kind in ("batch", "tdbn", "bntt", "tebn", "layer")
         for name, shape in (("vector", VECTOR), ("image", IMAGE))}  # fmt: skip
HERE = Path(__file__).parent


def batches(shape):
    """Four batches [4, T, B, ...], whose mean and spread differ from channel to channel and step to step, and the cotangent."""
    rng = np.random.default_rng(11)
    x = rng.normal(size=(4, STEPS, SAMPLES, *shape))
    tail = (1,) * (len(shape) - 1)
    spread = rng.uniform(0.5, 3.0, (STEPS, 1, shape[0], *tail))
    return spread * x + rng.normal(size=spread.shape), rng.normal(size=x.shape[1:])


def weights(kind, shape):
    """Weights by their names in snnc."""
    rng = np.random.default_rng(12)
    size = {"bntt": (STEPS, shape[0]), "layer": shape}.get(kind, (shape[0],))
    found = {"gamma": rng.uniform(0.5, 2.0, size)}
    if kind != "bntt":
        found["beta"] = rng.normal(size=size)
    if kind == "tebn":
        found["p"] = rng.uniform(0.5, 2.0, STEPS)
    return found


def module_of(kind, shape):
    """The module, and where its parameters are, by our names."""
    import torch
    from spikingjelly.activation_based import layer

    rank = {1: "1d", 3: "2d"}[len(shape)]
    if kind == "batch":
        norm = getattr(layer, f"BatchNorm{rank}")(shape[0], step_mode="m")
    elif kind == "tdbn":
        norm = getattr(layer, f"ThresholdDependentBatchNorm{rank}")(ALPHA, THETA, shape[0])
    elif kind == "bntt":
        norm = getattr(layer, f"BatchNormThroughTime{rank}")(STEPS, shape[0], step_mode="m")
        return norm.double(), {"gamma": [bn.weight for bn in norm.bn_list]}
    elif kind == "tebn":
        norm = getattr(layer, f"TemporalEffectiveBatchNorm{rank}")(STEPS, shape[0])
        return norm.double(), {"gamma": norm.weight, "beta": norm.bias, "p": norm.scale}
    else:
        norm = torch.nn.LayerNorm(shape)
    return norm.double(), {"gamma": norm.weight, "beta": norm.bias}


def run(kind, shape):
    """What one module did, by the names of the file."""
    import torch
    from spikingjelly.activation_based import functional

    norm, places = module_of(kind, shape)
    x, cotangent = batches(shape)
    for name, value in weights(kind, shape).items():
        target = torch.tensor(value * (ALPHA * THETA if (kind, name) == ("tdbn", "gamma") else 1.0))
        with torch.no_grad():
            for place, part in zip(places[name], target, strict=True) if kind == "bntt" else [(places[name], target)]:
                place.copy_(part)
    found = {}
    for k in range(3):
        functional.reset_net(norm)
        source = torch.tensor(x[k], requires_grad=True)
        y = norm(source)
        found[f"y{k}"] = y.detach().numpy()
        if k == 0:
            (y * torch.tensor(cotangent)).sum().backward()
            found["dx"] = source.grad.numpy()
            for name, place in places.items():
                grads = [p.grad.numpy() for p in place] if kind == "bntt" else place.grad.numpy()
                found[f"d{name}"] = np.array(grads)
        if kind != "layer":
            parts = list(norm.bn_list) if kind == "bntt" else [norm]
            for name in ("mean", "var"):
                kept = [getattr(part, f"running_{name}").numpy().copy() for part in parts]
                found[f"{name}{k}"] = np.stack(kept) if kind == "bntt" else kept[0]
    norm.eval()
    functional.reset_net(norm)
    with torch.no_grad():
        found["eval"] = norm(torch.tensor(x[3])).numpy()
    return found


def main():
    fields = {"version": np.array(f"torch {version('torch')}, spikingjelly {version('spikingjelly')}")}
    for name, (kind, shape) in CASES.items():
        fields |= {f"{name}.{key}": value for key, value in run(kind, shape).items()}
    assert all(a.dtype == np.float64 for name, a in fields.items() if name != "version")
    np.savez_compressed(HERE / "norms.npz", **fields)


if __name__ == "__main__":
    main()
