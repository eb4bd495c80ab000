"""The shape of what the harness drives: an emitted module, and the compilation it comes from.

Both are protocols: the harness depends on names, never on the compiler that made them. Arrays of JAX are `Any` here,
so that importing this file costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from snnc.source import Span

Fields = Mapping[str, Any]
"""Arrays by field name, samples first."""


class ResolvedData(Protocol):
    """The `data` item that a recipe trains on."""

    @property
    def name(self) -> str: ...
    @property
    def source_name(self) -> str: ...
    @property
    def arguments(self) -> dict[str, Any]: ...
    @property
    def span(self) -> Span: ...


class ResolvedRecipe(Protocol):
    """A `train` item, as far as the harness reads it."""

    @property
    def data(self) -> ResolvedData: ...
    @property
    def span(self) -> Span: ...


class CompiledModel(Protocol):
    """What the pipeline returns: `text` is the emitted Python, `name` the stem of its file."""

    @property
    def text(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def recipe(self) -> ResolvedRecipe | None: ...


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
