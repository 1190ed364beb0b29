"""fairexit config."""

from typing import Annotated

import typer

from fairexit.commands.common import Plugins, show

EXAMPLE = "fairexit config train"


def config(
    part: Annotated[
        str | None,
        typer.Argument(
            metavar="PART",
            help="A section such as train, or a setting such as train.lr.",
            show_default="all",
        ),
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the settings as JSON.")] = False,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the settings as Markdown tables.")
    ] = False,
    plugins: Plugins = None,
) -> None:
    """Show every setting of a run with its type, default, allowed values and explanation."""
    from fairexit.config_settings import setting_tables, settings
    from fairexit.errors import UserError
    from fairexit.files import json_text

    if as_json and as_markdown:
        raise UserError("--json and --markdown are two forms of the output; choose one")
    if as_json:
        print(json_text([setting.to_dict() for setting in settings(part)]))
    elif as_markdown and part is None:
        print(settings_page(), end="")
    else:
        for table in setting_tables(part):
            if as_markdown:
                print(f"## {table.title}\n\n{table.to_markdown()}")
            else:
                show(table)


def settings_page() -> str:
    """The page docs/configuration.md."""
    from fairexit.config_settings import setting_tables

    parts = [
        "# Configuration",
        "The settings of a run, as `fairexit config` prints them (`fairexit config train` prints "
        "one section, `--json` all as data). A configuration is a YAML file with these sections; "
        "`--set train.epochs=10` changes a setting on the command line, and `prune: null` trains "
        "without pruning. A method's options stand beside its name: "
        "`method: {name: hsic, weight: 1}`.",
    ]
    parts += [f"## {table.title}\n\n{table.to_markdown().rstrip()}" for table in setting_tables()]
    return "\n\n".join(parts) + "\n"
