"""What MkDocs needs to show our pages: fences with more words than one, and colours for `.snn`."""

from __future__ import annotations

import re
import sys
from types import ModuleType
from typing import Any

from pygments.lexer import RegexLexer, words
from pygments.lexers import LEXERS
from pygments.token import Comment, Keyword, Name, Number, Operator, Punctuation, String, Text

_FENCE = re.compile(r"^```(\w+)([^\n]*)$", re.MULTILINE)
_KEYWORDS = (
    *(
        "edition",
        "import",
        "as",
        "const",
        "fn",
        "surrogate",
        "neuron",
        "network",
        "data",
        "train",
        "of",
        "on",
        "extern",
    ),
    *(
        "param",
        "event",
        "input",
        "state",
        "let",
        "step",
        "spike",
        "when",
        "with",
        "refractory",
        "hold",
        "block",
        "detach",
    ),
    *(
        "reset",
        "solve",
        "at",
        "start",
        "end",
        "emit",
        "scale",
        "rising",
        "carry",
        "rate",
        "layer",
        "output",
        "in",
        "per",
    ),
    *("trainable", "via", "penalty", "metric", "if", "else", "and", "or", "not", "true", "false"),
)


class SnnLexer(RegexLexer):
    """Colours of `.snn` text."""

    name = "snn"
    aliases = ("snn",)
    filenames = ("*.snn",)
    tokens = {  # noqa: RUF012  (Pygments reads it from the class)
        "root": [
            (r"##.*$", String.Doc),
            (r"#.*$", Comment.Single),
            (r'"[^"\n]*"', String),
            (
                r"\d+(\.\d+)?([eE][+-]?\d+)?( ?[munpfkMG]?(s|V|A|C|S|F|Ohm|Hz)\b| (steps?|epochs?|updates?|min)\b)?",
                Number,
            ),
            (words(_KEYWORDS, prefix=r"\b", suffix=r"\b(?!\()"), Keyword),
            (r"[A-Za-z_]\w*(?=\()", Name.Function),
            (r"[A-Za-z_]\w*", Name),
            (r"->|[-+*/^%=<>~!']+", Operator),
            (r"[][(){},:;.@]", Punctuation),
            (r"\s+", Text),
        ]
    }


def on_startup(**_: Any) -> None:
    """Make the lexer known to Pygments, which imports lexers by the name of their module."""
    module: Any = ModuleType("snn_colours")
    module.SnnLexer, module.__all__ = SnnLexer, ["SnnLexer"]
    sys.modules["snn_colours"] = module
    LEXERS["SnnLexer"] = ("snn_colours", "snn", SnnLexer.aliases, SnnLexer.filenames, ())


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Keep the first word of each fence; make a file's name, or the code of a refusal, the title of the block."""
    return _FENCE.sub(_fence, markdown)


def _fence(found: re.Match[str]) -> str:
    language, rest = found[1], found[2].split()
    title = ""
    if rest[:1] in (["save"], ["file"]):
        title = rest[1]
    elif "error" in rest:
        code = rest[rest.index("error") + 1]
        title = f"refused: {code}" if code.startswith("E") else f"warned of: {code}"
    elif rest[:1] == ["output"]:
        title = "prints"
    return f'``` {{ .{language} title="{title}" }}' if title else f"``` {language}"
