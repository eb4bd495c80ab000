"""Writes the tables of the documentation from the compiler's own tables: `python docs/tables.py [--check]`.

A page has blocks between `<!-- table: NAME -->` and `<!-- end of table -->`; each is replaced by the table of that name. A block
of code marked `python function PATH NAME` is replaced by that function of what PATH compiles to.
With --check nothing is written, and the exit code is 1 if a page is not up to date.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
sys.path.insert(0, str(ROOT))

from snnc import pipeline, units  # noqa: E402
from snnc.data.arguments import REQUIRED  # noqa: E402
from snnc.data.sources import SOURCES  # noqa: E402
from snnc.diagnostics import Code  # noqa: E402
from snnc.functions import CALLABLE, FUNCTIONS  # noqa: E402
from snnc.ops.encoders import ENCODERS, TRANSFORMS  # noqa: E402
from snnc.ops.initialisers import INITIALISERS  # noqa: E402
from snnc.ops.losses import LOSSES  # noqa: E402
from snnc.ops.metrics import METRICS  # noqa: E402
from snnc.ops.options import Choice, Option  # noqa: E402
from snnc.ops.penalties import PENALTIES  # noqa: E402
from snnc.ops.preparation import PREPARATIONS  # noqa: E402
from snnc.ops.readouts import READOUTS  # noqa: E402
from snnc.ops.tensor_function import TensorFunction  # noqa: E402
from snnc.semantics import checks, data_sets, optimizers, rules  # noqa: E402
from snnc.semantics.modules import standard_module  # noqa: E402
from snnc.semantics.operations.table import NOT_YET, OPERATIONS  # noqa: E402
from snnc.semantics.optimizers import OPTIMIZERS, SCHEDULES  # noqa: E402
from snnc.syntax import nodes  # noqa: E402

_FUNCTION = re.compile(r"^(```python function (\S+) (\w+)\n)(.*?)^(```)$", re.DOTALL | re.MULTILINE)
_MARK = re.compile(r"(<!-- table: (\w+) -->\n)(.*?)(<!-- end of table -->)", re.DOTALL)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table.

    >>> print(table(["a", "b"], [["1", "x | y"]]), end="")
    | a | b |
    |---|---|
    | 1 | x \\| y |
    """
    lines = [tuple(head), *(tuple(cell.replace("|", "\\|") for cell in row) for row in rows)]
    texts = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([texts[0], "|" + "---|" * len(head), *texts[1:]]) + "\n"


def code(text: str) -> str:
    return f"`{text}`" if text else ""


def number(value: float) -> str:
    return f"{value:.4g}" if value != int(value) or abs(value) >= 1e6 else f"{int(value)}"


def option_text(option: Option | Choice) -> str:
    """Return an option with its default in the author's way of writing."""
    if isinstance(option, Choice):
        default = str(option.default).lower() if isinstance(option.default, bool) else option.default
        words = option.words or ("true", "false")
        return f"`{option.name} = {default}` ({' or '.join(words)}): {option.doc}"
    unit = units.unit_name(option.dimension)
    if option.optional:
        value = ""
    elif option.default is None:
        value = " = …"
    else:
        value = f" = {number(option.default)}"
    dimensions = [word for word, dimension in units.DIMENSIONS.items() if dimension == option.dimension]
    shown = f"`{option.name}{value}`" + ("" if unit == "1" else f" ({dimensions[0]}, in {unit})")
    return f"{shown}: {option.doc}" if option.doc else shown


# ---- one function for each table -----------------------------------------------------

_RULES = {
    "plain": "a plain number to a plain number",
    "keep": "the result has the unit of the argument",
    "same": "all arguments and the result have one unit",
    "root": "the unit is rooted too",
    "sign": "any unit to a plain number",
}


def functions() -> str:
    rows = []
    for name in CALLABLE:
        function = FUNCTIONS[name]
        text = function.text.format(*"abc")
        arguments = ", ".join("abc"[: function.arity]) + (", …" if name in ("min", "max") else "")
        rows.append([code(f"{name}({arguments})"), _RULES[function.rule], code(text)])
    return table(["function", "units", "emitted as"], rows)


def dimension_words() -> str:
    rows = [[code(word), code(units.unit_name(dimension))] for word, dimension in units.DIMENSIONS.items()]
    return table(["type", "unit of values in emitted code"], rows)


def _tensor_table(found: Iterable[TensorFunction]) -> str:
    rows = []
    for f in found:
        options = [o for o in f.options if f.fold is None or o.name not in ("from", "to", "last")]
        rows.append([code(f"{f.name}({', '.join(f.operands)})"), f.doc, "<br>".join(option_text(o) for o in options)])
    return table(["function", "value", "options"], rows)


def readouts() -> str:
    return _tensor_table(READOUTS)


def losses() -> str:
    return _tensor_table(LOSSES)


