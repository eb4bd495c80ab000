"""The author's words in the emitted file: never code, never a clash. Every name and every comment is hostile here."""

import ast
import importlib.util
import itertools

import pytest

from snnc import pipeline
from snnc.diagnostics import CompileError

MUCH = 4 << 30
IMPORTS = {"__future__", "argparse", "collections.abc", "functools", "typing", "jax", "jax.numpy", "numpy", "optax"}
IMPORTS |= {"jax.custom_derivatives", "jax.sharding"}
TOP = (ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef, ast.Assign, ast.AnnAssign, ast.If)
NEVER_CALLED = {
    "exec",
    "eval",
    "compile",
    "open",
    "setattr",
    "system",
    "popen",
    "breakpoint",
    "input",
    "globals",
}

COMMENTS = "\n".join(
    f"## {line}"
    for line in (
        '"""',
        "'''",
        '""" + __import__("os").system("touch PWNED") + """',
        "ends with a backslash \\",
        'ends with a quote "',
        "\\N{BULLET} \\N \\x22\\x22\\x22 \\u0022 \\",
        "{{ 7 * 7 }} {% raw %} {{ self.__init__.__globals__ }} {# comment #} {% endraw %}",
        "%s %(x)s {0} {x!r} ${x} #{x}",
        "\u202e\u2066 turned \u200b hidden \x7f \x1b[2J \u2028 \x85 \x0c \x0b lines",
        "import os; os.system('touch PWNED')",
    )
)
MODEL = """\
edition 2026
DOC
import std.neurons (LI)
DOC
neuron CELL {
  DOC
  param PARAM = 10 ms in (0 ms, inf) trainable
  DOC
  input PORT = 0
  DOC
  state STATE = 0
  STATE' = (PORT - STATE) / PARAM
  spike when STATE >= 1 { STATE = 0 }
  surrogate atan(alpha = 2)
}
DOC
network NET {
  dt = 1 ms
  DOC
  input INPUT : real[64]
  DOC
  layer LAYER = CELL[4]()
  layer last = LI[10](tau = 20 ms)
  DOC
  INPUT -> dense() -> LAYER.PORT
  LAYER -> dense() -> last
  DOC
  output OUTPUT = mean_over_time(last.v)
}
DOC
data DATA = digits(val = 0.1) -> hold(duration = 3 ms)
DOC
train RECIPE of NET on DATA {
  epochs = 1
  batch = 1024
  loss = cross_entropy(OUTPUT, label)
  metric METRIC = accuracy(OUTPUT, label)
}
"""
PLAIN = {
    "CELL": "Cell", "PARAM": "tau", "PORT": "I", "STATE": "v", "NET": "Net", "INPUT": "pixels", "LAYER": "h",
    "OUTPUT": "logits", "DATA": "d", "RECIPE": "r", "METRIC": "accuracy", "DOC": "",
}  # fmt: skip
WORDS = [
    "class",
    "lambda",
    "None",
    "True",
    "import",
    "async",
    "match",
    "type",
    "self",
    "cls",
    "jax",
    "jnp",
    "np",
    "optax",
    "lax",
    "Params",
    "State",
    "Signals",
    "Inputs",
    "Buffers",
    "Array",
    "NamedTuple",
    "Any",
    "Epoch",
    "TrainState",
    "run",
    "step",
    "fit",
    "main",
    "forward",
    "evaluate",
    "encode",
    "objective",
    "init_params",
    "init_state",
    "constants",
    "print",
    "exec",
    "os",
    "int",
    "len",
    "zip",
    "range",
    "x",
    "p",
    "s",
    "c",
    "n",
    "k",
    "key",
    "keys",
    "batch",
    "train",
    "steps",
    "params",
    "buffers",
    "state",
    "carry",
    "DT",
    "MODEL",
    "SOURCE",
    "RECIPE",
    "dense",
    "stream",
    "scan_layer",
    "fire_atan",
    "exprel",
    "count",
    "index",
    "Value",
    "partial",
    "argparse",
    "weight",
    "sample",
]


def model(**names):
    text = MODEL
    for slot, name in {**PLAIN, **names}.items():
        text = text.replace(slot, name)
    return text


