"""The command line: the table of commands, and what becomes of every exception.

Exit codes: 0 ok, 1 findings, 2 usage, 3 internal error, 130 interrupted. Nothing heavy is imported before a command
needs it.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import snnc
from snnc.commands.check import check, fmt
from snnc.commands.compare import compare
from snnc.commands.console import say, show_findings
from snnc.commands.cost import cost
from snnc.commands.failures import TRACEBACK, show_failure
from snnc.commands.fold import fold
from snnc.commands.launch import launch
from snnc.commands.new import new
from snnc.commands.simulate import simulate
from snnc.commands.surrogates import surrogates
from snnc.commands.train import evaluate, export, train
from snnc.commands.translate import compile_file, explain
from snnc.diagnostics import CompileError


class _Guarded(TyperGroup):
    """Turns what a command raises into words and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except CompileError as error:
            show_findings(error.diagnostics)
            code = 1
        except KeyboardInterrupt:
            say("interrupted")
            code = 130
        except MemoryError:
            say("error: this computer has not enough memory for that")
            code = 1
        except Exception as error:
            if hasattr(error, "exit_code") or isinstance(error, typer.Abort | BrokenPipeError):
                raise  # usage errors and exits of typer itself
            if isinstance(error, OSError) and error.filename:
                say(f"error: {error.filename}: {(error.strerror or str(error)).lower()}")
                code = 1
            else:
                show_failure(error)
                code = 3
        raise typer.Exit(code)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"snnc {snnc.__version__}")
        raise typer.Exit


def _want_traceback(wanted: bool) -> None:
    if wanted:
        os.environ[TRACEBACK] = "1"


app = typer.Typer(
    cls=_Guarded,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
    traceback: Annotated[
        bool,
        typer.Option(
            "--traceback",
            help=f"Print Python's whole traceback of an internal error; {TRACEBACK}=1 does too.",
            callback=_want_traceback,
        ),
    ] = False,
) -> None:
    """snnc compiles spiking neural networks from .snn text to one readable JAX file, and trains them."""


app.command("new")(new)
app.command("check")(check)
app.command("fmt")(fmt)
app.command("explain")(explain)
app.command("compile")(compile_file)
app.command("train")(train)
app.command("eval")(evaluate)
app.command("launch", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})(launch)
app.command("fold")(fold)
app.command("run")(simulate)
app.command("data")(export)
app.command("compare")(compare)
app.command("cost")(cost)
app.command("surrogates")(surrogates)


def main() -> None:
    """Run the command line; always ends by SystemExit. `--traceback` may stand behind the command too."""
    arguments = sys.argv[1:]
    if "--traceback" in arguments:
        arguments = ["--traceback", *(argument for argument in arguments if argument != "--traceback")]
    try:
        app(arguments, prog_name="snnc")
    except SystemExit as end:
        if "jax" in sys.modules:
            from snnc.harness.processes import leave

            leave(end.code if isinstance(end.code, int) else 1 if end.code else 0)
        raise
