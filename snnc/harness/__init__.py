"""What `snnc train` adds around emitted code."""
