"""fairexit list."""

from typing import Annotated

import typer

from fairexit.commands.common import Plugins, show


def list_all(
    kind: Annotated[
        str | None, typer.Argument(help="methods, heads, datasets, metrics or backbones.")
    ] = None,
    plugins: Plugins = None,
) -> None:
    """Show what can be chosen by name, with options and defaults."""
    from fairexit.inventory import inventory

    for table in inventory(kind):
        show(table)
