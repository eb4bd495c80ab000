"""A parameter with a value for each channel, through the command line."""

import numpy as np
from safetensors.numpy import load_file

IMAGE = """  layer h = PLIF[4, 2, 2](tau ~ lognormal(10 ms, 0.2) in (2 ms, 50 ms) per channel trainable)
  layer out = LI[3](tau = 9.5 ms)

  pixels -> reshape([2, 2, 2]) -> conv(4, pad = same) -> h
  h -> flatten() -> dense() -> out
"""


def test_a_parameter_per_channel_is_drawn_and_learned_for_each(snnc, tmp_path, write_model):
    text = write_model(tmp_path)
    start, end = text.index("  layer h"), text.index("\n  output")
    (tmp_path / "blobs.snn").write_text(text[:start] + IMAGE + text[end:])

    result = snnc("train", "blobs.snn", "--epochs", "2", "--no-plots")

    assert result.returncode == 0, result.stderr
    tau = load_file(tmp_path / "runs" / "blobs" / "weights.safetensors")["h.tau"]
    assert tau.shape == (4, 1, 1)
    assert len(np.unique(tau)) == 4
    explained = snnc("explain", "blobs.snn")
    assert any(line.split()[:2] == ["h.tau", "[4,"] for line in explained.stdout.splitlines()), explained.stdout
