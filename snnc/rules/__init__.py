"""The learning rules beside BPTT: which models each fits, and what the compiler derives for it from the equations."""
