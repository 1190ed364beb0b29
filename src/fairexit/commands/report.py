"""fairexit report."""

from pathlib import Path
from typing import Annotated

import typer

from fairexit.commands.common import (
    Group,
    Plugins,
    check_exists,
    check_outputs,
    check_page,
    parse_threshold,
)
from fairexit.terminal import say

EXAMPLE = "fairexit report runs/plain runs/me --out fairness.html"


def report(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN_OR_FILE...", help="Predicted runs, or tables.")
    ],
    *,
    out: Annotated[Path, typer.Option("--out", help="The HTML file to write.")],
    group: Group = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Prepared data to describe on the page.", show_default="none"),
    ] = None,
    threshold: Annotated[
        str,
        typer.Option(
            help="Threshold where no policy is stored: auto (chosen on validation), or a number."
        ),
    ] = "auto",
    title: Annotated[
        str, typer.Option(help="Heading of the page.")
    ] = "Fairness of image classifiers",
    plugins: Plugins = None,
) -> None:
    """Write a self-contained page that compares runs.

    Each run is shown under its stored policy. Only the page is written.
    """
    check_page(out)
    check_exists(*runs, data)
    check_outputs({"--out": out}, runs)
    choice_threshold = parse_threshold(threshold)
    from fairexit.data.prepared import open_prepared
    from fairexit.evaluation.assess import Choice, assess_as_stored
    from fairexit.report.page import write_page

    choice = Choice(choice_threshold)
    assessments = [assess_as_stored(path, group, choice) for path in runs]
    write_page(assessments, out, title, open_prepared(data) if data else None)
    say(f"written: {out}")
