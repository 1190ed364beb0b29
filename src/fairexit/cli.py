"""The command line: its commands, and bad input as one line and exit status 2."""

import sys
from typing import Annotated, NoReturn, cast

import typer

from fairexit.commands.audit import audit
from fairexit.commands.demo import demo
from fairexit.commands.entangle import entangle
from fairexit.commands.evaluate import evaluate
from fairexit.commands.list import list_all
from fairexit.commands.predict import predict
from fairexit.commands.prepare import prepare
from fairexit.commands.prune import prune
from fairexit.commands.report import report
from fairexit.commands.study import study
from fairexit.commands.train import train
from fairexit.commands.tune import tune
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
}
"""Options that are not called as the parameter whose value they give."""

app = typer.Typer(
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
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    pass


# In the order of --help.
COMMANDS = (
    prepare,
    train,
    prune,
    predict,
    evaluate,
    audit,
    entangle,
    study,
    tune,
    report,
    demo,
)
for _command in COMMANDS:
    app.command()(_command)
app.command("list")(list_all)


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
