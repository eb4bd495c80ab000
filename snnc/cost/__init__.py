"""What a model takes: memory, arithmetic and synaptic operations, from its plan and without JAX."""