def assert_harmless(path):
    """The file is Python, imports what emitted files import, and calls nothing that reaches out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert {alias.name for alias in node.names} <= IMPORTS
        elif isinstance(node, ast.ImportFrom):
            assert node.module in IMPORTS
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func).split(".")
            assert not NEVER_CALLED & set(called), called
            assert not any(part.startswith("__") for part in called), called
    for node in tree.body:
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        assert is_text or isinstance(node, TOP), ast.unparse(node)
    assert not any(character in path.read_text(encoding="utf-8") for character in "\x1b\u202e\u2066\x0b\x0c")


def load(path):
    """Execute an emitted file as a module."""
    spec = importlib.util.spec_from_file_location("emitted", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_comments_stay_comments_and_a_file_and_a_folder_with_hostile_names_train(tmp_path, run_in):
    folder = tmp_path / 'a "quoted"\n{{ name }}'
    folder.mkdir()
    (folder / 'm"\n.snn').write_text(model(DOC=COMMENTS), encoding="utf-8")

    compiled = run_in(folder, "compile", 'm"\n.snn', "-o", "m.py")
    trained = run_in(folder, "train", 'm"\n.snn', "--no-plots", memory=MUCH)

    assert compiled.returncode == 0, compiled.stderr
    assert_harmless(folder / "m.py")
    assert trained.returncode == 0, trained.stderr
    assert list(itertools.islice(folder.rglob("weights.safetensors"), 2))
    assert not list(tmp_path.rglob("PWNED"))


CELL = "neuron NAME {\n param PARAM = 10 ms in (0 ms, inf) trainable\n input PORT = 0\n state STATE = 0\n"
CELL += " STATE' = (PORT - STATE) / PARAM\n spike when STATE >= 1 { STATE = 0 }\n surrogate atan(alpha = 2)\n}\n"


def cell(**names):
    text = CELL
    for slot, name in {"NAME": "Cell", "PARAM": "tau", "PORT": "I", "STATE": "v", **names}.items():
        text = text.replace(slot, name)
    return text


def network(parts):
    return "edition 2026\nimport std.neurons (LIF, LI)\n" + parts[0] + f"network Net {{\n dt = 1 ms\n{parts[1]}}}\n"


def as_types_layers_and_parameters(words):
    words = [word for word in words if word != "dense"]  # a neuron of that name hides the operation
    cells = "".join(cell(NAME=word, PARAM=word) for word in words)
    lines = "".join(f" layer {word} = {word}[2]()\n x_in -> dense() -> {word}.I\n" for word in words)
    return network((cells, f" input x_in : real[2]\n{lines}"))


def as_states(words):
    cells = "".join(cell(NAME=f"Cell{i}", STATE=word) for i, word in enumerate(words))
    lines = "".join(f" layer l{i} = Cell{i}[2]()\n x_in -> dense() -> l{i}.I\n" for i, _ in enumerate(words))
    return network((cells, f" input x_in : real[2]\n{lines}"))


def as_ports(words):
    cells = "".join(cell(NAME=f"Cell{i}", PORT=word) for i, word in enumerate(words))
    lines = "".join(f" layer l{i} = Cell{i}[2]()\n x_in -> dense() -> l{i}.{word}\n" for i, word in enumerate(words))
    return network((cells, f" input x_in : real[2]\n{lines}"))


def as_inputs(words):
    lines = "".join(f" input {word} : real[2]\n {word} -> dense() -> l\n" for word in words)
    return network(("", f" layer l = LI[2](tau = 20 ms)\n{lines}"))


def as_outputs(words):
    lines = "".join(f" output {word} = mean_over_time(l.v)\n" for word in words)
    return network(("", f" input x_in : real[2]\n layer l = LI[2](tau = 20 ms)\n x_in -> dense() -> l\n{lines}"))


RESERVED = {"spike", "x", "I", "v", "n", "key"}
"""Words that the language keeps in some of these places; each is refused in words."""


def refused_words(path):
    """Return the words that the findings about a file name."""
    try:
        pipeline.load(path)
    except CompileError as error:
        return {word for word in WORDS for found in error.diagnostics if f"`{word}`" in found.message}
    return set()


@pytest.mark.parametrize("roles", [as_types_layers_and_parameters, as_states, as_ports, as_inputs, as_outputs])
def test_words_of_python_and_of_the_emitted_file_are_names_like_others(tmp_path, snnc, roles):
    """All words at once; the emitted file is executed, and traced over a sequence."""
    (tmp_path / "m.snn").write_text(roles(WORDS))
    kept = refused_words(tmp_path / "m.snn")
    assert kept <= RESERVED
    (tmp_path / "m.snn").write_text(roles([word for word in WORDS if word not in kept]))

    compiled = snnc("compile", "m.snn", "-o", "out.py")

    assert compiled.returncode == 0, compiled.stderr
    assert_harmless(tmp_path / "out.py")
    trace(load(tmp_path / "out.py"))


def trace(module):
    """Follow a forward pass of an emitted module over shapes."""
    import jax

    inputs = [jax.ShapeDtypeStruct((3, 1, *shape), "float32") for _, shape in module.INPUTS.values()]
    params = jax.eval_shape(module.init_params, jax.random.key(0))
    jax.eval_shape(lambda p, x: module.forward(p, module.Buffers(), x), params, module.Inputs(*inputs))


HARD = ("class", "lambda", "jax", "Params", "State", "run", "self")


def test_hard_words_train(tmp_path, snnc):
    cells = "".join(cell(NAME=word, STATE=word, PARAM=f"{word}2") for word in HARD)
    edges = [f"  x -> dense() -> {word}.I\n  {word} -> dense() -> last" for word in HARD]
    (tmp_path / "m.snn").write_text(two(cells, {word: word for word in HARD}, edges))

    trained = snnc("train", "m.snn", "--no-plots", memory=MUCH)
    run = snnc("run", "m.snn", "--weights", "runs/m/weights.safetensors", memory=MUCH)

    assert trained.returncode == 0, trained.stderr
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize(
    "word", ["__import__", *(pytest.param(w, marks=pytest.mark.long) for w in ("_", "_v")), "class_"]
)
def test_names_of_the_emitted_file_are_not_for_authors(tmp_path, refused, word):
    (tmp_path / "m.snn").write_text(model(STATE=word))

    refused("E0208", "check", "m.snn", said="neither begins nor ends with `_`")


PAIRS = (
    ("Cell", "CellState"), ("Cell", "CellSignals"), ("Cell", "cell"), ("Cell", "Cell_step"), ("A", "a_start"), ("B", "b_step"),
    ("State", "StateNeuron"), ("Step", "step_neuron"),
)  # fmt: skip
TWO = """edition 2026
import std.neurons (LIF, LI)
NEURONS
network Net {
  dt = 1 ms
  input x : real[64]
LAYERS
  layer last = LI[10](tau = 20 ms)
EDGES
  output logits = mean_over_time(last.v)
}
data d = digits(val = 0.1) -> hold(duration = 3 ms)
train r of Net on d {
  epochs = 1
  batch = 1024
  loss = cross_entropy(logits, label)
}
"""


def two(neurons, layers, edges):
    lines = [f"  layer {layer} = {cell}[4]()" for layer, cell in layers.items()]
    return TWO.replace("NEURONS", neurons).replace("LAYERS", "\n".join(lines)).replace("EDGES", "\n".join(edges))


QUICK_PAIRS = (("Cell", "CellState"), ("Cell", "cell"), ("A", "a_start"), ("Step", "step_neuron"))


@pytest.mark.parametrize(
    ("first", "second"), [pytest.param(*p, marks=() if p in QUICK_PAIRS else pytest.mark.long) for p in PAIRS]
)
def test_types_whose_emitted_names_meet(tmp_path, snnc, first, second):
    other = (
        cell(NAME=second)
        .replace("state v = 0", "state v = 0\n state w = 1")
        .replace(" v' =", " w' = (v - w) / (5 ms)\n v' =")
    )
    cells = cell(NAME=first) + other
    edges = ["  x -> dense() -> a.I", "  a -> dense() -> b.I", "  b -> dense() -> last"]
    (tmp_path / "m.snn").write_text(two(cells, {"a": first, "b": second}, edges))

    result = snnc("compile", "m.snn", "-o", "out.py")

    assert result.returncode == 0, result.stderr
    trace(load(tmp_path / "out.py"))


def test_a_surrogate_called_like_a_neuron(tmp_path, snnc):
    cells = "surrogate cell(x, a = 2) = 1 / (1 + a * abs(x))\n" + cell().replace(
        "surrogate atan(alpha", "surrogate cell(a"
    )
    (tmp_path / "m.snn").write_text(two(cells, {"h": "Cell"}, ["  x -> dense() -> h.I", "  h -> dense() -> last"]))

    result = snnc("compile", "m.snn", "-o", "out.py")

    assert result.returncode == 0, result.stderr
    trace(load(tmp_path / "out.py"))


@pytest.mark.parametrize(
    ("layers", "edges"),
    [
        ("a a_b c b_c", "x -> a, x -> a_b, a -> b_c, a_b -> c, c -> last, b_c -> last"),
        ("h h_v h_dense", "x -> h, h -> h_v, h_v -> h_dense, h_dense -> last"),
        ("lif lif_step lif_start", "x -> lif, lif -> lif_step, lif_step -> lif_start, lif_start -> last"),
        ("h H", "x -> h, h -> H, H -> last"),
    ],
    ids=["edges", "signals", "types", "case"],
)  # fmt: skip
def test_layers_whose_emitted_names_meet(tmp_path, snnc, layers, edges):
    lines = ["  " + edge.replace("->", "-> dense() ->") for edge in edges.split(", ")]
    (tmp_path / "m.snn").write_text(two("", dict.fromkeys(layers.split(), "LIF"), lines))

    result = snnc("compile", "m.snn", "-o", "out.py")

    assert result.returncode == 0, result.stderr
    trace(load(tmp_path / "out.py"))


FILES = ("a b.snn", "a\nb.snn", 'x""".snn', "a\\.snn", "{{7*7}} {% raw %}.snn", "-x.snn", "\u202ea'b.snn")


QUICK_FILES = ("a\nb.snn", 'x""".snn', "{{7*7}} {% raw %}.snn", "-x.snn")


@pytest.mark.parametrize(
    "name", [name if name in QUICK_FILES else pytest.param(name, marks=pytest.mark.long) for name in FILES]
)
def test_names_of_files_are_no_code(tmp_path, run_in, name):
    (tmp_path / name).write_text(model())

    result = run_in(tmp_path, "compile", "-o", "out.py", "--", name)

    assert result.returncode == 0, result.stderr
    assert_harmless(tmp_path / "out.py")
    assert load(tmp_path / "out.py").MODEL == "Net"
