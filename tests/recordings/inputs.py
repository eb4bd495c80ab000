"""The random input of the recordings, made again from a seed by whoever reads them."""

import numpy as np


def drive(seed: int, scale: float, mean: float, steps: int, neurons: int) -> np.ndarray:
    """Return `scale` times a normal of mean `mean` and deviation 1, shape (steps, neurons), float64."""
    return scale * np.random.default_rng(seed).normal(mean, 1.0, (steps, neurons))


def two_steps(seed: int, scale: float, neurons: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the input of two steps, shape (2, neurons), and the weights of spikes and membranes in the sum, (2, 2, neurons).

    The sum is that of weights[0] * spikes + weights[1] * membranes over steps and neurons.
    """
    rng = np.random.default_rng(seed)
    return scale * rng.uniform(0.5, 1.5, (2, neurons)), rng.normal(size=(2, 2, neurons))
