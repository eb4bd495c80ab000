"""The shape of what the harness drives: an emitted module.

The protocols name what the templates emit. Arrays of JAX are `Any` here, so that importing this file costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

Fields = Mapping[str, Any]
"""Arrays by field name, samples first."""


class Epoch(Protocol):
    """What `fit` yields; `selected_*` are the best so far by SELECT, else the newest."""

    epoch: int
    train: dict[str, Any]
    val: dict[str, Any]
    state: Any
    selected_params: Any
    selected_buffers: Any
    improved: bool


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
        self, params: Any, buffers: Any, x: Any, *, key: Any = None, train: bool = False, steps: int | None = None
    ) -> tuple[Any, Any]: ...


class TrainableModule(ModelModule, Protocol):
    """An emitted file with a `train` section."""

    RECIPE: str
    EPOCHS: int
    BATCH: int
    SEED: int
    SELECT: str | None
    SELECT_MAX: bool

    def encode(self, batch: Fields, key: Any, train: bool) -> Any: ...
    def optimizer(self, updates_per_epoch: int, epochs: int) -> Any: ...
    def init_train_state(self, seed: int, updates_per_epoch: int, epochs: int) -> Any: ...
    def evaluate(
        self, params: Any, buffers: Any, fields: Fields, batch: int = ..., seed: int = ...
    ) -> dict[str, Any]: ...
    def fit(
        self,
        data: Mapping[str, Fields],
        *,
        epochs: int = ...,
        batch: int = ...,
        seed: int = ...,
        state: Any = None,
        on_batch: Callable[[int, Mapping[str, Any]], None] | None = None,
    ) -> Iterator[Epoch]: ...
