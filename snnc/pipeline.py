"""Text to text, straight through: the table of contents of the compiler."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from snnc import model
from snnc.diagnostics import Diagnostic, Findings
from snnc.emit.emit import emit
from snnc.emit.runtime_source import pasted
from snnc.lower.schedule import lower_network
from snnc.plan import StepPlan
from snnc.semantics.entries import Entry, check_file, choose_entry
from snnc.semantics.lints import check_recipe, check_network
from snnc.semantics.modules import Module, load_module
from snnc.semantics.networks import elaborate
from snnc.semantics.overrides import apply_overrides
from snnc.semantics.recipes import resolve_recipe
from snnc.semantics.tensors import resolve_outputs
