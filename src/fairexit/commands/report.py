"""fairexit report."""

from pathlib import Path
from typing import Annotated, Any

import typer

from fairexit.commands.common import (
    Group,
    Plugins,
    check_exists,
    check_outputs,
    check_page,
    parse_threshold,
)
from fairexit.commands.table_options import table_options
from fairexit.terminal import note, say

EXAMPLE = "fairexit report runs/plain runs/me --out fairness.html"


@table_options
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
    positive: Annotated[
        str | None, typer.Option(help="The class of --score.", show_default="none")
    ] = None,
    plugins: Plugins = None,
    table: dict[str, Any],
) -> None:
    """Write a self-contained page that compares runs.

    Each run is shown under its stored policy. Only the page is written.
    """
    check_page(out)
    check_exists(*runs, data)
    check_outputs({"--out": out}, runs)
    choice_threshold = parse_threshold(threshold)
    from fairexit.config_files import build_section
    from fairexit.data.prepared import open_prepared
    from fairexit.evaluation.assess import assess_as_stored
    from fairexit.evaluation.choice import Choice
    from fairexit.predictions.reading import Reading
    from fairexit.report.page import write_page

    choice = Choice(choice_threshold)
    options = table | ({} if positive is None else {"positive": positive})
    reading = build_section("", Reading, options)
    assessments = [assess_as_stored(path, group, choice, reading) for path in runs]
    for assessment in assessments:
        for line in assessment.predictions.notes:
            note(f"note: {assessment.name}: {line}")
    write_page(assessments, out, title, open_prepared(data) if data else None)
    say(f"written: {out}")
