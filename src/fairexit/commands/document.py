"""fairexit document."""

from pathlib import Path
from typing import Annotated

import typer

from fairexit.commands.common import Plugins, RunPath, check_exists, show
from fairexit.terminal import note, say

EXAMPLE = "fairexit document runs/me --positive MEL --out documentation"


def document(
    run: RunPath,
    *,
    out: Annotated[Path, typer.Option("--out", help="The folder to make.")],
    group: Annotated[
        list[str] | None,
        typer.Option(help="A sensitive attribute; can be repeated.", show_default="the run's own"),
    ] = None,
    positive: Annotated[
        list[str] | None,
        typer.Option(
            help="A class that is a disease, with which the audit begins; can be repeated.",
            show_default="of two classes the one named like a disease, else the rarer one",
        ),
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(help="Another model to compare with.", show_default="none"),
    ] = None,
    cohort: Annotated[
        Path | None,
        typer.Option(
            help="The same model's predictions of other samples, such as another hospital's.",
            show_default="none",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            help="The prepared data of the run, if they were moved.",
            show_default="the folder that the run names",
        ),
    ] = None,
    plugins: Plugins = None,
) -> None:
    """Write a run's documentation: cards, audit, versions, and the items left open.

    The folder holds the model card, the audit page, the data card (also as Croissant), settings,
    versions, a software bill of materials, and tables of what TRIPOD+AI, CLAIM, STANDING Together,
    FUTURE-AI, the FDA's draft guidance and the EU AI Act ask for; see
    docs/documentation_pack.md.
    """
    check_exists(run, baseline, cohort, data)
    note(f"auditing {run}")
    from fairexit.api import document as document_run

    pack = document_run(
        run,
        out,
        groups=group or [],
        positive=positive or [],
        baseline=baseline,
        cohort=cohort,
        data=data,
    )
    show(pack.overview)
    say(f"written: {pack.path} (next: open {pack.path / 'index.html'})")