def penalties() -> str:
    return _tensor_table(PENALTIES)


def metrics() -> str:
    return _tensor_table(METRICS)


def encoders() -> str:
    rows = []
    for encoder in ENCODERS.values():
        draws = "draws" if encoder.random else ""
        options = "<br>".join(option_text(o) for o in encoder.options)
        rows.append([code(encoder.name), encoder.doc, encoder.kind, draws, options])
    return table(["encoder", "what it makes", "result", "random", "options"], rows)


def transforms() -> str:
    steps = [*PREPARATIONS.values(), *TRANSFORMS.values()]
    rows = [[code(t.name), t.doc, "<br>".join(option_text(o) for o in t.options)] for t in steps]
    return table(["transform", "result", "options"], rows)


def initialisers() -> str:
    rows = []
    for init in INITIALISERS.values():
        options = []
        for o in init.options:
            unit = {"weight": " (unit of the weight)", "gain": "", "frequency": " (frequency, in 1/ms)"}[o.unit]
            default = "…" if o.default is None else number(o.default)
            options.append(f"`{o.name} = {default}`{unit}" + (f": {o.doc}" if o.doc else ""))
        rows.append([code(init.name), init.doc, "<br>".join(options)])
    return table(["initialiser", "weights", "options"], rows)


_OPERATION_WORDS = {
    "dense": "matrix product over the last axis; without `size` the size follows from the target",
    "sparse": "matrix product of which only some weights exist",
    "one_to_one": "each unit feeds the unit of its own number",
    "inhibit": "each unit receives a fixed multiple of the sum of all others",
    "attention": "scale (q kᵀ) v over tokens, in heads, without softmax",
    "embedding": "the row of a table that a whole number names",
    "conv": "product of each window with a kernel, over [channels, *places]; see below",
    "depthwise": "the same for each channel by itself, `multiplier` results of each",
    "avg_pool": "mean of each window, its padded places counted as 0",
    "sum_pool": "sum of each window",
    "max_pool": "largest number of each window; of equal ones the first has the gradient",
    "reshape": "the same numbers on other axes: `reshape([1, 28, 28])`",
    "transpose": "the last two axes change places",
    "upsample": "each place repeated `factor` times along each axis",
    "bias": "adds one trainable number for each unit of the last axis",
    "scale": "multiplies by a fixed quantity, which may carry a unit",
    "relu": "max(x, 0)",
    "flatten": "joins all feature axes, the last one fastest",
    "delay": "gives what arrived that long ago; 0 (or the initial value of a state) before the first step",
    "dropout": "in training sets units to 0 and scales the others; one mask for all steps of a sample",
    "norm": "mean 0 and variance 1 a channel, then a trained scale and shift; see below",
    "add": "the sum of its sources: `add(a, b, …)`",
    "and": "the product of two sources: a spike where both spike",
    "iand": "(1 − a) b: the spikes of b where a is silent",
    "concat": "joins its sources along the first feature axis",
}


def operations_table() -> str:
    refused = {"dense": ("learn",)}
    rows = []
    for spec in OPERATIONS.values():
        arguments = [a for a in spec.argument_names if a not in refused.get(spec.name, ())]
        shape = "kept" if spec.keeps_shape else "its own"
        rows.append([code(spec.name), _OPERATION_WORDS[spec.name], ", ".join(map(code, arguments)), shape])
    return table(["operation", "meaning", "arguments", "shape"], rows)


def sources() -> str:
    rows = []
    for spec in SOURCES.values():
        arguments = []
        for a in spec.signature:
            value = "" if a.default is None else (" = …" if a.default is REQUIRED else f" = {a.default}")
            arguments.append(code(f"{a.name}{value}"))
        described = spec.describe({a.name: a.default for a in spec.signature})
        fields = ", ".join(f"`{f.name}` [{', '.join(map(str, f.shape))}]" for f in described or ())
        rows.append([code(spec.name), spec.doc, ", ".join(arguments), fields or "as in the file"])
    return table(["source", "what it is", "arguments", "fields (by the defaults)"], rows)


def optimisers() -> str:
    rows = []
    for name, options in OPTIMIZERS.items():
        rows.append([code(name), ", ".join(code(f"{k} = {v:g}") for k, v in options.items())])
    return table(["optimiser", "own options"], rows)


def schedules() -> str:
    rows = []
    for name, options in SCHEDULES.items():
        shown = [code("lr")] + [code(k if v is None else f"{k} = {v:g}") for k, v in options.items()]
        rows.append([code(name), ", ".join(shown)])
    return table(["schedule", "arguments in their order"], rows)


def _first_lines(doc: str) -> str:
    return " ".join(line.strip() for line in doc.splitlines())


