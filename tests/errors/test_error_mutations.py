"""Whatever is done to a model, the compiler answers with findings: never with another exception, and in bounded time."""

from __future__ import annotations

import re
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from compile_case import compile_all
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_error_pages import WITH_EXAMPLE, blocks, whole_file

from snnc.diagnostics import CompileError
from snnc.resources import resource_folder

MODELS = [path.read_text() for path in sorted(resource_folder("models").glob("**/*.snn"))]
CASES = [path.read_text() for path in sorted((Path(__file__).parent / "cases").glob("[EW]0[2-6]*.snn"))]
EXAMPLES = [whole_file(blocks(code)[1], code) for code in WITH_EXAMPLE]
TOKEN = re.compile(r"[A-Za-z_]\w*'?|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|->|[-+*/<>=!]=|\"[^\"\n]*\"|\n|[^\s]")
TEXTS = [TOKEN.findall(re.sub("#.*", "", text)) for text in (*MODELS, *EXAMPLES, *CASES)]
ODD = [
    "inf",
    "0",
    "-1",
    "1e999",
    "0.5",
    "1e18",
    "true",
    '"a"',
    "dt",
    "time",
    "spike",
    "[1]",
    "log(-1)",
    "1 ms",
    "LIF",
    "h",
]


@st.composite
def mutants(draw: st.DrawFn) -> str:
    """A model with a few tokens deleted, doubled, swapped or replaced by tokens of a model or by odd values."""
    tokens = list(draw(st.sampled_from(TEXTS)))
    place = st.integers(0, 100_000)
    for _ in range(draw(st.integers(1, 3))):
        i, j = draw(place) % len(tokens), draw(place) % len(tokens)
        match draw(st.sampled_from(["delete", "double", "swap", "copy", "odd"])):
            case "delete" if len(tokens) > 1:
                del tokens[i]
            case "double":
                tokens.insert(i, tokens[i])
            case "swap":
                tokens[i], tokens[j] = tokens[j], tokens[i]
            case "copy":
                tokens[i] = tokens[j]
            case _:
                tokens[i] = draw(st.sampled_from(ODD))
    return " ".join(tokens)


FUZZ = {"deadline": 10_000, "suppress_health_check": list(HealthCheck), "derandomize": True, "database": None}


@settings(max_examples=800, **FUZZ)
@given(mutants())
def test_a_mutant_is_compiled_or_refused_in_words(text):
    with suppress(CompileError):
        _compile(text)


@pytest.mark.long
@settings(max_examples=10_000, **FUZZ)
@given(mutants())
def test_many_mutants_are_compiled_or_refused_in_words(text):
    with suppress(CompileError):
        _compile(text)


LETS = "\n".join(f"let a{k} = a{k - 1} + v" for k in range(1, 3000))
LARGE = {
    "lets in a row": f"neuron C {{\nstate v = 0\nlet a0 = v\n{LETS}\nv' = a2999 / 10 ms\n}}",
    "functions in each other": "fn f0(x) = x\n"
    + "\n".join(f"fn f{k}(x) = f{k - 1}(x) + 1" for k in range(1, 400))
    + "\nconst a = f399(1)",
    "constants that double": "const c0 = 1\n" + "\n".join(f"const c{k} = c{k - 1} + c{k - 1}" for k in range(1, 40)),
    "constants backwards": "\n".join(f"const c{k} = c{k + 1} + 1" for k in range(1000)) + "\nconst c1000 = 1",
    "parameters backwards": "neuron C {\n"
    + "\n".join(f"param p{k} = p{k + 1}" for k in range(450))
    + "\nparam p450 = 1\n}",
    "edges": "network N {\ndt = 1 ms\ninput x : spikes[4]\n" + "x -> dense() -> h\n" * 30000 + "}",
    "states": "neuron C {\n" + "\n".join(f"state v{k} = 0" for k in range(8000)) + "\n}",
    "errors": "neuron C {\nstate v = 0\n" + "\n".join(f"let a{k} = q{k}" for k in range(400)) + "\n}",
}


@pytest.mark.parametrize("name", LARGE)
def test_a_large_file_is_refused_in_words(name):
    with pytest.raises(CompileError):
        _compile(f"edition 2026\nimport std.neurons (LIF)\n{LARGE[name]}\n")


def _compile(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.snn"
        path.write_text(text)
        compile_all(path)
