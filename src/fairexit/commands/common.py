"""Options that several commands share, and how they show a table."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fairexit.tables import Table

RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")]
OtherData = Annotated[
    Path | None, typer.Option("--data", help="Other prepared data than the run's own.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")]
Group = Annotated[
    str | None, typer.Option(help="The sensitive attribute; by default the run's own.")
]


def _load(files: list[Path] | None) -> list[Path] | None:
    if files:
        from fairexit.plugins import load_plugins

        load_plugins(files)
    return files


Plugins = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin",
        metavar="FILE.py",
        callback=_load,
        help="A Python file with a method, dataset, head or backbone of your own. Repeatable.",
    ),
]
"""Plugin files; they are imported while the command line is read."""


def check_page(out: Path) -> None:
    """Raise a UserError where a page would go into a file that is named as something else."""
    from fairexit.errors import UserError

    if out.suffix and out.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"--out {out} is an HTML page; call it {out.with_suffix('.html').name}")


def show(table: "Table") -> None:
    """Print a table as wide as the terminal."""
    from rich.console import Console

    # In a pipe there is no width to fit into.
    Console(width=None if sys.stdout.isatty() else 200).print(table.to_rich())