def neurons() -> str:
    rows = []
    for name, item in standard_module("neurons").own.items():
        if not isinstance(item, nodes.Neuron):
            continue
        params = [_param(p) for p in item.body if isinstance(p, nodes.Param)]
        ports = [code(f"{p.kind} {p.name}") for p in item.body if isinstance(p, nodes.Port)]
        rows.append([code(name), _first_lines(item.doc), "<br>".join(params), ", ".join(ports)])
    return table(["neuron", "what it is", "parameters", "ports"], rows)


def plasticity() -> str:
    rows = []
    for name, item in standard_module("plasticity").own.items():
        if not isinstance(item, nodes.Plasticity):
            continue
        params = [_param(p) for p in item.body if isinstance(p, nodes.Param)]
        factors = [code(p.name) for p in item.body if isinstance(p, nodes.Port)]
        rows.append([code(name), _first_lines(item.doc), "<br>".join(params), ", ".join(factors)])
    return table(["rule", "what it does", "parameters", "third factor"], rows)


def _param(param: nodes.Param) -> str:
    return code(" ".join(param.span.text.split()).removeprefix("param "))


def surrogates() -> str:
    rows = []
    for name, item in standard_module("surrogates").own.items():
        if isinstance(item, nodes.Surrogate):
            formals = ", ".join(f.span.text for f in item.formals[1:])
            rows.append([code(f"{name}({formals})"), _first_lines(item.doc)])
    return table(["surrogate", "what it is"], rows)


def warnings() -> str:
    texts = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "snnc").glob("**/*.py"))]
    given = [c for c in Code if c.value.startswith("W") and any(f"Code.{c.name}," in text for text in texts)]
    return table(["code", "about"], [[code(c.value), c.name.lower().replace("_", " ")] for c in given])


def phases() -> str:
    """The phases by the name that `--dump` takes; a phase without words here is an error of this script."""
    words = {
        "syntax": "text to syntax tree, printed as formatted `.snn`",
        "model": "names, units, shapes and arguments resolved; what the emitted hash is taken from",
        "plan": "each neuron type as the straight-line code of one step",
        "schedule": "the order of the nodes, and which of them share a time loop",
    }
    return table(["phase", "what `--dump` prints"], [[code(p), words[p]] for p in pipeline.PHASES])


def not_yet() -> str:
    later = [word.strip("`") for word in checks.LATER.values()]
    rows = [
        ["sections", ", ".join(map(code, later))],
        ["operations", ", ".join(map(code, NOT_YET))],
        ["data sources and steps", ", ".join(map(code, data_sets.NOT_YET))],
        ["learning rules", ", ".join(map(code, rules.TO_COME))],
        ["optimisers", ", ".join(map(code, optimizers.NOT_YET))],
    ]
    return table(["kind", "refused by E0901"], rows)


TABLES: dict[str, Callable[[], str]] = {
    "functions": functions,
    "dimensions": dimension_words,
    "readouts": readouts,
    "losses": losses,
    "penalties": penalties,
    "metrics": metrics,
    "encoders": encoders,
    "transforms": transforms,
    "initialisers": initialisers,
    "operations": operations_table,
    "sources": sources,
    "optimisers": optimisers,
    "schedules": schedules,
    "neurons": neurons,
    "plasticity": plasticity,
    "surrogates": surrogates,
    "warnings": warnings,
    "phases": phases,
    "not_yet": not_yet,
}


def fill(text: str) -> str:
    """Return a page with every table brought up to date.

    >>> "`exp(a)`" in fill("<!-- table: functions -->\\n<!-- end of table -->")
    True
    """
    text = _MARK.sub(lambda found: found[1] + TABLES[found[2]]() + found[4], text)
    return _FUNCTION.sub(lambda found: found[1] + function_text(found[2], found[3]) + found[5], text)


def function_text(path: str, name: str) -> str:
    """Return a function of the file that the model at `path` compiles to, with lines as long as those of this project."""
    program = pipeline.load(ROOT / path)
    text = pipeline.compile_entry(program, pipeline.choose(program, None)).text
    found = re.search(rf"^def {name}\(.*?(?=\n\n\n|\Z)", text, re.DOTALL | re.MULTILINE)
    assert found is not None, f"{path} has no function {name}"
    command = [sys.executable, "-m", "ruff", "format", "--isolated", "--line-length", "120", "-"]
    return subprocess.run(command, input=found[0], capture_output=True, text=True, check=True).stdout


def pages() -> tuple[Path, ...]:
    """Return every page that may hold tables."""
    return (ROOT / "README.md", *sorted(DOCS.rglob("*.md")))


def main() -> int:
    stale = []
    for page in pages():
        old = page.read_text(encoding="utf-8")
        new = fill(old)
        if new != old:
            stale.append(page)
            if "--check" not in sys.argv:
                page.write_text(new, encoding="utf-8")
    for page in stale:
        print(f"{page.name}: {'not up to date' if '--check' in sys.argv else 'written'}")
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    raise SystemExit(main())
