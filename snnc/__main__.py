"""`python -m snnc`."""

from snnc.cli import main

main()
