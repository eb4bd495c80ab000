"""Findings as data: what is wrong, where, what was found and what to do.

A phase collects all its findings in a `Findings` and raises one `CompileError`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from enum import StrEnum
from itertools import islice
from unicodedata import combining, east_asian_width

from snnc.source import Source, Span


class Code(StrEnum):
    """Stable identifiers; a number is never reused. One page each in `snnc/explain/`.

    Kept free for a check to come: E0510 (a learning rule that the model forbids).
    """

    # E01 syntax
    SYNTAX = "E0101"
    BAD_CHARACTER = "E0102"
    UNBALANCED = "E0103"
    NO_EDITION = "E0104"
    UNKNOWN_EDITION = "E0105"
    DERIVATIVE_FRACTION = "E0106"
    TOO_LARGE = "E0107"
    NOT_TEXT = "E0108"
    BAD_UNIT_POSITION = "E0109"
    # E02 names
    UNKNOWN_NAME = "E0201"
    DUPLICATE_NAME = "E0202"
    BAD_IMPORT = "E0203"
    UNKNOWN_ARGUMENT = "E0204"
    MISSING_ARGUMENT = "E0205"
    AMBIGUOUS_ENTRY = "E0206"
    EXTERN_REFUSED = "E0207"
    RESERVED_NAME = "E0208"
    WRONG_KIND = "E0209"
    # E03 units
    UNKNOWN_UNIT = "E0301"
    UNIT_MISMATCH = "E0302"
    NOT_DIMENSIONLESS = "E0303"
    # E04 shapes and topology
    SHAPE_MISMATCH = "E0401"
    UNKNOWN_SHAPE = "E0402"
    CYCLE = "E0403"
    UNCONNECTED_PORT = "E0404"
    AMBIGUOUS_PORT = "E0405"
    NO_SIGNAL = "E0406"
    BAD_VALUE = "E0407"
    NO_DT = "E0408"
    TOO_BIG = "E0409"
    # E05 dynamics and learning
    NEEDS_SOLVER = "E0501"
    NOT_LINEAR = "E0502"
    DOUBLE_ASSIGNMENT = "E0503"
    ACTS_AT_ZERO = "E0504"
    BAD_CONDITION = "E0505"
    NOT_TRAINABLE = "E0506"
    OUT_OF_INTERVAL = "E0507"
    NO_SURROGATE = "E0508"
    STEP_AND_EQUATION = "E0509"
    BAD_STAGE = "E0511"
    NEEDS_WHOLE_SEQUENCE = "E0512"
    ILLEGAL_RULE = "E0513"
    # E06 training
    NEEDS_ENCODER = "E0601"
    UNKNOWN_FIELD = "E0602"
    SELECT_ON_TEST = "E0603"
    NO_DATA = "E0604"
    BAD_DATA = "E0605"
    NO_TRAIN = "E0606"
    BAD_SETTING = "E0607"
    BAD_WEIGHTS = "E0608"
    DIVERGED = "E0609"
    BAD_PATH = "E0610"
    CANNOT_RESUME = "E0611"
    FOLDER_IN_USE = "E0612"
    CANNOT_WRITE = "E0613"
    MISSING_PACKAGE = "E0614"
    # E07 running
    OUT_OF_MEMORY = "E0701"
    RUN_FAILED = "E0702"
    NO_SUCH_DEVICES = "E0703"
    NOT_JOINED = "E0704"
    PROCESS_LOST = "E0705"
    # E09 features that are on their way
    NOT_YET = "E0901"
    # warnings
    ROUNDED_TO_STEP = "W0101"
    COARSE_STEP = "W0102"
    RATE_TOO_HIGH = "W0103"
    UNUSED_PARAMETER = "W0104"
    LOSS_ON_SPIKE = "W0105"
    READOUT_DIFFERS = "W0106"
    RESTING_MAXIMUM = "W0107"
    SILENT_LAYER = "W0109"
    SHORT_REFRACTORY = "W0110"


@dataclass(frozen=True, slots=True)
class Label:
    """A further place that belongs to a finding, with its few words."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding. `message` is lower case without a full stop; `note` stands at the caret; `help` says what to do.

    `also` has the further places of the same cause, which are no findings of their own.
    """

    code: Code
    span: Span
    message: str
    help: str | None = None
    note: str = ""
    labels: tuple[Label, ...] = ()
    also: tuple[Span, ...] = ()

    @property
    def is_error(self) -> bool:
        return self.code.value.startswith("E")

    def render(self) -> str:
        """Format for a terminal: header, place, marked source lines, help.

        >>> from snnc.source import Source
        >>> source = Source("m.snn", "x' = tu * x")
        >>> d = Diagnostic(Code.UNKNOWN_NAME, Span(source, 5, 7), "unknown name `tu`", help="did you mean `tau`?")
        >>> print(d.render())
        error[E0201]: unknown name `tu`
          --> m.snn:1:6
          |
        1 | x' = tu * x
          |      ^^
          = help: did you mean `tau`?
        """
        kind = "error" if self.is_error else "warning"
        primary = Label(self.span, self.note)
        beside = tuple(label for label in self.labels if self.note and _on_one_line(primary, label))
        others = tuple(label for label in self.labels if label not in beside)
        width = max(len(str(label.span.line)) for label in (primary, *others))
        margin = " " * width
        out = [f"{kind}[{self.code}]: {printable(self.message)}", f"{margin} --> {_place(self.span)}"]
        out += [f"{margin} |", *_marked(primary, beside, width, "^")]
        for label in others:
            out += [f"{margin} ::: {_place(label.span)}", f"{margin} |", *_marked(label, (), width, "-")]
        if self.also:
            out.append(f"{margin} = also: {_listed_lines(self.also)}")
        for number, line in enumerate((self.help or "").split("\n") if self.help else ()):
            out.append(f"{margin} {'= help: ' if number == 0 else ' ' * 8}{printable(line)}")
        return "\n".join(out)

    def as_json(self) -> dict[str, object]:
        """Return the finding as plain data for tools (`--json`)."""
        return {
            "code": self.code.value,
            "severity": "error" if self.is_error else "warning",
            "message": self.message,
            "note": self.note,
            "help": self.help,
            "file": self.span.source.path,
            "line": self.span.line,
            "column": self.span.column,
            "end": self.span.end,
            "labels": [
                {
                    "file": label.span.source.path,
                    "line": label.span.line,
                    "column": label.span.column,
                    "text": label.text,
                }
                for label in self.labels
            ],
            "also": [{"file": span.source.path, "line": span.line, "column": span.column} for span in self.also],
        }


MAX_LINES = 10  # further places of one cause that are listed
MAX_SHOWN = 140  # characters of a source line; a hostile or generated line is cut around its mark


def printable(text: str) -> str:
    """Replace what a terminal would obey or hide (escapes, controls, direction marks); a tab becomes one space.

    >>> printable("a\\tb\\x1b[31m")
    'a b�[31m'
    """
    return "".join(c if c.isprintable() else " " if c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def _listed_lines(spans: tuple[Span, ...]) -> str:
    lines = [str(line) for line in sorted({span.line for span in spans})]
    more = f" and {len(lines) - MAX_LINES} more" if len(lines) > MAX_LINES else ""
    return ("line " if len(lines) == 1 else "lines ") + ", ".join(lines[:MAX_LINES]) + more


def _place(span: Span) -> str:
    return f"{printable(span.source.path)}:{span.line}:{span.column}"


def _on_one_line(primary: Label, label: Label) -> bool:
    """Whether both marks fit beside each other under one source line."""
    first, second = sorted((primary.span, label.span), key=lambda span: span.start)
    text = first.source.text[first.start : second.end]
    return (
        first.source is second.source and first.end <= second.start and "\n" not in text and len(text) < MAX_SHOWN // 2
    )


def _marked(label: Label, beside: tuple[Label, ...], width: int, mark: str) -> list[str]:
    """Return a source line with marks under it, and the words of each label."""
    marks = [(label, mark), *((other, "-") for other in beside)]
    places = sorted((*_columns(item.span), sign, printable(item.text)) for item, sign in marks)
    text = label.span.source.line_text(label.span.line)
    cut = 0
    if len(text) > MAX_SHOWN:
        cut = max(0, min(places[0][0] - MAX_SHOWN // 3, len(text) - MAX_SHOWN))
        end = cut + MAX_SHOWN
        text = ("…" if cut else "") + text[cut + bool(cut) : end - (end < len(text))] + ("…" if end < len(text) else "")
    shown = printable(text)
    row, starts = "", []
    for start, stop, sign, _ in places:
        before, inside = shown[: start - cut], shown[start - cut : stop - cut]
        starts.append(_cells(before))
        row = row.ljust(starts[-1]) + sign * max(1, _cells(inside))
    *first, last = places
    rows = [f"{row} {last[3]}"]
    hanging = [(column, words) for column, (*_, words) in zip(starts, first, strict=False) if words]
    if hanging:
        rows.append(_hung([(column, "|") for column, _ in hanging]))
    while hanging:
        rows.append(_hung([*((column, "|") for column, _ in hanging[:-1]), hanging[-1]]))
        hanging = hanging[:-1]
    number = label.span.line
    return [f"{number:>{width}} | {shown}", *(f"{' ' * width} | {row}".rstrip() for row in rows)]


def _columns(span: Span) -> tuple[int, int]:
    """Return where on its line a span starts, from 0, and where it ends: at the latest at the end of the line."""
    start = span.column - 1
    return start, min(start + span.end - span.start, len(span.source.line_text(span.line)))


def _cells(text: str) -> int:
    """Return how many columns of a terminal `text` takes."""
    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def _hung(parts: list[tuple[int, str]]) -> str:
    row = ""
    for column, text in parts:
        row = row.ljust(column) + text
    return row


_ONCE = frozenset({Code.UNKNOWN_NAME, Code.UNKNOWN_UNIT, Code.BAD_CHARACTER})  # their cause is a word, not a place


class CompileError(Exception):
    """Raised once by a phase, with every finding it had."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n\n".join(d.render() for d in self.diagnostics))


