"""Every limit that an author can meet, with its reason. Beyond one there is a finding (E0107, E0409, E0605) and no work done.

They stand far above what models need, and low enough that a text of any kind is refused in a second and in little memory.
"""

from __future__ import annotations

# ---- text: E0107 ---------------------------------------------------------------------------
MAX_SOURCE_BYTES = 1_000_000  # of one .snn file: the parser takes seconds for it; numbers belong in data files
MAX_DEPTH = 200  # levels of one expression: later phases walk it by recursion, and Python allows 1000 frames
MAX_BRACKETS = 100  # brackets open at once, for the same reason
MAX_WORD = 200  # characters of a name or a number: messages and emitted lines show it whole
MAX_DOTS = 20  # parts of a dotted name, for the same reason
MAX_STRING = 4096  # characters between quotes: the longest path that systems take
MAX_IMPORTS = 200  # import lines of one file, and files of one program: each file takes a parse
MAX_IMPORT_DEPTH = 20  # files that import one another in a row, which are read by recursion

# ---- meaning: E0107, E0409 -----------------------------------------------------------------
MAX_EXPRESSION = 20_000  # parts of one expression after `let` and `fn` are replaced: each `let` can double it
MAX_NESTING = 150  # its levels, for the reason of MAX_DEPTH
MAX_CLAUSES = 500  # of a neuron: the solver compares each with each
MAX_PARTS = 3000  # layers, inputs, outputs and names in chains of a network: each becomes lines of the emitted file
MAX_BLOCKS = 1000  # repetitions of one block: each becomes layers of its own
MAX_COUNT = 100_000_000  # any whole number that counts something: a side of a layer, epochs, samples of a batch
MAX_UNITS = 200_000_000  # neurons of a layer and weights of a product: 0.8 GB in float32, before any gradient
MAX_WINDOW = 4096  # places of the window of a convolution or a pool: each becomes an operation that XLA compiles
MAX_DELAY = 1_000_000  # steps that a delay keeps
MAX_STEPS = 10_000_000  # of one sequence: a day of simulated time at 10 ms
MAX_MODEL_BYTES = 2**40  # a model with its states, without a batch: no device holds one tebibyte

# ---- data: E0605 ---------------------------------------------------------------------------
MAX_DATA_BYTES = 8 * 2**30  # of one data set in memory, as its files declare it
MAX_SEED = 2**32 - 1  # what NumPy and JAX take alike
