"""The commands of `snnc`, one file a group: they read options, call the compiler and the harness, and print."""
