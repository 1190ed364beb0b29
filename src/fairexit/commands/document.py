"""fairexit document."""

from pathlib import Path
from typing import Annotated

import typer

from fairexit.commands.common import Plugins, check_exists, show
from fairexit.terminal import note, say

EXAMPLE = "fairexit document runs/me --positive MEL --out documentation"


def document(
    run: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...",
            help="A finished and predicted run; others are training seeds of the same model.",
        ),
    ],
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
        list[Path] | None,
        typer.Option(
            help="Another model to compare with; repeat it for each training seed.",
            show_default="none",
        ),
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
    check_exists(*run, *(baseline or []), cohort, data)
    note(f"auditing {', '.join(map(str, run))}")
    from fairexit.api.documenting import document as document_run

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
