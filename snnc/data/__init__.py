"""Data sets: where samples come from, how they are split, and the batches that training sees."""
