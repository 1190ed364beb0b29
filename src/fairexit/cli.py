"""The command line: its commands, and errors of the user as one line and exit status 2."""

import atexit
import os
import signal
import sys
from importlib import import_module
from io import TextIOWrapper
from typing import Annotated, Any, NoReturn, cast

import typer
from typer.core import TyperCommand, TyperGroup

from fairexit.decoder_warnings import silence_decoders
from fairexit.errors import UserError, reason, short
from fairexit.terminal import note
from fairexit.version import __version__

# Some versions of Typer bundle a copy of click; its base classes lead to the right UsageError.
USAGE_ERROR = cast(
    type[typer.BadParameter],
    next(c for c in typer.BadParameter.__mro__ if c.__name__ == "UsageError"),
)

INTERRUPTED = 130

OPTIONS = {
    "axes": "search",
    "changes": "set",
    "constraints": "constraint",
    "groups": "group",
    "plugins": "plugin",
    "splits": "split",
}
"""Parameter -> option, where their names differ."""

COMMANDS = {
    "prepare": "Turn a download into a prepared dataset: decode, split, check for leaks.",
    "plant": "Plant a known cause of unfairness into a copy of a prepared dataset.",
    "train": "Train a run and, if its settings say so, prune it.",
    "refit": "Refit the last layers of a finished run on group-balanced held-out data.",
    "prune": "Edit a finished run to make it fairer: FairPrune, SCP, FairQuantize, SWiFT.",
    "rerun": "Repeat a run from its record, and compare weights, log and predictions.",
    "predict": "Write the predictions of all exits of a run, or the answers for new images.",
    "export": "Export a run as ONNX graphs, checked against PyTorch, to run without torch.",
    "serve": "Serve a model over HTTP: a page to try it on, and answers as JSON.",
    "push": "Upload a run to the Hugging Face Hub, with its model card.",
    "evaluate": "Measure accuracy and fairness of a run or of a table of predictions.",
    "choose": "Choose a run, and an exit or a threshold, under constraints, on validation.",
    "audit": "Test whether the gaps between groups are real, from predictions alone.",
    "monitor": "Watch a deployed model: is the mix, the performance or a gap different?",
    "document": "Write a run's documentation: cards, audit, versions, and the items left open.",
    "entangle": "Measure how entangled the attribute and the target are at each depth.",
    "study": "Make every run of a grid, then tables, figures and verdicts on the paper's claims.",
    "tune": "Search for the best settings of a run on validation.",
    "report": "Write a self-contained page that compares runs.",
    "demo": "Plant a cause of unfairness into drawn images, try to repair it, and audit it.",
    "config": "Show every setting of a run with its type, default, allowed values and explanation.",
    "list": "Show what can be chosen by name, with options and defaults.",
}
"""Name -> first line of its help, so that `fairexit --help` need not import the commands."""


class LazyCommands(TyperGroup):
    """A group of commands, each of which is imported from the module of its name when called."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = {name: TyperCommand(name, help=text) for name, text in COMMANDS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        return name, command and load_command(cast(str, name)), rest


def load_command(name: str) -> TyperCommand:
    """Import a command: the function of its name, whose signature defines the options."""
    module = import_module(f"fairexit.commands.{name}")
    single = typer.Typer(add_completion=False)
    single.command(name, epilog=f"Example:\n\n{module.EXAMPLE}")(getattr(module, name))
    return cast(TyperCommand, typer.main.get_command(single))


app = typer.Typer(
    cls=LazyCommands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Train, measure and compare image classifiers that are fair across groups of people.",
)


def _version(is_given: bool) -> None:
    if is_given:
        print(f"fairexit {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    pass


def option_name(parameter: str) -> str:
    """The option that sets a parameter: `--split-file` for `split_file`."""
    return "--" + OPTIONS.get(parameter, parameter).replace("_", "-")


def _stop(message: str) -> NoReturn:
    note(f"fairexit: {' '.join(message.split())}")
    sys.exit(2)


def main() -> None:
    """Run the command line; an error of the user is one line and exit status 2."""
    try:
        _run()
    finally:
        # What was called has ended: Ctrl-C while libraries clean up would only show a traceback.
        atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)


def _run() -> NoReturn:
    silence_decoders()
    # By default OpenMP threads wait in a loop, which on a machine that other programs use too makes
    # a training step more than ten times as slow. Read by the library when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal's encoding lacks is no reason to stop.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        status = app(standalone_mode=False)
    except UserError as error:
        _stop(error.render(option_name))
    except OSError as error:
        # Files are replaced atomically, so a full disk damages none.
        _stop(f"{short(error.filename or 'a file', 300)}: {error.strerror or reason(error)}")
    except MemoryError as error:
        _stop(f"the memory of this machine does not suffice: {reason(error)}")
    except USAGE_ERROR as error:
        # Without arguments only the help is shown.
        if not error.format_message():
            sys.exit(2)
        _stop(f"{error.format_message()} (see fairexit --help)")
    except (KeyboardInterrupt, typer.Abort):
        status = INTERRUPTED
    # Typer turns Ctrl-C in a command into this status.
    if status == INTERRUPTED:
        note("fairexit: interrupted; run the same command again to resume")
    sys.exit(status)
