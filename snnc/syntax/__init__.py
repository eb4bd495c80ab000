"""Text to syntax nodes and back."""
