"""Step plan and recipe to the text of one Python file."""

from __future__ import annotations

from snnc import model
from snnc.emit.first_spikes import first_spike_view
from snnc.emit.learning_words import learning_words
from snnc.emit.model_view import model_view
from snnc.emit.online_view import online_view
from snnc.emit.plasticity_view import plastic_operations, plasticity_view
from snnc.emit.render import format_python, render
from snnc.emit.responses import response_buffers
from snnc.emit.runtime_source import pasted
from snnc.emit.statement_text import file_word
from snnc.emit.tensor_text import uses
from snnc.emit.training_view import recipe_printer, training_view
from snnc.lower.kernels import chosen_kernel
from snnc.lower.schedule import read_signals
from snnc.plan import Kernel, StepPlan
from snnc.rules.synapses import learns_forward
from snnc.semantics.event_inputs import event_inputs


def emit(plan: StepPlan, recipe: model.Recipe | None, source: str, kernel: Kernel = "scan") -> str:
    """Return the emitted file; `source` is the name of the `.snn` file, without folders.

    Two calls with equal plans give the same text.
    """
    terms = () if recipe is None else (recipe.loss, *recipe.penalties, *recipe.metrics)
    ops = frozenset(uses(tuple(t.value for t in terms), "op:"))
    ops |= plastic_operations(plan.network)
    steps = recipe.steps if recipe is not None else None
    truncate = recipe.truncate if recipe is not None else None
    checkpoint = recipe.checkpoint if recipe is not None else None
    half = recipe is not None and recipe.precision == "f16_residual" and not plan.timed
    in_kernels = (
        read_signals(tuple(t.value for t in terms)) if chosen_kernel(kernel) == "pallas" and not plan.timed else None
    )
    events = event_inputs(plan.network, recipe)
    names = frozenset(node.name for node in events)
    view = model_view(
        plan,
        file_word(source),
        steps,
        truncate,
        ops,
        half,
        checkpoint,
        in_kernels,
        names,
        carry=recipe is not None and recipe.carry,
        burn_in=0 if recipe is None else recipe.burn_in,
        counts=recipe is not None and recipe.counts_steps,
        learning=learning_words(plan, recipe),
        remembered=() if recipe is None else response_buffers(recipe, recipe_printer(plan, recipe)),
    )
    if recipe is not None and recipe.rule.name == "ttfs":
        view = first_spike_view(view, plan)
    training = None if recipe is None else training_view(plan, recipe, events)
    online = None if recipe is None or not learns_forward(recipe.rule) else online_view(plan, recipe)
    views = {
        "view": view,
        "t": training,
        "o": online,
        "plasticity": plasticity_view(plan),
        "has_training": training is not None,
        "recipe_constants": () if training is None else training.constants,
    }
    first = render("model.py.jinja", **views, imports=(), runtime=())
    runtime = pasted(first)
    body = render("model.py.jinja", **views, imports=(), runtime=runtime)
    return format_python(render("model.py.jinja", **views, imports=imports_of(body), runtime=runtime))


def imports_of(text: str) -> tuple[str, ...]:
    """Return the import lines that `text` needs, sorted as isort sorts them.

    >>> imports_of("x = jnp.zeros(3)")
    ('import jax.numpy as jnp',)
    """
    lines = []
    if "argparse." in text:
        lines.append("import argparse")
    abstract = [name for name in ("Callable", "Iterator", "Mapping", "Sequence") if f"{name}[" in text]
    if abstract:
        lines.append(f"from collections.abc import {', '.join(abstract)}")
    if "@dataclass" in text:
        lines.append("from dataclasses import dataclass")
    if "@partial(" in text or "partial(" in text:
        lines.append("from functools import partial")
    typing = [name for name in ("Any", "NamedTuple") if name in text]
    if typing:
        lines.append(f"from typing import {', '.join(typing)}")
    if lines:
        lines.append("")
    if "jax." in text:
        lines.append("import jax")
    if "jnp." in text:
        lines.append("import jax.numpy as jnp")
    if "np." in text.replace("jnp.", ""):
        lines.append("import numpy as np")
    if "optax." in text:
        lines.append("import optax")
    from_jax = [name for name in ("Array", "lax") if name in text.replace("jax.lax", "")]
    if from_jax:
        lines.append(f"from jax import {', '.join(from_jax)}")
    if "SymbolicZero" in text:
        lines.append("from jax.custom_derivatives import SymbolicZero")
    if "pl.pallas_call" in text:
        lines.append("from jax.experimental import pallas as pl")
        lines.append("from jax.experimental.pallas import triton")
    from_sharding = [name for name in ("Mesh", "NamedSharding", "PartitionSpec") if name in text]
    if from_sharding:
        lines.append(f"from jax.sharding import {', '.join(from_sharding)}")
    return tuple(lines)