MAX_FINDINGS = 100  # errors of one phase, and as many warnings: nobody reads more, and comparing them takes time


@dataclass(slots=True)
class Findings:
    """Collects what a phase finds; `stop_on_errors` ends the phase. With `use`, findings also show that place."""

    items: list[Diagnostic] = field(default_factory=list)
    _causes: dict[tuple[Code, Source, str], int] = field(default_factory=dict)  # to the number of their finding
    use: Span | None = None

    def used_at(self, use: Span) -> Findings:
        """Return findings of a block that is used at `use`, in the same list; what several uses find alike is one."""
        return Findings(self.items, self._causes, use)

    def add(
        self,
        code: Code,
        span: Span,
        message: str,
        *,
        help: str | None = None,
        note: str = "",
        labels: tuple[Label, ...] = (),
        cause: str = "",
    ) -> None:
        """Add a finding. What is unknown is one finding, however often it is used: `cause` (else the message) says what."""
        if self.use is not None:
            if any(d.code is code and d.span == span and d.message == message for d in self.items):
                return  # of another use
            labels = (*labels, Label(self.use, "used here"))
        finding = Diagnostic(code, span, message, help, note, labels)
        if code in _ONCE:
            known = self._causes.setdefault((code, span.source, cause or message), len(self.items))
            if known < len(self.items) and self.items[known].code is code:
                first = self.items[known]
                if span != first.span and len(first.also) < MAX_FINDINGS and span not in first.also:
                    self.items[known] = replace(first, also=(*first.also, span))
                return
        alike = self.errors if finding.is_error else self.warnings
        if len(alike) < MAX_FINDINGS and finding not in alike:
            self.items.append(finding)

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        return tuple(d for d in self.items if d.is_error)

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        return tuple(d for d in self.items if not d.is_error)

    def stop_on_errors(self) -> None:
        """Raise every finding (warnings too) if one of them is an error."""
        if self.errors:
            raise CompileError(self.items)


