"""Records PyTorch's convolutions and pools with their gradients: `python torch_images.py`, with torch installed.

Kernels are stored as ours, [*kernel, channels / groups, size]; all numbers are float64.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

rng = np.random.default_rng(0)


def numbers(*shape):
    return torch.tensor(rng.normal(size=shape).round(3), requires_grad=True)


def record(name, x, module, arrays):
    """Add input, result, a cotangent, and the gradients that it gives."""
    y = module(x)
    d = torch.tensor(rng.normal(size=tuple(y.shape)).round(3))
    y.backward(d)
    found = {"x": x, "y": y, "d": d, "d_x": x.grad}
    if isinstance(module, nn.modules.conv._ConvNd):
        last = (*range(2, module.weight.ndim), 1, 0)
        found |= {"w": module.weight.permute(last), "d_w": module.weight.grad.permute(last)}
        found |= {"b": module.bias, "d_b": module.bias.grad}
    arrays |= {f"{name}/{key}": value.detach().numpy() for key, value in found.items()}


def main():
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    arrays = {}
    record("conv1d", numbers(2, 3, 11), nn.Conv1d(3, 4, 5, stride=2, padding=2), arrays)
    wide = nn.Conv2d(2, 3, (3, 5), stride=(1, 2), padding=(1, 2), dilation=(2, 1))
    record("conv2d", numbers(2, 2, 7, 8), wide, arrays)
    record("conv2d_same", numbers(2, 2, 5, 6), nn.Conv2d(2, 3, 4, padding="same"), arrays)
    record("conv2d_groups", numbers(2, 4, 5, 5), nn.Conv2d(4, 6, 3, groups=2), arrays)
    record("depthwise", numbers(2, 4, 5, 5), nn.Conv2d(4, 8, 3, padding=1, groups=4), arrays)
    record("conv3d", numbers(2, 2, 4, 5, 5), nn.Conv3d(2, 2, (2, 3, 3), padding=1), arrays)
    record("avg_pool", numbers(2, 3, 5, 6), nn.AvgPool2d(2), arrays)
    record("avg_pool_overlap", numbers(2, 3, 6, 7), nn.AvgPool2d(3, stride=2, padding=1), arrays)
    record("max_pool", numbers(2, 3, 5, 6), nn.MaxPool2d(2), arrays)
    record("max_pool_overlap", numbers(2, 3, 6, 7), nn.MaxPool2d(3, stride=2, padding=1), arrays)
    spikes = torch.tensor((rng.random((2, 3, 6, 6)) < 0.4).astype(float), requires_grad=True)
    record("max_pool_spikes", spikes, nn.MaxPool2d(3, stride=1, padding=1), arrays)
    np.savez_compressed(Path(__file__).with_name("torch_images.npz"), **arrays)


if __name__ == "__main__":
    main()
