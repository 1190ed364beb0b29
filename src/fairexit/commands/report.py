"""fairexit report."""

from pathlib import Path
from typing import Annotated

import typer

from fairexit.commands.common import Group, Plugins, check_page


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Predicted runs or files.")],
    out: Annotated[Path, typer.Option("--out", help="The HTML file.")],
    group: Group = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Prepared data to describe on the page.")
    ] = None,
    threshold: Annotated[
        str, typer.Option(help="Where no policy is stored: auto (on validation) or theta.")
    ] = "auto",
    title: Annotated[str, typer.Option(help="Heading.")] = "Fairness of image classifiers",
    plugins: Plugins = None,
) -> None:
    """Write a self-contained page that compares runs, each under its stored policy."""
    from fairexit.data.prepared import open_prepared
    from fairexit.evaluation.assess import Choice, assess_as_stored, parse_threshold
    from fairexit.report.page import write_page

    check_page(out)
    choice = Choice(parse_threshold(threshold))
    found = [assess_as_stored(path, group, choice) for path in runs]
    write_page(found, out, title, open_prepared(data) if data else None)
    print(f"written: {out}")