def fail(code: Code, span: Span, message: str, *, help: str | None = None, note: str = "") -> CompileError:
    """Return a `CompileError` with one finding, to be raised by the caller."""
    return CompileError([Diagnostic(code, span, message, help, note)])


# What PyTorch, snnTorch, Brian2 and NESTML call things -> what they are called here.
_ELSEWHERE = {
    "linear": "dense", "fc": "dense", "conv1d": "conv", "conv2d": "conv", "conv3d": "conv", "batchnorm": "norm",
    "leaky": "LIF", "lapicque": "LIF", "synaptic": "CubaLIF", "iaf_psc_delta": "LIF", "iaf_psc_exp": "CubaLIF",
    "float": "real", "int": "real", "tensor": "real", "poisson": "rate", "bernoulli": "rate", "spikegen": "rate",
    "timestep": "dt", "time_step": "dt", "delta_t": "dt", "resolution": "dt", "fast_sigmoid": "superspike",
    "arctan": "atan", "learning_rate": "lr", "num_epochs": "epochs", "n_epochs": "epochs",
    "batch_size": "batch", "criterion": "loss", "crossentropyloss": "cross_entropy", "mseloss": "mse", "nllloss": "nll",
    "validation": "val", "scheduler": "optimizer", "mem": "v", "membrane": "v", "spk": "spike", "spikes": "spike",
    "threshold": "theta", "v_th": "theta", "vth": "theta", "weight": "w", "weights": "w", "out_features": "size",
    "sigmoid": "logistic",
}  # fmt: skip


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """Return help that names the nearest of `known`, or lists a few of them.

    >>> did_you_mean("tua", ["tau", "theta"]), did_you_mean("Linear", ["dense", "relu"])
    ('did you mean `tau`?', 'did you mean `dense`?')
    """
    names = sorted(islice(dict.fromkeys(known), 1000))  # comparing more takes too long
    lower = {n.lower(): n for n in reversed(names)}
    inside = [
        n for n in names if min(len(n), len(name)) > 2 and (n.lower() in name.lower() or name.lower() in n.lower())
    ]
    if name.lower() in lower:
        close = [lower[name.lower()]]
    elif _ELSEWHERE.get(name.lower()) in names:
        close = [_ELSEWHERE[name.lower()]]
    else:
        close = get_close_matches(name, names, n=1, cutoff=0.75) or inside[:2] or get_close_matches(name, names, n=1)
    if close:
        return f"did you mean {' or '.join(f'`{n}`' for n in close)}?"
    if not names:
        return None
    listed = ", ".join(f"`{n}`" for n in names[:12])
    return f"known here: {listed}" + (", …" if len(names) > 12 else "")
