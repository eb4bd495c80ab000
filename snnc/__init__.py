"""snnc: a compiler from `.snn` text (spiking neural networks) to one readable JAX file."""

__version__ = "0.1.0"
EDITION = 2026
