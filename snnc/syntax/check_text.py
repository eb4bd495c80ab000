"""Findings that need no grammar: size, the edition line, `dv/dt` and units in a wrong place."""

from __future__ import annotations

from math import inf

from snnc import EDITION
from snnc.diagnostics import Code, Findings, fail
from snnc.limits import MAX_DOTS, MAX_SOURCE_BYTES, MAX_STRING, MAX_WORD
from snnc.source import Source, Span
from snnc.syntax.lex import Token, names
from snnc.syntax.read import too_large

# What a word is called, how many characters it may have, and what to do with more.
_WORDS = {
    "NAME": ("name", MAX_WORD, "give it a shorter name"),
    "DERIV": ("name", MAX_WORD, "give it a shorter name"),
    "NUMBER": ("number", MAX_WORD, "write it as in `1.5e20`; about 16 digits count"),
    "STRING": ("string", MAX_STRING, "no path is that long"),
}

# Words that stand for a unit when they follow a quantity without a space, as in `10 mV/ms`.
_UNITS = names(
    "fs ps ns us ms s min h uV mV V pA nA uA mA A pS nS uS mS S Ohm kOhm MOhm GOhm ohm kohm Mohm Gohm "
    "fF pF nF uF mF F fC pC nC uC C Hz kHz MHz step steps"
)


def check_size(source: Source) -> None:
    """Raise E0107 for more than a megabyte, E0108 for a NUL."""
    if len(source.text) > MAX_SOURCE_BYTES:
        raise too_large(source, len(source.text))
    nul = source.text.find("\0")
    if nul >= 0:
        span = Span(source, nul, nul + 1)
        raise fail(Code.NOT_TEXT, span, "this is not text: it contains a NUL character", help="save it as UTF-8 text")


def check_words(source: Source, code: list[Token], findings: Findings) -> None:
    """Find words that are too long, numbers beyond those that a computer holds, and names like those of emitted files."""
    dots = 0
    for token in code:
        if token.kind == "DOT":
            dots += 1
        elif token.kind != "NAME":
            dots = 0
        what, most, help = _WORDS.get(token.kind, ("", MAX_SOURCE_BYTES, ""))
        if len(token.text) > most:
            message = f"this {what} has {len(token.text):,} characters, and at most {most:,} are taken"
            findings.add(Code.TOO_LARGE, _span(source, token), message, help=help)
        elif dots == MAX_DOTS and token.kind == "DOT":
            message = f"a name has at most {MAX_DOTS} parts"
            findings.add(
                Code.TOO_LARGE, _span(source, token), message, help="an element is named as in `Net.layer.tau`"
            )
        elif token.kind == "NUMBER":
            _check_number(source, token, findings)
        elif token.kind in ("NAME", "DERIV") and "_" in (token.text[0], token.text.rstrip("'")[-1]):
            message = "a name neither begins nor ends with `_`: such names are for the emitted file"
            help = f"write `{token.text.strip('_') or 'a'}`"
            findings.add(Code.RESERVED_NAME, _span(source, token), message, help=help)


def _check_number(source: Source, token: Token, findings: Findings) -> None:
    value, digits = float(token.text), token.text.lower().split("e")[0]
    if value == inf:
        message, help = "no computer holds a number this large", "the largest is 1.8e308; infinity is written `inf`"
    elif value == 0 and digits.strip("0."):
        message, help = "no computer holds a number this small", "the smallest is 5e-324; zero is written `0`"
    else:
        return
    findings.add(Code.TOO_LARGE, _span(source, token), message, help=help)


def check_edition(source: Source, code: list[Token], findings: Findings) -> None:
    """Find a missing or an unknown edition."""
    line = f"edition {EDITION}"
    words = [token for token in code[:3] if not token.is_newline]
    if not words or words[0].text != "edition":
        start = words[0].start if words else 0
        end = words[0].end if words else 0
        help = f"add this line at the top:\n{line}"
        findings.add(Code.NO_EDITION, Span(source, start, end), "the file does not say its edition", help=help)
    elif len(words) > 1 and words[1].kind == "NUMBER" and words[1].text != str(EDITION):
        message = f"unknown edition `{words[1].text}`"
        findings.add(
            Code.UNKNOWN_EDITION,
            _span(source, words[1]),
            message,
            help=f"write `{line}`, the one that this compiler knows",
        )


def replace_fractions(source: Source, code: list[Token], findings: Findings) -> list[Token]:
    """Find `dv/dt = …` and return the tokens with `v' = …` in its place, so that the parser can go on."""
    out: list[Token] = []
    at_start, index = True, 0
    while index < len(code):
        top, *rest = code[index : index + 4]
        if at_start and top.text[:1] == "d" and len(top.text) > 1 and [t.text for t in rest] == ["/", "dt", "="]:
            span = Span(source, top.start, rest[1].end)
            message = f"`{span.text}` is not how a derivative is written"
            findings.add(Code.DERIVATIVE_FRACTION, span, message, help=f"write `{top.text[1:]}' = …`")
            out.append(Token("DERIV", span.text, top.start))
            index += 3
        else:
            out.append(top)
            index += 1
        at_start = top.kind in ("_NL", "LBRACE")
    return out


def check_units(source: Source, code: list[Token], findings: Findings) -> None:
    """Find a quantity that is divided or multiplied by a bare unit, as in `10 mV/ms`."""
    for index in range(len(code) - 3):
        number, unit, mark, word = code[index : index + 4]
        if number.kind != "NUMBER" or unit.kind != "NAME" or mark.text not in ("/", "*") or word.text not in _UNITS:
            continue
        goes_on = index + 4 < len(code) and code[index + 4].kind in ("LPAR", "LSQB", "DOT")
        if unit.end == mark.start and mark.end == word.start and not goes_on:
            span = Span(source, number.start, word.end)
            better = f"{number.text} {unit.text} {mark.text} 1 {word.text}"
            message = f"`{word.text}` is read as a name: a unit stands only right after a number"
            findings.add(Code.BAD_UNIT_POSITION, span, message, help=f"write `{better}`")


def _span(source: Source, token: Token) -> Span:
    return Span(source, token.start, token.end)
