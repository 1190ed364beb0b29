"""The command line: its commands, and bad input as one line and exit status 2."""

import sys
from importlib import import_module
from typing import Annotated, Any, NoReturn, cast

import typer
from typer.core import TyperCommand, TyperGroup

from fairexit.errors import UserError
from fairexit.version import __version__

# Typer carries a copy of click of its own or not, by its version; its errors lead to the right one.
USAGE_ERROR = cast(
    type[typer.BadParameter],
    next(c for c in typer.BadParameter.__mro__ if c.__name__ == "UsageError"),
)

INTERRUPTED = 130

OPTIONS = {
    "axes": "search",
    "changes": "set",
    "classes": "only-present-classes",
    "groups": "group",
    "plugins": "plugin",
}
"""Options that are not called as the parameter whose value they give."""

COMMANDS = {
    "prepare": "Turn a download into a prepared dataset: decoded once, split, checked for leaks.",
    "train": "Train a run and, if its settings say so, prune it.",
    "prune": "Prune a finished run into a fairer one.",
    "predict": "Write the predictions of all exits of a run, or the answers for new images.",
    "evaluate": "Measure accuracy and fairness of a run or of a table of predictions.",
    "audit": "Tell whether the gaps between groups are real, from predictions alone.",
    "entangle": "Measure by depth how well features tell the attribute and the target.",
    "study": "Make every run of a grid, then tables, figures and a verdict on each claim.",
    "tune": "Search for the best settings of a run on validation.",
    "report": "Write a self-contained page that compares runs.",
    "demo": "Draw skin lesions, train with and without exits, and compare; nothing is downloaded.",
    "list": "Show what can be chosen by name, with options and defaults.",
}
"""Name -> the first line of its help, so that `fairexit --help` need not import them."""


class LazyCommands(TyperGroup):
    """A group whose commands are imported when they are called, each from a file of its name."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = {name: TyperCommand(name, help=text) for name, text in COMMANDS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        return name, command and load_command(cast(str, name)), rest


def load_command(name: str) -> TyperCommand:
    """A command: the function of its name, whose signature is the command line."""
    module = import_module(f"fairexit.commands.{name}")
    single = typer.Typer(add_completion=False)
    single.command(name, epilog=f"Example:\n\n{module.EXAMPLE}")(getattr(module, name))
    return cast(TyperCommand, typer.main.get_command(single))


app = typer.Typer(
    cls=LazyCommands,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Train, measure and compare image classifiers that are fair across groups of people.",
)


def _version(wanted: bool) -> None:
    if wanted:
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
    """The option that gives a parameter its value: `--split-file` for `split_file`."""
    return "--" + OPTIONS.get(parameter, parameter).replace("_", "-")


def _stop(message: str) -> NoReturn:
    print(f"fairexit: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)


def main() -> None:
    """Entry point: bad input is one line and exit status 2."""
    try:
        status = app(standalone_mode=False)
    except UserError as error:
        _stop(error.render(option_name))
    except OSError as error:
        # Files are replaced whole, so a full disk has damaged nothing.
        _stop(f"{error.filename or 'a file'}: {error.strerror}")
    except USAGE_ERROR as error:
        # Without arguments the help has been shown and there is nothing to say.
        if not error.format_message():
            sys.exit(2)
        _stop(f"{error.format_message()} (see fairexit --help)")
    except (KeyboardInterrupt, typer.Abort):
        status = INTERRUPTED
    # Typer turns Ctrl-C within a command into this status.
    if status == INTERRUPTED:
        print("fairexit: interrupted; run the same command again to resume", file=sys.stderr)
    sys.exit(status)
