"""Operations, readouts, losses, encoders and initialisers: the Python half of the standard library."""
