"""Products in low precision: factors rounded to 16 bits, sums in 32."""

from __future__ import annotations

LOW = {"bf16": "jnp.bfloat16", "f16": "jnp.float16"}  # of a recipe: the type of factors in emitted text


def product_text(function: str, precision: str, *factors: str, plain: str = "") -> str:
    """Return the call of a product of the emitted runtime; in low precision that of its variant with rounded factors.

    `plain` is what it is called where nothing is rounded, if otherwise.

    >>> product_text("dense", "f32", "x", "w"), product_text("dense", "bf16", "x", "w")
    ('dense(x, w)', 'dense_in(x, w, jnp.bfloat16)')
    """
    if precision not in LOW:
        return f"{plain or function}({', '.join(factors)})"
    return f"{function}_in({', '.join([*factors, LOW[precision]])})"
