"""The workers of Ray Train as processes of one training; needs the extra `snnc[ray]`.

On GPUs and TPUs Ray's JaxTrainer lets its workers join; on CPUs it does not, and each would train a copy of its own. So
every worker refuses to train (E0704) unless all of them have joined.
"""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from snnc.harness.processes import COUNT, NUMBER, RAY, STARTER


def train_on_ray(count: int, arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run `snnc ARGUMENTS` in `count` workers, in this folder, which all of them must see; return the exit code.

    Raises:
        ImportError: Ray Train is not installed.
    """
    import ray
    from ray.train import ScalingConfig
    from ray.train.v2.jax import JaxTrainer

    ray.init(ignore_reinit_error=True, log_to_driver=True)
    kinds = ray.cluster_resources()
    trainer = JaxTrainer(
        _train_in_worker,
        train_loop_config={
            "arguments": list(arguments),
            "environment": dict(environment),
            "folder": str(Path.cwd()),
        },
        scaling_config=ScalingConfig(num_workers=count, use_gpu="GPU" in kinds, use_tpu="TPU" in kinds),
    )
    try:
        trainer.fit()
    except Exception as error:  # whatever a worker raised comes wrapped; the worker has said what it was
        if "snnc has ended" not in str(error):
            raise
        return 1
    return 0


def _train_in_worker(config: Mapping[str, Any]) -> None:
    from ray.train import get_context

    context = get_context()
    own = {COUNT: str(context.get_world_size()), NUMBER: str(context.get_world_rank()), STARTER: RAY}
    os.environ.update({**config["environment"], **own})
    os.chdir(config["folder"])
    try:
        sys.argv = ["snnc", *config["arguments"]]
        runpy.run_module("snnc", run_name="__main__")
    except SystemExit as end:
        if end.code:
            raise RuntimeError(f"snnc has ended with exit code {end.code}") from None
