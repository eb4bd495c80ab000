"""Times a training step of the emitted code beside what it is compared with: `python -m benchmarks.run`."""
