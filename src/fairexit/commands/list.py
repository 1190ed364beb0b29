"""fairexit list."""

from typing import Annotated

import typer

from fairexit.commands.common import Plugins, show

EXAMPLE = "fairexit list methods"


def list(
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="KIND",
            help="One of methods, pruning, heads, datasets, metrics, backbones, trackers.",
            show_default="all",
        ),
    ] = None,
    plugins: Plugins = None,
) -> None:
    """Show what can be chosen by name, with options and defaults."""
    from fairexit.inventory import inventory

    for table in inventory(kind):
        show(table)
