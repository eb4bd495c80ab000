"""The shape of what the harness drives: an emitted module.

The protocols name what the templates emit. Arrays of JAX are `Any` here, so that importing this file costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

Fields = Mapping[str, Any]
"""Arrays by field name, samples first."""


class Progress(Protocol):
    """A training between two updates; `metrics` are of the updates since the epoch began."""

    @property
    def state(self) -> Any: ...
    @property
    def metrics(self) -> Sequence[Mapping[str, Any]]: ...
    @property
    def best(self) -> float: ...
    @property
    def selected(self) -> tuple[Any, Any] | None: ...


class Epoch(Protocol):
    """What `fit` yields; `selected_*` are the best so far by SELECT, else the newest."""

    epoch: int
    train: dict[str, Any]
    val: dict[str, Any]
    selected_params: Any
    selected_buffers: Any
    improved: bool
    progress: Progress


class ModelModule(Protocol):
    """An emitted file with or without a `train` section. DT is in ms; INPUTS and SIGNALS give unit and sample shape."""

    MODEL: str
    SOURCE: str
    MODEL_HASH: str
    DT: float
    STEPS: int | None
    PARAM_NAMES: Any
    BUFFER_NAMES: Any
    INPUTS: dict[str, tuple[str, tuple[int, ...]]]
    SIGNALS: dict[str, tuple[str, tuple[int, ...]]]
    SPIKING: tuple[str, ...]
    Params: Any
    Buffers: Any
    Inputs: Any

    def init_params(self, key: Any) -> Any: ...
    def init_buffers(self, key: Any) -> Any: ...
    def run(
        self,
        params: Any,
        buffers: Any,
        x: Any,
        *,
        key: Any = None,
        train: bool = False,
        steps: int | None = None,
        weight: Any = None,
    ) -> tuple[Any, Any]: ...


class TrainableModule(ModelModule, Protocol):
    """An emitted file with a `train` section."""

    RECIPE: str
    EPOCHS: int
    BATCH: int
    SEED: int
    SELECT: str | None
    SELECT_MAX: bool
    TIMED: tuple[str, ...]
    Progress: Any
    TrainState: Any

    def loss_fn(self, params: Any, buffers: Any, batch: Fields, key: Any) -> tuple[Any, tuple[Any, Any]]: ...
    def run_batch(self, params: Any, buffers: Any, batch: Fields, key: Any, train: bool) -> tuple[Any, Any, Any]: ...
    def objective(
        self, params: Any, signals: Any, x: Any, fields: Fields, steps: int
    ) -> tuple[Any, dict[str, Any]]: ...
    def readout(self, params: Any, signals: Any, x: Any, steps: int) -> Any: ...
    def stream(self, key: Any, number: int) -> Any: ...
    def per_sample(self, key: Any, samples: Any) -> Any: ...
    def key_of_epoch(self, train_state: Any) -> Any: ...
    def mesh_over(self, devices: Any, split: int = 1) -> Any: ...
    def sharding_of(self, mesh: Any, value: Any) -> Any: ...
    def carried_before(self, train_state: Any) -> Any: ...  # only where states go on from batch to batch
    def epoch_batches(
        self, fields: Fields, epoch: int, batch: int, seed: int, done: int = 0, mesh: Any = None
    ) -> Iterator[dict[str, Any]]: ...
    def with_events(self, fields: Fields, batch: int) -> Fields: ...  # only where an input may come as event lists
    def train_step(self, train_state: Any, batch: Fields) -> tuple[Any, dict[str, Any]]: ...
    def encode(self, batch: Fields, key: Any, train: bool) -> Any: ...
    def optimizer(self, updates_per_epoch: int, epochs: int) -> Any: ...
    def init_train_state(self, seed: int, updates_per_epoch: int, epochs: int, mesh: Any = None, *rest: int) -> Any: ...
    def evaluate(
        self, params: Any, buffers: Any, fields: Fields, batch: int = ..., seed: int = ..., mesh: Any = None
    ) -> dict[str, Any]: ...
    def fit(
        self,
        data: Mapping[str, Fields],
        *,
        epochs: int = ...,
        batch: int = ...,
        seed: int = ...,
        start: Progress | None = None,
        on_update: Callable[[Progress], None] | None = None,
        mesh: Any = None,
    ) -> Iterator[Epoch]: ...


def fresh_state(
    module: TrainableModule, seed: int, updates_per_epoch: int, epochs: int, batch: int, mesh: Any = None
) -> Any:
    """Return the TrainState before the first update; states that go on from batch to batch are those of `batch` samples."""
    rows = (batch,) if hasattr(module, "Carried") else ()
    return module.init_train_state(seed, updates_per_epoch, epochs, mesh, *rows)


def carried_before(module: TrainableModule, state: Any) -> dict[str, Any]:
    """Return as an argument what the next batch goes on from, none where each begins anew."""
    return {"carried": module.carried_before(state)} if hasattr(module, "Carried") else {}
