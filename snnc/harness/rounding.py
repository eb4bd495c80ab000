"""What products of 16-bit factors cost in accuracy: the first batch of a training, against float32."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from snnc.harness.emitted import Fields, TrainableModule
from snnc.harness.load_module import load_module
from snnc.pipeline import Compiled, in_float32
from snnc.plan import Kernel


@dataclass(frozen=True, slots=True)
class RoundingLoss:
    """Loss of one batch in the precision of the recipe and in float32, and how far the gradients are apart.

    `gradient` is |g - g32| / |g32| over all parameters.
    """

    precision: str
    loss: float
    loss_in_float32: float
    gradient: float

    def words(self) -> str:
        """Return the line that a training says.

        >>> RoundingLoss("bf16", 2.31, 2.3025, 0.0042).words()
        'products in bf16: the first batch has a loss of 2.31, in float32 2.3025; its gradient differs by 0.42 %'
        """
        return (
            f"products in {self.precision}: the first batch has a loss of {self.loss:.5g}, in float32 "
            f"{self.loss_in_float32:.5g}; its gradient differs by {100 * self.gradient:.2g} %"
        )


def rounding_loss(
    compiled: Compiled, module: TrainableModule, state: Any, batch: Fields, kernel: Kernel
) -> RoundingLoss:
    """Return how far one batch is from float32, at the parameters of `state`."""
    import jax
    import jax.numpy as jnp

    assert compiled.recipe is not None
    plain = cast(TrainableModule, load_module(in_float32(compiled, kernel).text))

    def norm(values: Any) -> Any:
        return jnp.sqrt(sum(jnp.sum(value * value) for value in values))

    def measured(params: Any, buffers: Any, batch: Fields, key: Any) -> tuple[Any, Any, Any]:
        def by(way: TrainableModule) -> Any:
            return jax.value_and_grad(way.loss_fn, has_aux=True)(params, buffers, batch, key)

        (loss, _), gradient = by(module)
        (loss32, _), gradient32 = by(plain)
        apart = norm([a - b for a, b in zip(gradient, gradient32, strict=True)])
        return loss, loss32, apart / jnp.maximum(norm(gradient32), 1e-30)

    found = jax.jit(measured)(state.params, state.buffers, batch, module.key_of_epoch(state))
    return RoundingLoss(compiled.recipe.precision, *map(float, found))
