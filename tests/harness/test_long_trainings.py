"""A long training takes no more memory than a short one, and nothing is compiled after its first epoch."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
# A real training of models/digits.snn in a process of its own: memory after every update, and what was compiled when.
SCRIPT = """
import json, resource, sys, tempfile
from pathlib import Path
import jax
from snnc import pipeline
from snnc.harness.records import TrainOptions
from snnc.harness.runtime import keep_freed_memory
from snnc.harness.train import train

class Watch:
    def __init__(self):
        self.held, self.compiled = [], []
    def update(self, samples, metrics):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        self.held.append(pages * resource.getpagesize())
    def start(self, plan): pass
    def epoch(self, record): pass
    def stage(self, text): pass
    def note(self, text): pass

watch = Watch()
def hear(name, seconds, **_):
    if name.endswith("backend_compile_duration"):
        watch.compiled.append(len(watch.held))
jax.monitoring.register_event_duration_secs_listener(hear)
keep_freed_memory()
source = Path("models/digits.snn")
program = pipeline.load(source)
compiled = pipeline.compile_entry(program, pipeline.choose(program, None))
with tempfile.TemporaryDirectory() as folder:
    train(compiled, TrainOptions(source, Path(folder, "run"), epochs=int(sys.argv[1]), plots=False), watch)
print(json.dumps({"held": watch.held, "compiled": watch.compiled}))
"""


def watched(epochs):
    """The memory of the process after each update, and how many updates were done when something was compiled."""
    command = [sys.executable, "-W", "error", "-c", SCRIPT, str(epochs)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout.splitlines()[-1])
    return np.array(found["held"]), np.array(found["compiled"])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
@pytest.mark.parametrize(
    ("epochs", "warm", "growth"),
    [
        pytest.param(33, 100, 8 * 2**20, id="330 updates"),
        pytest.param(1000, 3000, 16 * 2**20, id="10,000 updates", marks=pytest.mark.long),
    ],
)
def test_memory_does_not_grow_and_nothing_is_compiled_after_the_first_epoch(epochs, warm, growth, capsys):
    held, compiled = watched(epochs)

    updates = len(held)
    middle, end = np.median(held[warm : warm + 50]), np.median(held[-50:])
    with capsys.disabled():
        print(f"\n{updates} updates: {middle / 2**20:.1f} MiB after {warm}, {end / 2**20:.1f} MiB at the end")
    assert updates == 10 * epochs
    assert end - middle < growth
    # the first epoch ends with a short batch, the first evaluation and the choice of weights
    assert [n for n in compiled if n > 10] == []
